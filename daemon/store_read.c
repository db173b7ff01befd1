#include "daemon/store_read.h"

#include <string.h>

struct text read_text(struct arena *arena, const PGresult *result, int row, int column)
{
    int length = PQgetlength(result, row, column);

    return (struct text){ arena_copy(arena, PQgetvalue(result, row, column), (size_t)length), (uint32_t)length };
}

static bool is_known(const struct batch *batch, const struct catalog_type *type, uint64_t number, uint32_t before)
{
    /* Only a fill can find again what was found for another reason: those before it. */
    for (uint32_t i = 0; i < before; i++)
        if (batch->found.records[i]->number == number && batch->found.records[i]->type == type)
            return true;
    return false;
}

int read_records(struct batch *batch, const struct catalog_type *type, const PGresult *result, struct error *err)
{
    struct found *found = &batch->found;
    uint32_t before = found->record_count;
    int rows = PQntuples(result);
    struct canonical **records = arena_array(batch->arena, before + (size_t)rows, sizeof(struct canonical *));

    if (before > 0)
        memcpy(records, found->records, before * sizeof(struct canonical *));
    found->records = records;
    for (int row = 0; row < rows; row++) {
        uint64_t number = (uint64_t)pg_result_int8(result, row, 0);
        struct canonical *record;
        struct text meta;

        if (is_known(batch, type, number, before))
            continue;
        record = canonical_new(batch->arena, type, number);
        record->exists = PQgetvalue(result, row, 1)[0] == 't';
        meta = record->meta = pg_result_bytes(batch->arena, result, row, 2);
        for (uint16_t i = 0; i < type->field_count; i++) {
            struct text text;

            if (PQgetisnull(result, row, i + 3))
                continue;
            text = read_text(batch->arena, result, row, i + 3);
            record->values[i] = (struct value){ .bytes = text.bytes, .length = text.length, .state = VALUE_SET };
        }
        canonical_note_stored(batch->arena, record);
        if (canonical_meta_read(batch->arena, meta.bytes, meta.length, batch->ids, record, err) < 0)
            return err->code;
        found->records[found->record_count++] = record;
    }
    return 0;
}

void read_links(struct arena *arena, const PGresult *result, struct link **links, uint32_t *count)
{
    int rows = PQntuples(result);
    struct link *grown = arena_array(arena, *count + (size_t)rows, sizeof *grown);

    if (*count > 0)
        memcpy(grown, *links, *count * sizeof *grown);
    for (int row = 0; row < rows; row++)
        grown[(*count)++] = (struct link){
            .agency = (uint16_t)pg_result_int8(result, row, 0),
            .block = read_text(arena, result, row, 1),
            .key = read_text(arena, result, row, 2),
            .record = (uint64_t)pg_result_int8(result, row, 3),
            .since = (feed_position)pg_result_int8(result, row, 4),
            .until = (feed_position)pg_result_int8(result, row, 5),
        };
    *links = grown;
}

void read_observed(struct arena *arena, const PGresult *result, struct observed_row **ret, uint32_t *ret_count)
{
    int rows = PQntuples(result);

    *ret = arena_array(arena, (size_t)rows, sizeof **ret);
    *ret_count = (uint32_t)rows;
    for (int row = 0; row < rows; row++)
        (*ret)[row] = (struct observed_row){
            .agency = (uint16_t)pg_result_int8(result, row, 0),
            .block = read_text(arena, result, row, 1),
            .key = read_text(arena, result, row, 2),
            .body = pg_result_bytes(arena, result, row, 3),
        };
}

void read_had(struct arena *arena, const PGresult *result, struct found *found)
{
    found->had_count = (uint32_t)PQntuples(result);
    found->had = arena_array(arena, found->had_count, sizeof *found->had);
    for (uint32_t i = 0; i < found->had_count; i++)
        found->had[i] = (struct had_row){
            .record = (uint64_t)pg_result_int8(result, (int)i, 0),
            .block = read_text(arena, result, (int)i, 1),
            .key = read_text(arena, result, (int)i, 2),
            .base = (feed_position)pg_result_int8(result, (int)i, 3),
            .since = (feed_position)pg_result_int8(result, (int)i, 4),
            .empty = PQgetvalue(result, (int)i, 5)[0] == 't',
        };
}
