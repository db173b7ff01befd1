/* prepare.h: exactly the SQL that a DBA must agree to before an agent may work on a database.
 *
 * Looks at what is there and writes only what is missing, so that it can be run again after each change of the mapping.
 * Blocking: a tool of its own, not part of the loop. */
#ifndef SELARAS_PREPARE_H
#define SELARAS_PREPARE_H

#include "proto/mapping.h"

#include <stdio.h>

struct prepare_options {
    const char *agency;
    const char *database; /* the agent's connection string: its role gets the rights */
    const char *dsn;      /* who looks and runs it; NULL: the agent itself */
    bool apply;           /* run it too, in one transaction */
};

/* Writes the SQL to `out`. ERR_STOP when the database cannot be asked, a mapped table is not there or a statement
 * fails; ERR_RETRY when it cannot be reached. */
must_check int prepare(const struct prepare_options *options, const struct mapping *mapping, FILE *out,
                       struct error *err);

#endif
