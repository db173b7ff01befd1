/* process.h: what a process inherits and should not. */
#ifndef SELARAS_PROCESS_H
#define SELARAS_PROCESS_H

/* Takes PG* and ZSYS_* out of the environment: libpq and czmq would obey them behind our settings' back. */
void process_clean_environment(void);

#endif
