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

/* Called once per unit, in order. `results` are those of the unit's statements; on failure `err` is set (code by SQLSTATE:
 * ERR_RETRY for a lost connection, restart, deadlock or lock timeout; ERR_REJECT for a bad value or broken constraint, ERR_STOP
 * for anything else), its text has SQLSTATE and PostgreSQL's primary message but never its detail (which holds values),
 * and the failed statement's index is `failed`. Results are cleared after the call. */
struct pg_outcome {
    PGresult *const *results;
    int result_count;
    bool ok;
    struct error err;
    char sqlstate[6];
    int failed; /* index of the statement that failed */
    const PGresult *failure; /* for constraint, table and column names (PQresultErrorField); NULL when the link was lost */
};
typedef void pg_done(void *context, const struct pg_outcome *outcome);
typedef void pg_state(void *context, bool up, const struct error *err);

/* Starts connecting with `dsn` plus what we insist on: client_encoding UTF8, `application` as application_name, DateStyle ISO,
 * TimeZone UTC, empty search_path, connect_timeout 10, gssencmode=disable unless given. `state` is called when it is
 * up (pipeline mode entered) and when it failed or was lost; a lost connection first fails every open unit with ERR_RETRY. It
 * is not reopened by itself: pg_reopen(). */
struct pg *pg_open(struct loop *loop, const char *dsn, const char *application, pg_state *state, void *context);
void pg_reopen(struct pg *pg);
void pg_close(struct pg **pg);
bool pg_up(const struct pg *pg);
/* Units whose result has not come yet. */
int pg_pending(const struct pg *pg);

/* Parameters of one statement: text or binary, NULL allowed. */
enum { PG_PARAMETERS_MAX = 64 };
struct pg_parameters {
    int count;
    const char *values[PG_PARAMETERS_MAX];
    int lengths[PG_PARAMETERS_MAX];
    int formats[PG_PARAMETERS_MAX]; /* 0 text, 1 binary */
    Oid types[PG_PARAMETERS_MAX];   /* 0: let the server infer */
};
void pg_text(struct pg_parameters *parameters, const char *value);
void pg_bytes(struct pg_parameters *parameters, const void *bytes, size_t length); /* bytea */
/* Borrowed until pg_statement returns. An 8 byte integer in binary; kept in `arena`. */
void pg_int8(struct pg_parameters *parameters, struct arena *arena, int64_t value);

/* Queues one statement; text results. `sql` must stay the same string for the life of the connection when `prepared` is
 * true: it is then prepared on first use and executed by name afterwards. Parameters are copied by libpq. */
void pg_statement(struct pg *pg, const char *sql, bool prepared, const struct pg_parameters *parameters);
/* Ends the unit. */
void pg_sync(struct pg *pg, pg_done *done, void *context);

/* A one-dimensional array parameter in binary format, built element by element: what unnest() takes a batch from. */
struct pg_array {
    struct buffer bytes;
    Oid element;
    uint32_t count;
    bool nulls;
};
enum { PG_OID_BOOL = 16, PG_OID_BYTEA = 17, PG_OID_INT8 = 20, PG_OID_INT2 = 21, PG_OID_INT4 = 23, PG_OID_TEXT = 25 };
void pg_array_start(struct pg_array *array, Oid element); /* keeps the memory of an earlier use */
void pg_array_bytes(struct pg_array *array, const void *bytes, size_t length); /* text or bytea */
void pg_array_value(struct pg_array *array, struct value value);               /* NULL unless it is set */
void pg_array_int8(struct pg_array *array, int64_t value);
void pg_array_int4(struct pg_array *array, int32_t value);
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

#endif
