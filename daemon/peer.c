/* What the core keeps of one agency, and how anything leaves the core. */
#include "daemon/peer.h"

#include "daemon/modes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- actions ---- */

struct broker_action *action_add(struct broker *broker, enum broker_action_kind kind)
{
    struct broker_actions *actions = broker->actions;

    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity ? actions->capacity * 2 : 16;
        actions->actions = realloc(actions->actions, actions->capacity * sizeof *actions->actions);
        if (!actions->actions)
            abort();
    }
    actions->actions[actions->count] = (struct broker_action){ .kind = kind };
    return &actions->actions[actions->count++];
}

struct broker_action *action_log(struct broker *broker, int level, const struct peer *peer, const char *fmt, ...)
{
    struct broker_action *action;
    char text[512];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    action = action_add(broker, BROKER_ACTION_LOG);
    action->level = level;
    action->agency = peer ? peer->row.name : NULL;
    action->text = arena_copy(broker->step_arena, text, strlen(text));
    return action;
}

void action_about(struct broker *broker, struct broker_action *line, const struct entry *entry)
{
    if (entry->type.length > 0)
        line->type = arena_copy(broker->step_arena, entry->type.bytes, entry->type.length);
    line->position = entry->position;
}

static size_t send_message(struct broker *broker, const struct route *route, const struct message *message)
{
    struct buffer packed = { 0 };
    struct broker_action *action;

    message_pack(message, &packed);
    action = action_add(broker, BROKER_ACTION_SEND);
    action->route = *route;
    action->frame =
        (struct text){ arena_copy(broker->step_arena, packed.bytes, packed.length), (uint32_t)packed.length };
    buffer_free(&packed);
    return action->frame.length;
}

size_t peer_send(struct broker *broker, struct peer *peer, struct message *message)
{
    message->session = peer->row.session;
    message->number = message->kind == MESSAGE_WELCOME ? 0 : ++peer->out_number;
    return send_message(broker, &peer->route, message);
}

void send_error(struct broker *broker, const struct route *route, uint64_t session, uint64_t number, const char *code,
                const char *text)
{
    struct message message = { .kind = MESSAGE_ERROR, .session = session, .number = number };

    message.error.code = (struct text){ code, (uint32_t)strlen(code) };
    message.error.text = (struct text){ text, (uint32_t)strlen(text) };
    send_message(broker, route, &message);
}

void peer_fail(struct broker *broker, struct peer *peer, const char *code, const char *fmt, ...)
{
    char text[480];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    if (!peer->up)
        return;
    send_error(broker, &peer->route, peer->row.session, ++peer->out_number, code, text);
    action_log(broker, LOG_LEVEL_WARN, peer, "session %" PRIu64 " ended, %s: %s", peer->row.session, code, text);
    peer_drop(broker, peer);
}

void peer_doubt(struct peer *peer, enum quarantine kind, const char *fmt, ...)
{
    char text[1024];
    va_list arguments;

    if (peer->quarantine_waits || peer->row.state == STATE_QUARANTINED)
        return;
    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    text_copy(peer->quarantine_reason, sizeof peer->quarantine_reason, (struct text){ text, (uint32_t)strlen(text) });
    peer->quarantine_kind = kind;
    peer->quarantine_waits = true;
}

void peer_ack(struct broker *broker, struct peer *peer)
{
    struct message message = { .kind = MESSAGE_ACK };

    message.ack = (struct ack){ .lsn = peer->row.lsn, .load_number = peer->row.load_number, .base = peer->row.base };
    peer_send(broker, peer, &message);
}

void peer_drop(struct broker *broker, struct peer *peer)
{
    peer->up = false;
    stage_clear(broker, peer);
    feed_clear(peer);
}

/* ---- peers ---- */

struct peer *peer_by_id(struct broker *broker, uint16_t id)
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (broker->peers[i].row.id == id)
            return &broker->peers[i];
    return NULL;
}

struct peer *peer_named(struct broker *broker, const char *name)
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (strcmp(broker->peers[i].row.name, name) == 0)
            return &broker->peers[i];
    return NULL;
}

void text_copy(char *ret, size_t size, struct text text)
{
    size_t length = text.length < size ? text.length : size - 1;

    while (length < text.length && length > 0 && ((unsigned char)text.bytes[length] & 0xc0) == 0x80)
        length--; /* inside a character */
    memcpy(ret, text.bytes, length);
    ret[length] = '\0';
}

const struct agency_block *peer_block(const struct peer *peer, uint16_t type, const struct value *values)
{
    const struct catalog_type *known = &peer->catalog->types[type];
    const struct agency_block *found = NULL;

    for (uint16_t i = 0; i < peer->block_count; i++) {
        const struct agency_block *block = &peer->blocks[i];

        if (block->type == type && block_takes(block, known, values) && (!found || (block->insert && !found->insert)))
            found = block;
    }
    return found;
}

bool peer_inserts(const struct peer *peer, uint16_t type)
{
    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].type == type && peer->blocks[i].insert && peer->blocks[i].fed[UNIT_EXISTENCE])
            return true;
    return false;
}

const struct agency_block *peer_block_named(const struct peer *peer, struct text name)
{
    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].name.length == name.length &&
            memcmp(peer->blocks[i].name.bytes, name.bytes, name.length) == 0)
            return &peer->blocks[i];
    return NULL;
}

bool peer_reads(const struct peer *peer)
{
    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].mode == MODE_FULL)
            return true;
    return peer->block_count == 0 && peer->row.mode == MODE_FULL;
}

bool peer_is_fed(const struct peer *peer)
{
    return peer->up && peer->row.enrolled && peer_reads(peer) &&
           (peer->row.state == STATE_FILLING || peer->row.state == STATE_ACTIVE);
}

int peer_bind(struct peer *peer, struct error *err)
{
    arena_reset(peer->blocks_arena);
    peer->bound = blocks_bind(peer->blocks_arena, peer->catalog, peer->index, peer->row.blocks, &peer->blocks,
                              &peer->block_count, err) == 0;
    if (!peer->bound) {
        peer->block_count = 0;
        return err->code;
    }
    modes_bind(&peer->row, peer->catalog, peer->blocks, peer->block_count);
    return 0;
}

void broker_salt(struct broker *broker, uint8_t ret[32])
{
    commitment_make(broker->options.seed, &broker->salts, sizeof broker->salts, ret);
    broker->salts++;
}

struct text peer_keep(char **bytes, struct text text)
{
    free(*bytes);
    *bytes = malloc(text.length + 1u);
    if (!*bytes)
        abort();
    if (text.length > 0)
        memcpy(*bytes, text.bytes, text.length);
    return (struct text){ *bytes, text.length };
}

struct peer *peer_add(struct broker *broker, const struct agency_row *row)
{
    struct peer *peer;
    int index = catalog_agency(broker->catalog, row->name, strlen(row->name));

    assert(!broker->batch && broker->peer_count < CATALOG_AGENCIES_MAX);
    peer = &broker->peers[broker->peer_count++];
    *peer = (struct peer){ .catalog = broker->catalog,
                           .row = *row,
                           .index = index < 0 ? AGENCY_GONE : (agency_index)index,
                           .blocks_arena = arena_new(),
                           .debts = debts_new(),
                           .altered = altered_new() };
    if (index >= 0)
        broker->ids.id[index] = row->id;
    peer->row.blocks = peer_keep(&peer->blocks_bytes, row->blocks);
    peer->row.modes = peer_keep(&peer->modes_bytes, row->modes);
    return peer;
}

void peer_free(struct broker *broker, struct peer *peer)
{
    debts_free(&peer->debts);
    altered_free(&peer->altered);
    peer_drop(broker, peer);
    stage_bury(peer);
    arena_free(&peer->blocks_arena);
    arena_free(&peer->hello_arena);
    arena_free(&peer->next_arena);
    free(peer->blocks_bytes);
    free(peer->modes_bytes);
    free(peer->holdings);
}
