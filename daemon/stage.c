/* What an agency has sent and no batch has taken yet. Pieces must come in the order of its stream; what is wrong with
 * that ends the session, and nothing is lost: the agency sends again what welcome does not have. */
#include "daemon/peer.h"

#include <inttypes.h>
#include <stdio.h>
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

/* NULL when the piece follows what came before; else the error's code, and its text in *why. */
static const char *piece_fault(const struct peer *peer, const struct piece *piece, const char **why)
{
    bool loading = peer->row.state == STATE_LOADING && !peer->load_ended;
    bool closes = loading && piece->lsn > 0;
    feed_position most = peer->feed_sent > peer->row.base ? peer->feed_sent : peer->row.base;

    if (piece->lsn == 0) {
        *why = "a load piece outside of a load, or out of order";
        return loading && piece->nothing_seen && piece->final && piece->report_count == 0 &&
                       piece->first == peer->queued_number + 1
                   ? NULL
                   : "malformed";
    }
    *why = "a report of an item that was not sent, or of a block that hello did not declare";
    for (uint32_t i = 0; i < piece->report_count; i++)
        if (piece->reports[i].position == 0 || piece->reports[i].position > piece->base ||
            !peer_block_named(peer, piece->reports[i].block))
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

/* Raises the agency's credit when it is worth a message: what waits for a batch counts against the window. A
 * transaction whose end has not come does not: it must not wait for credit that only its own end could free;
 * stage-limit bounds it. */
static void give_credit(struct broker *broker, struct peer *peer)
{
    struct message message = { .kind = MESSAGE_CREDIT };
    uint64_t waiting = peer->staged_bytes, total;

    waiting -= peer->open_bytes < waiting ? peer->open_bytes : waiting;
    total = peer->in_used + broker->options.window_bytes -
            (waiting < broker->options.window_bytes ? waiting : broker->options.window_bytes);
    if (total < peer->in_credit + broker->options.window_bytes / 4)
        return;
    peer->in_credit = message.credit.total = total;
    peer_send(broker, peer, &message);
}

void stage_changes(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                   size_t size)
{
    struct staged *staged = arena_alloc(arena, sizeof *staged);
    uint32_t ready = peer->ready;

    staged->arena = arena;
    staged->changes = message->changes;
    staged->size = size;
    peer->in_used += size;
    if (peer->in_used > peer->in_credit) {
        arena_free(&arena);
        peer_fail(broker, peer, "credit", "%" PRIu64 " bytes of changes were sent, %" PRIu64 " were allowed",
                  peer->in_used, peer->in_credit);
        return;
    }
    if (staged->changes.piece_count == 0) {
        arena_free(&arena);
        peer_fail(broker, peer, "malformed", "a changes message without a piece");
        return;
    }
    for (uint32_t i = 0; i < staged->changes.piece_count; i++)
        if (!stage_piece(broker, peer, arena, &staged->changes.pieces[i])) {
            arena_free(&arena);
            return;
        }
    if (peer->staged_last)
        peer->staged_last->next = staged;
    else
        peer->staged = staged;
    peer->staged_last = staged;
    peer->staged_bytes += size;
    /* Only a frame that ends nothing adds to the open transaction; one that ends some begins it anew with its last
     * piece. */
    peer->open_bytes = !peer->queued_open ? 0 : peer->ready > ready ? size : peer->open_bytes + size;
    peer->open_memory = !peer->queued_open ? 0 : arena_used(arena) + (peer->ready > ready ? 0 : peer->open_memory);
    if (peer->open_memory > broker->options.stage_bytes)
        peer_fail(broker, peer, "malformed",
                  "one transaction is larger than stage-limit (%" PRIu64 " bytes): raise it in broker.zpl",
                  broker->options.stage_bytes);
    else
        give_credit(broker, peer);
}

void stage_release(struct broker *broker, struct peer *peer)
{
    while (peer->staged && peer->staged->done == peer->staged->changes.piece_count) {
        struct staged *done = peer->staged;
        struct arena *arena = done->arena;

        peer->staged = done->next;
        peer->staged_bytes -= done->size;
        if (!peer->staged)
            peer->staged_last = NULL;
        arena_free(&arena);
    }
    if (peer->up)
        give_credit(broker, peer);
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
        at->done = done < at->changes.piece_count ? done : at->changes.piece_count;
        done -= at->done;
    }
}

static void staged_free(struct staged **list)
{
    while (*list) {
        struct arena *arena = (*list)->arena;

        *list = (*list)->next;
        arena_free(&arena);
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
    peer->open_bytes = peer->open_memory = 0;
    peer->ready = 0;
    peer->queued_open = false;
    peer->load_ended = false;
}
