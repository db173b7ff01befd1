/* A batch row by row, each under a savepoint: what the database refuses is parked, the rest takes effect. */
#include "agents/postgres/apply_batch.h"
#include "agents/postgres/notice.h"

#include <string.h>

enum { WAVE_ROWS = 256 }; /* statements on their way */

/* One row of the present wave. */
struct row_try {
    struct apply_batch *batch;
    struct apply_row *row;
    int result; /* index of its statement's */
};

static void wave(struct apply_batch *batch);

static void rows_failed(struct apply_batch *batch, const struct error *err)
{
    pg_hold(batch->work->pg, false);
    pg_statement(batch->work->pg, "ROLLBACK", false, NULL);
    pg_sync(batch->work->pg, NULL, NULL);
    batch_give_up(batch, err);
}

/* It is parked: neither skipped nor written. */
static void row_refused(struct apply_batch *batch, struct apply_row *row, const char *reason)
{
    batch_park_new(batch, row->net, reason);
    row->met = true;
    row->kind = APPLY_NOTHING;
}

static void on_row(void *context, const struct pg_outcome *outcome)
{
    struct row_try *try = context;
    struct apply_batch *batch = try->batch;

    batch->waiting--;
    if (outcome->ok) {
        if (apply_meets(try->row->kind))
            batch_note_met(batch, outcome->results[try->result]);
        if (apply_makes(try->row->kind))
            batch_made(batch, outcome->results[try->result], try->row);
        if (apply_is_homeless(batch->work->sql, try->row))
            row_refused(batch, try->row, apply_homeless(batch->arena, batch->work->sql, try->row));
    } else if (work_refused(outcome)) {
        row_refused(batch, try->row, work_reason(batch->arena, outcome));
        batch->parks[batch->park_count - 1].collided = strcmp(outcome->sqlstate, "23505") == 0;
    } else if (batch->trouble.code == 0) {
        batch->trouble = outcome->err;
    }
    if (batch->waiting > 0)
        return;
    if (batch->trouble.code != 0)
        rows_failed(batch, &batch->trouble);
    else
        wave(batch);
}

/* What the unit before it left, if it failed, is undone first; what it did, if it did not, is behind the savepoint. */
static void queue_row(struct apply_batch *batch, struct apply_row *row)
{
    struct row_try *try = arena_alloc(batch->arena, sizeof *try);
    struct pg *pg = batch->work->pg;

    *try = (struct row_try){ .batch = batch, .row = row };
    pg_statement(pg, "ROLLBACK TO SAVEPOINT item", false, NULL);
    if (batch->lock_each && row->key)
        apply_queue_lock(batch->work->sql, pg, &row, 1, true);
    try->result =
        1 + (batch->lock_each && row->key) + (int)notice_queue(pg, batch->work->mapping, batch->work->inspection, row);
    apply_queue(batch->work->sql, pg, &row, 1);
    pg_statement(pg, "RELEASE SAVEPOINT item", false, NULL);
    pg_statement(pg, "SAVEPOINT item", false, NULL);
    pg_sync(pg, on_row, try);
    batch->waiting++;
}

static bool in_wave(const struct apply_batch *batch, uint32_t first_row, const struct item *item)
{
    for (uint32_t i = first_row; i < batch->row_count; i++)
        if (batch->rows[i]->net->record == item->record ||
            item_refers_to(batch->work->mapping, item, batch->rows[i]->net))
            return true;
    return false;
}

/* Makes the next item's row and queues it, or parks it. ERR_STOP when the broker fed what is not in the mapping. */
static int row_next(struct apply_batch *batch, struct error *err)
{
    const struct item *item = batch->normal[batch->next];
    struct apply_row **row = &batch->rows[batch->row_count];
    struct net *net;
    struct park *park;

    if (net_new(batch->arena, batch->work->mapping, item, &net, err) < 0)
        return err->code;
    batch->next++;
    batch_key_find(batch, net);
    batch_references_find(batch, net);
    park = batch_park_find(batch, net->block, net->record);
    if (park)
        return net_add(batch->arena, batch->work->mapping, park->net, item, err);
    if (apply_row_make(batch->arena, batch->work->sql, net, batch->row_count, row, err) < 0) {
        batch_park_new(batch, net, arena_copy(batch->arena, err->text, strlen(err->text)));
        return 0;
    }
    batch->row_count++;
    if ((*row)->kind != APPLY_NOTHING)
        queue_row(batch, *row);
    return 0;
}

static void on_exchanged(struct apply_batch *batch, const struct error *err)
{
    struct error why = *err;

    if (why.code != 0) {
        rows_failed(batch, &why);
        return;
    }
    pg_hold(batch->work->pg, false);
    batch_conclude(batch);
}

/* Sends rows without waiting for each, but never a second item of a record, nor one that refers to it, before it is
 * known what became of the first.
 */
static void wave(struct apply_batch *batch)
{
    uint32_t first_row = batch->row_count;
    struct error err = { 0 };

    while (batch->next < batch->normal_count && batch->waiting < WAVE_ROWS &&
           (batch->waiting == 0 || !in_wave(batch, first_row, batch->normal[batch->next]))) {
        if (row_next(batch, &err) == 0)
            continue;
        batch->trouble = err;
        if (batch->waiting == 0)
            rows_failed(batch, &err);
        return;
    }
    if (batch->waiting > 0 || batch_exchange(batch, on_exchanged))
        return;
    pg_statement(batch->work->pg, "ROLLBACK TO SAVEPOINT item", false, NULL);
    pg_sync(batch->work->pg, NULL, NULL);
    pg_hold(batch->work->pg, false);
    batch_conclude(batch);
}

/* A key that another agency chose may be nothing that this column can hold: then it is not known whose it is before
 * each row is locked by itself. */
static void on_rows_locked(void *context, const struct pg_outcome *outcome)
{
    struct apply_batch *batch = context;

    if (!outcome->ok && work_refused(outcome) && !batch->lock_each) {
        batch->lock_each = true;
        work_reset(batch->work);
        batch_rows_start(batch);
        return;
    }
    if (!outcome->ok) {
        batch_give_up(batch, &outcome->err);
        return;
    }
    pg_hold(batch->work->pg, true);
    wave(batch);
}

/* A deferred constraint is checked at its row, so that it is that row which is parked. */
void batch_rows_start(struct apply_batch *batch)
{
    struct apply_row **rows;
    uint32_t count = 0;
    struct error ignored;

    batch_pass_start(batch, true);
    rows = arena_array(batch->arena, batch->count + 1u, sizeof *rows);
    for (uint32_t i = 0; i < batch->normal_count; i++) {
        struct net *net;

        if (net_new(batch->arena, batch->work->mapping, batch->normal[i], &net, &ignored) < 0)
            continue;
        batch_key_find(batch, net);
        batch_references_find(batch, net);
        if (apply_row_make(batch->arena, batch->work->sql, net, 0, &rows[count], &ignored) == 0)
            count++;
    }
    work_begin(batch->work, batch->position);
    pg_statement(batch->work->pg, "SET CONSTRAINTS ALL IMMEDIATE", false, NULL);
    if (!batch->lock_each)
        batch_queue_locks(batch, rows, count);
    pg_statement(batch->work->pg, "SAVEPOINT item", false, NULL);
    pg_sync(batch->work->pg, on_rows_locked, batch);
}
