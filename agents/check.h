/* check.h: is everything as it must be before the service starts? */
#ifndef SELARAS_AGENT_CHECK_H
#define SELARAS_AGENT_CHECK_H

#include "agents/run.h"

/* Looks at settings, mapping, key and database, and, with the path of a catalog, whether tables and columns can hold
 * what that says. Says on standard output and error what it found. With `example` a line of JSON follows for each
 * block: { block, columns }, a row as it stands there, whole. Returns an exit status. */
int agent_check(struct agent_settings *settings, struct arena *arena, const char *catalog, bool example);

#endif
