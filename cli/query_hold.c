/* What waits for a person. */
#include "cli/query_run.h"

#include <inttypes.h>

int db_holds(struct db *db, struct arena *arena, uint64_t number, const char *agency, struct hold_view **ret,
             int *ret_count, struct error *err)
{
    static const char sql[] =
        "SELECT h.number, a.name, h.type, h.unit, h.cause, h.reason, h.entry,"
        "       (extract(epoch FROM h.opened_at) * 1000000)::bigint, (extract(epoch FROM h.closed_at) * "
        "1000000)::bigint,"
        "       h.decision, h.decided_by, h.ground,"
        "       (SELECT pg_catalog.count(*) FROM selaras.held d WHERE d.hold = h.number AND d.settled IS NULL)"
        "  FROM selaras.hold h JOIN selaras.agency a ON a.id = h.agency"
        " WHERE CASE WHEN $1::bigint IS NULL THEN h.closed_at IS NULL ELSE h.number = $1 END"
        "   AND ($2::text IS NULL OR a.name = $2) ORDER BY h.number";
    const char *parameters[] = { number ? arena_printf(arena, "%" PRIu64, number) : NULL, agency };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++)
        (*ret)[row] = (struct hold_view){
            .number = (uint64_t)cell_number(result, row, 0),
            .agency = cell_text(arena, result, row, 1),
            .type = cell_text(arena, result, row, 2),
            .unit = cell_text(arena, result, row, 3),
            .cause = cell_text(arena, result, row, 4),
            .reason = cell_text(arena, result, row, 5),
            .position = (feed_position)cell_number(result, row, 6),
            .opened_us = cell_number(result, row, 7),
            .closed_us = cell_number(result, row, 8),
            .decision = cell_text(arena, result, row, 9),
            .decided_by = cell_text(arena, result, row, 10),
            .ground = cell_text(arena, result, row, 11),
            .held = (uint64_t)cell_number(result, row, 12),
        };
    return 0;
}

int db_hold_counts(struct db *db, struct arena *arena, uint64_t number, struct hold_count **ret, int *ret_count,
                   struct error *err)
{
    static const char sql[] = "SELECT unit, operation, coalesce(settled, 'held'), pg_catalog.count(*)"
                              "  FROM selaras.held WHERE hold = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, number) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 1, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++)
        (*ret)[row] = (struct hold_count){
            .unit = cell_text(arena, result, row, 0),
            .operation = cell_text(arena, result, row, 1),
            .state = cell_text(arena, result, row, 2),
            .count = (uint64_t)cell_number(result, row, 3),
        };
    return 0;
}

int db_hold_samples(struct db *db, struct arena *arena, uint64_t number, int limit, struct hold_sample **ret,
                    int *ret_count, struct error *err)
{
    static const char sql[] =
        "SELECT d.record, d.unit, d.entry, (extract(epoch FROM e.commit_time) * 1000000)::bigint, e.operation, e.body,"
        " pg_catalog.array_to_string(d.others, ', ')  FROM selaras.held d JOIN selaras.entry e ON e.position = d.entry"
        " WHERE d.hold = $1 AND d.settled IS NULL ORDER BY d.record, d.unit LIMIT $2";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, number), arena_printf(arena, "%d", limit) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret_count = PQntuples(result);
    *ret = arena_array(arena, (size_t)*ret_count + 1, sizeof **ret);
    for (int row = 0; row < *ret_count; row++) {
        struct hold_sample *sample = &(*ret)[row];

        *sample = (struct hold_sample){
            .record = (uint64_t)cell_number(result, row, 0),
            .unit = cell_text(arena, result, row, 1),
            .position = (feed_position)cell_number(result, row, 2),
            .time_us = cell_number(result, row, 3),
            .operation = cell_text(arena, result, row, 4),
        };
        sample->others = cell_text(arena, result, row, 6);
        sample->has_body = cell_bytes(arena, result, row, 5, &sample->body);
    }
    return 0;
}
