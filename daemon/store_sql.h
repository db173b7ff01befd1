/* store_sql.h: the statements of the store that depend on the catalog, and its parts. For the store's own files alone.
 */
#ifndef SELARAS_STORE_SQL_H
#define SELARAS_STORE_SQL_H

#include "daemon/store.h"
#include "shell/pg.h"

/* Fields of a type. */
struct field_set {
    uint64_t bits[CATALOG_FIELDS_MAX / 64];
};

/* Statements that write only the fields that have changed, made as they come up: few sets of fields change together. */
enum { UPDATES_MAX = 64 };
struct update_sql {
    struct field_set set;
    const char *text;
};

/* Finds records, and all links of those. */
struct lookup_sql {
    const char *records, *links;
};

/* The statements of one record type. */
/* $1 record, $2 agency, $3 how many. */
struct missing_sql {
    const char *rows, *records, *links;
    const char *count; /* $1 agency */
};
struct type_sql {
    struct lookup_sql by_key;               /* $1 to $3: agency, block, key */
    struct lookup_sql by_any;               /* the same, $4 numbers, then one array for each field of each identifier */
    const char *fill;                       /* existing records without a link to an agency */
    struct missing_sql missing;             /* ... which had one before the load that it asked for */
    const char *insert;                     /* new records */
    struct update_sql updates[UPDATES_MAX]; /* the first writes all fields */
    uint16_t update_count;
    uint16_t identifying_count; /* fields of identifiers */
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

/* Everything in flight is void: says so once, and connects anew where that may help. */
void store_restart(struct store *store, const struct error *err);

/* "nik::text" and the like: how a field is read as a canonical value. */
const char *field_reading(struct arena *arena, const struct catalog_field *field, const char *alias);
/* Its column's type. */
const char *field_column_type(struct arena *arena, const struct catalog_field *field);
void type_sql_make(struct arena *arena, const struct catalog_type *type, struct type_sql *ret);
/* The statement that writes at least these fields of records that the store has; which ones it does write is in it. */
const struct update_sql *type_sql_update(struct arena *arena, const struct catalog_type *type, struct type_sql *sql,
                                         const struct field_set *set);
bool field_set_has(const struct field_set *set, uint16_t field);
void field_set_add(struct field_set *set, uint16_t field);

#endif
