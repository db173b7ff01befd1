/* A batch from what was found to what is written. */
#include "daemon/decide.h"
#include "daemon/work.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void decide_piece(struct broker *broker, struct work *work, struct share *share, const struct piece *piece)
{
    if (piece_is_duplicate(&share->row, piece))
        return;
    if (piece->lsn > 0)
        debts_answered(work, share->peer, piece->base);
    for (uint32_t i = 0; i < piece->report_count; i++) {
        const struct report *report = &piece->reports[i];
        struct canonical *record = record_numbered(work, report->record);

        if (record)
            decide_report(broker, work, share->peer, report, record);
    }
    for (uint32_t i = 0; i < piece->change_count; i++)
        decide_change(broker, work, share, piece, &piece->changes[i], i);
    share->row.changes += piece->change_count;
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
        .create = !share->peer->stored,
    };
}

/* Keys that no link knows may still be identifiers: they are looked up once more. */
static bool want_more(struct broker *broker, struct work *work)
{
    struct wanted *wanted = &work->batch->wanted;
    uint32_t capacity = wanted->identifier_count;
    bool more = false;

    if (work->second)
        return false;
    work->second = true;
    for (uint32_t s = 0; s < work->share_count; s++)
        for (uint32_t p = 0; p < work->shares[s].piece_count; p++)
            for (uint32_t c = 0; c < work->shares[s].pieces[p]->change_count; c++) {
                const struct piece *piece = work->shares[s].pieces[p];
                const struct change *change = &piece->changes[c];
                const struct agency_block *block = peer_block_named(work->shares[s].peer, change->block);
                struct text key = change->old_key.length > 0 ? change->old_key : change->key;

                if (change->operation == OPERATION_INSERT || change->operation == OPERATION_LOAD || block->generated ||
                    block->key_count != 1 || piece_is_duplicate(&work->shares[s].peer->row, piece) ||
                    links_find(work->links, work->shares[s].peer->row.id, block->name, key, piece->base))
                    continue;
                wanted->identifiers =
                    room(work, wanted->identifiers, wanted->identifier_count, &capacity, sizeof *wanted->identifiers);
                wanted->identifiers[wanted->identifier_count++] =
                    (struct wanted_identifier){ .type = block->type,
                                                .field = block->key_fields[0],
                                                .value = { .bytes = key.bytes, .length = key.length, .state = VALUE_SET } };
                wanted->links = true;
                more = true;
            }
    (void)broker;
    return more;
}

bool decide_found(struct broker *broker)
{
    struct work *work = broker->work;
    struct batch *batch = work->batch;
    struct writes *writes = &batch->writes;

    work->links = links_new(batch);
    work->records = map_new(batch->arena);
    work->identifiers = map_new(batch->arena);
    if (want_more(broker, work))
        return false;
    for (uint32_t i = 0; i < batch->found.record_count; i++)
        index_record(work, batch->found.records[i]);
    *writes = (struct writes){ .old_head = broker->head,
                               .head = broker->head,
                               .head_time_us = broker->head_time_us,
                               .next_record = broker->next_record,
                               .catalog_version = broker->catalog_version };
    batch->now_us = broker->now_us;
    open_ledger(broker, work);
    decide_admins(broker, work);
    for (uint32_t i = 0; i < work->share_count; i++) {
        struct share *share = &work->shares[i];

        if (share->peer->quarantine_waits && share->row.state != STATE_QUARANTINED)
            quarantine(broker, work, share, share->peer->quarantine_reason);
        for (uint32_t p = 0; p < share->piece_count; p++)
            decide_piece(broker, work, share, share->pieces[p]);
        if (share->hello)
            decide_hello(broker, work, share);
        if (share->fill && share->row.state == STATE_FILLING)
            decide_fill(broker, work, share);
    }
    links_write(work->links, writes);
    pack_leaves(broker, work);
    writes->agencies = arena_array(batch->arena, work->share_count, sizeof *writes->agencies);
    writes->applied = arena_array(batch->arena, work->share_count, sizeof *writes->applied);
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
    return true;
}
