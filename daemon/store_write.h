/* store_write.h: one batch as one transaction. For the store's own files alone. */
#ifndef SELARAS_STORE_WRITE_H
#define SELARAS_STORE_WRITE_H

#include "daemon/store_sql.h"

#include <string.h>

/* A batch is one statement a table: its parameters are built array by array. */
struct statement {
    struct store *store;
    struct pg_parameters parameters;
    int arrays;
};

static inline struct pg_array *array(struct statement *statement, Oid element)
{
    struct pg_array *next = &statement->store->arrays[statement->arrays++];

    pg_array_start(next, element);
    return next;
}

/* Queues it with the arrays in the order they were asked for. */
static inline void run(struct statement *statement, const char *sql)
{
    for (int i = 0; i < statement->arrays; i++)
        pg_array_parameter(&statement->parameters, &statement->store->arrays[i]);
    pg_statement(statement->store->writer, sql, true, &statement->parameters);
}

static inline void add_text(struct pg_array *array, struct text text)
{
    pg_array_bytes(array, text.bytes, text.length);
}

static inline void add_name(struct pg_array *array, const char *name)
{
    pg_array_bytes(array, name, strlen(name));
}

/* Queues BEGIN to COMMIT on the writer, or so much of it as the batch is; the caller ends the unit. */
void store_write_batch(struct store *store, const struct batch *batch);
/* store_debts.c */
void store_write_debts(struct store *store, const struct batch *batch);
/* store_holds.c */
void store_write_holds(struct store *store, const struct batch *batch);

#endif
