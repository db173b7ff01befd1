/* warnings.h: what is not wrong yet in an agency's database, said by `selaras check` before it is: a slot that keeps
 * too much or that nobody reads, settings under which our slot would hold up the agency. */
#ifndef SELARAS_WARNINGS_H
#define SELARAS_WARNINGS_H

#include "shell/pg.h"

/* Its parameter is the slot's name, its answer a line each. */
extern const char warnings_sql[];
/* The lines as one text in `arena`; "" when there is nothing to warn of. */
const char *warnings_read(struct arena *arena, const PGresult *result);

#endif
