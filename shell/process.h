/* process.h: what a process inherits and should not, and how it keeps its memory. */
#ifndef SELARAS_PROCESS_H
#define SELARAS_PROCESS_H

/* Takes PG* and ZSYS_* out of the environment: libpq and czmq would obey them behind our settings' back. */
void process_clean_environment(void);

/* Keeps up to 8 MiB that was freed, for the next batch: glibc would give each batch's memory back to the system, which
 * then has to clear every page of it again. */
void process_keep_memory(void);

#endif
