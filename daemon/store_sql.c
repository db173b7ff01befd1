#include "daemon/store_sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *field_column_type(struct arena *arena, const struct catalog_field *field)
{
    switch (field->type) {
    case VALUE_INTEGER:
    case VALUE_REFERENCE:
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

/* Those that have one of the identifiers: $parameter on are an array for each of its fields. */
static void add_identified(struct sql *sql, const struct catalog_type *type, const struct catalog_unit *unit,
                           int *parameter)
{
    const struct catalog_field *fields = type->fields;

    if (unit->field_count == 1) {
        const struct catalog_field *field = &fields[unit->fields[0]];

        add(sql, " UNION SELECT number FROM selaras.\"%s\" WHERE \"%s\" = ANY ($%d::text[]::%s[])", type->name,
            field->name, (*parameter)++, field_column_type(sql->arena, field));
        return;
    }
    add(sql, " UNION SELECT r.number FROM (SELECT ");
    for (uint16_t i = 0; i < unit->field_count; i++)
        add(sql, "%sunnest($%d::text[])::%s AS i%u", i > 0 ? ", " : "", (*parameter)++,
            field_column_type(sql->arena, &fields[unit->fields[i]]), i);
    add(sql, ") AS w JOIN selaras.\"%s\" r ON ", type->name);
    for (uint16_t i = 0; i < unit->field_count; i++)
        add(sql, "%sr.\"%s\" = w.i%u", i > 0 ? " AND " : "", fields[unit->fields[i]].name, i);
}

/* Numbers of the wanted records, each once. Nearly always they are wanted by their keys alone. */
static void add_wanted(struct sql *sql, const struct catalog_type *type, bool by_any)
{
    int parameter = 5;

    add(sql,
        "WITH wanted AS ("
        "SELECT DISTINCT l.record AS number FROM unnest($1::int[], $2::text[], $3::text[]) AS w (agency, block, key)"
        " JOIN selaras.link l ON l.agency = w.agency::smallint AND l.block = w.block AND l.key = w.key");
    if (by_any)
        add(sql, " UNION SELECT unnest($4::bigint[])");
    for (uint16_t u = 0; u < type->unit_count && by_any; u++)
        if (type->units[u].identifier)
            add_identified(sql, type, &type->units[u], &parameter);
    add(sql, ") ");
}

static void add_record(struct sql *sql, const struct catalog_type *type)
{
    add(sql, "SELECT r.number, r.exists, r.meta");
    for (uint16_t i = 0; i < type->field_count; i++)
        add(sql, ", %s", field_reading(sql->arena, &type->fields[i], "r"));
    add(sql, " FROM selaras.\"%s\" r ", type->name);
}

/* "unnest($1::t) AS a, ..." in the select list: each row is made once. In FROM, one function after the other would put
 * all of its rows away first. */
static void add_unnest(struct sql *sql, unsigned parameter, const char *array_type, const char *name)
{
    add(sql, "%sunnest($%u::%s[]) AS %s", parameter > 1 ? ", " : "", parameter, array_type, name);
}

/* The rows of a batch as v (number, exists, meta, f0, f1, ...): $1 number, $2 exists, $3 meta, then the fields of the
 * set. Returns the number of parameters. */
static unsigned add_rows(struct sql *sql, const struct catalog_type *type, const struct field_set *set)
{
    unsigned parameter = 1;

    add(sql, "(SELECT ");
    add_unnest(sql, parameter++, "bigint", "number");
    add_unnest(sql, parameter++, "boolean", "exists");
    add_unnest(sql, parameter++, "bytea", "meta");
    for (uint16_t i = 0; i < type->field_count; i++)
        if (field_set_has(set, i))
            add_unnest(sql, parameter++, "text", arena_printf(sql->arena, "f%u", i));
    add(sql, ") AS v");
    return parameter - 1;
}

static const char *insert_sql(struct arena *arena, const struct catalog_type *type, const struct field_set *all)
{
    struct sql sql = { arena, "" };

    add(&sql, "INSERT INTO selaras.\"%s\" (number, exists, meta", type->name);
    for (uint16_t i = 0; i < type->field_count; i++)
        add(&sql, ", \"%s\"", type->fields[i].name);
    add(&sql, ") SELECT v.number, v.exists, v.meta");
    for (uint16_t i = 0; i < type->field_count; i++)
        add(&sql, ", v.f%u::%s", i, field_column_type(arena, &type->fields[i]));
    add(&sql, " FROM ");
    add_rows(&sql, type, all);
    return sql.text;
}

/* The last parameter is how many rows there are: each must be found. */
static const char *update_sql(struct arena *arena, const struct catalog_type *type, const struct field_set *set)
{
    struct sql sql = { arena, "" };
    unsigned parameters;

    add(&sql, "WITH written AS (UPDATE selaras.\"%s\" r SET exists = v.exists, meta = v.meta", type->name);
    for (uint16_t i = 0; i < type->field_count; i++)
        if (field_set_has(set, i))
            add(&sql, ", \"%s\" = v.f%u::%s", type->fields[i].name, i, field_column_type(arena, &type->fields[i]));
    add(&sql, " FROM ");
    parameters = add_rows(&sql, type, set);
    add(&sql,
        " WHERE r.number = v.number RETURNING 1)"
        " SELECT selaras.expect(1 + pg_catalog.count(*) - $%u::bigint, 'selaras.%s') FROM written",
        parameters + 1, type->name);
    return sql.text;
}

bool field_set_has(const struct field_set *set, uint16_t field)
{
    return set->bits[field / 64] >> (field % 64) & 1;
}

void field_set_add(struct field_set *set, uint16_t field)
{
    set->bits[field / 64] |= UINT64_C(1) << (field % 64);
}

const struct update_sql *type_sql_update(struct arena *arena, const struct catalog_type *type, struct type_sql *sql,
                                         const struct field_set *set)
{
    struct update_sql *made;

    for (uint16_t i = 0; i < sql->update_count; i++)
        if (memcmp(&sql->updates[i].set, set, sizeof *set) == 0)
            return &sql->updates[i];
    if (sql->update_count == UPDATES_MAX)
        return &sql->updates[0];
    made = &sql->updates[sql->update_count++];
    *made = (struct update_sql){ .set = *set, .text = update_sql(arena, type, set) };
    return made;
}

static struct lookup_sql lookup_sql_make(struct arena *arena, const struct catalog_type *type, bool by_any)
{
    struct sql records = { arena, "" }, links = { arena, "" };

    add_wanted(&records, type, by_any);
    add_record(&records, type);
    add(&records, "JOIN wanted ON wanted.number = r.number");
    add_wanted(&links, type, by_any);
    add(&links, "SELECT l.agency, l.block, l.key, l.record, l.since, coalesce(l.until, 0) FROM selaras.link l"
                " JOIN wanted ON wanted.number = l.record");
    return (struct lookup_sql){ .records = records.text, .links = links.text };
}

static const char *fill_sql(struct arena *arena, const struct catalog_type *type)
{
    struct sql fill = { arena, "" };

    add_record(&fill, type);
    add(&fill, "WHERE r.exists AND r.number > $1 AND NOT EXISTS (SELECT FROM selaras.link l WHERE l.record = r.number"
               " AND l.agency = $2 AND l.until IS NULL) ORDER BY r.number LIMIT $3");
    return fill.text;
}

static void add_missing(struct sql *sql, const struct catalog_type *type, const char *what, int agency)
{
    add(sql,
        "SELECT %s FROM selaras.had h"
        " JOIN selaras.told t ON t.agency = h.agency AND t.block = h.block"
        " JOIN selaras.\"%s\" e ON e.number = h.record AND e.exists WHERE h.agency = $%d"
        " AND NOT EXISTS (SELECT FROM selaras.link l WHERE l.record = h.record AND l.agency = h.agency"
        " AND l.until IS NULL)"
        /* Its row may be one that waits because nobody can tell which record it is. */
        " AND NOT EXISTS (SELECT FROM selaras.link l JOIN selaras.\"%s\" s ON s.number = l.record AND NOT s.exists"
        " WHERE l.agency = h.agency AND l.block = h.block AND l.key = h.key AND l.until IS NULL)",
        what, type->name, agency, type->name);
}

static void add_missing_page(struct sql *sql, const struct catalog_type *type)
{
    add(sql, "WITH missing AS (");
    add_missing(sql, type, "h.record, h.block, h.key, h.base, h.since, t.empty", 2);
    add(sql, " AND h.record > $1 ORDER BY h.record, h.block LIMIT $3) ");
}

static struct missing_sql missing_sql_make(struct arena *arena, const struct catalog_type *type)
{
    struct sql rows = { arena, "" }, records = { arena, "" }, links = { arena, "" }, count = { arena, "" };

    add_missing_page(&rows, type);
    add(&rows, "SELECT * FROM missing ORDER BY record, block");
    add_missing_page(&records, type);
    add_record(&records, type);
    add(&records, "WHERE r.number IN (SELECT record FROM missing)");
    add_missing_page(&links, type);
    add(&links, "SELECT l.agency, l.block, l.key, l.record, l.since, coalesce(l.until, 0) FROM selaras.link l"
                " WHERE l.record IN (SELECT record FROM missing)");
    add_missing(&count, type, "pg_catalog.count(*)", 1);
    return (struct missing_sql){ .rows = rows.text, .records = records.text, .links = links.text, .count = count.text };
}

void type_sql_make(struct arena *arena, const struct catalog_type *type, struct type_sql *ret)
{
    struct field_set all = { 0 };

    for (uint16_t i = 0; i < type->field_count; i++)
        field_set_add(&all, i);
    *ret = (struct type_sql){ .by_key = lookup_sql_make(arena, type, false),
                              .by_any = lookup_sql_make(arena, type, true),
                              .fill = fill_sql(arena, type),
                              .missing = missing_sql_make(arena, type),
                              .insert = insert_sql(arena, type, &all) };
    type_sql_update(arena, type, ret, &all);
    for (uint16_t u = 0; u < type->unit_count; u++)
        if (type->units[u].identifier)
            ret->identifying_count = (uint16_t)(ret->identifying_count + type->units[u].field_count);
}
