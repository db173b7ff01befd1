#include "agents/postgres/inspect.h"

#include "agents/postgres/warnings.h"
#include "agents/postgres/where_sql.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREPARE "run as its DBA: selaras-agent --prepare --dsn DSN FILE (shows the SQL; with --apply it runs it)"

struct inspect {
    struct pg *pg;
    const struct driver_options *options;
    const struct mapping *mapping;
    inspect_done *done;
    void *context;
    struct inspection *found;
    struct pg_array schemas, tables;
};

const char *quoted(struct arena *arena, const char *name)
{
    char *text = arena_alloc(arena, 2 * strlen(name) + 3), *end = text;

    *end++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *end++ = '"';
        *end++ = *name;
    }
    *end++ = '"';
    return text;
}

const char *quoted_table(struct arena *arena, const struct mapping_block *block)
{
    return arena_printf(arena, "%s.%s", quoted(arena, block->schema), quoted(arena, block->table));
}

void inspection_free(struct inspection **inspection)
{
    struct arena *arena;

    if (!*inspection)
        return;
    arena = (*inspection)->arena; /* it holds the inspection too */
    arena_free(&arena);
    *inspection = NULL;
}

/* ---- the server ---- */

static const char sql_server[] =
    "SELECT current_setting('server_version_num')::int, current_setting('wal_level'),"
    " current_setting('max_slot_wal_keep_size'), (SELECT system_identifier FROM pg_control_system()),"
    " " TIMELINE_SQL ", pg_is_in_recovery(), current_user,"
    " (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user),"
    " has_function_privilege('pg_replication_origin_session_setup(text)', 'EXECUTE')"
    " AND has_function_privilege('pg_replication_origin_xact_setup(pg_lsn, timestamptz)', 'EXECUTE')"
    " AND has_function_privilege('pg_replication_origin_xact_reset()', 'EXECUTE'),"
    " to_regclass('selaras.agent') IS NOT NULL AND to_regclass('selaras.fence') IS NOT NULL"
    " AND to_regclass('selaras.parked') IS NOT NULL AND to_regclass('selaras.notice') IS NOT NULL"
    " AND to_regclass('selaras.published') IS NOT NULL,"
    " (SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = 'selaras'),"
    " EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
    " WHERE p.pubname = 'selaras' AND r.prrelid = to_regclass('selaras.fence'))";

static bool yes(const PGresult *result, int row, int column)
{
    return !PQgetisnull(result, row, column) && PQgetvalue(result, row, column)[0] == 't';
}

static int check_server(const struct inspect *inspect, const PGresult *r, struct error *err)
{
    snprintf(inspect->found->system, sizeof inspect->found->system, "%s", PQgetvalue(r, 0, 3));
    inspect->found->timeline = (uint32_t)strtoul(PQgetvalue(r, 0, 4), NULL, 10);
    if (pg_result_int8(r, 0, 0) < 150000)
        return error_set(err, ERR_STOP, "PostgreSQL %s is too old: 15 or later is needed", PQgetvalue(r, 0, 0));
    if (yes(r, 0, 5))
        return error_set(err, ERR_STOP, "the database is a standby: give the primary's address in agent/database");
    if (strcmp(PQgetvalue(r, 0, 1), "logical") != 0)
        return error_set(err, ERR_STOP,
                         "wal_level is %s, so changes cannot be decoded. Ask the DBA to run: ALTER SYSTEM SET "
                         "wal_level = logical;  and to restart PostgreSQL",
                         PQgetvalue(r, 0, 1));
    if (strcmp(PQgetvalue(r, 0, 2), "-1") == 0 && !inspect->options->allow_unlimited_wal)
        return error_set(
            err, ERR_STOP,
            "max_slot_wal_keep_size is unlimited, so an agent that is away for long would fill the disk. Ask "
            "the DBA to run: ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'; SELECT pg_reload_conf();  (or set "
            "agent/unlimited-wal = yes)");
    if (!yes(r, 0, 7))
        return error_set(err, ERR_STOP, "role %s may not replicate; %s", PQgetvalue(r, 0, 6), PREPARE);
    if (!yes(r, 0, 8))
        return error_set(err, ERR_STOP, "role %s may not use replication origins; %s", PQgetvalue(r, 0, 6), PREPARE);
    if (!yes(r, 0, 9))
        return error_set(err, ERR_STOP, "the schema selaras is not there; %s", PREPARE);
    if (PQgetisnull(r, 0, 10))
        return error_set(err, ERR_STOP, "the publication selaras is not there; %s", PREPARE);
    if (!yes(r, 0, 10))
        return error_set(err, ERR_STOP,
                         "the publication selaras leaves out some kinds of change. Ask its owner to run: ALTER "
                         "PUBLICATION selaras SET (publish = 'insert, update, delete, truncate');");
    if (!yes(r, 0, 11))
        return error_set(err, ERR_STOP, "table selaras.fence is not published; %s", PREPARE);
    return 0;
}

/* ---- the mapped tables ---- */

static const char sql_tables[] =
    "SELECT c.oid, c.relkind, c.relpersistence,"
    " NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid"
    "  WHERE t.isleaf AND l.relreplident <> 'f') AND (c.relkind = 'p' OR c.relreplident = 'f'),"
    " r.oid IS NOT NULL, r.prqual IS NULL AND r.prattrs IS NULL, c.relkind <> 'p' OR p.pubviaroot,"
    " has_table_privilege(c.oid, 'DELETE'), has_schema_privilege(n.oid, 'USAGE'),"
    " (SELECT format('%I.%I', m.nspname, s.relname) FROM pg_attrdef d"
    "   JOIN pg_depend k ON k.classid = 'pg_attrdef'::regclass AND k.objid = d.oid AND k.refclassid = "
    "'pg_class'::regclass"
    "   JOIN pg_class s ON s.oid = k.refobjid JOIN pg_namespace m ON m.oid = s.relnamespace"
    "   WHERE d.adrelid = c.oid AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') "
    "END"
    "   LIMIT 1)"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS b(schema, name, number)"
    " LEFT JOIN pg_namespace n ON n.nspname = b.schema"
    " LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = b.name"
    " LEFT JOIN pg_publication p ON p.pubname = 'selaras'"
    " LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid"
    " ORDER BY b.number";

/* A domain is cast to what it is made of: the assignment then checks the domain, and its length, without cutting. */
static const char sql_columns[] =
    "SELECT b.number - 1, a.attname, format_type(t.oid, -1), t.typcategory,"
    " CASE WHEN t.oid = 'numeric'::regtype AND m.typmod >= 4 THEN (((m.typmod - 4) & 2047) # 1024) - 1024 ELSE -1 END,"
    " a.attnotnull OR d.typnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a',"
    " has_column_privilege(c.oid, a.attnum, 'SELECT'), has_column_privilege(c.oid, a.attnum, 'INSERT'),"
    " has_column_privilege(c.oid, a.attnum, 'UPDATE'), format_type(a.atttypid, a.atttypmod)"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS b(schema, name, number)"
    " JOIN pg_namespace n ON n.nspname = b.schema"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = b.name"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " JOIN pg_type d ON d.oid = a.atttypid"
    " JOIN pg_type t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END"
    " CROSS JOIN LATERAL (SELECT CASE WHEN d.typtype = 'd' THEN d.typtypmod ELSE a.atttypmod END AS typmod) m"
    " ORDER BY b.number, a.attnum";

/* Indexes that can find a row by its local key: immediate, whole and of plain columns. */
const char inspect_sql_indexes[] =
    "SELECT b.number - 1, i.indnkeyatts, array_to_string(ARRAY(SELECT a.attname FROM"
    "  unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
    "  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE k.place <= i.indnkeyatts"
    "  ORDER BY a.attname COLLATE \"C\"), E'\\x1f')"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS b(schema, name, number)"
    " JOIN pg_namespace n ON n.nspname = b.schema"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = b.name"
    " JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready"
    "  AND i.indpred IS NULL AND i.indexprs IS NULL";

/* "table public.peserta_jkn has ...". */
static int table_error(const struct mapping_block *block, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
static int table_error(const struct mapping_block *block, struct error *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    return error_set(err, ERR_STOP, "table %s.%s %s", block->schema, block->table, text);
}

static int check_table(const struct inspect *inspect, uint16_t index, const PGresult *r, struct error *err)
{
    const struct mapping_block *block = &inspect->mapping->blocks[index];
    const char *name = quoted_table(inspect->found->arena, block);
    const char kind = PQgetvalue(r, index, 1)[0];

    if (PQgetisnull(r, index, 0))
        return table_error(block, err, "does not exist: correct mapping/%s/table", block->name);
    inspect->found->tables[index].oid = (uint32_t)pg_result_int8(r, index, 0);
    inspect->found->tables[index].name = name;
    if (kind != 'r' && kind != 'p')
        return table_error(block, err,
                           "is no ordinary table, so its changes are not in the log: map the table behind it");
    if (PQgetvalue(r, index, 2)[0] != 'p')
        return table_error(
            block, err,
            "is not logged, so its changes cannot be seen. Ask its owner to run: ALTER TABLE %s SET LOGGED;", name);
    if (!yes(r, index, 8))
        return table_error(block, err, "is in a schema that the agent may not use; %s", PREPARE);
    if (!yes(r, index, 4))
        return table_error(block, err, "is not published; %s", PREPARE);
    if (!yes(r, index, 5))
        return table_error(
            block, err,
            "is published with a column list or row filter, which would break its own updates or hide changes. "
            "Ask its owner to run: ALTER PUBLICATION selaras DROP TABLE %s; ALTER PUBLICATION selaras ADD TABLE %s;",
            name, name);
    if (!yes(r, index, 6))
        return table_error(block, err,
                           "is partitioned. Ask the owner of the publication to run: ALTER PUBLICATION selaras SET "
                           "(publish_via_partition_root = true);");
    if (!yes(r, index, 3))
        return table_error(
            block, err,
            "or a partition of it has not REPLICA IDENTITY FULL, so old values cannot be seen. Ask its owner to "
            "run: ALTER TABLE %s REPLICA IDENTITY FULL;  (or: selaras-agent --prepare --apply FILE)",
            name);
    if (block->delete == DELETE_ROW && !yes(r, index, 7))
        return table_error(block, err,
                           "may not be deleted from by the agent's role, but mapping/%s says delete = row; %s",
                           block->name, PREPARE);
    if (block->insert && !PQgetisnull(r, index, 9))
        return table_error(block, err,
                           "has columns that are filled from sequence %s, which the agent's role may not use, but "
                           "mapping/%s says insert = yes; %s",
                           PQgetvalue(r, index, 9), block->name, PREPARE);
    return 0;
}

/* The row of `result` (ordered by table) that describes this column, or -1. */
static int column_row(const PGresult *result, uint16_t table, const char *name)
{
    for (int row = 0; row < PQntuples(result); row++)
        if (pg_result_int8(result, row, 0) == table && strcmp(PQgetvalue(result, row, 1), name) == 0)
            return row;
    return -1;
}

/* A column that is only read may be made by the database itself. */
static int check_column(const struct inspect *inspect, uint16_t index, const PGresult *r, const char *name,
                        bool written, struct inspect_column *ret, struct error *err)
{
    const struct mapping_block *block = &inspect->mapping->blocks[index];
    struct arena *arena = inspect->found->arena;
    int row = column_row(r, index, name);

    if (row < 0)
        return table_error(block, err, "has no column %s: correct mapping/%s", name, block->name);
    *ret = (struct inspect_column){
        .name = quoted(arena, name),
        .type = arena_copy(arena, PQgetvalue(r, row, 2), strlen(PQgetvalue(r, row, 2))),
        .exact_type = arena_copy(arena, PQgetvalue(r, row, 11), strlen(PQgetvalue(r, row, 11))),
        .category = PQgetvalue(r, row, 3)[0],
        .scale = (int)pg_result_int8(r, row, 4),
        .not_null = yes(r, row, 5),
        .has_default = yes(r, row, 6),
    };
    if (!written && !yes(r, row, 8))
        return table_error(block, err, "does not let the agent's role read column %s; %s", name, PREPARE);
    if (!written)
        return 0;
    if (yes(r, row, 7))
        return table_error(block, err, "makes the values of column %s itself: it cannot be mapped", name);
    if (!yes(r, row, 8) || !yes(r, row, 10) || (block->insert && !yes(r, row, 9)))
        return table_error(block, err, "does not let the agent's role read or write column %s; %s", name, PREPARE);
    return 0;
}

static int check_columns(const struct inspect *inspect, uint16_t index, const PGresult *r, struct error *err)
{
    const struct mapping_block *block = &inspect->mapping->blocks[index];
    struct inspect_table *table = &inspect->found->tables[index];

    if (block->column_count > BLOCK_COLUMNS_MAX)
        return table_error(block, err, "has %d mapped columns, which is more than %d: use several blocks",
                           block->column_count, BLOCK_COLUMNS_MAX);
    table->columns = arena_array(inspect->found->arena, block->column_count, sizeof *table->columns);
    for (uint16_t i = 0; i < block->column_count; i++)
        if (check_column(inspect, index, r, block->columns[i], i < block->written_count, &table->columns[i], err) < 0)
            return err->code;
    if (block->delete != DELETE_SET)
        return 0;
    table->delete_column = arena_alloc(inspect->found->arena, sizeof *table->delete_column);
    return check_column(inspect, index, r, block->delete_column, true, table->delete_column, err);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The key's columns, sorted by bytes and joined as the query joins an index's. */
static const char *key_columns(struct arena *arena, const struct mapping_block *block, const char *between,
                               int *ret_count)
{
    const char **names = arena_array(arena, block->column_count, sizeof *names);
    const char *text = "";
    int count = 0;

    for (uint8_t i = 0; i < block->key_column_count; i++)
        names[count++] = block->columns[block->key_columns[i]];
    qsort(names, (size_t)count, sizeof *names, compare_names);
    for (int i = 0; i < count; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? between : "", names[i]);
    *ret_count = count;
    return text;
}

int inspect_key(struct arena *arena, const struct mapping_block *block, uint16_t index, const PGresult *r,
                struct error *err)
{
    int count;
    const char *wanted = key_columns(arena, block, "\x1f", &count), *shown = key_columns(arena, block, ", ", &count);

    for (int row = 0; row < PQntuples(r); row++)
        if (pg_result_int8(r, row, 0) == index && pg_result_int8(r, row, 1) == count &&
            strcmp(PQgetvalue(r, row, 2), wanted) == 0)
            return 0;
    return error_set(
        err, ERR_STOP,
        "table %s.%s has no unique index on exactly its key (%s) that is whole and not deferrable, so a row "
        "cannot be found for certain. Ask its owner to run: CREATE UNIQUE INDEX ON %s (%s);",
        block->schema, block->table, shown, quoted_table(arena, block), shown);
}

/* ---- our own state ---- */

static const char sql_state[] =
    "SELECT a.incarnation, a.applied, a.leaf, f.seq, f.token,"
    " EXISTS (SELECT FROM pg_replication_origin WHERE roname = $1),"
    " (SELECT database FROM pg_replication_slots WHERE slot_name = $1 AND database <> current_database())"
    " FROM selaras.agent a LEFT JOIN (SELECT seq, token FROM selaras.fence ORDER BY seq DESC LIMIT 1) f ON true";

static void copy_bytes(struct arena *arena, const PGresult *result, int column, void *ret, size_t size)
{
    struct text bytes;

    if (PQgetisnull(result, 0, column))
        return;
    bytes = pg_result_bytes(arena, result, 0, column);
    if (bytes.length == size)
        memcpy(ret, bytes.bytes, size);
}

static int check_state(const struct inspect *inspect, const PGresult *r, struct error *err)
{
    struct inspection *found = inspect->found;
    const char *agency = inspect->options->agency;

    if (PQntuples(r) != 1)
        return error_set(err, ERR_STOP, "selaras.agent is empty: drop schema selaras, then %s", PREPARE);
    found->incarnation = (uint32_t)pg_result_int8(r, 0, 0);
    found->applied = (feed_position)pg_result_int8(r, 0, 1);
    copy_bytes(found->arena, r, 2, found->applied_leaf, HASH_BYTES);
    if (!PQgetisnull(r, 0, 3))
        found->fence.seq = (uint64_t)pg_result_int8(r, 0, 3);
    copy_bytes(found->arena, r, 4, found->fence.token, sizeof found->fence.token);
    if (!PQgetisnull(r, 0, 6))
        return error_set(
            err, ERR_STOP,
            "the replication slot selaras_%s is of database %s of the same server, and two databases cannot "
            "be one agency: correct agent/database, or, where this one is a copy that shall be an agency of "
            "its own, drop its schema selaras and give it another name in agent/agency",
            agency, PQgetvalue(r, 0, 6));
    if (!yes(r, 0, 5))
        return error_set(err, ERR_STOP, "the replication origin selaras_%s is not there; %s", agency, PREPARE);
    return 0;
}

static const char sql_shape[] = "SELECT EXISTS (" INSPECT_MEDDLERS_SQL("$1") "), " INSPECT_SHAPE_SQL("$1");

/* ---- asking ---- */

static void finish(struct inspect *inspect, const struct error *err)
{
    struct inspection *found = inspect->found;

    inspect->found = NULL;
    if (err->code != 0)
        inspection_free(&found);
    inspect->done(inspect->context, found, err);
}

static void on_state(void *context, const struct pg_outcome *outcome)
{
    struct inspect *inspect = context;
    struct error err = outcome->err;

    if (outcome->ok) {
        err = (struct error){ 0 };
        check_state(inspect, outcome->results[0], &err);
        inspect->found->warnings = warnings_read(inspect->found->arena, outcome->results[1]);
        inspect->found->meddled = yes(outcome->results[2], 0, 0);
        inspect->found->shape = arena_copy(inspect->found->arena, PQgetvalue(outcome->results[2], 0, 1),
                                           (size_t)PQgetlength(outcome->results[2], 0, 1));
    } else {
        error_wrap(&err, "reading schema selaras");
    }
    finish(inspect, &err);
}

static int check_mapped(const struct inspect *inspect, PGresult *const *results, struct error *err)
{
    if (check_server(inspect, results[0], err) < 0)
        return err->code;
    for (uint16_t i = 0; i < inspect->mapping->block_count; i++)
        if (check_table(inspect, i, results[1], err) < 0 || check_columns(inspect, i, results[2], err) < 0 ||
            inspect_key(inspect->found->arena, &inspect->mapping->blocks[i], i, results[3], err) < 0)
            return err->code;
    return 0;
}

static void ask_state(struct inspect *inspect)
{
    struct pg_parameters parameters = { 0 }, tables = { 0 };
    struct pg_array oids = { 0 };
    char slot[64];

    snprintf(slot, sizeof slot, "selaras_%s", inspect->options->agency);
    pg_text(&parameters, slot);
    pg_statement(inspect->pg, sql_state, false, &parameters);
    pg_statement(inspect->pg, warnings_sql, false, &parameters);
    pg_array_start(&oids, PG_OID_INT8);
    for (uint16_t i = 0; i < inspect->mapping->block_count; i++)
        pg_array_int8(&oids, inspect->found->tables[i].oid);
    pg_array_parameter(&tables, &oids);
    pg_statement(inspect->pg, sql_shape, false, &tables);
    pg_array_free(&oids);
    pg_sync(inspect->pg, on_state, inspect);
}

/* A value that the column cannot have, or has in another spelling, would never be met: nothing would belong. */
static void on_spelled(void *context, const struct pg_outcome *outcome)
{
    struct inspect *inspect = context;
    struct error err = outcome->err;

    if (!outcome->ok && err.code == ERR_REJECT)
        err.code = ERR_STOP;
    if (!outcome->ok) {
        error_wrap(&err, "a value below mapping/.../where is none that its column can have");
        finish(inspect, &err);
        return;
    }
    err = (struct error){ 0 };
    if (where_check(inspect->mapping, inspect->found, outcome->results[0], &err) < 0)
        finish(inspect, &err);
    else
        ask_state(inspect);
}

static void on_catalogs(void *context, const struct pg_outcome *outcome)
{
    struct inspect *inspect = context;
    struct error err = outcome->err;
    const char *spellings;

    if (!outcome->ok) {
        error_wrap(&err, "looking at the database");
        finish(inspect, &err);
        return;
    }
    err = (struct error){ 0 };
    if (check_mapped(inspect, outcome->results, &err) < 0) {
        finish(inspect, &err);
        return;
    }
    spellings = where_spellings_sql(inspect->found->arena, inspect->mapping, inspect->found);
    if (!spellings) {
        ask_state(inspect);
        return;
    }
    pg_statement(inspect->pg, spellings, false, NULL);
    pg_sync(inspect->pg, on_spelled, inspect);
}

struct inspect *inspect_start(struct pg *pg, const struct driver_options *options, const struct mapping *mapping,
                              inspect_done *done, void *context)
{
    struct inspect *inspect = calloc(1, sizeof *inspect);
    struct pg_parameters none = { 0 }, names = { 0 };
    struct arena *arena = arena_new();

    if (!inspect)
        abort();
    *inspect = (struct inspect){ .pg = pg, .options = options, .mapping = mapping, .done = done, .context = context };
    inspect->found = arena_alloc(arena, sizeof *inspect->found);
    inspect->found->arena = arena;
    inspect->found->tables = arena_array(arena, mapping->block_count, sizeof *inspect->found->tables);
    pg_array_start(&inspect->schemas, PG_OID_TEXT);
    pg_array_start(&inspect->tables, PG_OID_TEXT);
    for (uint16_t i = 0; i < mapping->block_count; i++) {
        pg_array_bytes(&inspect->schemas, mapping->blocks[i].schema, strlen(mapping->blocks[i].schema));
        pg_array_bytes(&inspect->tables, mapping->blocks[i].table, strlen(mapping->blocks[i].table));
    }
    pg_array_parameter(&names, &inspect->schemas);
    pg_array_parameter(&names, &inspect->tables);
    pg_statement(pg, sql_server, false, &none);
    pg_statement(pg, sql_tables, false, &names);
    pg_statement(pg, sql_columns, false, &names);
    pg_statement(pg, inspect_sql_indexes, false, &names);
    pg_sync(pg, on_catalogs, inspect);
    return inspect;
}

void inspect_free(struct inspect **inspect)
{
    if (!*inspect)
        return;
    inspection_free(&(*inspect)->found);
    pg_array_free(&(*inspect)->schemas);
    pg_array_free(&(*inspect)->tables);
    free(*inspect);
    *inspect = NULL;
}

/* ---- types ---- */

/* What PostgreSQL calls its categories: B boolean, D date and time, N number, S text, E enum, U other. Text holds
 * anything that has a spelling; a mapped code may turn anything into anything. */
static bool holds(char category, enum value_type type)
{
    switch (type) {
    case VALUE_TEXT:
        return true;
    case VALUE_INTEGER:
    case VALUE_DECIMAL:
        return category == 'N' || category == 'S';
    case VALUE_BOOLEAN:
        return category == 'B' || category == 'S';
    case VALUE_DATE:
    case VALUE_TIMESTAMP:
        return category == 'D' || category == 'S';
    case VALUE_TYPE_COUNT:
        break;
    }
    return false;
}

int inspect_types(const struct inspection *inspection, const struct mapping *mapping, struct error *err)
{
    for (uint16_t b = 0; b < mapping->block_count; b++) {
        const struct mapping_block *block = &mapping->blocks[b];

        for (uint16_t f = 0; f < block->field_count; f++) {
            const struct mapping_field *field = &block->fields[f];
            const struct catalog_field *wanted = &block->type->fields[field->field];
            const struct inspect_column *column;

            if (field->code_count > 0 || field->column_count != 1)
                continue;
            column = &inspection->tables[b].columns[field->columns[0]];
            if (!holds(column->category, wanted->type))
                return error_set(
                    err, ERR_STOP,
                    "mapping/%s/fields/%s: column %s is %s, which cannot hold a %s: map another column, or "
                    "translate its values with codes",
                    block->name, field->name, column->name, column->type, value_type_name(wanted->type));
            if (wanted->type == VALUE_DECIMAL && column->scale >= 0 && column->scale < (int)wanted->scale)
                return error_set(
                    err, ERR_STOP,
                    "mapping/%s/fields/%s: column %s keeps %d digits behind the point, the catalog has %u: the rest "
                    "would be rounded away. Widen the column or ask for another scale in the catalog",
                    block->name, field->name, column->name, column->scale, wanted->scale);
            if (wanted->type == VALUE_DECIMAL && wanted->scale > 0 && column->category == 'N' &&
                (strncmp(column->type, "float", 5) == 0 || strcmp(column->type, "real") == 0 ||
                 strcmp(column->type, "double precision") == 0 || strstr(column->type, "int")))
                return error_set(err, ERR_STOP,
                                 "mapping/%s/fields/%s: column %s is %s, which cannot hold %u digits behind the point "
                                 "exactly: make the column numeric, or give the field another scale in the catalog",
                                 block->name, field->name, column->name, column->type, wanted->scale);
        }
    }
    return 0;
}
