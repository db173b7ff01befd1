#include "agents/postgres/inspect_tables.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char inspect_sql_tables[] =
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
const char inspect_sql_columns[] =
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

static int check_table(const struct mapping *mapping, struct inspection *found, uint16_t index, const PGresult *r,
                       struct error *err)
{
    const struct mapping_block *block = &mapping->blocks[index];
    const char *name = quoted_table(found->arena, block);
    const char kind = PQgetvalue(r, index, 1)[0];

    if (PQgetisnull(r, index, 0))
        return table_error(block, err, "does not exist: correct mapping/%s/table", block->name);
    found->tables[index].oid = (uint32_t)pg_result_int8(r, index, 0);
    found->tables[index].name = name;
    if (kind != 'r' && kind != 'p')
        return table_error(block, err,
                           "is no ordinary table, so its changes are not in the log: map the table behind it");
    if (PQgetvalue(r, index, 2)[0] != 'p')
        return table_error(
            block, err,
            "is not logged, so its changes cannot be seen. Ask its owner to run: ALTER TABLE %s SET LOGGED;", name);
    if (!inspect_yes(r, index, 8))
        return table_error(block, err, "is in a schema that the agent may not use; %s", INSPECT_PREPARE);
    if (!inspect_yes(r, index, 4))
        return table_error(block, err, "is not published; %s", INSPECT_PREPARE);
    if (!inspect_yes(r, index, 5))
        return table_error(
            block, err,
            "is published with a column list or row filter, which would break its own updates or hide changes. "
            "Ask its owner to run: ALTER PUBLICATION selaras DROP TABLE %s; ALTER PUBLICATION selaras ADD TABLE %s;",
            name, name);
    if (!inspect_yes(r, index, 6))
        return table_error(block, err,
                           "is partitioned. Ask the owner of the publication to run: ALTER PUBLICATION selaras SET "
                           "(publish_via_partition_root = true);");
    if (!inspect_yes(r, index, 3))
        return table_error(
            block, err,
            "or a partition of it has not REPLICA IDENTITY FULL, so old values cannot be seen. Ask its owner to "
            "run: ALTER TABLE %s REPLICA IDENTITY FULL;  (or: selaras-agent --prepare --apply FILE)",
            name);
    if (block->delete == DELETE_ROW && !inspect_yes(r, index, 7))
        return table_error(block, err,
                           "may not be deleted from by the agent's role, but mapping/%s says delete = row; %s",
                           block->name, INSPECT_PREPARE);
    if (block->insert && !PQgetisnull(r, index, 9))
        return table_error(block, err,
                           "has columns that are filled from sequence %s, which the agent's role may not use, but "
                           "mapping/%s says insert = yes; %s",
                           PQgetvalue(r, index, 9), block->name, INSPECT_PREPARE);
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
static int check_column(const struct mapping *mapping, struct inspection *found, uint16_t index, const PGresult *r,
                        const char *name, bool written, struct inspect_column *ret, struct error *err)
{
    const struct mapping_block *block = &mapping->blocks[index];
    struct arena *arena = found->arena;
    int row = column_row(r, index, name);

    if (row < 0)
        return table_error(block, err, "has no column %s: correct mapping/%s", name, block->name);
    *ret = (struct inspect_column){
        .name = quoted(arena, name),
        .type = arena_copy(arena, PQgetvalue(r, row, 2), strlen(PQgetvalue(r, row, 2))),
        .exact_type = arena_copy(arena, PQgetvalue(r, row, 11), strlen(PQgetvalue(r, row, 11))),
        .category = PQgetvalue(r, row, 3)[0],
        .scale = (int)pg_result_int8(r, row, 4),
        .not_null = inspect_yes(r, row, 5),
        .has_default = inspect_yes(r, row, 6),
    };
    if (!written && !inspect_yes(r, row, 8))
        return table_error(block, err, "does not let the agent's role read column %s; %s", name, INSPECT_PREPARE);
    if (!written)
        return 0;
    if (inspect_yes(r, row, 7))
        return table_error(block, err, "makes the values of column %s itself: it cannot be mapped", name);
    if (!inspect_yes(r, row, 8) || !inspect_yes(r, row, 10) || (block->insert && !inspect_yes(r, row, 9)))
        return table_error(block, err, "does not let the agent's role read or write column %s; %s", name,
                           INSPECT_PREPARE);
    return 0;
}

static int check_columns(const struct mapping *mapping, struct inspection *found, uint16_t index, const PGresult *r,
                         struct error *err)
{
    const struct mapping_block *block = &mapping->blocks[index];
    struct inspect_table *table = &found->tables[index];

    if (block->column_count > BLOCK_COLUMNS_MAX)
        return table_error(block, err, "has %d mapped columns, which is more than %d: use several blocks",
                           block->column_count, BLOCK_COLUMNS_MAX);
    table->columns = arena_array(found->arena, block->column_count, sizeof *table->columns);
    for (uint16_t i = 0; i < block->column_count; i++)
        if (check_column(mapping, found, index, r, block->columns[i], i < block->written_count, &table->columns[i],
                         err) < 0)
            return err->code;
    if (block->delete != DELETE_SET)
        return 0;
    table->delete_column = arena_alloc(found->arena, sizeof *table->delete_column);
    return check_column(mapping, found, index, r, block->delete_column, true, table->delete_column, err);
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

int inspect_table(const struct mapping *mapping, struct inspection *found, uint16_t index, const PGresult *tables,
                  const PGresult *columns, const PGresult *indexes, struct error *err)
{
    if (check_table(mapping, found, index, tables, err) < 0 || check_columns(mapping, found, index, columns, err) < 0)
        return err->code;
    return inspect_key(found->arena, &mapping->blocks[index], index, indexes, err);
}

/* ---- types ---- */

/* What PostgreSQL calls its categories: B boolean, D date and time, N number, S text, E enum, U other. Text holds
 * anything that has a spelling; a mapped code may turn anything into anything. */
static bool holds(char category, enum value_type type)
{
    switch (type) {
    case VALUE_TEXT:
    case VALUE_REFERENCE: /* see reference_fits() */
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

/* A key and what refers to it are one kind of value: a number, a text. */
static int reference_fits(const struct inspection *inspection, const struct mapping *mapping, uint16_t block,
                          const struct mapping_field *field, struct error *err)
{
    const struct inspect_table *here = &inspection->tables[block];
    const struct inspect_table *there = &inspection->tables[field->refers - mapping->blocks];

    for (uint8_t i = 0; i < field->column_count; i++) {
        const struct inspect_column *column = &here->columns[field->columns[i]];
        const struct inspect_column *key = &there->columns[field->refers->key_columns[i]];

        if (column->category != key->category)
            return error_set(err, ERR_STOP,
                             "mapping/%s/fields/%s: column %s is %s, but the key of block %s that it would hold is "
                             "column %s, which is %s: map the column that refers to those rows",
                             mapping->blocks[block].name, field->name, column->name, column->type, field->refers->name,
                             key->name, key->type);
    }
    return 0;
}

int inspect_types(const struct inspection *inspection, const struct mapping *mapping, struct error *err)
{
    for (uint16_t b = 0; b < mapping->block_count; b++) {
        const struct mapping_block *block = &mapping->blocks[b];

        for (uint16_t f = 0; f < block->field_count; f++) {
            const struct mapping_field *field = &block->fields[f];
            const struct catalog_field *wanted = &block->type->fields[field->field];
            const struct inspect_column *column;

            if (field->refers && reference_fits(inspection, mapping, b, field, err) < 0)
                return err->code;
            if (field->refers || field->code_count > 0 || field->column_count != 1)
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
