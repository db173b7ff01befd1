#include "agents/postgres/apply_text.h"

#include "agents/postgres/where_sql.h"

bool column_set_has(const struct column_set *set, uint16_t column)
{
    return set->bits[column / 64] >> (column % 64) & 1;
}

bool column_is_key(const struct mapping_block *block, uint16_t column)
{
    for (uint8_t i = 0; i < block->key_column_count; i++)
        if (block->key_columns[i] == column)
            return true;
    return false;
}

/* "(SELECT unnest($1::int4[]) AS n, unnest($2::text[]) AS k0, ..., unnest(...) AS v0, ...) AS k". In the select list
 * each row is made once; in FROM the rows of each function would be put away first. */
static void write_source(FILE *file, const struct subject *subject, bool values)
{
    int number = 1;

    fprintf(file, "(SELECT unnest($%d::int4[]) AS n", number++);
    for (int i = 0; i < subject->block->key_column_count; i++)
        fprintf(file, ", unnest($%d::text[]) AS k%d", number++, i);
    for (uint16_t i = 0; values && i < subject->block->column_count; i++)
        if (column_set_has(subject->set, i))
            fprintf(file, ", unnest($%d::text[]) AS v%d", number++, i);
    if (subject->sure)
        fprintf(file, ", unnest($%d::int4[]) <> 0 AS sure", number++);
    fputs(") AS k", file);
}

static void write_where_key(FILE *file, const struct subject *subject)
{
    for (int i = 0; i < subject->block->key_column_count; i++) {
        const struct inspect_column *column = &subject->table->columns[subject->block->key_columns[i]];

        fprintf(file, "%st.%s = k.k%d::%s", i ? " AND " : "", column->name, i, column->type);
    }
}

/* Other rows of the table are not the block's. */
static void write_where_block(FILE *file, const struct subject *subject)
{
    scoped(arena_free) struct arena *arena = arena_new();

    fputs(where_sql(arena, subject->block, subject->table), file);
}

static void write_set(FILE *file, const struct subject *subject)
{
    const char *between = "";

    for (uint16_t i = 0; i < subject->block->column_count; i++) {
        const struct inspect_column *column = &subject->table->columns[i];

        if (!column_set_has(subject->set, i))
            continue;
        fprintf(file, "%s%s = k.v%d::%s", between, column->name, i, column->type);
        between = ", ";
    }
    if (between[0] == '\0') /* nothing to write, but whether the row is there must be known */
        fprintf(file, "%s = t.%s", subject->table->columns[0].name, subject->table->columns[0].name);
}

/* Of rows of the block, or (`any`) of any row with the key: it comes in. */
static void write_update(FILE *file, const struct subject *subject, const char *source, bool any)
{
    fprintf(file, "UPDATE %s AS t SET ", subject->table->name);
    write_set(file, subject);
    fputs(" FROM ", file);
    if (source)
        fputs(source, file);
    else
        write_source(file, subject, true);
    fputs(" WHERE ", file);
    write_where_key(file, subject);
    if (!any)
        write_where_block(file, subject);
    fputs(" RETURNING k.n", file);
}

/* " (a, b) SELECT k.v0::x, k.v1::y FROM " */
static void write_insert_head(FILE *file, const struct subject *subject)
{
    const char *between = "";

    fprintf(file, "INSERT INTO %s AS t (", subject->table->name);
    for (uint16_t i = 0; i < subject->block->column_count; i++)
        if (column_set_has(subject->set, i)) {
            fprintf(file, "%s%s", between, subject->table->columns[i].name);
            between = ", ";
        }
    fputs(") SELECT ", file);
    between = "";
    for (uint16_t i = 0; i < subject->block->column_count; i++)
        if (column_set_has(subject->set, i)) {
            fprintf(file, "%sk.v%d::%s", between, i, subject->table->columns[i].type);
            between = ", ";
        }
    fputs(" FROM ", file);
}

static void write_on_conflict(FILE *file, const struct subject *subject)
{
    const char *between = "";

    fputs(" ON CONFLICT (", file);
    for (int i = 0; i < subject->block->key_column_count; i++)
        fprintf(file, "%s%s", i ? ", " : "", subject->table->columns[subject->block->key_columns[i]].name);
    fputs(") DO ", file);
    for (uint16_t i = 0; i < subject->block->column_count; i++) {
        const char *name = subject->table->columns[i].name;

        if (!column_set_has(subject->set, i) || column_is_key(subject->block, i))
            continue;
        fprintf(file, "%s%s = EXCLUDED.%s", between[0] ? between : "UPDATE SET ", name, name);
        between = ", ";
    }
    if (between[0] == '\0')
        fputs("NOTHING", file);
}

static void write_lock(FILE *file, const struct subject *subject, bool hard)
{
    fprintf(file, "SELECT count(*) FROM (SELECT 1 FROM %s AS t JOIN ", subject->table->name);
    write_source(file, subject, false);
    fputs(" ON ", file);
    write_where_key(file, subject);
    fputs(" ORDER BY ", file);
    for (int i = 0; i < subject->block->key_column_count; i++)
        fprintf(file, "%st.%s", i ? ", " : "", subject->table->columns[subject->block->key_columns[i]].name);
    fprintf(file, " FOR %s OF t NOWAIT) AS l", hard ? "UPDATE" : "NO KEY UPDATE");
}

/* DELETE_SET: the text of the value is the one of the mapping file, so it stands in the statement as a literal. */
static void write_delete(FILE *file, const struct subject *subject)
{
    if (subject->block->delete == DELETE_SET) {
        fprintf(file, "UPDATE %s AS t SET %s = '", subject->table->name, subject->table->delete_column->name);
        for (const char *at = subject->block->delete_value; *at; at++)
            fputs(*at == '\'' ? "''" : (char[]){ *at, '\0' }, file);
        fprintf(file, "'::text::%s FROM ", subject->table->delete_column->type);
    } else {
        fprintf(file, "DELETE FROM %s AS t USING ", subject->table->name);
    }
    write_source(file, subject, false);
    fputs(" WHERE ", file);
    write_where_key(file, subject);
    write_where_block(file, subject);
    fputs(" RETURNING k.n", file);
}

/* Whether all columns of an identifier are among those written. */
static bool unit_in_set(const struct subject *subject, const struct catalog_unit *unit)
{
    const struct mapping_block *block = subject->block;

    for (uint16_t i = 0; i < unit->field_count; i++) {
        const struct mapping_field *field = NULL;

        for (uint16_t f = 0; f < block->field_count; f++)
            if (block->fields[f].field == unit->fields[i])
                field = &block->fields[f];
        for (uint8_t c = 0; field && c < field->column_count; c++)
            if (!column_set_has(subject->set, field->columns[c]))
                return false;
        if (!field)
            return false;
    }
    return true;
}

static bool unit_has_column(const struct mapping_block *block, uint16_t unit, uint16_t column)
{
    for (uint16_t f = 0; f < block->field_count; f++)
        for (uint8_t c = 0;
             block->type->fields[block->fields[f].field].unit == unit && c < block->fields[f].column_count; c++)
            if (block->fields[f].columns[c] == column)
                return true;
    return false;
}

/* "(t.a = k.v0::x AND t.b = k.v1::y OR t.c = k.v2::z)": by one of the type's identifiers; what a constant says is so in
 * every row. Without any that can be told: "false". */
static void write_where_identifier(FILE *file, const struct subject *subject)
{
    const struct catalog_type *type = subject->block->type;
    const char * or = "";

    fputc('(', file);
    for (uint16_t u = 0; u < type->unit_count; u++) {
        const char *and = "";

        if (!type->units[u].identifier || !unit_in_set(subject, &type->units[u]))
            continue;
        for (uint16_t i = 0; i < subject->block->column_count; i++) {
            if (!unit_has_column(subject->block, u, i))
                continue;
            fprintf(file, "%st.%s = k.v%d::%s", and[0] ? and : or, subject->table->columns[i].name, i,
                    subject->table->columns[i].type);
            and = " AND ";
        }
        or = and[0] ? " OR " : or ;
    }
    fputs(or [0] ? ")" : "false)", file);
}

/* " t.id" for each column of the key, and how they are called in what follows. */
static void write_key_list(FILE *file, const struct subject *subject, const char *format)
{
    for (int i = 0; i < subject->block->key_column_count; i++) {
        fputs(i > 0 ? ", " : "", file);
        for (const char *at = format; *at; at++)
            if (*at == '%')
                fputs(subject->table->columns[subject->block->key_columns[i]].name, file);
            else if (*at == '#')
                fprintf(file, "%d", i);
            else
                fputc(*at, file);
    }
}

/* One row. By its key ($sure: the broker says that it is this record's; our own links may say what was true once, so
 * the row must not be another record's by what identifies it), else by an identifier: a row of the block, or one that
 * is not and the only one. Else a new one. */
static void write_make(FILE *file, const struct subject *subject, bool insert)
{
    bool blocked = subject->block->where_count > 0;

    fputs("WITH k AS MATERIALIZED (SELECT * FROM ", file);
    write_source(file, subject, true);
    fputs("), f AS MATERIALIZED (SELECT ", file);
    write_key_list(file, subject, "t.%");
    fprintf(file, " FROM k JOIN %s AS t ON ", subject->table->name);
    write_where_key(file, subject);
    fputs(" WHERE k.sure OR ", file);
    write_where_identifier(file, subject);
    fputs("), g AS MATERIALIZED (SELECT ", file);
    write_key_list(file, subject, "t.%");
    fprintf(file, " FROM k JOIN %s AS t ON ", subject->table->name);
    write_where_identifier(file, subject);
    write_where_block(file, subject);
    fputs(" WHERE NOT EXISTS (SELECT FROM f))", file);
    if (blocked) {
        fputs(", o AS MATERIALIZED (SELECT ", file);
        write_key_list(file, subject, "t.%");
        fprintf(file, " FROM k JOIN %s AS t ON ", subject->table->name);
        write_where_identifier(file, subject);
        fputs(" WHERE NOT EXISTS (SELECT FROM f) AND NOT EXISTS (SELECT FROM g))", file);
    }
    fputs(", h AS MATERIALIZED (SELECT * FROM f UNION ALL SELECT * FROM g", file);
    if (blocked) /* of many that are not the block's none is more right than a new one */
        fprintf(file, " UNION ALL SELECT * FROM o%s", insert ? " WHERE (SELECT pg_catalog.count(*) FROM o) = 1" : "");
    fprintf(file, "), u AS (UPDATE %s AS t SET ", subject->table->name);
    write_set(file, subject);
    fputs(" FROM k, h WHERE ", file);
    for (int i = 0; i < subject->block->key_column_count; i++) {
        const char *name = subject->table->columns[subject->block->key_columns[i]].name;

        fprintf(file, "%st.%s = h.%s", i > 0 ? " AND " : "", name, name);
    }
    fputs(" AND (SELECT pg_catalog.count(*) FROM h) = 1 RETURNING ", file);
    write_key_list(file, subject, "t.%::text AS r#");
    fputc(')', file);
    if (insert) {
        fputs(", i AS (", file);
        write_insert_head(file, subject);
        fputs("k WHERE NOT EXISTS (SELECT FROM h) RETURNING ", file);
        write_key_list(file, subject, "t.%::text AS r#");
        fputc(')', file);
    }
    fputs(" SELECT c.n, r.* FROM (SELECT pg_catalog.count(*) AS n FROM h) AS c LEFT JOIN (SELECT * FROM u", file);
    fputs(insert ? " UNION ALL SELECT * FROM i) AS r ON true" : ") AS r ON true", file);
}

void apply_text(FILE *file, const struct subject *subject, enum apply_kind kind, bool hard)
{
    switch (kind) {
    case APPLY_LOCK:
        write_lock(file, subject, hard);
        break;
    case APPLY_UPDATE:
        write_update(file, subject, NULL, false);
        break;
    case APPLY_ENTER:
        write_update(file, subject, NULL, true);
        break;
    case APPLY_INSERT:
        write_insert_head(file, subject);
        write_source(file, subject, true);
        write_on_conflict(file, subject);
        break;
    case APPLY_TAKE:
        fputs("WITH k AS MATERIALIZED (SELECT * FROM ", file);
        write_source(file, subject, true);
        fputs("), u AS (", file);
        write_update(file, subject, "k", true);
        fputs(") ", file);
        write_insert_head(file, subject);
        fputs("k WHERE k.n NOT IN (SELECT u.n FROM u)", file);
        write_on_conflict(file, subject);
        break;
    case APPLY_MAKE:
    case APPLY_JOIN:
        write_make(file, subject, kind == APPLY_MAKE);
        break;
    case APPLY_DELETE:
        write_delete(file, subject);
        break;
    case APPLY_NOTHING:
        break;
    }
}
