/* store_sql.h: the statements of the store that depend on the catalog, and its parts. For the store's own files alone.
 */
#ifndef SELARAS_STORE_SQL_H
#define SELARAS_STORE_SQL_H

#include "daemon/store.h"
#include "shell/pg.h"

/* The statements of one record type. */
struct type_sql {
    const char *find;  /* records by link, number or identifier */
    const char *links; /* links of those */
    const char *fill;  /* existing records without a link to a block */
    const char *save;  /* upsert */
    uint16_t identifier_count;
};

/* Arrays that are reused from batch to batch. */
enum { STORE_ARRAYS = CATALOG_FIELDS_MAX + 8 };

struct store {
    struct loop *loop;
    struct arena *arena;
    const char *dsn;
    const struct catalog *catalog;
    struct store_sink sink;
    struct pg *writer, *reader;
    struct loop_source *retry;
    bool active; /* the lock is ours */
    bool waited; /* for another broker: said once */
    bool failed; /* ready() must come again */
    struct type_sql *types;
    struct pg_array arrays[STORE_ARRAYS];
    feed_position partition; /* the ledger's partitions are made up to here */
};

/* "nik::text" and the like: how a field is read as a canonical value. */
const char *field_reading(struct arena *arena, const struct catalog_field *field, const char *alias);
/* Its column's type. */
const char *field_column_type(struct arena *arena, const struct catalog_field *field);
void type_sql_make(struct arena *arena, const struct catalog_type *type, struct type_sql *ret);

#endif
