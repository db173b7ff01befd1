/* pager.h: what is longer than a screen goes through the reader's own pager, as with git and journalctl. */
#ifndef SELARAS_PAGER_H
#define SELARAS_PAGER_H

#include <stdbool.h>

/* From here on standard output goes through SELARAS_PAGER, PAGER or less, if it is a terminal; "" or "cat" is none.
 * Under sudo it is less without a way to a shell, whatever the environment says. Who leaves the pager ends the program:
 * nobody is left to print for. */
void pager_start(void);
/* Waits until everything is read. Whether there was a pager; nothing may be printed any more then. */
bool pager_end(void);

#endif
