/* What a batch is about: takes what the agencies have sent, and says what must be looked up for it. */
#include "daemon/decide.h"
#include "daemon/hold.h"
#include "daemon/identity.h"
#include "daemon/observe.h"
#include "daemon/references.h"
#include "daemon/work.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILL_RECORDS = 1000,
    BATCH_BYTES_MOST = 8 * 1024 * 1024, /* of frames; what is made of them is several times as much */
};

struct text text_of(const char *string)
{
    return (struct text){ string, (uint32_t)strlen(string) };
}

void work_on_frames(struct working *working, const struct peer *peer)
{
    *working =
        (struct working){ .agency = peer->row.id, .behind = 1, .number = peer->row.load_number, .lsn = peer->row.lsn };
}

void work_on_piece(struct working *working, const struct peer *peer, const struct piece *piece)
{
    *working =
        (struct working){ .agency = peer->row.id, .number = piece->lsn == 0 ? piece->first : 0, .lsn = piece->lsn };
}

/* Grows an array in the batch's arena so that one more fits. */
void *room(struct work *work, void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    void *grown;

    if (count < *capacity)
        return array;
    *capacity = *capacity ? *capacity * 2 : 64;
    grown = arena_array(work->batch->arena, *capacity, size);
    if (count > 0)
        memcpy(grown, array, count * size);
    return grown;
}

struct share *share_of(const struct work *work, const struct peer *peer)
{
    for (uint32_t i = 0; i < work->share_count; i++)
        if (work->shares[i].peer == peer)
            return &work->shares[i];
    return NULL;
}

struct share *share_make(struct work *work, struct peer *peer)
{
    struct share *share = share_of(work, peer);

    if (!share) {
        share = &work->shares[work->share_count++];
        *share = (struct share){ .peer = peer, .row = peer->row };
    }
    return share;
}

void decode_pieces(struct work *work, const struct share *share)
{
    struct error err;

    for (uint32_t p = 0; p < share->piece_count; p++) {
        struct piece *piece = share->pieces[p];

        work_on_piece(work->working, share->peer, piece);
        for (uint32_t c = 0; c < piece->change_count && !piece_is_duplicate(&share->peer->row, piece); c++)
            if (change_decode(work->batch->arena, &piece->changes[c], &err) < 0)
                abort();
    }
}

uint32_t take_transactions(struct work *work, struct peer *peer, const struct amount *limit)
{
    struct share *share = share_make(work, peer);
    uint32_t most = limit->transactions < peer->ready ? limit->transactions : peer->ready;
    uint32_t capacity = 0, complete = 0;
    struct amount taken = { 0 }, open = { 0 }; /* with the transaction that is read; and of it alone */

    work_on_frames(work->working, peer);
    for (struct staged *at = peer->staged; at && most > 0; at = at->next) {
        struct changes changes = staged_read(work->batch->arena, at);

        for (uint32_t i = at->done; i < changes.piece_count; i++) {
            struct piece *piece = &changes.pieces[i];

            share->pieces = room(work, share->pieces, share->piece_count, &capacity, sizeof(struct piece *));
            share->pieces[share->piece_count++] = piece;
            taken.changes += piece->change_count;
            taken.bytes += at->size / at->piece_count;
            open.changes += piece->change_count;
            open.bytes += at->size / at->piece_count;
            if ((open.changes > WHOLE_CHANGES_MAX || open.bytes > WHOLE_BYTES_MAX) &&
                !piece_is_duplicate(&peer->row, piece)) {
                peer->large_first = complete == 0;
                goto enough;
            }
            if (!piece->final)
                continue;
            open = (struct amount){ 0 };
            taken.transactions++;
            complete = share->piece_count;
            share->taken = taken;
            if (taken.changes >= limit->changes || taken.bytes >= limit->bytes || taken.transactions >= most)
                goto enough;
        }
    }
enough:
    share->piece_count = complete;
    decode_pieces(work, share);
    /* What is taken is done with, and so are duplicates: they stand before. */
    for (struct staged *at = peer->staged; at && complete > 0; at = at->next) {
        uint32_t left = at->piece_count - at->done;
        uint32_t done = left < complete ? left : complete;

        at->done += done;
        complete -= done;
    }
    return share->piece_count;
}

bool take_admins(struct broker *broker, struct work *work)
{
    work->admins = broker->admins;
    broker->admins = NULL;
    return work->admins != NULL;
}

bool take_hello(struct broker *broker, struct work *work, struct peer *peer)
{
    struct wanted *wanted = &work->batch->wanted;
    bool leaf = peer->hello.applied > 0 && peer->hello.applied <= broker->head;

    if (!peer->hello_waits || (leaf && wanted->leaf != 0))
        return false; /* one leaf a batch: this hello waits for the next */
    if (leaf)
        wanted->leaf = peer->hello.applied;
    share_make(work, peer)->hello = true;
    return true;
}

static bool has_work(const struct broker *broker, const struct peer *peer)
{
    return peer->ready > 0 || peer->hello_waits || peer->quarantine_waits ||
           (peer->row.state == STATE_FILLING && peer->bound) || references_wake_waits(peer) ||
           (peer->applied > peer->row.applied && broker->now_ms - broker->applied_ms >= 200);
}

void want_identifier(struct work *work, uint16_t type, uint16_t unit, const struct value *values, uint32_t *capacity)
{
    struct wanted *wanted = &work->batch->wanted;
    uint16_t count = work->batch->catalog->types[type].units[unit].field_count;
    struct value *kept = arena_array(work->batch->arena, count, sizeof *kept);

    memcpy(kept, values, count * sizeof *kept);
    wanted->identifiers =
        room(work, wanted->identifiers, wanted->identifier_count, capacity, sizeof *wanted->identifiers);
    wanted->identifiers[wanted->identifier_count++] =
        (struct wanted_identifier){ .type = type, .unit = unit, .values = kept };
}

/* What a change says of identifiers; a writer of a group sends all of it, its constants included. */
static void want_identifiers(struct work *work, const struct peer *peer, uint16_t type, const struct change *change,
                             uint32_t *keys, uint32_t *capacity)
{
    const struct catalog_type *known = &work->batch->catalog->types[type];
    struct value fields[CATALOG_FIELDS_MAX] = { 0 }, values[KEY_FIELDS_MAX];

    fields_of_change(known, change, fields);
    for (uint16_t u = 0; u < known->unit_count; u++)
        if (identity_values(known, u, fields, values))
            want_identifier(work, type, u, values, capacity);
    if (change->operation != OPERATION_DELETE)
        references_want(work, peer, known, fields, keys, capacity);
}

void want_key(struct work *work, const struct peer *peer, const struct agency_block *block, struct text key,
              uint32_t *capacity)
{
    struct wanted *wanted = &work->batch->wanted;

    if (key.length == 0)
        return;
    wanted->keys = room(work, wanted->keys, wanted->key_count, capacity, sizeof *wanted->keys);
    wanted->keys[wanted->key_count++] =
        (struct wanted_key){ .agency = peer->row.id, .type = block->type, .block = block->name, .key = key };
}

void want_record(struct work *work, uint16_t type, uint64_t number, uint32_t *capacity)
{
    struct wanted *wanted = &work->batch->wanted;

    wanted->records = room(work, wanted->records, wanted->record_count, capacity, sizeof *wanted->records);
    wanted->records[wanted->record_count++] = (struct wanted_record){ .type = type, .number = number };
}

/* Says what must be known before the pieces can be decided. */
static void want_pieces(const struct broker *broker, struct work *work)
{
    bool resolving = broker->parts.peer && broker->parts.resolving;
    bool moves = broker->parts.resolved_count > 0 && !resolving;
    uint32_t ahead = broker->parts.resolved_used;
    uint32_t keys = 0, identifiers = 0, records = 0, observed = 0;

    for (uint32_t s = 0; s < work->share_count; s++) {
        const struct share *share = &work->shares[s];

        for (uint32_t p = 0; p < share->piece_count; p++) {
            const struct piece *piece = share->pieces[p];

            if (piece_is_duplicate(&share->peer->row, piece))
                continue;
            for (uint32_t c = 0; c < piece->change_count; c++) {
                const struct change *change = &piece->changes[c];
                const struct agency_block *block = peer_block_named(share->peer, change->block);

                if (resolving && !broker->parts.counting && !is_resolved_first(change))
                    continue;
                if (block->mode == MODE_OBSERVE) {
                    observe_want(work, share->peer, change, &observed);
                    ahead += moves && is_resolved_first(change);
                    continue;
                }
                if (moves && is_resolved_first(change))
                    want_record(work, block->type, broker->parts.resolved[ahead++], &records);
                want_key(work, share->peer, block, change->key, &keys);
                want_key(work, share->peer, block, change->old_key, &keys);
                want_identifiers(work, share->peer, block->type, change, &keys, &identifiers);
            }
            for (uint32_t r = 0; r < piece->report_count && !resolving; r++) {
                const struct agency_block *block = peer_block_named(share->peer, piece->reports[r].block);

                if (!block)
                    continue;
                want_record(work, block->type, piece->reports[r].record, &records);
                if (piece->reports[r].kind == REPORT_LINKED)
                    want_key(work, share->peer, block, piece->reports[r].text, &keys);
            }
        }
    }
}

bool take_fill(struct broker *broker, struct work *work, struct peer *peer)
{
    struct wanted *wanted = &work->batch->wanted;
    struct share *share;

    if (peer->row.state != STATE_FILLING || !peer->bound || wanted->fill.limit > 0 || wanted->had.limit > 0)
        return false;
    if (take_missing(broker, work, peer))
        return true;
    share = share_make(work, peer);
    while (peer->fill_type < broker->catalog->type_count) {
        if (peer_inserts(peer, peer->fill_type)) {
            wanted->fill = (struct wanted_fill){ .agency = peer->row.id,
                                                 .type = peer->fill_type,
                                                 .after = peer->fill_after,
                                                 .limit = broker->batch_changes < FILL_RECORDS ? broker->batch_changes
                                                                                               : FILL_RECORDS };
            share->fill = true;
            return true;
        }
        peer->fill_type++;
        peer->fill_after = 0;
    }
    share->row.state = STATE_ACTIVE;
    missing_forget(share);
    share->write = true;
    return true;
}

static void amount_take(struct amount *left, const struct amount *taken)
{
    left->changes -= taken->changes < left->changes ? taken->changes : left->changes;
    left->bytes -= taken->bytes < left->bytes ? taken->bytes : left->bytes;
}

/* Whatever is there. Another agency comes first each time, so that one that fills whole batches does not keep the
 * others waiting. */
static void take_all(struct broker *broker, struct work *work)
{
    struct amount left = { broker->batch_changes, BATCH_BYTES_MOST, UINT32_MAX };

    take_admins(broker, work);
    take_settle(broker, work);
    broker->turn++;
    for (uint32_t i = 0; i < broker->peer_count; i++) {
        struct peer *peer = &broker->peers[(i + broker->turn) % broker->peer_count];

        if (!has_work(broker, peer))
            continue;
        share_make(work, peer);
        take_hello(broker, work, peer);
        if (peer->quarantine_waits)
            continue; /* what it sent may be what must not even be looked up */
        take_fill(broker, work, peer);
        if (references_wake_waits(peer))
            references_take_wakes(broker, work, peer);
        if (left.changes > 0 && left.bytes > 0)
            take_transactions(work, peer, &left);
        amount_take(&left, &share_of(work, peer)->taken);
    }
}

static bool any_work(struct broker *broker)
{
    if (broker->admins || any_settle(broker) || !broker->opened || broker->catalog_fresh)
        return true;
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (has_work(broker, &broker->peers[i]))
            return true;
    return false;
}

static void batch_begin(struct broker *broker)
{
    struct arena *arena = arena_new();
    struct work *work;

    broker->batch = arena_alloc(arena, sizeof *broker->batch);
    broker->batch->arena = arena;
    broker->batch->number = ++broker->batches;
    broker->batch->catalog = broker->catalog;
    broker->batch->ids = &broker->ids;
    broker->batch->hash_key = &broker->hash_key;
    broker->batch->begins = broker->batch->ends = true;
    work = broker->work = arena_alloc(arena, sizeof *work);
    work->batch = broker->batch;
    work->working = broker->options.working;
    work->shares = arena_array(arena, broker->peer_count, sizeof *work->shares);
}

bool decide_start(struct broker *broker)
{
    bool others;

    assert(!broker->batch);
    references_heal(broker);
    others = any_work(broker);
    if (preview_is_due(broker, others)) {
        batch_begin(broker);
        preview_take(broker, broker->work);
        return true;
    }
    if (!others)
        return false;
    preview_let_others(broker);
    operators_place(broker);
    if (broker->suspects.count == 0 && parts_begin(broker)) {
        decide_next_part(broker);
        return true;
    }
    batch_begin(broker);
    if (broker->suspects.count == 0 || !suspects_take(broker, broker->work))
        take_all(broker, broker->work);
    want_pieces(broker, broker->work);
    cache_answer(broker->cache, broker->batch);
    return true;
}

void decide_next_part(struct broker *broker)
{
    batch_begin(broker);
    parts_take(broker, broker->work);
    want_pieces(broker, broker->work);
}
