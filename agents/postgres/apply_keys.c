/* Keys that this database makes for rows that we add: found again by record until the broker knows them, and told to
 * it.
 */
#include "agents/postgres/apply_batch.h"

#include <stdlib.h>
#include <string.h>

static int compare_made(const void *left, const void *right)
{
    const struct made_key *a = left, *b = right;

    if (a->block != b->block)
        return a->block < b->block ? -1 : 1;
    return (a->record > b->record) - (a->record < b->record);
}

/* In the pass row by row an item may be about a row that one before it has made. */
static const struct text *made_find(const struct apply_batch *batch, uint16_t block, uint64_t record)
{
    for (uint32_t i = batch->made_count; i > 0; i--)
        if (batch->made[i - 1].block == block && batch->made[i - 1].record == record)
            return &batch->made[i - 1].key;
    return NULL;
}

const struct text *batch_key_of(const struct apply_batch *batch, uint16_t block, uint64_t record)
{
    struct made_key wanted = { .block = block, .record = record };
    const struct text *made = made_find(batch, block, record);
    const struct made_key *known;

    if (made)
        return made;
    known = batch->key_count > 0 ? bsearch(&wanted, batch->keys, batch->key_count, sizeof wanted, compare_made) : NULL;
    return known ? &known->key : NULL;
}

void batch_key_find(const struct apply_batch *batch, struct net *net)
{
    const struct text *key;

    if (net->key.length > 0 || !batch->work->mapping->blocks[net->block].generated)
        return;
    key = batch_key_of(batch, net->block, net->record);
    if (!key)
        return;
    net->key = *key;
    net->key_of_ours = true;
}

static void made_add(struct apply_batch *batch, const struct apply_row *row, struct text key)
{
    batch->made[batch->made_count++] =
        (struct made_key){ .block = row->net->block, .record = row->net->record, .row = row->number, .key = key };
}

/* What the broker does not know yet is told: it takes it from the stream, where this transaction stands. */
bool batch_made(struct apply_batch *batch, const PGresult *result, struct apply_row *row)
{
    struct net *net = row->net;
    const char *block = batch->work->mapping->blocks[net->block].name;
    bool known;

    if (!apply_made(batch->arena, batch->work->sql, result, row))
        return false;
    known = net->key.length > 0 && !net->key_of_ours && net->key.length == row->made.length &&
            memcmp(net->key.bytes, row->made.bytes, row->made.length) == 0;
    if (known)
        return true;
    made_add(batch, row, row->made);
    batch->reports[batch->report_count++] = (struct report){
        .kind = REPORT_LINKED,
        .record = net->record,
        .position = net->position,
        .block = { block, (uint32_t)strlen(block) },
        .text = row->made,
    };
    return true;
}

static int compare_made_rows(const void *left, const void *right)
{
    const struct made_key *a = left, *b = right;
    int order = compare_made(a, b);

    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

/* A record that came, went or came again more than once, as it may row by row: selaras.link is told once, what became
 * of it last. */
static void made_settle(struct apply_batch *batch)
{
    uint32_t kept = 0;

    qsort(batch->made, batch->made_count, sizeof *batch->made, compare_made_rows);
    for (uint32_t i = 0; i < batch->made_count; i++) {
        if (kept > 0 && compare_made(&batch->made[kept - 1], &batch->made[i]) == 0)
            kept--;
        batch->made[kept++] = batch->made[i];
    }
    batch->made_count = kept;
}

void batch_keys_settle(struct apply_batch *batch)
{
    for (uint32_t i = 0; i < batch->row_count; i++) {
        const struct mapping_block *block = &batch->work->mapping->blocks[batch->rows[i]->net->block];

        if (batch->rows[i]->kind == APPLY_DELETE && block->generated && block->delete == DELETE_ROW)
            made_add(batch, batch->rows[i], (struct text){ 0 });
    }
    made_settle(batch);
}

/* What goes on once the keys are known. */
struct question {
    struct apply_batch *batch;
    void (*then)(struct apply_batch *batch);
};

const char sql_link_keys[] = "SELECT l.block, l.record, l.key FROM selaras.link l"
                             " JOIN unnest($1::text[], $2::int8[]) AS k(block, record) USING (block, record)";

static void on_keys(void *context, const struct pg_outcome *outcome)
{
    struct question *question = context;
    struct apply_batch *batch = question->batch;
    const PGresult *result;
    int rows;

    if (!outcome->ok) {
        batch_finish(batch, &outcome->err);
        return;
    }
    result = outcome->results[0];
    rows = PQntuples(result);
    batch->keys = arena_array(batch->keys_arena, (size_t)rows + 1, sizeof *batch->keys);
    for (int row = 0; row < rows; row++) {
        struct text block = { PQgetvalue(result, row, 0), (uint32_t)PQgetlength(result, row, 0) };
        uint32_t length = (uint32_t)PQgetlength(result, row, 2);

        batch->keys[batch->key_count++] =
            (struct made_key){ .block = (uint16_t)mapping_block_named(batch->work->mapping, block),
                               .record = (uint64_t)pg_result_int8(result, row, 1),
                               .key = { arena_copy(batch->keys_arena, PQgetvalue(result, row, 2), length), length } };
    }
    qsort(batch->keys, batch->key_count, sizeof *batch->keys, compare_made);
    question->then(batch);
}

static uint32_t item_references_ask(const struct mapping *mapping, const struct mapping_block *block,
                                    const struct item *item, struct pg_array *blocks, struct pg_array *records)
{
    struct value fields[BLOCK_FIELDS_MAX] = { 0 };
    bool refers = false;

    for (uint16_t i = 0; i < item->field_count; i++) {
        int field = mapping_field_named(block, item->fields[i].name);

        if (field < 0 || !block->fields[field].refers)
            continue;
        fields[field] = item->fields[i].value;
        refers = true;
    }
    return refers ? references_ask(mapping, block, fields, blocks, records) : 0;
}

bool batch_keys_ask(struct apply_batch *batch, void (*then)(struct apply_batch *batch))
{
    struct pg_array blocks = { 0 }, records = { 0 };
    struct pg_parameters parameters = { 0 };
    struct question *question = arena_alloc(batch->keys_arena, sizeof *question);
    uint32_t count = 0;

    *question = (struct question){ .batch = batch, .then = then };
    pg_array_start(&blocks, PG_OID_TEXT);
    pg_array_start(&records, PG_OID_INT8);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct item *item = batch->items[i];
        int block = mapping_block_named(batch->work->mapping, item->block);

        if (block >= 0)
            count += item_references_ask(batch->work->mapping, &batch->work->mapping->blocks[block], item, &blocks,
                                         &records);
        if (block < 0 || item->key.length > 0 || !batch->work->mapping->blocks[block].generated)
            continue;
        pg_array_bytes(&blocks, item->block.bytes, item->block.length);
        pg_array_int8(&records, (int64_t)item->record);
        count++;
    }
    if (count > 0) {
        pg_array_parameter(&parameters, &blocks);
        pg_array_parameter(&parameters, &records);
        pg_statement(batch->work->pg, sql_link_keys, true, &parameters);
        pg_sync(batch->work->pg, on_keys, question);
    }
    pg_array_free(&blocks);
    pg_array_free(&records);
    return count > 0;
}
