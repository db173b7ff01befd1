/* apply_sql.h: the statements that apply net effects to the agency's tables, a set of rows at a time.
 *
 * One statement per block, kind and set of columns; rows come as arrays through unnest(), values as text that is cast
 * to the columns' own types. A cast never names a length: the assignment then refuses what is too long instead of
 * cutting. */
#ifndef SELARAS_APPLY_SQL_H
#define SELARAS_APPLY_SQL_H

#include "agents/net_fold.h"
#include "agents/postgres/inspect.h"

enum apply_kind {
    APPLY_NOTHING,
    APPLY_LOCK,   /* takes row locks in key order, without waiting */
    APPLY_UPDATE, /* of rows of the block; returns the numbers of the rows it met */
    APPLY_INSERT, /* or updates the row with that key, in the block or not */
    APPLY_TAKE,   /* updates the row of the old key, or inserts */
    APPLY_ENTER,  /* takes the row that another block has made; returns the numbers of the rows it met */
    APPLY_MAKE,   /* where the database makes keys: updates the record's row, by its key or an identifier, or inserts;
                     one row a statement, which returns how many rows have the identifier, and the key of the one */
    APPLY_JOIN,   /* the same without inserting: another block has made the row */
    APPLY_DELETE, /* or sets the column that says so; returns the numbers of the rows it met */
};

/* Columns of a block. */
struct column_set {
    uint64_t bits[2];
};

/* One net effect with its row in the agency's spelling. */
struct apply_row {
    struct net *net;
    enum apply_kind kind;
    struct column_set set; /* what the statement writes */
    struct value *key;     /* of the key columns, in key order; NULL: not known */
    struct value *columns; /* in the block's order */
    bool met;              /* an update found it */
    bool several;          /* rows of the table have its identifier: it is not for us to say which it is */
    struct text made;      /* the key that a row of APPLY_MAKE or APPLY_JOIN has */
    int result;            /* of such a row: its statement's place in the unit */
    uint32_t number;       /* its place in the batch: what statements call it */
};

/* The statements made so far; each text lives as long as this, because it is prepared once. */
struct apply_sql;
struct apply_sql *apply_sql_new(const struct mapping *mapping, const struct inspection *inspection);
void apply_sql_free(struct apply_sql **sql);

/* Translates a net effect. ERR_REJECT when a value has no local spelling or the key cannot be read. */
must_check int apply_row_make(struct arena *arena, const struct apply_sql *sql, struct net *net, uint32_t number,
                              struct apply_row **ret, struct error *err);
/* Whether two rows of one run can share a statement. */
bool apply_together(const struct apply_row *left, const struct apply_row *right);
/* Whether the statement returns the numbers of the rows that it met. */
bool apply_meets(enum apply_kind kind);
/* Of a row that was met nowhere: it was deleted here, and may come back (`absence`). */
bool apply_waits(const struct apply_sql *sql, const struct apply_row *row);
/* Whether it is to be parked for that, or because it found no row to come into: `apply_homeless` says why. */
bool apply_is_homeless(const struct apply_sql *sql, const struct apply_row *row);
/* Whether it says which key the row has: see apply_made(). */
bool apply_makes(enum apply_kind kind);
/* Takes over the result of APPLY_MAKE or APPLY_JOIN. False: there is no row, and `apply_homeless` says why. */
bool apply_made(struct arena *arena, const struct apply_sql *sql, const PGresult *result, struct apply_row *row);
/* In `arena`. */
const char *apply_homeless(struct arena *arena, const struct apply_sql *sql, const struct apply_row *row);
/* Queues the statement for these rows, which belong together; both may put the rows into another order. */
void apply_queue(struct apply_sql *sql, struct pg *pg, struct apply_row **rows, uint32_t count);
/* Queues the lock of the rows (of one block) that have a key; `hard` when one may be deleted or get another key. */
void apply_queue_lock(struct apply_sql *sql, struct pg *pg, struct apply_row **rows, uint32_t count, bool hard);

#endif
