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
