#include "agents/postgres/notice.h"

#include "agents/postgres/where_sql.h"
#include "agents/why.h"

#include <stdio.h>
#include <string.h>

static const char *text_string(struct arena *arena, struct text text)
{
    return arena_copy(arena, text.bytes, text.length);
}

/* A row whose key is not known, by what identifies its record. */
static const char *identity_text(struct arena *arena, const struct mapping_block *block, const struct apply_row *row)
{
    const char *text = "";

    for (uint16_t i = 0; i < block->field_count; i++) {
        const struct value value = row->net->fields[i];

        if (block->type->units[block->type->fields[block->fields[i].field].unit].identifier && value.state == VALUE_SET)
            text = arena_printf(arena, "%s%s%.*s", text, text[0] ? " " : "", (int)value.length, value.bytes);
    }
    return text;
}

/* A key as people write it: its parts with a blank between. */
static const char *key_text(struct arena *arena, const struct mapping_block *block, const struct apply_row *row,
                            int key_count)
{
    const char *text = "";

    if (!row->key)
        return identity_text(arena, block, row);
    for (int i = 0; i < key_count; i++)
        text = arena_printf(arena, "%s%s%.*s", text, i ? " " : "", (int)row->key[i].length,
                            row->key[i].bytes ? row->key[i].bytes : "");
    return text;
}

/* "t.a = $7::x AND ...": the row that is about to be written. Adds its values as parameters. */
static const char *where_key(struct arena *arena, const struct mapping_block *block, const struct inspect_table *table,
                             const struct apply_row *row, struct pg_parameters *parameters, int *ret_count)
{
    const char *text = "";
    int count = 0;

    if (!row->key) { /* it is yet to be made */
        *ret_count = 0;
        return "false";
    }
    for (uint8_t i = 0; i < block->key_column_count; i++) {
        const struct inspect_column *column = &table->columns[block->key_columns[i]];
        const struct value value = row->key[count++];

        pg_text(parameters, value.state == VALUE_SET ? arena_copy(arena, value.bytes, value.length) : NULL);
        text = arena_printf(arena, "%s%st.%s = $%d::text::%s", text, text[0] ? " AND " : "", column->name,
                            parameters->count, column->type);
    }
    *ret_count = count;
    return text;
}

/* What a field's columns hold, as one text: "t.a::text || '.' || t.b::text". */
static const char *local_value(struct arena *arena, const struct mapping_field *field,
                               const struct inspect_table *table)
{
    const char *text = "";

    for (uint8_t i = 0; i < field->column_count; i++) {
        const char *join = i && field->join ? arena_printf(arena, " || $8::text || ") : i ? " || " : "";

        text = arena_printf(arena, "%s%st.%s::text", text, join, table->columns[field->columns[i]].name);
    }
    return text;
}

/* The same of what is about to be written. NULL when a part is. */
static const char *new_value(struct arena *arena, const struct mapping_field *field, const struct apply_row *row)
{
    const char *text = "";

    for (uint8_t i = 0; i < field->column_count; i++) {
        const struct value value = row->columns[field->columns[i]];

        if (value.state != VALUE_SET)
            return NULL;
        text =
            arena_printf(arena, "%s%s%.*s", text, i && field->join ? field->join : "", (int)value.length, value.bytes);
    }
    return text;
}

/* A value that is equal but spelt in another way ("1.0", "1.00") is compared as what it is, where it is one column. */
static void queue_field(struct pg *pg, struct arena *arena, const struct mapping_block *block,
                        const struct inspect_table *table, const struct apply_row *row, uint16_t index,
                        enum why_language language)
{
    const struct mapping_field *field = &block->fields[index];
    const struct reason *reason = &row->net->reasons[index];
    const struct inspect_column *column = &table->columns[field->columns[0]];
    struct pg_parameters parameters = { 0 };
    const char *where, *value, *same;
    int key_count;

    pg_text(&parameters, arena_printf(arena, "%s.%s", block->schema, block->table));
    pg_text(&parameters, NULL); /* the key: known below */
    pg_text(&parameters, field->name);
    pg_text(&parameters, new_value(arena, field, row));
    pg_text(&parameters, reason->by.length ? text_string(arena, reason->by) : "-");
    pg_text(&parameters, why_text(arena, reason, language));
    pg_text(&parameters, NULL);
    pg_text(&parameters, field->join ? field->join : "");
    where = where_key(arena, block, table, row, &parameters, &key_count);
    parameters.values[1] = key_text(arena, block, row, key_count);
    value = local_value(arena, field, table);
    same = field->column_count == 1
               ? arena_printf(arena, "t.%s IS DISTINCT FROM $4::text::%s", column->name, column->type)
               : arena_printf(arena, "(%s) IS DISTINCT FROM $4::text", value);
    pg_statement(
        pg,
        arena_printf(arena,
                     "INSERT INTO selaras.notice (\"table\", key, field, yours, now, decided_by, why)"
                     " SELECT $1::text, $2::text, $3::text, %s, coalesce($4::text, $7::text), $5::text, $6::text"
                     " FROM %s AS t WHERE %s AND $8::text IS NOT NULL AND %s",
                     value, table->name, where, same),
        false, &parameters);
}

/* A row that people deleted and that comes back, or that they added and that goes again. */
static void queue_existence(struct pg *pg, struct arena *arena, const struct mapping_block *block,
                            const struct inspect_table *table, const struct apply_row *row, enum why_language language)
{
    bool comes = row->net->operation == OPERATION_INSERT;
    struct pg_parameters parameters = { 0 };
    const char *where;
    int key_count;

    pg_text(&parameters, arena_printf(arena, "%s.%s", block->schema, block->table));
    pg_text(&parameters, NULL);
    pg_text(&parameters, why_row(comes, true, language));
    pg_text(&parameters, why_row(comes, false, language));
    pg_text(&parameters, row->net->reason.by.length ? text_string(arena, row->net->reason.by) : "-");
    pg_text(&parameters, why_text(arena, &row->net->reason, language));
    where = where_key(arena, block, table, row, &parameters, &key_count);
    parameters.values[1] = key_text(arena, block, row, key_count);
    pg_statement(pg,
                 arena_printf(arena,
                              "INSERT INTO selaras.notice (\"table\", key, field, yours, now, decided_by, why)"
                              " SELECT $1::text, $2::text, 'existence', $3::text, $4::text, $5::text, $6::text"
                              " WHERE %s EXISTS (SELECT FROM %s AS t WHERE %s%s)",
                              comes ? "NOT" : "", table->name, where, where_sql(arena, block, table)),
                 false, &parameters);
}

uint32_t notice_queue(struct pg *pg, const struct mapping *mapping, const struct inspection *inspection,
                      const struct apply_row *row)
{
    const struct mapping_block *block = &mapping->blocks[row->net->block];
    const struct inspect_table *table = &inspection->tables[row->net->block];
    struct arena *arena;
    uint32_t count = 0;

    if (!row->net->reasons && row->net->reason.verdict.length == 0)
        return 0;
    arena = arena_new();
    for (uint16_t i = 0; row->net->reasons && i < block->field_count; i++) {
        if (row->net->reasons[i].verdict.length == 0 || row->net->fields[i].state == VALUE_ABSENT ||
            block->fields[i].constant)
            continue;
        queue_field(pg, arena, block, table, row, i, inspection->language);
        count++;
    }
    if (row->net->reason.verdict.length > 0) {
        queue_existence(pg, arena, block, table, row, inspection->language);
        count++;
    }
    arena_free(&arena);
    return count;
}
