/* A batch from what was found to what is written. */
#include "daemon/decide.h"
#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/observe.h"
#include "daemon/references.h"
#include "daemon/same.h"
#include "daemon/work.h"

#include <stdlib.h>
#include <string.h>

enum {
    BATCH_MEMORY = 48 * 1024 * 1024, /* that one batch should take */
};

enum { ANY_TYPE = UINT16_MAX };
enum kept_changes { ALL_CHANGES, DELETIONS, ALL_BUT_DELETIONS };

/* Of one type or all, and of one kind or all. */
static void decide_changes(struct broker *broker, struct work *work, struct share *share, const struct piece *piece,
                           const uint64_t *resolved, uint16_t type, enum kept_changes kept)
{
    for (uint32_t i = 0; i < piece->change_count; i++) {
        const struct change *change = &piece->changes[i];
        bool deletion = change->operation == OPERATION_DELETE;

        if ((type == ANY_TYPE || peer_block_named(share->peer, change->block)->type == type) &&
            (kept == ALL_CHANGES || deletion == (kept == DELETIONS)))
            decide_change(broker, work, share, piece, change, i, resolved[i]);
    }
}

/* A transaction in which rows may refer to each other, whatever order its agent has them in: what refers goes before
 * what it refers to, and comes after it. */
static bool decide_in_order(struct broker *broker, struct work *work, struct share *share, uint32_t first,
                            uint32_t count, uint64_t *const *resolved)
{
    uint16_t types = broker->catalog->type_count;
    bool refers = false;

    for (uint16_t b = 0; b < share->peer->block_count; b++)
        refers = refers || broker->catalog->types[share->peer->blocks[b].type].refers;
    for (uint16_t type = types; refers && type-- > 0;)
        for (uint32_t p = 0; p < count; p++)
            decide_changes(broker, work, share, share->pieces[first + p], resolved[p], type, DELETIONS);
    for (uint16_t type = 0; refers && type < types; type++)
        for (uint32_t p = 0; p < count; p++)
            decide_changes(broker, work, share, share->pieces[first + p], resolved[p], type, ALL_BUT_DELETIONS);
    return refers;
}

/* Changes whose agency says neither who made them nor why; what was there when it was loaded nobody has changed. */
static uint32_t unrecorded(const struct piece *piece)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < piece->change_count; i++) {
        const struct change *change = &piece->changes[i];

        count += change->operation != OPERATION_LOAD && change->actor.state != VALUE_SET &&
                 change->ground.state != VALUE_SET;
    }
    return count;
}

static void decide_reports(struct broker *broker, struct work *work, struct share *share, const struct piece *piece)
{
    if (piece->lsn > 0)
        debts_answered(work, share->peer, piece->base);
    for (uint32_t i = 0; i < piece->report_count; i++) {
        const struct report *report = &piece->reports[i];
        struct canonical *record = report_record(broker, work, share->peer, report);

        if (report->kind == REPORT_COMPLETE)
            missing_told(work, share, report);
        else if (record)
            decide_report(broker, work, share->peer, report, record);
    }
}

/* What is left of a piece when its changes are decided. */
static void piece_decided(struct broker *broker, struct work *work, struct share *share, const struct piece *piece)
{
    share->row.changes += piece->change_count;
    share->row.unrecorded += unrecorded(piece);
    share->write = true;
    if (share->row.state == STATE_LOADING && piece->lsn > 0)
        end_load(broker, work, share, piece);
    if (piece->lsn == 0) {
        share->row.load_number = piece->first;
        return;
    }
    share->row.base = piece->base;
    if (piece->fence.seq > share->row.fence.seq) {
        share->row.fence = piece->fence;
        share->row.timeline = share->peer->hello_timeline;
    }
    if (piece->final)
        share->row.lsn = piece->lsn;
}

/* A feed batch may end where a transaction ends, and within one that is too large for a reader to apply, or even to
 * keep, as a whole. */
static void set_boundaries(struct writes *writes, uint32_t first, uint32_t *changes, size_t *bytes, bool ends)
{
    for (uint32_t i = first; i < writes->entry_count; i++) {
        struct entry_row *row = &writes->entries[i];

        *bytes += row->body.length;
        row->boundary = row->boundary || (ends && i + 1 == writes->entry_count) || ++*changes == WHOLE_CHANGES_MAX ||
                        *bytes >= WHOLE_BYTES_MAX;
        if (row->boundary) {
            *changes = 0;
            *bytes = 0;
        }
    }
}

/* What the transaction exchanges, before anything of it is decided. */
static void exchange_find(struct broker *broker, struct work *work, struct share *share, uint32_t first, uint32_t count,
                          uint64_t *const *resolved)
{
    work->exchange = NULL;
    if (share->pieces[first]->lsn == 0 || (count == 1 && share->pieces[first]->change_count < 2))
        return;
    debts_answered(work, share->peer, share->pieces[first]->base); /* it says on which base each change counts */
    work->exchange = exchange_new(work);
    for (uint32_t p = 0; p < count; p++) {
        const struct piece *piece = share->pieces[first + p];

        for (uint32_t c = 0; c < piece->change_count; c++)
            exchange_change(broker, work, share, piece, &piece->changes[c], resolved[p][c]);
    }
    exchange_settle(work->exchange);
}

/* Which of its changes are more than may be, before any of it is decided. */
static void meet_limits(struct broker *broker, struct work *work, struct share *share, uint32_t first, uint32_t count,
                        uint64_t *const *resolved)
{
    uint32_t *counts = NULL;

    for (uint32_t p = first; p < first + count; p++)
        for (uint32_t c = 0; c < share->pieces[p]->change_count; c++)
            limits_count(broker, work, share, share->pieces[p], &share->pieces[p]->changes[c], resolved[p - first][c],
                         &counts);
    limits_apply(broker, work, share, counts, 0);
    free(counts);
}

/* The source transaction whose pieces begin at `first`: returns how many they are. What each change is about is looked
 * up before any of them moves a key. */
static uint32_t decide_transaction(struct broker *broker, struct work *work, struct share *share, uint32_t first)
{
    struct writes *writes = &work->batch->writes;
    uint32_t before = writes->entry_count, count = 1, changes = 0;
    size_t bytes = 0;
    uint64_t **resolved;

    while (!share->pieces[first + count - 1]->final)
        count++;
    if (piece_is_duplicate(&share->row, share->pieces[first]) || share->row.state == STATE_QUARANTINED || share->moded)
        return count; /* what is not acknowledged comes again */
    work_on_piece(work->working, share->peer, share->pieces[first]);
    observe_begin(work);
    resolved = arena_array(work->batch->arena, count, sizeof(uint64_t *));
    for (uint32_t p = 0; p < count; p++) {
        const struct piece *piece = share->pieces[first + p];

        take_links(broker, work, share->peer, piece);
        resolved[p] = arena_array(work->batch->arena, piece->change_count, sizeof(uint64_t));
        for (uint32_t c = 0; c < piece->change_count; c++)
            resolved[p][c] = target_resolve(broker, work, share->peer, piece, &piece->changes[c]);
    }
    meet_limits(broker, work, share, first, count, resolved);
    exchange_find(broker, work, share, first, count, resolved);
    for (uint32_t p = 0; p < count; p++)
        decide_reports(broker, work, share, share->pieces[first + p]);
    if (!decide_in_order(broker, work, share, first, count, resolved))
        for (uint32_t p = 0; p < count; p++)
            decide_changes(broker, work, share, share->pieces[first + p], resolved[p], ANY_TYPE, ALL_CHANGES);
    for (uint32_t p = 0; p < count; p++)
        piece_decided(broker, work, share, share->pieces[first + p]);
    set_boundaries(writes, before, &changes, &bytes, true);
    work->working->agency = 0;
    return count;
}

/* The pieces of one part of a large transaction. What may be hidden by an earlier part is resolved already. */
static void decide_part(struct broker *broker, struct work *work, struct share *share)
{
    struct parts *parts = &broker->parts;
    struct writes *writes = &work->batch->writes;

    if (parts->counting && !parts->begun)
        parts->over = limits_meet(broker, work, share, parts->counts, 0);
    work->over = parts->over;
    for (uint32_t p = 0; p < share->piece_count; p++) {
        const struct piece *piece = share->pieces[p];
        uint64_t *resolved = arena_array(work->batch->arena, piece->change_count, sizeof *resolved);

        for (uint32_t c = 0; c < piece->change_count; c++)
            resolved[c] = parts->resolved_count > 0 && is_resolved_first(&piece->changes[c])
                              ? parts_resolved(parts)
                              : target_resolve(broker, work, share->peer, piece, &piece->changes[c]);
        decide_reports(broker, work, share, piece);
        decide_changes(broker, work, share, piece, resolved, ANY_TYPE, ALL_CHANGES);
        piece_decided(broker, work, share, piece);
    }
    set_boundaries(writes, 0, &parts->changes, &parts->bytes, parts->last);
}

static void resolve_part(struct broker *broker, struct work *work, const struct share *share)
{
    struct parts *parts = &broker->parts;

    for (uint32_t p = 0; p < share->piece_count; p++)
        for (uint32_t c = 0; c < share->pieces[p]->change_count; c++) {
            const struct change *change = &share->pieces[p]->changes[c];
            bool first = is_resolved_first(change);
            uint64_t record =
                first || parts->counting ? target_resolve(broker, work, share->peer, share->pieces[p], change) : 0;

            if (first)
                parts_resolve(parts, record);
            if (parts->counting)
                limits_count(broker, work, share, share->pieces[p], change, record, &parts->counts);
        }
}

static void write_agency(struct work *work, const struct share *share)
{
    struct writes *writes = &work->batch->writes;
    const struct agency_row *old = &share->peer->row;

    writes->agencies[writes->agency_count++] = (struct agency_write){
        .row = share->row,
        .old_session = old->session,
        .old_lsn = old->lsn,
        .old_incarnation = old->incarnation,
        .old_load_number = old->load_number,
        .blocks = share->row.blocks.bytes != old->blocks.bytes,
        .reset = share->reset,
        .unobserve = share->moded,
        .had = share->had_write,
        .had_base = share->had_base,
        .had_since = share->had_since,
        .complete = share->complete,
        .empty = share->empty,
        .create = !share->peer->stored,
    };
}

bool want_key_identified(struct work *work, const struct agency_block *block, struct text key, uint32_t *capacity)
{
    const struct catalog_type *type = &work->batch->catalog->types[block->type];
    struct value values[KEY_FIELDS_MAX];
    bool any = false;

    for (uint16_t u = 0; identity_of_key(work->batch->arena, type, block, key, &u, values); u++) {
        want_identifier(work, block->type, u, values, capacity);
        any = true;
    }
    return any;
}

/* Keys that no link knows may still be identifiers: they are looked up once more. */
static bool want_key_as_identifier(struct work *work, const struct peer *peer, const struct piece *piece,
                                   const struct change *change, uint32_t *capacity)
{
    const struct agency_block *block = peer_block_named(peer, change->block);
    struct text key = change->old_key.length > 0 ? change->old_key : change->key;

    return change->operation != OPERATION_INSERT && change->operation != OPERATION_LOAD &&
           block->mode != MODE_OBSERVE && !links_find(work->links, peer->row.id, block->name, key, piece->base) &&
           want_key_identified(work, block, key, capacity);
}

static bool want_more(struct broker *broker, struct work *work, bool resolving)
{
    uint32_t capacity = work->batch->wanted.identifier_count;
    bool more = settle_wants(broker, work) || limits_want_counts(broker, work) || same_wants(broker, work);

    if (work->second)
        return more;
    work->second = true;
    for (uint32_t s = 0; s < work->share_count; s++)
        for (uint32_t p = 0; p < work->shares[s].piece_count; p++) {
            const struct piece *piece = work->shares[s].pieces[p];

            for (uint32_t c = 0; c < piece->change_count && !piece_is_duplicate(&work->shares[s].peer->row, piece); c++)
                more |= (!resolving || broker->parts.counting || is_resolved_first(&piece->changes[c])) &&
                        want_key_as_identifier(work, work->shares[s].peer, piece, &piece->changes[c], &capacity);
        }
    return more | references_want_identified(broker, work, &capacity);
}

static void *joined(struct arena *arena, const void *left, uint32_t left_count, const void *right, uint32_t right_count,
                    size_t size)
{
    char *both = arena_array(arena, (size_t)left_count + right_count, size);

    if (left_count > 0)
        memcpy(both, left, left_count * size);
    if (right_count > 0)
        memcpy(both + left_count * size, right, right_count * size);
    return both;
}

/* What the core knew of the batch's records joins what the store has found. */
static void join_known(struct batch *batch)
{
    struct found *found = &batch->found;
    const struct found *known = &batch->known;

    found->links =
        joined(batch->arena, known->links, known->link_count, found->links, found->link_count, sizeof *found->links);
    found->link_count += known->link_count;
    found->records = joined(batch->arena, known->records, known->record_count, found->records, found->record_count,
                            sizeof(struct canonical *));
    found->record_count += known->record_count;
}

/* A change is small, the record that it is about may not be, and that is known only when it has been looked up: how
 * many changes the next batches have follows from what this one takes. */
static void adapt_batches(struct broker *broker, const struct work *work)
{
    uint32_t most = broker->batch_changes, changes = work->batch->found.fill_rows + work->batch->found.had_count;
    size_t used = arena_used(work->batch->arena);

    for (uint32_t s = 0; s < work->share_count; s++)
        changes += work->shares[s].taken.changes;
    if (used > BATCH_MEMORY && changes > 0)
        most = (uint32_t)((uint64_t)changes * (BATCH_MEMORY / 2) / used);
    else if (used < BATCH_MEMORY / 2)
        most *= 2;
    if (most > broker->options.batch_changes)
        most = broker->options.batch_changes;
    broker->batch_changes = most > 0 ? most : 1;
}

/* What each agency has in the batch, and what operators ask for. */
static void decide_shares(struct broker *broker, struct work *work)
{
    open_ledger(broker, work);
    decide_admins(broker, work);
    for (uint32_t i = 0; i < work->share_count; i++) {
        struct share *share = &work->shares[i];

        if (share->peer->quarantine_waits && share->peer->quarantine_kind == QUARANTINE_RELOAD)
            reload_itself(broker, work, share, share->peer->quarantine_reason);
        else if (share->peer->quarantine_waits && share->row.state != STATE_QUARANTINED)
            quarantine(broker, work, share, share->peer->quarantine_kind, share->peer->quarantine_reason);
        for (uint32_t p = 0; p < share->piece_count;)
            p += decide_transaction(broker, work, share, p);
        if (share->hello)
            decide_hello(broker, work, share);
        if (share->missing && share->row.state == STATE_FILLING)
            decide_missing(broker, work, share);
        if (share->fill && share->row.state == STATE_FILLING)
            decide_fill(broker, work, share);
        references_decide_wakes(broker, work, share);
    }
    work->exchange = NULL;
    decide_settle(broker, work);
}

static void write_agencies(struct broker *broker, struct work *work)
{
    struct writes *writes = &work->batch->writes;

    writes->agencies = arena_array(work->batch->arena, work->share_count, sizeof *writes->agencies);
    writes->applied = arena_array(work->batch->arena, work->share_count, sizeof *writes->applied);
    for (uint32_t i = 0; i < work->share_count; i++) {
        struct share *share = &work->shares[i];

        if (share->peer->applied > share->row.applied) {
            share->row.applied = share->peer->applied;
            share->row.applied_at_us = broker->now_us;
            share->write = true;
            writes->applied[writes->applied_count++] =
                (struct applied_write){ .agency = share->row.id, .position = share->row.applied };
        }
        share->row.fed = share->peer->row.fed;
        if (share->write)
            write_agency(work, share);
    }
}

enum decided decide_found(struct broker *broker)
{
    struct work *work = broker->work;
    struct parts *parts = &broker->parts;
    bool is_part = parts->peer != NULL;
    struct batch *batch = work->batch;
    struct writes *writes = &batch->writes;

    if (work->previewing) {
        struct arena *arena = batch->arena;

        if (!preview_found(broker, work))
            return DECIDED_MORE;
        batch_end(broker);
        work_free(work);
        arena_free(&arena);
        return DECIDED_NOTHING;
    }
    join_known(batch);
    work->links = links_new(batch);
    work->records = map_new(batch->arena, batch->hash_key);
    work->identifiers = map_new(batch->arena, batch->hash_key);
    for (uint32_t i = 0; i < batch->found.record_count; i++)
        index_record(work, batch->found.records[i]);
    if (want_more(broker, work, is_part && parts->resolving))
        return DECIDED_MORE;
    if (is_part && parts->resolving) {
        work_on_piece(work->working, parts->peer, work->shares[0].pieces[0]);
        resolve_part(broker, work, &work->shares[0]);
        batch_next_part(broker);
        return DECIDED_RESOLVED;
    }
    if (parts->begun) {
        work->brake = parts->brake;
        parts->brake = NULL;
    }
    *writes = (struct writes){ .old_head = broker->head,
                               .head = parts->begun ? parts->head : broker->head,
                               .head_time_us = parts->begun ? parts->head_time_us : broker->head_time_us,
                               .next_record = parts->begun ? parts->next_record : broker->next_record,
                               .catalog_version = broker->catalog_version };
    batch->now_us = broker->now_us;
    if (is_part) {
        work_on_piece(work->working, parts->peer, work->shares[0].pieces[0]);
        decide_part(broker, work, &work->shares[0]);
    } else {
        decide_shares(broker, work);
    }
    links_write(work->links, writes);
    observe_write(work);
    pack_records(work);
    pack_leaves(work);
    if (work->brake)
        brake_write(work->brake, batch->arena, batch->ends, writes);
    if (batch->ends)
        write_agencies(broker, work);
    adapt_batches(broker, work);
    return DECIDED;
}
