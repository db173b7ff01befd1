/* The ledger's entries. */
#include "cli/query_run.h"

#include <inttypes.h>

/* The statement joins each entry with its fields: as many rows as fields, or one for an entry without any. Bytes come
 * only with the first row of an entry. */
static void entries_read(struct arena *arena, const PGresult *result, struct ledger *ret)
{
    int rows = PQntuples(result);

    ret->entries = arena_array(arena, (size_t)rows + 1, sizeof *ret->entries);
    for (int row = 0; row < rows; row++) {
        feed_position position = (feed_position)cell_number(result, row, 0);
        struct ledger_entry *entry = ret->count ? &ret->entries[ret->count - 1] : NULL;

        if (!entry || entry->position != position) {
            entry = &ret->entries[ret->count++];
            *entry = (struct ledger_entry){
                .position = position,
                .time_us = cell_number(result, row, 1),
                .kind = cell_text(arena, result, row, 2),
                .agency = cell_text(arena, result, row, 3),
                .type = cell_text(arena, result, row, 4),
                .record = (uint64_t)cell_number(result, row, 5),
                .other = (uint64_t)cell_number(result, row, 6),
                .operation = cell_text(arena, result, row, 7),
            };
            entry->has_body = cell_bytes(arena, result, row, 8, &entry->body);
            entry->has_reply = cell_bytes(arena, result, row, 9, &entry->reply);
            entry->fields = arena_array(arena, (size_t)cell_number(result, row, 10) + 1, sizeof *entry->fields);
        }
        if (!PQgetisnull(result, row, 11))
            entry->fields[entry->field_count++] =
                (struct ledger_field){ cell_text(arena, result, row, 11), cell_text(arena, result, row, 12),
                                       cell_text(arena, result, row, 13) };
    }
}

int db_entries(struct db *db, struct arena *arena, const struct ledger_filter *filter, struct ledger *ret,
               struct error *err)
{
    /* One more than wanted, to know whether there are more. */
    static const char sql[] =
        "SELECT e.position, (extract(epoch FROM e.time) * 1000000)::bigint, e.kind, e.agency, e.type, e.record, "
        "e.other,"
        "       e.operation, CASE WHEN f.place IS NULL OR f.place = 1 THEN e.body END,"
        "       CASE WHEN f.place IS NULL OR f.place = 1 THEN e.reply END,"
        "       cardinality(e.fields), f.name, f.verdict, f.rule"
        "  FROM (SELECT * FROM selaras.entry"
        "         WHERE ($1::bigint IS NULL OR record = $1)"
        "           AND ($2::text IS NULL OR agency = $2)"
        "           AND ($3::text IS NULL OR $3 = ANY (verdicts))"
        "           AND ($4::text IS NULL OR kind = $4)"
        "           AND ($5::bigint IS NULL OR time >= timestamptz 'epoch' + $5 * interval '1 microsecond')"
        "           AND ($6::bigint IS NULL OR time < timestamptz 'epoch' + $6 * interval '1 microsecond')"
        "         ORDER BY position DESC LIMIT $7) e"
        "  LEFT JOIN LATERAL unnest(e.fields, e.verdicts, e.rules) WITH ORDINALITY AS f(name, verdict, rule, place) ON "
        "true"
        " ORDER BY e.position, f.place";
    const char *parameters[] = {
        filter->record ? arena_printf(arena, "%" PRIu64, filter->record) : NULL,
        filter->agency,
        filter->verdict,
        filter->kind,
        filter->since ? arena_printf(arena, "%" PRId64, filter->since_us) : NULL,
        filter->until ? arena_printf(arena, "%" PRId64, filter->until_us) : NULL,
        arena_printf(arena, "%d", filter->limit + 1),
    };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 7, &result, err) < 0)
        return err->code;
    *ret = (struct ledger){ 0 };
    entries_read(arena, result, ret);
    if (ret->count > filter->limit) {
        ret->more = true;
        ret->entries++;
        ret->count--;
    }
    return 0;
}
