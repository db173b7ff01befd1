/* What is asked of one record: its values, who gave them, what of it was for one agency alone. */
#include "cli/query_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FIELDS_MAX = CATALOG_FIELDS_MAX + 1, REPLIES_MAX = 1000 };

/* A name of the catalog ([a-z][a-z0-9_]*) as an SQL identifier: quoted, since it may be a key word. */
static const char *column_name(struct arena *arena, const char *name)
{
    return arena_printf(arena, "\"%s\"", name);
}

int db_record_find(struct db *db, struct arena *arena, const struct catalog_type *type, const struct catalog_unit *unit,
                   const struct value *values, uint64_t *ret, struct error *err)
{
    const char *parameters[KEY_FIELDS_MAX], *sql;
    scoped(result_clear) PGresult *result = NULL;

    sql = arena_printf(arena, "SELECT number FROM selaras.%s WHERE true", column_name(arena, type->name));
    for (uint16_t i = 0; i < unit->field_count; i++) {
        sql =
            arena_printf(arena, "%s AND %s = $%u", sql, column_name(arena, type->fields[unit->fields[i]].name), i + 1u);
        parameters[i] = arena_copy(arena, values[i].bytes, values[i].length);
    }
    sql = arena_printf(arena, "%s ORDER BY exists DESC, number LIMIT 1", sql);
    if (query_run(db->connection, sql, parameters, unit->field_count, &result, err) < 0)
        return err->code;
    *ret = PQntuples(result) ? (uint64_t)cell_number(result, 0, 0) : 0;
    return 0;
}

static const char *record_sql(struct arena *arena, const struct catalog_type *type)
{
    const char *columns = "\"exists\"";

    for (int i = 0; i < type->field_count; i++)
        columns = arena_printf(arena, "%s, %s::text", columns, column_name(arena, type->fields[i].name));
    return arena_printf(arena, "SELECT %s FROM selaras.%s WHERE number = $1", columns, column_name(arena, type->name));
}

int db_record(struct db *db, struct arena *arena, const struct catalog_type *type, uint64_t number,
              struct value *values, bool *ret_found, bool *ret_exists, struct error *err)
{
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, number) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, record_sql(arena, type), parameters, 1, &result, err) < 0)
        return err->code;
    *ret_found = PQntuples(result);
    if (!*ret_found)
        return 0;
    *ret_exists = cell_true(result, 0, 0);
    for (int i = 0; i < type->field_count; i++) {
        const struct catalog_field *field = &type->fields[i];
        const char *text = cell_text(arena, result, 0, i + 1);

        values[i] = value_null();
        if (text && value_parse(arena, field->type, field->scale, text, strlen(text), &values[i], err) < 0)
            return error_wrap(err, "selaras.%s, %s", type->name, field->name);
    }
    return 0;
}

int db_said_of(struct db *db, struct arena *arena, uint64_t record, struct said_of **ret, int *ret_count,
               struct error *err)
{
    static const char sql[] = "SELECT DISTINCT ON (other) other, kind, operation, position, body FROM selaras.entry"
                              " WHERE record = $1 AND other > 0 AND kind IN ($2, $3) ORDER BY other, position DESC";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), entry_kind_name(ENTRY_SAME),
                                 entry_kind_name(ENTRY_DIFFERENT) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 3, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++) {
        struct said_of *said = &(*ret)[row];

        *said = (struct said_of){ .other = (uint64_t)cell_number(result, row, 0),
                                  .same = !strcmp(cell_text(arena, result, row, 1), entry_kind_name(ENTRY_SAME)),
                                  .operation = cell_text(arena, result, row, 2),
                                  .position = (feed_position)cell_number(result, row, 3) };
        said->goes = !strcmp(said->operation, operation_name(OPERATION_DELETE)) ||
                     !strcmp(said->operation, operation_name(OPERATION_INSERT));
        said->has_body = cell_bytes(arena, result, row, 4, &said->body);
    }
    return 0;
}

/* Columns: field, position, time, agency, verdict, rule, operation, catalog, body. */
static void writes_read(struct arena *arena, const PGresult *result, struct last_write **ret, int *ret_count)
{
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++) {
        (*ret)[row] = (struct last_write){
            .field = cell_text(arena, result, row, 0),
            .position = (feed_position)cell_number(result, row, 1),
            .time_us = cell_number(result, row, 2),
            .agency = cell_text(arena, result, row, 3),
            .verdict = cell_text(arena, result, row, 4),
            .rule = cell_text(arena, result, row, 5),
            .operation = cell_text(arena, result, row, 6),
            .catalog = (uint32_t)cell_number(result, row, 7),
        };
        (*ret)[row].has_body = cell_bytes(arena, result, row, 8, &(*ret)[row].body);
    }
}

int db_last_writes(struct db *db, struct arena *arena, uint64_t record, struct last_write **ret, int *ret_count,
                   struct error *err)
{
    static const char sql[] =
        "SELECT w.name, w.position, (extract(epoch FROM e.time) * 1000000)::bigint, e.agency, w.verdict, w.rule, "
        "e.operation, e.catalog, e.body"
        "  FROM (SELECT DISTINCT ON (f.name) f.name, f.verdict, f.rule, e.position"
        "          FROM selaras.entry e, unnest(e.fields, e.verdicts, e.rules) AS f(name, verdict, rule)"
        "         WHERE e.record = $1 AND f.verdict IN ($2, $3) ORDER BY f.name, e.position DESC LIMIT $4) w"
        "  JOIN selaras.entry e ON e.position = w.position ORDER BY w.position, w.name";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), verdict_name(VERDICT_APPLIED),
                                 verdict_name(VERDICT_WON), arena_printf(arena, "%d", 2 * FIELDS_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 4, &result, err) < 0)
        return err->code;
    writes_read(arena, result, ret, ret_count);
    return 0;
}

int db_field_entries(struct db *db, struct arena *arena, uint64_t record, const char *field, int limit,
                     struct last_write **ret, int *ret_count, struct error *err)
{
    static const char sql[] =
        "SELECT f.name, e.position, (extract(epoch FROM e.time) * 1000000)::bigint, e.agency, f.verdict, f.rule, "
        "e.operation, e.catalog, e.body"
        "  FROM selaras.entry e, unnest(e.fields, e.verdicts, e.rules) AS f(name, verdict, rule)"
        " WHERE e.record = $1 AND f.name = $2 ORDER BY e.position DESC LIMIT $3";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), field, arena_printf(arena, "%d", limit) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 3, &result, err) < 0)
        return err->code;
    writes_read(arena, result, ret, ret_count);
    return 0;
}

int db_altered(struct db *db, struct arena *arena, uint64_t record, struct altered_row **ret, int *ret_count,
               struct error *err)
{
    static const char sql[] = "SELECT a.name, x.field, (extract(epoch FROM x.since) * 1000000)::bigint"
                              "  FROM selaras.altered x JOIN selaras.agency a ON a.id = x.agency WHERE x.record = $1"
                              " LIMIT $2";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), arena_printf(arena, "%d", REPLIES_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++)
        (*ret)[row] = (struct altered_row){ .agency = cell_text(arena, result, row, 0),
                                            .field = cell_text(arena, result, row, 1),
                                            .since_us = cell_number(result, row, 2) };
    return 0;
}

int db_helds(struct db *db, struct arena *arena, uint64_t record, struct held_row **ret, int *ret_count,
             struct error *err)
{
    static const char sql[] = "SELECT a.name, d.unit, d.hold, d.entry FROM selaras.held d"
                              "  JOIN selaras.hold h ON h.number = d.hold JOIN selaras.agency a ON a.id = h.agency"
                              " WHERE d.record = $1 AND d.settled IS NULL ORDER BY d.hold LIMIT $2";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), arena_printf(arena, "%d", REPLIES_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++)
        (*ret)[row] = (struct held_row){ .agency = cell_text(arena, result, row, 0),
                                         .unit = cell_text(arena, result, row, 1),
                                         .hold = (uint64_t)cell_number(result, row, 2),
                                         .position = (feed_position)cell_number(result, row, 3) };
    return 0;
}

int db_replies(struct db *db, struct arena *arena, uint64_t record, struct reply_row **ret, int *ret_count,
               struct error *err)
{
    static const char sql[] = "SELECT agency, position, reply FROM selaras.entry WHERE record = $1 AND reply <> ''"
                              " ORDER BY position DESC LIMIT $2";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, record), arena_printf(arena, "%d", REPLIES_MAX) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++) {
        (*ret)[row].agency = cell_text(arena, result, row, 0);
        (*ret)[row].position = (feed_position)cell_number(result, row, 1);
        (void)cell_bytes(arena, result, row, 2, &(*ret)[row].reply);
    }
    return 0;
}

int db_applied_at(struct db *db, const char *agency, feed_position position, int64_t *ret_us, struct error *err)
{
    static const char sql[] = "SELECT (extract(epoch FROM p.time) * 1000000)::bigint FROM selaras.applied p JOIN "
                              "selaras.agency a ON a.id = p.agency"
                              " WHERE a.name = $1 AND p.position >= $2 ORDER BY p.position LIMIT 1";
    char number[24];
    const char *parameters[] = { agency, number };
    scoped(result_clear) PGresult *result = NULL;

    snprintf(number, sizeof number, "%" PRIu64, position);
    if (query_run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_us = PQntuples(result) ? cell_number(result, 0, 0) : 0;
    return 0;
}
