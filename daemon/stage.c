/* What an agency has sent and no batch has taken yet. Pieces must come in the order of its stream; what is wrong with
 * that ends the session, and nothing is lost: the agency sends again what welcome does not have. */
#include "daemon/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool piece_is_duplicate(const struct agency_row *row, const struct piece *piece)
{
    return piece->lsn == 0 ? piece->first <= row->load_number : piece->lsn <= row->lsn;
}

static bool fence_is_sound(const struct peer *peer, const struct fence *fence)
{
    if (fence->seq == 0 || fence->seq > peer->row.fence.seq)
        return true;
    return fence->seq == peer->row.fence.seq && memcmp(fence->token, peer->row.fence.token, sizeof fence->token) == 0;
}

/* A load only says of which blocks it has all rows. */
static bool load_reports_are_sound(const struct peer *peer, const struct piece *piece)
{
    for (uint32_t i = 0; i < piece->report_count; i++)
        if (piece->reports[i].kind != REPORT_COMPLETE || !peer_block_named(peer, piece->reports[i].block))
            return false;
    return true;
}

/* NULL when the piece follows what came before; else the error's code, and its text in *why. */
static const char *piece_fault(const struct peer *peer, const struct piece *piece, const char **why)
{
    bool loading = peer->row.state == STATE_LOADING && !peer->load_ended;
    bool closes = loading && piece->lsn > 0;
    feed_position most = peer->feed_sent > peer->row.base ? peer->feed_sent : peer->row.base;

    if (piece->lsn == 0) {
        *why = "a load piece outside of a load, or out of order";
        return loading && piece->nothing_seen && piece->final && load_reports_are_sound(peer, piece) &&
                       piece->first == peer->queued_number + 1
                   ? NULL
                   : "malformed";
    }
    *why = "a report of an item that was not sent, or of a block that hello did not declare";
    for (uint32_t i = 0; i < piece->report_count; i++)
        if (piece->reports[i].kind == REPORT_COMPLETE || piece->reports[i].position == 0 ||
            piece->reports[i].position > piece->base || !peer_block_named(peer, piece->reports[i].block))
            return "malformed";
    *why = "a piece without a base";
    if (piece->nothing_seen)
        return "malformed";
    *why = "the end of a load has changes or another base than the load";
    if (closes)
        return piece->change_count == 0 && piece->report_count == 0 && piece->final && piece->base == peer->row.load
                   ? NULL
                   : "malformed";
    *why = "a base above what was sent to this agency, or below an earlier one";
    if (piece->base > most || piece->base < peer->queued_base)
        return "base";
    *why = "a part of a transaction without changes or reports";
    if (!piece->final && piece->change_count == 0 && piece->report_count == 0)
        return "malformed";
    *why = "positions must rise, and the parts of a transaction follow each other";
    if (peer->queued_open)
        return piece->lsn == peer->queued_lsn && piece->first == peer->queued_number ? NULL : "malformed";
    return piece->lsn > peer->queued_lsn && piece->first == 0 ? NULL : "malformed";
}

/* A value must be in the canonical spelling of its type, or equal values would not have equal bytes. */
static int check_value(struct arena *arena, const struct catalog_field *field, struct value value, struct error *err)
{
    struct value canonical;

    if (value.state != VALUE_SET)
        return 0;
    if (value_parse(arena, field->type, field->scale, value.bytes, value.length, &canonical, err) < 0)
        return error_wrap(err, "field %s", field->name);
    if (field->type == VALUE_REFERENCE && reference_number(value) != 0)
        return error_set(err, ERR_REJECT, "field %s: a reference of an agency is by its own key", field->name);
    if (!value_equal(value, canonical))
        return error_set(err, ERR_REJECT, "field %s: not the canonical spelling of a %s", field->name,
                         value_type_name(field->type));
    return 0;
}

/* Identifiers stand in indexes. */
static int check_identifiers(const struct catalog_type *type, const struct change *change, struct error *err)
{
    size_t bytes[1 + 2 * CATALOG_FIELDS_MAX] = { 0 };

    for (uint16_t i = 0; i < change->field_count; i++) {
        int field = catalog_field(type, change->fields[i].name.bytes, change->fields[i].name.length);
        uint16_t unit = type->fields[field].unit;

        if (!type->units[unit].identifier || change->fields[i].value.state != VALUE_SET)
            continue;
        bytes[unit] += change->fields[i].value.length;
        if (bytes[unit] > KEY_BYTES_MAX)
            return error_set(err, ERR_REJECT, "%s %s: an identifier of %zu bytes is too long",
                             type->units[unit].group ? "group" : "field", type->units[unit].name, bytes[unit]);
    }
    return 0;
}

/* "Changing a member sends and decides the whole group": a part of one cannot be decided. */
static int check_groups(const struct catalog_type *type, const struct agency_block *block, const struct change *change,
                        struct error *err)
{
    bool present[CATALOG_FIELDS_MAX] = { false };

    for (uint16_t i = 0; i < change->field_count; i++)
        present[catalog_field(type, change->fields[i].name.bytes, change->fields[i].name.length)] = true;
    for (uint16_t u = 0; u < type->unit_count; u++) {
        const struct catalog_unit *unit = &type->units[u];
        uint16_t count = 0, mapped = 0;

        for (uint16_t i = 0; unit->group && i < unit->field_count; i++) {
            count = (uint16_t)(count + present[unit->fields[i]]);
            mapped = (uint16_t)(mapped + block->fields[unit->fields[i]]);
        }
        if (count > 0 && count < mapped)
            return error_set(err, ERR_REJECT, "it has only a part of group %s", unit->name);
    }
    return 0;
}

/* One change as PROTOCOL 5.2 wants it, of a block and fields that hello declared. */
static int check_change(const struct broker *broker, const struct peer *peer, struct arena *arena,
                        struct change *change, struct error *err)
{
    const struct agency_block *block;
    const struct catalog_type *type;

    if (change_decode(arena, change, err) < 0)
        return err->code;
    if (!change_committed(change))
        return error_set(err, ERR_REJECT, "the commitment is not of its salt and content");
    block = peer_block_named(peer, change->block);
    if (!block)
        return error_set(err, ERR_REJECT, "its block was not declared by hello");
    if (change->key.length == 0 || change->key.length > KEY_BYTES_MAX || change->old_key.length > KEY_BYTES_MAX)
        return error_set(err, ERR_REJECT, "its local key is empty or longer than %d bytes", KEY_BYTES_MAX);
    type = &broker->catalog->types[block->type];
    for (uint16_t i = 0; i < change->field_count; i++) {
        int field = catalog_field(type, change->fields[i].name.bytes, change->fields[i].name.length);

        if (field < 0 || !block->fields[field])
            return error_set(err, ERR_REJECT, "field %u was not declared by hello", i);
        if (check_value(arena, &type->fields[field], change->fields[i].value, err) < 0 ||
            check_value(arena, &type->fields[field], change->fields[i].old, err) < 0)
            return err->code;
    }
    if (check_identifiers(type, change, err) < 0)
        return err->code;
    return change->operation == OPERATION_DELETE ? 0 : check_groups(type, block, change, err);
}

static int check_changes(const struct broker *broker, const struct peer *peer, struct arena *arena,
                         const struct piece *piece, struct error *err)
{
    for (uint32_t i = 0; i < piece->change_count; i++)
        if (check_change(broker, peer, arena, &piece->changes[i], err) < 0)
            return error_wrap(err, "change %u", piece->first + i);
    return 0;
}

static void queue_piece(struct peer *peer, const struct piece *piece)
{
    peer->queued_lsn = piece->lsn;
    if (piece->lsn == 0) {
        peer->queued_number = piece->first;
        peer->ready++;
        return;
    }
    peer->queued_base = piece->base;
    peer->queued_open = !piece->final;
    peer->queued_number = piece->first + piece->change_count;
    if (peer->row.state == STATE_LOADING)
        peer->load_ended = true;
    if (piece->final)
        peer->ready++;
}

/* Checks one piece and takes it into account. False: the session has ended. */
static bool stage_piece(struct broker *broker, struct peer *peer, struct arena *arena, struct piece *piece)
{
    const char *why = "", *code;
    struct error err;

    if (piece_is_duplicate(&peer->row, piece)) {
        peer->ready += piece->final; /* it only wants its ack again */
        return true;
    }
    code = piece_fault(peer, piece, &why);
    if (code) {
        peer_fail(broker, peer, code, "%s", why);
        return false;
    }
    if (!fence_is_sound(peer, &piece->fence)) {
        peer_doubt(peer, QUARANTINE_HISTORY,
                   "its fence row %" PRIu64 " is not the one seen before: this database was restored or cloned",
                   piece->fence.seq);
        peer_fail(broker, peer, "history", "%s", peer->quarantine_reason);
        return false;
    }
    if (check_changes(broker, peer, arena, piece, &err) < 0) {
        peer_fail(broker, peer, "malformed", "%s", err.text);
        return false;
    }
    queue_piece(peer, piece);
    return true;
}

/* ---- how much ---- */

/* A quarter of what it may send is not given back at once; what is left must do for a frame. */
enum { SHARE_LEAST = FRAME_BYTES_MAX / 3 * 4 + 4 };

uint64_t stage_share(const struct broker *broker)
{
    uint64_t share = broker->options.total_bytes / (broker->peer_count ? broker->peer_count : 1);

    if (share < SHARE_LEAST)
        share = SHARE_LEAST;
    return share < broker->options.window_bytes ? share : broker->options.window_bytes;
}

/* Whether its transaction, whose end has not come, may take more than the agency's share: else it would wait for credit
 * that only its own end could free. One agency at a time, or two of them could fill what there is and both wait for
 * ever; others wait for it. stage-limit bounds it. */
static bool may_exceed(struct broker *broker, struct peer *peer)
{
    if (!broker->large && peer->open_bytes > 0)
        broker->large = peer;
    return broker->large == peer;
}

/* Raises the agency's credit when it is worth a message: what waits for a batch counts against its share. */
static void give_credit(struct broker *broker, struct peer *peer)
{
    struct message message = { .kind = MESSAGE_CREDIT };
    uint64_t share = stage_share(broker), waiting = peer->staged_bytes, total;

    if (waiting > share / 2 && may_exceed(broker, peer))
        waiting -= peer->open_bytes < waiting ? peer->open_bytes : waiting;
    total = peer->in_used + share - (waiting < share ? waiting : share);
    if (total < peer->in_credit + share / 4)
        return;
    peer->in_credit = message.credit.total = total;
    peer_send(broker, peer, &message);
}

/* The agency has no more than its share any more: another one's turn. */
static void give_way(struct broker *broker, struct peer *peer)
{
    if (broker->large != peer || peer->open_bytes > 0 || peer->staged_bytes > stage_share(broker))
        return;
    broker->large = NULL;
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (broker->peers[i].up)
            give_credit(broker, &broker->peers[i]);
}

static bool is_waited_for(const struct broker *broker)
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (&broker->peers[i] != broker->large && broker->peers[i].open_bytes > stage_share(broker) / 2)
            return true;
    return false;
}

void stage_watch(struct broker *broker)
{
    enum { STALLED_MS = 30 * 1000 };
    struct peer *large = broker->large;

    if (large && large->up && large->open_bytes > 0 && broker->now_ms - large->staged_ms > STALLED_MS &&
        is_waited_for(broker))
        peer_fail(
            broker, large, "busy",
            "nothing more of its transaction came for half a minute, and another agency's large one waits for it");
}

/* ---- frames ---- */

static bool moves_keys(const struct piece *piece)
{
    for (uint32_t i = 0; i < piece->change_count; i++)
        if (piece->changes[i].old_key.length > 0)
            return true;
    return false;
}

static void staged_add(struct peer *peer, const struct changes *changes, const void *frame, size_t size)
{
    struct staged *staged = malloc(sizeof *staged + size + 1); /* a NUL behind it, as arena_copy() leaves one */

    if (!staged)
        abort();
    *staged = (struct staged){ .size = size, .piece_count = changes->piece_count };
    for (uint32_t i = 0; i < changes->piece_count; i++) {
        staged->ends = staged->ends || changes->pieces[i].final;
        staged->moves = staged->moves || moves_keys(&changes->pieces[i]);
    }
    memcpy(staged->frame, frame, size);
    staged->frame[size] = '\0';
    if (peer->staged_last)
        peer->staged_last->next = staged;
    else
        peer->staged = staged;
    peer->staged_last = staged;
    peer->staged_bytes += size;
}

struct changes staged_read(struct arena *arena, const struct staged *staged)
{
    struct message message;
    struct error err;

    if (message_read(arena, staged->frame, staged->size, &message, &err) < 0)
        abort(); /* it was read when it came */
    return message.changes;
}

void stage_changes(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                   const void *frame, size_t size)
{
    const struct changes *changes = &message->changes;
    uint32_t ready = peer->ready;

    peer->in_used += size;
    if (peer->in_used > peer->in_credit) {
        peer_fail(broker, peer, "credit", "%" PRIu64 " bytes of changes were sent, %" PRIu64 " were allowed",
                  peer->in_used, peer->in_credit);
        return;
    }
    if (changes->piece_count == 0) {
        peer_fail(broker, peer, "malformed", "a changes message without a piece");
        return;
    }
    for (uint32_t i = 0; i < changes->piece_count; i++)
        if (!stage_piece(broker, peer, arena, &changes->pieces[i]))
            return;
    staged_add(peer, changes, frame, size);
    peer->staged_ms = broker->now_ms;
    /* Only a frame that ends nothing adds to the open transaction; one that ends some begins it anew with its last
     * piece. */
    peer->open_bytes = !peer->queued_open ? 0 : peer->ready > ready ? size : peer->open_bytes + size;
    if (peer->open_bytes > broker->options.stage_bytes)
        peer_fail(broker, peer, "malformed",
                  "one transaction is larger than stage-limit (%" PRIu64 " bytes): raise it in broker.zpl",
                  broker->options.stage_bytes);
    else
        give_credit(broker, peer);
}

void stage_release(struct broker *broker, struct peer *peer)
{
    while (peer->staged && peer->staged->done == peer->staged->piece_count) {
        struct staged *done = peer->staged;

        peer->staged = done->next;
        peer->staged_bytes -= done->size;
        if (!peer->staged)
            peer->staged_last = NULL;
        free(done);
    }
    if (peer->up)
        give_credit(broker, peer);
    give_way(broker, peer);
}

void stage_give_back(struct peer *peer, uint32_t count)
{
    uint32_t done = 0;

    for (const struct staged *at = peer->staged; at; at = at->next)
        done += at->done;
    if (done < count)
        return; /* its session has ended: what was taken is dropped, and comes again */
    done -= count;
    for (struct staged *at = peer->staged; at; at = at->next) {
        at->done = done < at->piece_count ? done : at->piece_count;
        done -= at->done;
    }
}

static void staged_free(struct staged **list)
{
    while (*list) {
        struct staged *old = *list;

        *list = old->next;
        free(old);
    }
}

void stage_bury(struct peer *peer)
{
    staged_free(&peer->graves);
}

void stage_clear(struct broker *broker, struct peer *peer)
{
    if (broker->batch && peer->staged) {
        peer->staged_last->next = peer->graves;
        peer->graves = peer->staged;
        peer->staged = NULL;
    }
    staged_free(&peer->staged);
    peer->staged_last = NULL;
    peer->staged_bytes = 0;
    peer->open_bytes = 0;
    peer->ready = 0;
    peer->queued_open = peer->large_first = false;
    peer->load_ended = false;
    give_way(broker, peer);
}
