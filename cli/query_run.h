/* query_run.h: what the files that ask the broker's PostgreSQL have in common. */
#ifndef SELARAS_QUERY_RUN_H
#define SELARAS_QUERY_RUN_H

#include "cli/query.h"
#include "shell/pg.h"

#include <libpq-fe.h>

struct db {
    PGconn *connection;
};

void result_clear(PGresult **result);

/* Runs one statement whose rows are wanted; text parameters, NULL allowed. */
must_check int query_run(PGconn *connection, const char *sql, const char *const *parameters, int count, PGresult **ret,
                         struct error *err);
/* Says why a statement failed, and what to do about it. Returns the code. */
int query_failed(PGconn *connection, const PGresult *result, struct error *err);

/* NULL for NULL. */
const char *cell_text(struct arena *arena, const PGresult *result, int row, int column);
bool cell_true(const PGresult *result, int row, int column);
/* 0 for NULL. */
int64_t cell_number(const PGresult *result, int row, int column);
/* Bytes that may be missing (NULL or none): the return value says whether they are there. */
bool cell_bytes(struct arena *arena, const PGresult *result, int row, int column, struct text *ret);

#endif
