/* inspect.h: is the agency's database as it must be, and is it still the one that the broker knows?
 *
 * Every doubt is a clear error with its remedy, before anything is captured or written: a table that cannot be followed
 * exactly is never followed. Column types are remembered here for the casts of apply. */
#ifndef SELARAS_INSPECT_H
#define SELARAS_INSPECT_H

#include "agents/driver.h"
#include "shell/pg.h"

/* What apply can write at once, and find a row by. */
enum { BLOCK_COLUMNS_MAX = 128 };

struct inspect_column {
    const char *name;
    const char *type; /* its base type, schema-qualified where needed and without length: a cast to it never cuts */
    const char *exact_type; /* as it was declared, with its length */
    char category;          /* pg_type.typcategory */
    int scale;              /* digits behind the point of a numeric with a declared scale, else -1 */
    bool not_null;
    bool has_default; /* or is generated as identity */
};

struct inspect_table {
    uint32_t oid;
    const char *name;                     /* quoted and qualified */
    struct inspect_column *columns;       /* in the order of the block's columns */
    struct inspect_column *delete_column; /* of DELETE_SET, else NULL */
};

/* Triggers, rules and cascades that may write into our transactions: a foreign key acts by triggers of its own, on the
 * table that it names. `oids` is a parameter of mapped tables' OIDs, which may repeat. */
#define INSPECT_TABLES_SQL(oids)                                                                                       \
    "(SELECT u.oid::oid AS oid FROM unnest(" oids "::int8[]) AS u(oid) UNION SELECT p.relid::oid"                      \
    " FROM unnest(" oids "::int8[]) AS u(oid), pg_partition_tree(u.oid::oid) p) AS t"
#define INSPECT_MEDDLERS_SQL(oids)                                                                                     \
    "SELECT t.oid AS oid, g.oid AS meddler, g.tgenabled::text AS mode FROM " INSPECT_TABLES_SQL(                       \
        oids) " JOIN pg_trigger g ON g.tgrelid = t.oid"                                                                \
              " LEFT JOIN pg_constraint k ON k.oid = g.tgconstraint"                                                   \
              " WHERE g.tgenabled IN ('O', 'A') AND (NOT g.tgisinternal OR k.contype = 'f' AND k.confrelid ="          \
              " g.tgrelid AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')))"                 \
              " UNION ALL SELECT t.oid, r.oid, r.ev_enabled::text FROM " INSPECT_TABLES_SQL(                           \
                  oids) " JOIN pg_rewrite r ON r.ev_class = t.oid WHERE r.ev_enabled IN ('O', 'A')"
/* What the inspection goes by, as one text. */
#define INSPECT_SHAPE_SQL(oids)                                                                                        \
    "md5(concat((SELECT string_agg(format('%s %s %s %s %s', a.attrelid, a.attnum, a.atttypid, a.atttypmod,"            \
    " a.attnotnull), ';' ORDER BY a.attrelid, a.attnum) FROM pg_attribute a"                                           \
    " WHERE a.attrelid = ANY (" oids "::int8[]::oid[]) AND a.attnum > 0),"                                             \
    " (SELECT string_agg(format('%s %s %s', oid, meddler, mode), ';' ORDER BY oid, meddler)"                           \
    " FROM (" INSPECT_MEDDLERS_SQL(oids) ") m)))"

/* The timeline that is written now: the one of pg_control_checkpoint() stays the old one for minutes after a
 * promotion. 0 on a standby. */
#define TIMELINE_SQL                                                                                                   \
    "(CASE WHEN pg_is_in_recovery() THEN 0"                                                                            \
    " ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END)"

/* What was found. Lives in its own arena. */
struct inspection {
    struct arena *arena;
    struct inspect_table *tables; /* by block */
    char system[32];
    uint32_t timeline;
    uint32_t incarnation;
    feed_position applied;
    uint8_t applied_leaf[HASH_BYTES];
    enum why_language language; /* of notices */
    struct fence fence;         /* the newest row */
    bool meddled;               /* triggers, rules or cascades of the agency's own may run in our transactions */
    const char *shape;          /* changes with types, triggers and foreign keys of the mapped tables */
    const char *warnings;       /* a line each; "" when there is nothing to warn of */
};
void inspection_free(struct inspection **inspection);

/* Queues the questions on `pg`; `done` gets what was found (it is the caller's) or why not: ERR_STOP with the remedy.
 * Nothing is written. `options` and `mapping` must outlive it; the mapping need not be bound. */
typedef void inspect_done(void *context, struct inspection *found, const struct error *err);
struct inspect;
struct inspect *inspect_start(struct pg *pg, const struct driver_options *options, const struct mapping *mapping,
                              inspect_done *done, void *context);
/* Forgets the question: `done` is not called any more. Only once `pg` is closed. */
void inspect_free(struct inspect **inspect);

/* Whether the columns can hold the catalog's fields; the mapping is bound. Pure. */
must_check int inspect_types(const struct inspection *inspection, const struct mapping *mapping, struct error *err);

/* Whether a block's key has the index that finds a row for certain: ERR_STOP with the remedy. `indexes` is the answer
 * to inspect_sql_indexes, whose parameters are the blocks' schemas and tables as arrays; `index` is the block's place
 * in them. */
extern const char inspect_sql_indexes[];
must_check int inspect_key(struct arena *arena, const struct mapping_block *block, uint16_t index,
                           const PGresult *indexes, struct error *err);

/* An identifier in double quotes, in `arena`; and a qualified one. */
const char *quoted(struct arena *arena, const char *name);
const char *quoted_table(struct arena *arena, const struct mapping_block *block);

#endif
