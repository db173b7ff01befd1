#include "agents/postgres/where_sql.h"

#include <string.h>

const char *literal_sql(struct arena *arena, const char *text, size_t length)
{
    char *literal = arena_alloc(arena, 2 * length + 3), *at = literal;

    *at++ = '\'';
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\'')
            *at++ = '\'';
        *at++ = text[i];
    }
    *at = '\'';
    return literal;
}

/* "'Y', 'YA'" for a text, whose trailing blanks do not count; "'1'::integer" for others: PostgreSQL knows how its own
 * types are equal, and inspect.c has seen that each value is spelled as it spells it. */
static const char *values_sql(struct arena *arena, const struct mapping_where *where,
                              const struct inspect_column *column)
{
    bool text = column->category == 'S';
    const char *list = "";

    for (uint16_t i = 0; i < where->value_count; i++) {
        size_t length = strlen(where->values[i]);

        while (text && length > 0 && where->values[i][length - 1] == ' ')
            length--;
        list = arena_printf(arena, "%s%s%s%s%s", list, i ? ", " : "", literal_sql(arena, where->values[i], length),
                            text ? "" : "::", text ? "" : column->type);
    }
    return list;
}

const char *where_sql(struct arena *arena, const struct mapping_block *block, const struct inspect_table *table)
{
    const char *sql = "";

    for (uint16_t i = 0; i < block->where_count; i++) {
        const struct mapping_where *where = &block->where[i];
        const struct inspect_column *column = &table->columns[where->column];

        if (where->kind != WHERE_VALUES)
            sql = arena_printf(arena, "%s AND t.%s IS %sNULL", sql, column->name,
                               where->kind == WHERE_NULL ? "" : "NOT ");
        else if (column->category == 'S')
            sql = arena_printf(arena, "%s AND rtrim(t.%s::text, ' ') IN (%s)", sql, column->name,
                               values_sql(arena, where, column));
        else
            sql = arena_printf(arena, "%s AND t.%s IN (%s)", sql, column->name, values_sql(arena, where, column));
    }
    return sql;
}

/* Whether the spelling of the condition's values has to be asked for. */
static bool is_spelled(const struct inspect_table *table, const struct mapping_where *where)
{
    return where->kind == WHERE_VALUES && table->columns[where->column].category != 'S';
}

const char *where_spellings_sql(struct arena *arena, const struct mapping *mapping, const struct inspection *inspection)
{
    const char *sql = NULL;

    for (uint16_t b = 0; b < mapping->block_count; b++)
        for (uint16_t i = 0; i < mapping->blocks[b].where_count; i++) {
            const struct mapping_where *where = &mapping->blocks[b].where[i];
            const struct inspect_column *column = &inspection->tables[b].columns[where->column];

            for (uint16_t v = 0; is_spelled(&inspection->tables[b], where) && v < where->value_count; v++)
                sql = arena_printf(arena, "%s%s%s::%s", sql ? sql : "SELECT ", sql ? ", " : "",
                                   literal_sql(arena, where->values[v], strlen(where->values[v])), column->exact_type);
        }
    return sql;
}

int where_check(const struct mapping *mapping, const struct inspection *inspection, const PGresult *spellings,
                struct error *err)
{
    int at = 0;

    for (uint16_t b = 0; b < mapping->block_count; b++)
        for (uint16_t i = 0; i < mapping->blocks[b].where_count; i++) {
            const struct mapping_block *block = &mapping->blocks[b];
            const struct mapping_where *where = &block->where[i];

            for (uint16_t v = 0; is_spelled(&inspection->tables[b], where) && v < where->value_count; v++, at++)
                if (strcmp(PQgetvalue(spellings, 0, at), where->values[v]) != 0)
                    return error_set(
                        err, ERR_STOP, "mapping/%s/where/%s: write %s instead of %s: so PostgreSQL spells it",
                        block->name, block->columns[where->column], PQgetvalue(spellings, 0, at), where->values[v]);
        }
    return 0;
}
