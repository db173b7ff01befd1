#include "agents/postgres/published.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct published {
    const struct inspection *inspection;
    const struct mapping *mapping;
    char origin[64];
    struct pg_array names, oids;          /* of the mapped tables, by block */
    struct pg_array column_oids, columns; /* of the mapped columns: table and name */
};

/* Which row of the publication makes a table's changes seen, and its version: xmin changes when it is altered. A table
 * that is taken out and put back, and a publication that is, leave no other trace, and none at all in the stream. */
#define MEMBERSHIP "pg_catalog.format('%s/%s %s/%s', p.oid, p.xmin, r.oid, r.xmin)"

/* Per table: its columns' numbers, and their versions, as {"nik": [1, "742"]}; and the files that its rows are in. */
#define LOOKS                                                                                                          \
    "WITH l AS (SELECT a.attrelid AS oid,"                                                                             \
    "  jsonb_object_agg(a.attname, jsonb_build_array(a.attnum, a.xmin::text)) AS columns,"                             \
    "  coalesce((SELECT string_agg(pg_relation_filenode(t.relid)::text, ',' ORDER BY t.relid)"                         \
    "   FROM pg_partition_tree(a.attrelid) t WHERE t.isleaf), pg_relation_filenode(a.attrelid)::text, '') AS files"    \
    " FROM (SELECT DISTINCT oid::oid, name FROM unnest($3::int8[], $4::text[]) AS u(oid, name)) k"                     \
    " JOIN pg_attribute a ON a.attrelid = k.oid AND a.attname = k.name AND NOT a.attisdropped GROUP BY a.attrelid)"
#define PUBLISHED                                                                                                      \
    " FROM unnest($1::text[], $2::int8[]) AS n(name, oid)"                                                             \
    " LEFT JOIN (pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid AND p.pubname = 'selaras')"           \
    "  ON r.prrelid = n.oid::oid LEFT JOIN l ON l.oid = n.oid::oid"

/* An origin that was dropped and made anew is another one: the log names it by a number, and what was applied under the
 * old one would come as changes of this agency. */
#define ORIGIN(name)                                                                                                   \
    "(SELECT pg_catalog.format('%s/%s', o.roident, o.xmin) FROM pg_replication_origin o WHERE o.roname = " name        \
    "::text)"

static const char sql_remember_origin[] = "UPDATE selaras.agent SET origin = " ORIGIN("$1");
static const char sql_forget[] = "DELETE FROM selaras.published";
static const char sql_remember[] = LOOKS " INSERT INTO selaras.published (name, relation, membership, columns, files)"
                                         " SELECT DISTINCT n.name, n.oid::oid, " MEMBERSHIP
                                         ", l.columns, l.files" PUBLISHED " WHERE r.oid IS NOT NULL";

/* A name whose table is not the one that was published when the agency was loaded, without a break: the publication
 * follows a table that was renamed away, and then nothing is sent any more, without an error. One of whose columns has
 * another number: it was dropped and made anew, or is another's name now. One that got new files together with a new
 * version of a column, as ALTER COLUMN ... TYPE ... USING does. Either alone is benign: VACUUM FULL and CLUSTER only
 * write new files, other commands only a new version. */
static const char sql_look[] = LOOKS
    ", b AS (SELECT n.name, b.name IS NOT NULL AS known,"
    "  (SELECT format('%I.%I', s.nspname, c.relname) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace "
    "WHERE c.oid = n.oid::oid) AS shown,"
    "  r.oid IS NULL OR to_regclass(n.name)::oid IS DISTINCT FROM n.oid::oid OR b.relation <> n.oid::oid"
    "   OR b.membership <> " MEMBERSHIP " AS broken,"
    "  EXISTS (SELECT FROM jsonb_each(b.columns) o JOIN jsonb_each(l.columns) c USING (key)"
    "   WHERE o.value->0 <> c.value->0) AS moved,"
    "  b.files <> l.files AND EXISTS (SELECT FROM jsonb_each(b.columns) o JOIN jsonb_each(l.columns) c USING (key)"
    "   WHERE o.value->1 <> c.value->1) AS rewritten,"
    "  ARRAY(SELECT key FROM jsonb_object_keys(l.columns) AS key WHERE NOT b.columns ? key ORDER BY 1) AS new"
    " " PUBLISHED " LEFT JOIN selaras.published b ON b.name = n.name)"
    " SELECT (SELECT name FROM b WHERE broken LIMIT 1), (SELECT name FROM b WHERE moved LIMIT 1),"
    " (SELECT name FROM b WHERE rewritten LIMIT 1),"
    " (SELECT string_agg(DISTINCT what, ', ') FROM ("
    "   SELECT shown AS what FROM b WHERE NOT known UNION ALL SELECT format('%s.%I', shown, c) FROM b, unnest(new) AS c"
    "   WHERE known) u),"
    " " INSPECT_SHAPE_SQL("$3") ", (SELECT a.origin IS DISTINCT FROM " ORIGIN("$5") " FROM selaras.agent a)";
enum { LOOK_BROKEN, LOOK_MOVED, LOOK_REWRITTEN, LOOK_UNLOADED, LOOK_SHAPE, LOOK_ORIGIN };

/* What a look found to be benign is what the next one compares with. */
static const char sql_settle[] =
    LOOKS " UPDATE selaras.published b SET files = l.files, columns ="
          "  (SELECT jsonb_object_agg(o.key, coalesce(c.value, o.value)) FROM jsonb_each(b.columns) o"
          "   LEFT JOIN jsonb_each(l.columns) c USING (key))"
          " FROM unnest($1::text[], $2::int8[]) AS n(name, oid) JOIN l ON l.oid = n.oid::oid"
          " WHERE b.name = n.name AND b.relation = n.oid::oid"
          " AND (b.files = l.files) <> (NOT EXISTS (SELECT FROM jsonb_each(b.columns) o JOIN jsonb_each(l.columns) c"
          "  USING (key) WHERE o.value->1 <> c.value->1))"
          " AND NOT EXISTS (SELECT FROM jsonb_each(b.columns) o JOIN jsonb_each(l.columns) c USING (key)"
          "  WHERE o.value->0 <> c.value->0)";

/* `origin` is the fifth parameter of a statement that has one. */
static void queue(struct published *published, struct pg *pg, const char *sql, const char *origin)
{
    struct pg_parameters parameters = { 0 };

    pg_array_parameter(&parameters, &published->names);
    pg_array_parameter(&parameters, &published->oids);
    pg_array_parameter(&parameters, &published->column_oids);
    pg_array_parameter(&parameters, &published->columns);
    if (origin)
        pg_text(&parameters, origin);
    pg_statement(pg, sql, true, &parameters);
}

void published_remember(struct published *published, struct pg *pg)
{
    struct pg_parameters origin = { 0 };

    pg_statement(pg, sql_forget, true, NULL);
    queue(published, pg, sql_remember, NULL);
    pg_text(&origin, published->origin);
    pg_statement(pg, sql_remember_origin, true, &origin);
}

void published_look(struct published *published, struct pg *pg)
{
    queue(published, pg, sql_look, published->origin);
    queue(published, pg, sql_settle, NULL);
}

/* Whether every block of the table says so. */
static bool may_reload(const struct published *published, const char *table)
{
    for (uint16_t i = 0; i < published->mapping->block_count; i++)
        if (strcmp(published->inspection->tables[i].name, table) == 0 && !published->mapping->blocks[i].reload)
            return false;
    return true;
}

int published_check(const struct published *published, const PGresult *look, struct error *err)
{
    static const char *const faults[] = {
        [LOOK_BROKEN] = "was renamed, replaced, taken out of the publication or published anew",
        [LOOK_MOVED] = "had a mapped column dropped and made anew, or renamed",
        [LOOK_REWRITTEN] = "was rewritten while a mapped column was altered (ALTER TABLE ... ALTER COLUMN ... TYPE)",
    };

    for (int fault = LOOK_BROKEN; fault <= LOOK_REWRITTEN; fault++) {
        const char *table = PQgetvalue(look, 0, fault);

        if (PQgetisnull(look, 0, fault))
            continue;
        if (may_reload(published, table))
            return error_set(err, ERR_RELOAD, "table %s %s since this agency was loaded, so it is loaded anew", table,
                             faults[fault]);
        return error_set(err, ERR_LOST,
                         "table %s %s since this agency was loaded, so changes of it in between cannot be known", table,
                         faults[fault]);
    }
    if (PQgetvalue(look, 0, LOOK_ORIGIN)[0] == 't')
        return error_set(err, ERR_LOST,
                         "its replication origin was dropped or made anew since this agency was loaded, so what was "
                         "applied before cannot be told from its own changes");
    return 0;
}

const char *published_unloaded(const PGresult *look)
{
    return PQgetvalue(look, 0, LOOK_UNLOADED);
}

bool published_differs(const struct published *published, const PGresult *look)
{
    return strcmp(PQgetvalue(look, 0, LOOK_SHAPE), published->inspection->shape) != 0;
}

struct published *published_new(const char *agency, const struct inspection *inspection, const struct mapping *mapping)
{
    struct published *published = calloc(1, sizeof *published);

    if (!published)
        abort();
    published->inspection = inspection;
    published->mapping = mapping;
    snprintf(published->origin, sizeof published->origin, "selaras_%s", agency);
    pg_array_start(&published->names, PG_OID_TEXT);
    pg_array_start(&published->oids, PG_OID_INT8);
    pg_array_start(&published->column_oids, PG_OID_INT8);
    pg_array_start(&published->columns, PG_OID_TEXT);
    for (uint16_t i = 0; i < mapping->block_count; i++) {
        const struct mapping_block *block = &mapping->blocks[i];
        const struct inspect_table *table = &inspection->tables[i];

        pg_array_bytes(&published->names, table->name, strlen(table->name));
        pg_array_int8(&published->oids, table->oid);
        for (uint16_t j = 0; j < block->column_count; j++) {
            pg_array_int8(&published->column_oids, table->oid);
            pg_array_bytes(&published->columns, block->columns[j], strlen(block->columns[j]));
        }
    }
    return published;
}

void published_free(struct published **published)
{
    if (!*published)
        return;
    pg_array_free(&(*published)->names);
    pg_array_free(&(*published)->oids);
    pg_array_free(&(*published)->column_oids);
    pg_array_free(&(*published)->columns);
    free(*published);
    *published = NULL;
}
