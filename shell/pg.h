/* pg.h: one asynchronous PostgreSQL connection on the loop (PostgreSQL 15, chapters 34.4 and 34.5).
 *
 * Knows libpq and no statement of ours: those stand beside the functions that run them. Statements are queued as a
 * pipeline; pg_sync() closes one unit of it and says where the results go. A unit fails as a whole from its first
 * error on. */
#ifndef SELARAS_PG_H
#define SELARAS_PG_H

#include "proto/message.h"
#include "shell/loop.h"

#include <libpq-fe.h>

struct pg;

/* Called once per unit, in order. `results` are those of the unit's statements (on failure, of those before the one
 * that failed); on failure `err` is set (code by SQLSTATE: ERR_RETRY for a lost connection, restart, deadlock or lock
 * timeout; ERR_REJECT for a bad value or broken constraint, ERR_STOP for anything else), its text has SQLSTATE and
 * PostgreSQL's primary message, without any part that may hold a value, and the failed statement's index is `failed`.
 * Results are cleared after the call.
 *
 * A unit without BEGIN is one transaction all the same: it commits at its end. Behind one that fails after a BEGIN a
 * ROLLBACK is sent by itself, ahead of what `done` queues: never send it yourself. Units that were on their way already
 * fail too, without effect, with ERR_RETRY (25P02), and so does a COMMIT that has nothing to commit. A unit that
 * succeeds may leave its transaction open for the next one. COMMIT, not END, and never AND CHAIN. */
struct pg_outcome {
    PGresult *const *results;
    int result_count;
    bool ok;
    struct error err;
    char sqlstate[6]; /* "" when the link was lost */
    int failed;       /* index of the statement that failed; their number when it was the end (a deferred constraint) */
    const PGresult *failure; /* for constraint, table and column names (PQresultErrorField); may be NULL */
};
typedef void pg_done(void *context, const struct pg_outcome *outcome);
typedef void pg_state(void *context, bool up, const struct error *err);

/* Starts connecting with `dsn` plus what we insist on: client_encoding UTF8, `application` as application_name,
 * DateStyle ISO, TimeZone UTC, bytea_output hex, empty search_path; it gives up after 10 s. gssencmode=disable and TCP
 * keepalives (a dead link is noticed within a minute) unless given. `state` is called when it is up (pipeline mode
 * entered) and when it failed or was lost, never inside pg_open() or pg_reopen(); a lost connection first fails every
 * open unit with ERR_RETRY. It is not reopened by itself: pg_reopen(), which also drops one that is up (without a call
 * of `state`). A host name is looked up while everything waits: give an address or a socket folder where that can take
 * long. */
struct pg *pg_open(struct loop *loop, const char *dsn, const char *application, pg_state *state, void *context);
void pg_reopen(struct pg *pg);
/* Safe inside its own callbacks. Open units are forgotten: their `done` is not called. */
void pg_close(struct pg **pg);
bool pg_up(const struct pg *pg);
/* While held, a unit that fails leaves its transaction open, though aborted: for units that each begin with ROLLBACK TO
 * SAVEPOINT. Whoever holds ends it with COMMIT or ROLLBACK. A lost connection lets go. */
void pg_hold(struct pg *pg, bool held);
/* Units whose result has not come yet. */
int pg_pending(const struct pg *pg);

/* Parameters of one statement: text or binary, NULL allowed. */
enum { PG_PARAMETERS_MAX = 160 };
struct pg_parameters {
    int count;
    const char *values[PG_PARAMETERS_MAX];
    int lengths[PG_PARAMETERS_MAX];
    int formats[PG_PARAMETERS_MAX]; /* 0 text, 1 binary */
    Oid types[PG_PARAMETERS_MAX];   /* 0: let the server infer */
};
/* Borrowed until pg_statement returns; NULL (also with a length) is NULL. */
void pg_text(struct pg_parameters *parameters, const char *value);
void pg_bytes(struct pg_parameters *parameters, const void *bytes, size_t length); /* bytea */
/* An 8 byte integer in binary; kept in `arena`. */
void pg_int8(struct pg_parameters *parameters, struct arena *arena, int64_t value);

/* Queues one statement; text results. `sql` must stay the same string for the life of the connection when `prepared` is
 * true: it is then prepared on first use and executed by name afterwards. Parameters (NULL: none) are copied by libpq.
 * While the connection is not up the unit will fail with ERR_RETRY. */
void pg_statement(struct pg *pg, const char *sql, bool prepared, const struct pg_parameters *parameters);
/* Ends the unit. `done` is called from the loop, never inside this call. It may be NULL. */
void pg_sync(struct pg *pg, pg_done *done, void *context);

/* A one-dimensional array parameter in binary format, built element by element: what unnest() takes a batch from. */
struct pg_array {
    struct buffer bytes;
    Oid element;
    uint32_t count;
    bool nulls;
};
enum {
    PG_OID_BOOL = 16,
    PG_OID_BYTEA = 17,
    PG_OID_INT8 = 20,
    PG_OID_INT2 = 21,
    PG_OID_INT4 = 23,
    PG_OID_TEXT = 25,
    PG_OID_TIMESTAMPTZ = 1184
};
void pg_array_start(struct pg_array *array, Oid element);                      /* keeps the memory of an earlier use */
void pg_array_bytes(struct pg_array *array, const void *bytes, size_t length); /* text or bytea */
void pg_array_value(struct pg_array *array, struct value value);               /* NULL unless it is set */
void pg_array_int8(struct pg_array *array, int64_t value);
void pg_array_int4(struct pg_array *array, int32_t value);
void pg_array_time(struct pg_array *array, int64_t time_us); /* timestamptz; microseconds since 1970 */
void pg_array_bool(struct pg_array *array, bool value);
void pg_array_null(struct pg_array *array);
void pg_array_free(struct pg_array *array);
/* Adds it as the next parameter; borrows until pg_statement returns. */
void pg_array_parameter(struct pg_parameters *parameters, struct pg_array *array);

/* Reading text results. */
int64_t pg_result_int8(const PGresult *result, int row, int column);
/* A bytea column in text format (\x...), decoded into `arena`. */
struct text pg_result_bytes(struct arena *arena, const PGresult *result, int row, int column);

/* Which of our three codes an SQLSTATE is. */
int pg_sqlstate_code(const char *sqlstate);
/* Sets `err` from a failed result: its code by SQLSTATE, its text without anything that may be a value: PostgreSQL
 * quotes the value itself in the primary message of class 22, and whoever wrote a trigger may put anything into its
 * own. */
int pg_error_set(struct error *err, const PGresult *failure);

#endif
