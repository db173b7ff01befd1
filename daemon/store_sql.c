#include "daemon/store_sql.h"

#include <stdarg.h>
#include <stdio.h>

const char *field_column_type(struct arena *arena, const struct catalog_field *field)
{
    switch (field->type) {
    case VALUE_INTEGER:
        return "bigint";
    case VALUE_DECIMAL:
        return arena_printf(arena, "numeric(38,%u)", field->scale);
    case VALUE_BOOLEAN:
        return "boolean";
    case VALUE_DATE:
        return "date";
    case VALUE_TIMESTAMP:
        return "timestamp with time zone";
    case VALUE_TEXT:
    case VALUE_TYPE_COUNT:
        break;
    }
    return "text";
}

const char *field_reading(struct arena *arena, const struct catalog_field *field, const char *alias)
{
    if (field->type == VALUE_TIMESTAMP)
        return arena_printf(arena, "to_char(%s.\"%s\" AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", alias,
                            field->name);
    return arena_printf(arena, "%s.\"%s\"::text", alias, field->name);
}

/* A statement that is put together from parts. */
struct sql {
    struct arena *arena;
    const char *text;
};

static void add(struct sql *sql, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct sql *sql, const char *fmt, ...)
{
    char part[1024];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(part, sizeof part, fmt, arguments);
    va_end(arguments);
    sql->text = arena_printf(sql->arena, "%s%s", sql->text, part);
}

/* $1 to $3 keys (agency, block, key), $4 numbers, then one array for each identifier. */
static void add_wanted(struct sql *sql, const struct catalog_type *type)
{
    int parameter = 5;

    add(sql, "WITH wanted AS ("
             "SELECT l.record AS number FROM unnest($1::int[], $2::text[], $3::text[]) AS w (agency, block, key)"
             " JOIN selaras.link l ON l.agency = w.agency::smallint AND l.block = w.block AND l.key = w.key"
             " UNION SELECT unnest($4::bigint[])");
    for (uint16_t i = 0; i < type->field_count; i++)
        if (type->fields[i].identifier)
            add(sql, " UNION SELECT number FROM selaras.\"%s\" WHERE \"%s\" = ANY ($%d::text[]%s%s%s)", type->name,
                type->fields[i].name, parameter++, type->fields[i].type == VALUE_TEXT ? "" : "::",
                type->fields[i].type == VALUE_TEXT ? "" : field_column_type(sql->arena, &type->fields[i]),
                type->fields[i].type == VALUE_TEXT ? "" : "[]");
    add(sql, ") ");
}

static void add_record(struct sql *sql, const struct catalog_type *type)
{
    add(sql, "SELECT r.number, r.exists, r.meta");
    for (uint16_t i = 0; i < type->field_count; i++)
        add(sql, ", %s", field_reading(sql->arena, &type->fields[i], "r"));
    add(sql, " FROM selaras.\"%s\" r ", type->name);
}

/* $1 number, $2 exists, $3 meta, then the fields. */
static const char *save_sql(struct arena *arena, const struct catalog_type *type)
{
    struct sql sql = { arena, "" };

    add(&sql, "INSERT INTO selaras.\"%s\" (number, exists, meta", type->name);
    for (uint16_t i = 0; i < type->field_count; i++)
        add(&sql, ", \"%s\"", type->fields[i].name);
    add(&sql, ") SELECT v.number, v.exists, v.meta");
    for (uint16_t i = 0; i < type->field_count; i++)
        add(&sql, ", v.f%u::%s", i, field_column_type(arena, &type->fields[i]));
    add(&sql, " FROM unnest($1::bigint[], $2::boolean[], $3::bytea[]");
    for (uint16_t i = 0; i < type->field_count; i++)
        add(&sql, ", $%u::text[]", i + 4u);
    add(&sql, ") AS v (number, exists, meta");
    for (uint16_t i = 0; i < type->field_count; i++)
        add(&sql, ", f%u", i);
    add(&sql, ") ON CONFLICT (number) DO UPDATE SET exists = excluded.exists, meta = excluded.meta");
    for (uint16_t i = 0; i < type->field_count; i++)
        add(&sql, ", \"%s\" = excluded.\"%s\"", type->fields[i].name, type->fields[i].name);
    return sql.text;
}

void type_sql_make(struct arena *arena, const struct catalog_type *type, struct type_sql *ret)
{
    struct sql find = { arena, "" }, links = { arena, "" }, fill = { arena, "" };

    add_wanted(&find, type);
    add_record(&find, type);
    add(&find, "JOIN wanted ON wanted.number = r.number");
    add_wanted(&links, type);
    add(&links, "SELECT l.agency, l.block, l.key, l.record, l.since, coalesce(l.until, 0) FROM selaras.link l"
                " JOIN wanted ON wanted.number = l.record");
    add_record(&fill, type);
    add(&fill, "WHERE r.exists AND r.number > $1 AND NOT EXISTS (SELECT FROM selaras.link l WHERE l.record = r.number"
               " AND l.agency = $2 AND l.block = $3 AND l.until IS NULL) ORDER BY r.number LIMIT $4");
    *ret =
        (struct type_sql){ .find = find.text, .links = links.text, .fill = fill.text, .save = save_sql(arena, type) };
    for (uint16_t i = 0; i < type->field_count; i++)
        ret->identifier_count = (uint16_t)(ret->identifier_count + type->fields[i].identifier);
}
