/* Rows that stand in each other's way: "the agent applies a cycle through a temporary value, or NULL where allowed".
 *
 * PostgreSQL looks at a unique index row by row, so two people whose numbers were exchanged can neither of them go
 * first. What the pass row by row has refused for that reason is tried once more at its end, all together: first each
 * of these rows gives up what identifies it, then each gets what it is to have. They share what becomes of it. */
#include "agents/postgres/apply_batch.h"
#include "agents/postgres/apply_text.h"
#include "agents/postgres/notice.h"

#include <string.h>

/* One refused row that is tried again. */
struct swap {
    struct apply_row *row, *clear; /* NULL: it has nothing to give up */
    int result;
};

struct swapping {
    struct apply_batch *batch;
    void (*then)(struct apply_batch *batch, const struct error *err);
    struct swap *swaps;
    uint32_t count;
};

static bool column_identifies(const struct mapping_block *block, uint16_t column)
{
    for (uint16_t f = 0; f < block->field_count; f++)
        for (uint8_t c = 0; c < block->fields[f].column_count; c++)
            if (block->fields[f].columns[c] == column)
                return block->type->units[block->type->fields[block->fields[f].field].unit].identifier;
    return false;
}

/* What nobody has: a number, made to look like what stands there. False: nothing of this type is that. */
static bool value_nobodys(struct arena *arena, const struct inspect_column *column, struct value like, uint32_t number,
                          struct value *ret)
{
    int width = (int)like.length;

    while (column->category == 'S' && width > 0 && like.bytes[width - 1] == ' ')
        width--;
    if (column->category == 'N')
        *ret = value_text(arena_printf(arena, "-%u", number));
    else if (column->category == 'S')
        *ret = value_text(arena_printf(arena, "%0*u", width, number));
    else
        return false;
    return column->category == 'N' || (int)ret->length <= width;
}

/* The part of the key that this column is, or -1. */
static int key_part(const struct mapping_block *block, uint16_t column)
{
    for (int i = 0; i < block->key_column_count; i++)
        if (block->key_columns[i] == column)
            return i;
    return -1;
}

/* Makes the row give up what identifies it; where that is its key, it is found by what it has instead. False: it
 * cannot.
 */
static bool clear_make(struct apply_batch *batch, struct swap *swap, uint32_t number)
{
    const struct mapping_block *block = &batch->work->mapping->blocks[swap->row->net->block];
    const struct inspect_table *table = &batch->work->inspection->tables[swap->row->net->block];
    struct apply_row *row = swap->row, *clear = arena_alloc(batch->arena, sizeof *clear);
    struct value *key;

    if (row->kind != APPLY_UPDATE)
        return true; /* there is no row yet */
    *clear = (struct apply_row){ .net = row->net, .kind = APPLY_UPDATE, .key = row->key };
    clear->columns = arena_array(batch->arena, block->column_count, sizeof *clear->columns);
    key = arena_array(batch->arena, block->key_column_count, sizeof *key);
    memcpy(key, row->key, block->key_column_count * sizeof *key);
    for (uint16_t i = 0; i < block->column_count; i++) {
        const struct inspect_column *column = &table->columns[i];
        int part = key_part(block, i);
        struct value like = part >= 0 ? key[part] : row->columns[i];

        if (!column_set_has(&row->set, i) || !column_identifies(block, i) || like.state != VALUE_SET ||
            (part >= 0 && value_equal(row->columns[i], like)))
            continue;
        if (part < 0 && !column->not_null)
            clear->columns[i] = value_null();
        else if (!value_nobodys(batch->arena, column, like, number, &clear->columns[i]))
            return false;
        if (part >= 0)
            key[part] = clear->columns[i];
        clear->set.bits[i / 64] |= UINT64_C(1) << (i % 64);
        swap->clear = clear;
    }
    row->key = key;
    return true;
}

/* They are parked no more. */
static void parks_drop(struct apply_batch *batch)
{
    uint32_t kept = 0, reports = 0;

    for (uint32_t r = 0; r < batch->report_count; r++) {
        bool drop = false;

        for (uint32_t i = 0; i < batch->park_count && batch->reports[r].kind == REPORT_PARKED; i++)
            drop = drop || (batch->parks[i].collided && batch->parks[i].net->record == batch->reports[r].record);
        if (!drop)
            batch->reports[reports++] = batch->reports[r];
    }
    batch->report_count = reports;
    for (uint32_t i = 0; i < batch->park_count; i++)
        if (!batch->parks[i].collided)
            batch->parks[kept++] = batch->parks[i];
    batch->park_count = batch->new_park_count = kept;
}

static bool swaps_met(struct swapping *swapping, const struct pg_outcome *outcome)
{
    bool met = true;

    for (uint32_t i = 0; i < swapping->count; i++) {
        struct swap *swap = &swapping->swaps[i];
        const PGresult *result = outcome->results[swap->result];

        if (apply_makes(swap->row->kind))
            met = batch_made(swapping->batch, result, swap->row) && met;
        else if (apply_meets(swap->row->kind))
            met = met && PQntuples(result) > 0;
    }
    return met;
}

/* They are among what was written, after all. */
static void rows_put_back(const struct swapping *swapping)
{
    struct apply_batch *batch = swapping->batch;

    for (uint32_t i = 0; i < swapping->count; i++) {
        struct apply_row *row = swapping->swaps[i].row;

        row->met = true;
        for (uint32_t r = 0; r < batch->row_count; r++)
            if (batch->rows[r]->net == row->net)
                batch->rows[r] = row;
    }
}

static void on_swapped(void *context, const struct pg_outcome *outcome)
{
    struct swapping *swapping = context;
    struct apply_batch *batch = swapping->batch;
    uint32_t made = batch->made_count, reports = batch->report_count;

    if (outcome->ok && swaps_met(swapping, outcome)) {
        pg_statement(batch->work->pg, "RELEASE SAVEPOINT item", false, NULL);
        pg_statement(batch->work->pg, "SAVEPOINT item", false, NULL);
        rows_put_back(swapping);
        parks_drop(batch);
    } else if (outcome->ok || work_refused(outcome)) {
        batch->made_count = made;
        batch->report_count = reports;
    }
    pg_statement(batch->work->pg, "ROLLBACK TO SAVEPOINT item", false, NULL);
    pg_sync(batch->work->pg, NULL, NULL);
    swapping->then(batch, outcome->ok || work_refused(outcome) ? &(struct error){ 0 } : &outcome->err);
}

static void queue_swaps(struct swapping *swapping)
{
    const struct apply_work *work = swapping->batch->work;
    int statements = 1;

    pg_statement(work->pg, "ROLLBACK TO SAVEPOINT item", false, NULL);
    for (uint32_t i = 0; i < swapping->count; i++) /* what stands there is told before it is given up */
        statements += (int)notice_queue(work->pg, work->mapping, work->inspection, swapping->swaps[i].row);
    for (uint32_t i = 0; i < swapping->count; i++)
        if (swapping->swaps[i].clear) {
            apply_queue(work->sql, work->pg, &swapping->swaps[i].clear, 1);
            statements++;
        }
    for (uint32_t i = 0; i < swapping->count; i++) {
        swapping->swaps[i].result = statements++;
        apply_queue(work->sql, work->pg, &swapping->swaps[i].row, 1);
    }
    pg_sync(work->pg, on_swapped, swapping);
}

bool batch_exchange(struct apply_batch *batch, void (*then)(struct apply_batch *batch, const struct error *err))
{
    struct swapping *swapping = arena_alloc(batch->arena, sizeof *swapping);
    struct error ignored;

    *swapping = (struct swapping){ .batch = batch, .then = then };
    swapping->swaps = arena_array(batch->arena, batch->park_count + 1u, sizeof *swapping->swaps);
    for (uint32_t i = 0; i < batch->park_count; i++) {
        struct swap *swap = &swapping->swaps[swapping->count];

        if (!batch->parks[i].collided)
            continue;
        /* numbered behind all rows of the pass: it is written after them */
        if (apply_row_make(batch->arena, batch->work->sql, batch->parks[i].net, batch->row_count + swapping->count,
                           &swap->row, &ignored) < 0 ||
            swap->row->kind == APPLY_NOTHING || swap->row->kind == APPLY_DELETE ||
            !clear_make(batch, swap, swapping->count + 1))
            return false;
        swapping->count++;
    }
    if (swapping->count == 0)
        return false;
    queue_swaps(swapping);
    return true;
}
