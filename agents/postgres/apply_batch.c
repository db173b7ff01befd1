/* One batch as one transaction.
 *
 * First all of it a set at a time. When the database refuses something of it, the transaction is rolled back and done
 * again row by row under savepoints: what is refused is parked in it, the rest takes effect. What only meets a locked
 * row is rolled back and tried again later: the agency's own work goes first. */
#include "agents/postgres/apply_batch.h"
#include "agents/postgres/notice.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void batch_finish(struct apply_batch *batch, const struct error *err)
{
    batch->done(batch->context, err);
}

/* pg.c has rolled back. */
void batch_give_up(struct apply_batch *batch, const struct error *err)
{
    work_reset(batch->work);
    batch_finish(batch, err);
}

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

/* ---- what becomes of items ---- */

static void report_add(struct apply_batch *batch, enum report_kind kind, const struct net *net, struct text text)
{
    for (uint32_t i = 0; i < batch->report_count; i++)
        if (batch->reports[i].kind == kind && batch->reports[i].record == net->record)
            return; /* the first position says it all */
    batch->reports[batch->report_count++] = (struct report){
        .kind = kind,
        .record = net->record,
        .position = net->position,
        .block = text_of(batch->work->mapping->blocks[net->block].name),
        .text = text,
    };
}

struct park *batch_park_find(struct apply_batch *batch, uint16_t block, uint64_t record)
{
    for (uint32_t i = 0; i < batch->park_count; i++)
        if (batch->parks[i].net->block == block && batch->parks[i].net->record == record)
            return &batch->parks[i];
    return NULL;
}

void batch_park_new(struct apply_batch *batch, struct net *net, const char *reason)
{
    assert(batch->park_count == batch->new_park_count);
    batch->parks[batch->park_count++] = (struct park){ net, reason, false };
    batch->new_park_count++;
    report_add(batch, REPORT_PARKED, net, text_of(reason));
}

/* An update that met no row is never silent. An insertion where rows may not be inserted has nothing to meet. */
static void skipped_add(struct apply_batch *batch)
{
    for (uint32_t i = 0; i < batch->row_count; i++) {
        const struct apply_row *row = batch->rows[i];

        if (row->net->operation == OPERATION_UPDATE && !row->met)
            report_add(batch, REPORT_SKIPPED, row->net, row->net->key);
    }
}

void batch_note_met(struct apply_batch *batch, const PGresult *result)
{
    for (int i = 0; i < PQntuples(result); i++) {
        int64_t number = pg_result_int8(result, i, 0);

        assert(number >= 0 && number < batch->row_count);
        batch->rows[number]->met = true;
    }
}

/* ---- the end of the transaction ---- */

static void on_commit(void *context, const struct pg_outcome *outcome);

static const char sql_park[] =
    "INSERT INTO selaras.parked (block, record, position, key, effect, reason)"
    " SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::bytea[], $6::text[])"
    " ON CONFLICT (block, record) DO UPDATE SET effect = EXCLUDED.effect";

static void queue_parks(struct apply_batch *batch)
{
    struct pg_array columns[6] = { 0 };
    struct pg_parameters parameters = { 0 };
    static const Oid types[6] = { PG_OID_TEXT, PG_OID_INT8, PG_OID_INT8, PG_OID_TEXT, PG_OID_BYTEA, PG_OID_TEXT };

    for (int i = 0; i < 6; i++)
        pg_array_start(&columns[i], types[i]);
    for (uint32_t i = 0; i < batch->park_count; i++) {
        const struct park *park = &batch->parks[i];
        const char *block = batch->work->mapping->blocks[park->net->block].name;
        struct buffer effect = { 0 };

        net_pack(batch->work->mapping, park->net, &effect);
        pg_array_bytes(&columns[0], block, strlen(block));
        pg_array_int8(&columns[1], (int64_t)park->net->record);
        pg_array_int8(&columns[2], (int64_t)park->net->position);
        if (park->net->key_of_ours) /* a guess of ours must not come back as the broker's word */
            pg_array_bytes(&columns[3], "", 0);
        else
            pg_array_bytes(&columns[3], park->net->key.length ? park->net->key.bytes : "", park->net->key.length);
        pg_array_bytes(&columns[4], effect.bytes, effect.length);
        pg_array_bytes(&columns[5], park->reason, strlen(park->reason));
        buffer_free(&effect);
    }
    for (int i = 0; i < 6; i++)
        pg_array_parameter(&parameters, &columns[i]);
    pg_statement(batch->work->pg, sql_park, true, &parameters);
    for (int i = 0; i < 6; i++)
        pg_array_free(&columns[i]);
}

static void commit(struct apply_batch *batch)
{
    static const char sql_progress[] = "UPDATE selaras.agent SET applied = $1::int8, leaf = $2::bytea";
    struct applied applied = { .position = batch->position,
                               .reports = batch->reports,
                               .report_count = batch->report_count };
    struct pg_parameters parameters = { 0 };

    if (batch->park_count > 0)
        queue_parks(batch);
    batch_keys_settle(batch);
    if (batch->made_count > 0)
        work_link(batch->work, batch->made, batch->made_count);
    pg_int8(&parameters, batch->arena, (int64_t)batch->position);
    pg_bytes(&parameters, batch->leaf, HASH_BYTES);
    pg_statement(batch->work->pg, sql_progress, true, &parameters);
    work_wrote(batch->arena, batch->work, batch->rows, batch->row_count, &applied);
    work_commit(batch->work, &applied, on_commit, batch);
}

static const char sql_parked[] = "SELECT p.block, p.record, p.position, p.key, p.effect FROM selaras.parked p"
                                 " JOIN unnest($1::text[], $2::int8[]) AS k(block, record) USING (block, record)";

static int join_item(struct apply_batch *batch, const struct item *item, struct error *err)
{
    int block = mapping_block_named(batch->work->mapping, item->block);
    struct park *park = batch_park_find(batch, (uint16_t)block, item->record);
    struct net *net;

    if (park)
        return net_add(batch->arena, batch->work->mapping, park->net, item, err);
    if (net_new(batch->arena, batch->work->mapping, item, &net, err) < 0)
        return err->code;
    batch->parks[batch->park_count++] =
        (struct park){ net, "queued behind a parked item that is no longer there", false };
    return 0;
}

static int join(struct apply_batch *batch, const PGresult *result, struct error *err)
{
    for (int row = 0; row < PQntuples(result); row++) {
        struct net *net;

        if (work_parked_read(batch->arena, batch->work, result, row, &net, err) < 0)
            return err->code;
        batch->parks[batch->park_count++] = (struct park){ net, "", false };
    }
    for (uint32_t i = 0; i < batch->joining_count; i++)
        if (join_item(batch, batch->joining[i], err) < 0)
            return err->code;
    return 0;
}

static void on_parked(void *context, const struct pg_outcome *outcome)
{
    struct apply_batch *batch = context;
    struct error err = { 0 };

    if (!outcome->ok) {
        batch_give_up(batch, &outcome->err);
        return;
    }
    if (join(batch, outcome->results[0], &err) < 0) {
        pg_statement(batch->work->pg, "ROLLBACK", false, NULL);
        pg_sync(batch->work->pg, NULL, NULL);
        batch_give_up(batch, &err);
        return;
    }
    commit(batch);
}

static bool same_block(const struct item *left, const struct item *right)
{
    return left->block.length == right->block.length &&
           memcmp(left->block.bytes, right->block.bytes, left->block.length) == 0;
}

/* Items of parked records join what is parked; then the transaction ends. */
void batch_conclude(struct apply_batch *batch)
{
    struct pg_array blocks = { 0 }, records = { 0 };
    struct pg_parameters parameters = { 0 };

    skipped_add(batch);
    if (batch->joining_count == 0) {
        commit(batch);
        return;
    }
    pg_array_start(&blocks, PG_OID_TEXT);
    pg_array_start(&records, PG_OID_INT8);
    for (uint32_t i = 0; i < batch->joining_count; i++) {
        const struct item *item = batch->joining[i];
        bool again = false;

        for (uint32_t j = 0; j < i && !again; j++)
            again = batch->joining[j]->record == item->record && same_block(batch->joining[j], item);
        if (again)
            continue;
        pg_array_bytes(&blocks, item->block.bytes, item->block.length);
        pg_array_int8(&records, (int64_t)item->record);
    }
    pg_array_parameter(&parameters, &blocks);
    pg_array_parameter(&parameters, &records);
    pg_statement(batch->work->pg, sql_parked, true, &parameters);
    pg_sync(batch->work->pg, on_parked, batch);
    pg_array_free(&blocks);
    pg_array_free(&records);
}

/* ---- both passes ---- */

void batch_pass_start(struct apply_batch *batch, bool by_row)
{
    arena_reset(batch->arena);
    batch->by_row = by_row;
    batch->normal = arena_array(batch->arena, batch->count + 1u, sizeof *batch->normal);
    batch->joining = arena_array(batch->arena, batch->count + 1u, sizeof *batch->joining);
    batch->normal_count = batch->joining_count = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct item *item = batch->items[i];
        int block = mapping_block_named(batch->work->mapping, item->block);

        if (block >= 0 && parked_find(&batch->work->parked, (uint16_t)block, item->record))
            batch->joining[batch->joining_count++] = item;
        else
            batch->normal[batch->normal_count++] = item;
    }
    batch->rows = arena_array(batch->arena, batch->count + 1u, sizeof *batch->rows);
    batch->updates = arena_array(batch->arena, batch->count + 1u, sizeof *batch->updates);
    batch->parks = arena_array(batch->arena, batch->count + 1u, sizeof *batch->parks);
    batch->reports = arena_array(batch->arena, 3u * batch->count + 1u, sizeof *batch->reports);
    batch->made = arena_array(batch->arena, 2u * batch->count + 1u, sizeof *batch->made);
    batch->made_count = 0;
    batch->row_count = batch->update_count = batch->park_count = batch->new_park_count = batch->report_count = 0;
    batch->next = batch->waiting = 0;
    batch->trouble = (struct error){ 0 };
    batch->statements = 0;
}

/* Takes the locks of all rows before the first is written, block by block in key order, and waits for none. */
void batch_queue_locks(struct apply_batch *batch, struct apply_row **rows, uint32_t count)
{
    struct apply_row **list = arena_array(batch->arena, count + 1u, sizeof *list);

    for (uint16_t block = 0; block < batch->work->mapping->block_count; block++) {
        uint32_t of_block = 0;
        bool hard = false;

        for (uint32_t i = 0; i < count; i++) {
            if (rows[i]->net->block != block || rows[i]->kind == APPLY_NOTHING || !rows[i]->key)
                continue;
            list[of_block++] = rows[i];
            hard = hard || rows[i]->kind == APPLY_DELETE || rows[i]->net->moves;
        }
        if (of_block == 0)
            continue;
        apply_queue_lock(batch->work->sql, batch->work->pg, list, of_block, hard);
        batch->statements++;
    }
}

/* ---- a set at a time ---- */

/* Whether an item found no row to come into, or its row may come back: it must be parked, which only the pass row by
 * row can. */
static bool some_homeless(const struct apply_batch *batch)
{
    for (uint32_t i = 0; i < batch->row_count; i++)
        if (apply_is_homeless(batch->work->sql, batch->rows[i]))
            return true;
    return false;
}

static void start_over(struct apply_batch *batch)
{
    pg_statement(batch->work->pg, "ROLLBACK", false, NULL);
    pg_sync(batch->work->pg, NULL, NULL);
    work_reset(batch->work);
    batch_rows_start(batch);
}

static void on_set(void *context, const struct pg_outcome *outcome)
{
    struct apply_batch *batch = context;

    if (outcome->ok) {
        for (uint32_t i = 0; i < batch->update_count; i++)
            batch_note_met(batch, outcome->results[batch->updates[i]]);
        for (uint32_t i = 0; i < batch->row_count; i++)
            if (apply_makes(batch->rows[i]->kind))
                batch_made(batch, outcome->results[batch->rows[i]->result], batch->rows[i]);
        if (some_homeless(batch))
            start_over(batch);
        else
            batch_conclude(batch);
    } else if (work_refused(outcome)) {
        work_reset(batch->work);
        batch_rows_start(batch);
    } else {
        batch_give_up(batch, &outcome->err);
    }
}

/* Queues the run's statements: rows that can share one are taken together, the first one's place decides the order. */
static void queue_run(struct apply_batch *batch, struct apply_row **rows, uint32_t count)
{
    struct apply_row **list = arena_array(batch->arena, count + 1u, sizeof *list);

    for (uint32_t i = 0; i < count; i++) {
        if (rows[i]->kind == APPLY_NOTHING)
            continue;
        batch->statements += (int)notice_queue(batch->work->pg, batch->work->mapping, batch->work->inspection, rows[i]);
    }
    for (uint32_t first = 0; first < count; first++) {
        uint32_t together = 0;

        if (!rows[first] || rows[first]->kind == APPLY_NOTHING)
            continue;
        list[together++] = rows[first];
        for (uint32_t i = first + 1; i < count; i++) {
            if (!rows[i] || !apply_together(list[0], rows[i]))
                continue;
            list[together++] = rows[i];
            rows[i] = NULL;
        }
        if (apply_meets(list[0]->kind))
            batch->updates[batch->update_count++] = batch->statements;
        list[0]->result = batch->statements;
        apply_queue(batch->work->sql, batch->work->pg, list, together);
        batch->statements++;
    }
}

/* Makes the rows of all runs. ERR_REJECT when one has no local spelling. */
static int make_rows(struct apply_batch *batch, const struct net_run *runs, uint32_t run_count, struct error *err)
{
    for (uint32_t r = 0; r < run_count; r++)
        for (uint32_t i = 0; i < runs[r].count; i++) {
            batch_key_find(batch, runs[r].list[i]);
            batch_references_find(batch, runs[r].list[i]);
            if (apply_row_make(batch->arena, batch->work->sql, runs[r].list[i], batch->row_count,
                               &batch->rows[batch->row_count], err) < 0)
                return err->code;
            batch->row_count++;
        }
    return 0;
}

static void on_nothing(void *context, const struct pg_outcome *outcome)
{
    struct apply_batch *batch = context;

    batch_finish(batch, outcome->ok ? &batch->trouble : &outcome->err);
}

/* Tells of an error from the loop, never inside the call that started the batch. */
static void finish_later(struct apply_batch *batch, const struct error *err)
{
    batch->trouble = *err;
    pg_statement(batch->work->pg, "SELECT", false, NULL);
    pg_sync(batch->work->pg, on_nothing, batch);
}

static void set_start(struct apply_batch *batch)
{
    struct net_run *runs;
    uint32_t run_count, first = 0;
    struct apply_row **rows;
    struct error err = { 0 };

    batch_pass_start(batch, false);
    if (net_fold(batch->arena, batch->work->mapping, batch->normal, batch->normal_count, &runs, &run_count, &err) < 0) {
        finish_later(batch, &err);
        return;
    }
    if (make_rows(batch, runs, run_count, &err) < 0) {
        batch_rows_start(batch);
        return;
    }
    work_begin(batch->work, batch->position);
    batch->statements = WORK_BEGIN_STATEMENTS;
    batch_queue_locks(batch, batch->rows, batch->row_count);
    rows = arena_array(batch->arena, batch->row_count + 1u, sizeof *rows);
    memcpy(rows, batch->rows, batch->row_count * sizeof *rows);
    for (uint32_t r = 0; r < run_count; r++) {
        queue_run(batch, rows + first, runs[r].count);
        first += runs[r].count;
    }
    pg_sync(batch->work->pg, on_set, batch);
}

/* ---- beginning and end ---- */

static void on_commit(void *context, const struct pg_outcome *outcome)
{
    struct apply_batch *batch = context;
    struct error err = { 0 };

    if (outcome->ok) {
        for (uint32_t i = 0; i < batch->park_count; i++) {
            const struct net *net = batch->parks[i].net;

            parked_put(&batch->work->parked, net->block, net->record, net->position);
        }
        batch->work->applied = batch->position;
        batch_finish(batch, &err);
    } else if (work_refused(outcome) && !batch->by_row) {
        work_reset(batch->work);
        batch_rows_start(batch);
    } else {
        err = outcome->err;
        if (err.code == ERR_REJECT)
            err.code = ERR_STOP; /* no row is to blame */
        batch_give_up(batch, &err);
    }
}

struct apply_batch *apply_batch_start(struct apply_work *work, const struct item *const *items, uint32_t count,
                                      feed_position position, const uint8_t leaf[HASH_BYTES], apply_batch_done *done,
                                      void *context)
{
    struct apply_batch *batch = calloc(1, sizeof *batch);

    if (!batch)
        abort();
    *batch = (struct apply_batch){ .work = work,
                                   .items = items,
                                   .count = count,
                                   .position = position,
                                   .leaf = leaf,
                                   .done = done,
                                   .context = context,
                                   .arena = arena_new(),
                                   .keys_arena = arena_new() };
    if (!batch_keys_ask(batch, set_start))
        set_start(batch);
    return batch;
}

void apply_batch_free(struct apply_batch **batch)
{
    if (!*batch)
        return;
    arena_free(&(*batch)->arena);
    arena_free(&(*batch)->keys_arena);
    free(*batch);
    *batch = NULL;
}
