/* Which local key an item reaches an agency's row by. */
#include "daemon/work.h"

#include <string.h>

static const struct text nothing = { "", 0 };

/* The local key that this block's agency finds the record by; length 0 when it has none. */
static struct text natural_key(struct work *work, const struct agency_block *block, const struct canonical *record)
{
    struct text key = nothing;
    size_t length = 0;
    char *at;

    for (uint8_t i = 0; i < block->key_count; i++) {
        if (record->values[block->key_fields[i]].state != VALUE_SET)
            return nothing;
        length += record->values[block->key_fields[i]].length + 1;
    }
    if (block->generated || length == 0 || length - 1 > KEY_BYTES_MAX)
        return nothing;
    key.bytes = at = arena_alloc(work->batch->arena, length);
    for (uint8_t i = 0; i < block->key_count; i++) {
        struct value value = record->values[block->key_fields[i]];

        memcpy(at, value.bytes, value.length);
        at += value.length;
        *at++ = '\x1f';
    }
    key.length = (uint32_t)length - 1;
    return key;
}

const struct agency_block *reach_held(const struct work *work, const struct peer *peer, const struct canonical *record,
                                      struct text *ret_key)
{
    uint16_t type = (uint16_t)(record->type - work->batch->catalog->types);

    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].type == type &&
            links_held(work->links, peer->row.id, peer->blocks[i].name, record->number, ret_key))
            return &peer->blocks[i];
    return NULL;
}

bool reach_inserts(const struct work *work, const struct peer *peer, const struct canonical *record)
{
    const struct agency_block *block =
        peer_block(peer, (uint16_t)(record->type - work->batch->catalog->types), record->values);
    struct text key;

    return block && block->insert && block->fed[UNIT_EXISTENCE] && !reach_held(work, peer, record, &key);
}

/* What an entry at `position` that sends `operation` to this peer does to its link. */
void link_item(struct work *work, const struct peer *peer, const struct canonical *record, enum operation operation,
               bool identifier_changed, feed_position position)
{
    struct text key, old;
    const struct agency_block *held = reach_held(work, peer, record, &old);
    const struct agency_block *block =
        held ? held : peer_block(peer, (uint16_t)(record->type - work->batch->catalog->types), record->values);

    if (!block || !block->fed[UNIT_EXISTENCE])
        return;
    if (operation == OPERATION_DELETE) {
        if (block->delete == DELETE_ROW)
            links_end(work->links, peer->row.id, block->name, record->number, position);
        return;
    }
    key = natural_key(work, block, record);
    if (key.length == 0 || !block_takes(block, record->type, record->values))
        return;
    if (operation == OPERATION_INSERT ? block->insert || held : identifier_changed && held)
        links_feed(work->links, peer->row.id, block->name, key, record->number, position);
}

void link_readers(struct broker *broker, struct work *work, const struct peer *writer, const struct canonical *record,
                  const struct outcome *outcome, feed_position position)
{
    if (outcome->reply.operation != OPERATION_NONE)
        link_item(work, writer, record, outcome->reply.operation, true, position);
    if (outcome->effect.operation == OPERATION_NONE ||
        (outcome->effect.operation == OPERATION_UPDATE && !outcome->identifier_changed))
        return;
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (&broker->peers[i] != writer && broker->peers[i].row.state >= STATE_FILLING &&
            !held_find(record, broker->peers[i].index, UNIT_EXISTENCE))
            link_item(work, &broker->peers[i], record, outcome->effect.operation, outcome->identifier_changed,
                      position);
}
