/* A transaction that is too large for one batch is decided part by part: each part is looked up, decided and written
 * like a batch, and all of them are one transaction in PostgreSQL, so that it is committed whole and takes no more
 * memory than a part does.
 *
 * What a part looks up it finds as the parts before have left it, which is what they would have left in memory, but for
 * one thing: which record a key meant before the transaction. Where a transaction moves keys, what it moves or deletes
 * is therefore looked up first, all of it, before anything is decided. */
#include "daemon/hold.h"
#include "daemon/work.h"

#include <assert.h>
#include <stdlib.h>

enum {
    PART_CHANGES_MOST = 2000,
    PART_BYTES_MOST = 2 * 1024 * 1024, /* of frames */
};

/* Whether any change of it may move a key: of frames, so that those of its neighbours in them count too. */
static bool moves_keys(const struct parts *parts)
{
    bool moves = false, ends = false;

    for (const struct staged *at = parts->frame; at && !ends; at = at->next) {
        moves = moves || at->moves;
        ends = at->ends && at != parts->frame;
    }
    return moves;
}

static void find_first(struct parts *parts)
{
    parts->first_frame = parts->peer->staged;
    while (parts->first_frame->done == parts->first_frame->piece_count)
        parts->first_frame = parts->first_frame->next;
    parts->first_piece = parts->first_frame->done;
}

/* What the agency has staged by then may be another session's. */
static void rewind_parts(struct parts *parts)
{
    parts->frame = parts->first_frame;
    parts->piece = parts->first_piece;
}

bool parts_begin(struct broker *broker)
{
    struct parts *parts = &broker->parts;

    if (!broker->opened || broker->catalog_fresh)
        return false;
    for (uint32_t i = 0; i < broker->peer_count && !parts->peer; i++) {
        struct peer *peer = &broker->peers[(i + broker->turn) % broker->peer_count];

        if (peer->large_first && peer->ready > 0 && !peer->quarantine_waits)
            parts->peer = peer;
    }
    if (!parts->peer)
        return false;
    parts->peer->large_first = false; /* what comes behind it is looked at when it is done */
    parts->row = parts->peer->row;
    find_first(parts);
    rewind_parts(parts);
    parts->counting = limits_of_any(broker, parts->peer);
    parts->since = broker->batches;
    parts->resolving = parts->counting || moves_keys(parts);
    return true;
}

void parts_take(struct broker *broker, struct work *work)
{
    struct parts *parts = &broker->parts;
    struct share *share = share_make(work, parts->peer);
    uint32_t capacity = 0, most = broker->batch_changes < PART_CHANGES_MOST ? broker->batch_changes : PART_CHANGES_MOST;

    share->row = parts->row;
    parts->last = false;
    while (!parts->last && share->taken.changes < most && share->taken.bytes < PART_BYTES_MOST) {
        struct changes changes = staged_read(work->batch->arena, parts->frame);

        for (; parts->piece < changes.piece_count && !parts->last; parts->piece++) {
            struct piece *piece = &changes.pieces[parts->piece];

            share->pieces = room(work, share->pieces, share->piece_count, &capacity, sizeof(struct piece *));
            share->pieces[share->piece_count++] = piece;
            share->taken.changes += piece->change_count;
            parts->last = piece->final;
            parts->taken += !parts->resolving;
        }
        share->taken.bytes += parts->frame->size;
        if (!parts->resolving)
            parts->frame->done = parts->piece;
        if (!parts->last) {
            parts->frame = parts->frame->next;
            parts->piece = 0;
        }
    }
    decode_pieces(work, share);
    work->batch->begins = !parts->begun;
    work->batch->ends = parts->last;
}

bool is_resolved_first(const struct change *change)
{
    return change->old_key.length > 0 || change->operation == OPERATION_DELETE;
}

void parts_resolve(struct parts *parts, uint64_t record)
{
    if (parts->resolved_count == parts->resolved_capacity) {
        parts->resolved_capacity = parts->resolved_capacity ? parts->resolved_capacity * 2 : 1024;
        parts->resolved = realloc(parts->resolved, parts->resolved_capacity * sizeof *parts->resolved);
        if (!parts->resolved)
            abort();
    }
    parts->resolved[parts->resolved_count++] = record;
}

uint64_t parts_resolved(struct parts *parts)
{
    assert(parts->resolved_used < parts->resolved_count);
    return parts->resolved[parts->resolved_used++];
}

void parts_go_on(struct broker *broker, struct work *work)
{
    struct parts *parts = &broker->parts;
    const struct writes *writes = &work->batch->writes;

    if (parts->resolving) {
        parts->resolving = !parts->last;
        if (parts->last)
            rewind_parts(parts);
        return;
    }
    parts->begun = true;
    brake_free(&parts->brake);
    parts->brake = work->brake;
    work->brake = NULL;
    parts->row = work->shares[0].row;
    parts->arrived = parts->arrived || work->shares[0].arrived;
    parts->head = writes->head;
    parts->head_time_us = writes->head_time_us;
    parts->next_record = writes->next_record;
}

void parts_end(struct parts *parts)
{
    free(parts->resolved);
    free(parts->counts);
    free(parts->over);
    brake_free(&parts->brake);
    *parts = (struct parts){ 0 };
}
