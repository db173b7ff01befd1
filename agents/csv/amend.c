#include "agents/csv/amend.h"

#include "agents/fed.h"
#include "agents/net_fold.h"
#include "shell/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct amend {
    struct state *state;
    const struct mapping *mapping;
    struct fed *coming;       /* its end has not come */
    struct fed *first, *last; /* whole, waiting; the first one may be in its transaction */
    size_t waiting_bytes;
    feed_position taken; /* end of the last whole batch */

    bool begun;
    uint32_t next;       /* item of the first batch */
    struct arena *arena; /* of the transaction's reports */
    struct report *reports;
    uint32_t report_count, report_capacity;
    struct arena *scratch; /* of one item */
};

/* ---- one row ---- */

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

static bool text_same(struct text left, struct text right)
{
    return left.length == right.length && (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
}

/* What became of one net effect. */
enum outcome { OUTCOME_DONE, OUTCOME_SKIPPED };

struct work {
    struct amend *amend;
    const struct net *net;
    const struct mapping_block *block;
    struct text key; /* of the row as it is */
    struct state_row row;
    int64_t now_us;
};

static int put_reasons(const struct work *work, struct text key, struct error *err)
{
    static const struct reason none = { 0 };
    struct state *state = work->amend->state;

    for (uint16_t i = 0; i < work->block->field_count; i++)
        if (work->net->fields[i].state != VALUE_ABSENT &&
            state_reason_put(state, work->block->name, key, work->block->fields[i].name,
                             work->net->reasons ? &work->net->reasons[i] : &none, err) < 0)
            return err->code;
    return state_reason_put(state, work->block->name, key, "", &work->net->reason, err);
}

static int remove_row(const struct work *work, struct error *err)
{
    struct state_row row = work->row;
    bool differed = sides_differ(work->block, &row.sides);

    if (!row.sides.should || work->block->delete == DELETE_IGNORE)
        return 0;
    row.sides.should = NULL;
    row.since_us = work->now_us;
    if (state_row_put(work->amend->state, work->block, work->key, &row, differed, err) < 0)
        return err->code;
    return row.sides.said
               ? state_reason_put(work->amend->state, work->block->name, work->key, "", &work->net->reason, err)
               : 0;
}

/* What this changes in the row, under the key that it has now; `before` NULL: the row came. */
static int put_fed(const struct work *work, struct text key, const struct value *before, const struct value *now,
                   struct error *err)
{
    const struct net *net = work->net;
    struct state *state = work->amend->state;
    const char *block = work->block->name;

    if (!before)
        return state_fed_put(state, block, key, "", net->record, net->position, work->now_us, err);
    for (uint16_t i = 0; i < work->block->field_count; i++)
        if (!value_equal(before[i], now[i]) && state_fed_put(state, block, key, work->block->fields[i].name,
                                                             net->record, net->position, work->now_us, err) < 0)
            return err->code;
    return 0;
}

/* The list has it under its old key until the clerk types the new one in. */
static int move_row(const struct work *work, struct text key, struct value *fields, struct error *err)
{
    struct state *state = work->amend->state;
    struct state_row there, old = work->row;

    if (state_row(state, work->amend->scratch, work->block, key, &there, err) < 0)
        return err->code;
    if (there.sides.should)
        return error_set(err, ERR_REJECT, _("another row of %s has this key already"), work->block->table);
    there.sides.should = fields;
    there.since_us = work->now_us;
    there.was = old.sides.said ? work->key : old.was;
    if (text_same(there.was, key) || there.sides.said)
        there.was = (struct text){ 0 };
    old.sides.should = NULL;
    old.since_us = work->now_us;
    old.was = (struct text){ 0 };
    if (state_row_put(state, work->block, work->key, &old, true, err) < 0 ||
        state_row_put(state, work->block, key, &there, true, err) < 0 ||
        state_fed_move(state, work->block->name, work->key, key, err) < 0 ||
        put_fed(work, key, work->row.sides.should, fields, err) < 0)
        return err->code;
    return put_reasons(work, key, err);
}

/* Writes the net effect's fields over `before`; NULL: a new row. ERR_REJECT when the list cannot say it. */
static int write_row(const struct work *work, const struct value *before, struct error *err)
{
    const struct mapping_block *block = work->block;
    struct arena *scratch = work->amend->scratch;
    struct value *fields = arena_array(scratch, block->field_count + ROW_WITNESSES, sizeof *fields);
    struct value *columns = arena_array(scratch, block->column_count, sizeof *columns);
    struct state_row row = work->row;
    bool differed = sides_differ(block, &row.sides);
    struct text key;

    for (uint16_t i = 0; i < block->field_count; i++) {
        fields[i] = work->net->fields[i];
        if (fields[i].state == VALUE_ABSENT)
            fields[i] = before ? before[i] : value_null();
    }
    if (row_write(scratch, block, fields, columns, err) < 0 || (!before && row_enter(block, columns, err) < 0))
        return err->code;
    key = change_key(scratch, block, NULL, fields);
    if (key.length == 0)
        return error_set(err, ERR_REJECT, _("the row has no key, so it cannot stand in list %s"), block->table);
    if (before && !text_same(key, work->key))
        return move_row(work, key, fields, err);
    row.sides.should = fields;
    row.since_us = work->now_us;
    if (state_row_put(work->amend->state, block, key, &row, differed, err) < 0 ||
        put_fed(work, key, before, fields, err) < 0)
        return err->code;
    return put_reasons(work, key, err);
}

static int find_row(struct work *work, struct text key, struct error *err)
{
    work->key = key;
    work->row = (struct state_row){ 0 };
    return key.length > 0 ? state_row(work->amend->state, work->amend->scratch, work->block, key, &work->row, err) : 0;
}

static int insert_row(struct work *work, struct error *err)
{
    struct text own = change_key(work->amend->scratch, work->block, NULL, work->net->fields);

    if (work->row.sides.should)
        return write_row(work, work->row.sides.should, err);
    if (!text_same(own, work->key) && find_row(work, own, err) < 0)
        return err->code;
    if (work->row.sides.should)
        return write_row(work, work->row.sides.should, err);
    return work->block->insert ? write_row(work, NULL, err) : 0;
}

/* ERR_REJECT: the list cannot say it, and nothing was changed. */
static int apply_net(struct amend *amend, const struct net *net, int64_t now_us, enum outcome *ret, struct error *err)
{
    struct work work = { .amend = amend, .net = net, .block = &amend->mapping->blocks[net->block], .now_us = now_us };

    *ret = OUTCOME_DONE;
    if (find_row(&work, net->key, err) < 0)
        return err->code;
    switch (net->operation) {
    case OPERATION_DELETE:
        return remove_row(&work, err);
    case OPERATION_INSERT:
        return insert_row(&work, err);
    default:
        if (work.row.sides.should)
            return write_row(&work, work.row.sides.should, err);
        *ret = OUTCOME_SKIPPED;
        return 0;
    }
}

/* ---- reports and parked records ---- */

static void report_add(struct amend *amend, enum report_kind kind, const struct net *net, struct text text)
{
    for (uint32_t i = 0; i < amend->report_count; i++)
        if (amend->reports[i].kind == kind && amend->reports[i].record == net->record)
            return; /* the first position says it all */
    if (amend->report_count == amend->report_capacity) {
        amend->report_capacity = amend->report_capacity ? 2 * amend->report_capacity : 64;
        amend->reports = reallocarray(amend->reports, amend->report_capacity, sizeof *amend->reports);
        if (!amend->reports)
            abort();
    }
    amend->reports[amend->report_count++] =
        (struct report){ .kind = kind,
                         .record = net->record,
                         .position = net->position,
                         .block = text_of(amend->mapping->blocks[net->block].name),
                         .text = { arena_copy(amend->arena, text.bytes, text.length), text.length } };
}

static int park(struct amend *amend, const struct net *net, const char *reason, int64_t now_us, struct error *err)
{
    struct buffer effect = { 0 };
    struct state_parked parked = { net->block, net->record, net->position, net->key, { 0 } };
    int code;

    net_pack(amend->mapping, net, &effect);
    parked.effect = (struct text){ effect.bytes, (uint32_t)effect.length };
    code = state_park(amend->state, amend->mapping, &parked, reason, now_us, err);
    buffer_free(&effect);
    return code;
}

/* The net effect that is parked, or NULL with `err`. The mapping may have changed since. */
static struct net *parked_net(struct amend *amend, const struct state_parked *parked, struct error *err)
{
    const struct mapping_block *block = &amend->mapping->blocks[parked->block];
    struct net *net = NULL;
    struct item item;
    uint16_t kept = 0;

    if (effect_read(amend->scratch, parked->effect.bytes, parked->effect.length, &item, err) < 0) {
        err->code = ERR_STOP;
        error_wrap(err, _("a parked record in the state file"));
        return NULL;
    }
    for (uint16_t i = 0; i < item.field_count; i++)
        if (mapping_field_named(block, item.fields[i].name) >= 0)
            item.fields[kept++] = item.fields[i];
    item.field_count = kept;
    item.block = text_of(block->name);
    item.record = parked->record;
    item.position = parked->position;
    item.key = parked->key;
    return net_new(amend->scratch, amend->mapping, &item, &net, err) < 0 ? NULL : net;
}

/* ---- a batch ---- */

static int apply_item(struct amend *amend, const struct item *item, int64_t now_us, struct error *err)
{
    struct state_parked parked;
    enum outcome outcome;
    struct net *net, *joined;
    bool found;
    int code;

    arena_reset(amend->scratch);
    if (net_new(amend->scratch, amend->mapping, item, &net, err) < 0 ||
        state_parked(amend->state, amend->scratch, amend->mapping, net->block, net->record, &parked, &found, err) < 0)
        return err->code;
    if (found) {
        joined = parked_net(amend, &parked, err);
        if (!joined || net_add(amend->scratch, amend->mapping, joined, item, err) < 0)
            return err->code;
        return park(amend, joined, "", now_us, err);
    }
    code = apply_net(amend, net, now_us, &outcome, err);
    if (code == ERR_REJECT) {
        report_add(amend, REPORT_PARKED, net, text_of(err->text));
        return park(amend, net, err->text, now_us, err);
    }
    if (code == 0 && outcome == OUTCOME_SKIPPED)
        report_add(amend, REPORT_SKIPPED, net, net->key);
    return code;
}

/* Numbers the transaction, says what became of items, and commits. */
static int conclude(struct amend *amend, int64_t now_us, struct error *err)
{
    if (state_number(amend->state, now_us, err) < 0)
        return err->code;
    for (uint32_t i = 0; i < amend->report_count; i++)
        if (state_report(amend->state, i, &amend->reports[i], err) < 0)
            return err->code;
    return state_commit(amend->state, err);
}

static int transaction_begin(struct amend *amend, struct error *err)
{
    arena_reset(amend->arena);
    amend->report_count = 0;
    return state_begin(amend->state, err);
}

int amend_step(struct amend *amend, int64_t now_us, feed_position *ret_applied, struct error *err)
{
    struct fed *fed = amend->first;

    *ret_applied = 0;
    if (!amend->begun && transaction_begin(amend, err) < 0)
        return err->code;
    amend->begun = true;
    for (int i = 0; i < AMEND_STEP_ITEMS && amend->next < fed->count; i++)
        if (apply_item(amend, fed->items[amend->next++], now_us, err) < 0)
            return err->code;
    if (amend->next < fed->count)
        return 0;
    if (state_applied(amend->state, fed->position, fed->leaf, err) < 0 || conclude(amend, now_us, err) < 0)
        return err->code;
    amend->begun = false;
    amend->next = 0;
    amend->first = fed->next;
    if (!amend->first)
        amend->last = NULL;
    amend->waiting_bytes -= arena_used(fed->arena);
    *ret_applied = fed->position;
    fed->next = NULL;
    fed_free(&fed);
    return 0;
}

int amend_take(struct amend *amend, const struct feed *feed, bool *ret_taken, struct error *err)
{
    *ret_taken = !amend->first || amend->waiting_bytes < AMEND_WAITING_BYTES;
    if (!*ret_taken)
        return 0;
    if (!amend->coming)
        amend->coming = fed_new();
    for (uint32_t i = 0; i < feed->item_count; i++)
        if (feed->items[i].position > amend->taken)
            fed_add(amend->coming, &feed->items[i]);
    if (arena_used(amend->coming->arena) > AMEND_BATCH_BYTES)
        return error_set(err, ERR_STOP, _("the broker fed a batch of more than %d MiB"),
                         AMEND_BATCH_BYTES / 1024 / 1024);
    if (!feed->final)
        return 0;
    if (feed->position <= amend->taken) {
        fed_free(&amend->coming); /* fed before */
        return 0;
    }
    amend->coming->position = amend->taken = feed->position;
    memcpy(amend->coming->leaf, feed->leaf, HASH_BYTES);
    amend->waiting_bytes += arena_used(amend->coming->arena);
    if (amend->last)
        amend->last->next = amend->coming;
    else
        amend->first = amend->coming;
    amend->last = amend->coming;
    amend->coming = NULL;
    return 0;
}

void amend_forget(struct amend *amend)
{
    fed_free(&amend->coming);
}

bool amend_waits(const struct amend *amend)
{
    return amend->first;
}

bool amend_begun(const struct amend *amend)
{
    return amend->begun;
}

/* ---- parked records, settled ---- */

static int settle_one(struct amend *amend, const struct state_parked *parked, const char *close_note, int64_t now_us,
                      struct settled *ret, struct error *err)
{
    const char *block = amend->mapping->blocks[parked->block].name;
    enum outcome outcome = OUTCOME_DONE;
    struct net *net;
    int code = 0;

    arena_reset(amend->scratch);
    net = parked_net(amend, parked, err);
    if (!net)
        return err->code;
    if (!close_note)
        code = apply_net(amend, net, now_us, &outcome, err);
    if (code == ERR_REJECT) {
        ret->refused++;
        return state_park_again(amend->state, block, parked->record, err->text, err);
    }
    if (code < 0)
        return code;
    report_add(amend, close_note ? REPORT_CLOSED : REPORT_RELEASED, net, text_of(close_note ? close_note : ""));
    if (outcome == OUTCOME_SKIPPED)
        report_add(amend, REPORT_SKIPPED, net, net->key);
    *(close_note ? &ret->closed : &ret->released) += 1;
    return state_unpark(amend->state, block, parked->record, err);
}

int amend_settle(struct amend *amend, uint64_t record, bool close, const char *note, int64_t now_us,
                 struct settled *ret, struct error *err)
{
    struct state_parked *list = NULL;
    uint32_t count = 0;

    assert(!amend->begun);
    *ret = (struct settled){ 0 };
    if (transaction_begin(amend, err) < 0)
        return err->code;
    if (state_parked_all(amend->state, amend->arena, amend->mapping, record, &list, &count, err) < 0)
        return err->code;
    for (uint32_t i = 0; i < count; i++)
        if (settle_one(amend, &list[i], close ? note : NULL, now_us, ret, err) < 0)
            return err->code;
    return amend->report_count > 0 ? conclude(amend, now_us, err) : state_commit(amend->state, err);
}

/* ---- beginning and end ---- */

struct amend *amend_new(struct state *state, const struct mapping *mapping)
{
    struct amend *amend = calloc(1, sizeof *amend);

    if (!amend)
        abort();
    *amend = (struct amend){
        .state = state, .mapping = mapping, .taken = state->applied, .arena = arena_new(), .scratch = arena_new()
    };
    return amend;
}

void amend_free(struct amend **amend)
{
    if (!*amend)
        return;
    fed_free(&(*amend)->coming);
    fed_free(&(*amend)->first);
    free((*amend)->reports);
    arena_free(&(*amend)->arena);
    arena_free(&(*amend)->scratch);
    free(*amend);
    *amend = NULL;
}
