/* What an agency is sent: its feed is a scan of the ledger, filtered by what it reads, in frames that wait for its
 * credit. */
#include "daemon/peer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FEED_FRAME_BYTES = 256 * 1024,
    FEED_OVERHEAD = 128, /* at most what a feed frame takes beside its items */
    /* "whole at the target up to 10,000 changes or 8 MiB": a larger source transaction is fed in several batches. */
    BATCH_ITEMS_MOST = 10000,
    BATCH_BYTES_MOST = 8 * 1024 * 1024,
    FEED_QUIET_MS = 2000, /* an empty stretch of feed waits so long before the agency is told of it */
};

void feed_clear(struct peer *peer)
{
    while (peer->out) {
        struct outgoing *old = peer->out;

        peer->out = old->next;
        arena_free(&old->arena);
        free(old);
    }
    peer->out_last = NULL;
}

void feed_start(struct broker *broker, struct peer *peer, feed_position applied)
{
    feed_clear(peer);
    peer->feed_sent = applied;
    peer->feed_scanned = applied;
    peer->feed_quiet_ms = broker->now_ms;
}

/* Frames go in order as long as there is credit. */
static void feed_flush(struct broker *broker, struct peer *peer)
{
    while (peer->out && peer->out_used + peer->out->size <= peer->out_credit) {
        struct outgoing *next = peer->out;
        struct message message = { .kind = MESSAGE_FEED, .feed = next->feed };

        peer->out_used += peer_send(broker, peer, &message);
        peer->row.fed += next->feed.item_count;
        if (next->feed.final)
            peer->feed_sent = next->feed.position;
        peer->out = next->next;
        if (!peer->out)
            peer->out_last = NULL;
        arena_free(&next->arena);
        free(next);
    }
}

static struct scan *scan_new(const struct broker *broker, const struct peer *peer)
{
    struct arena *arena = arena_new();
    struct scan *scan = arena_alloc(arena, sizeof *scan);

    scan->arena = arena;
    scan->agency = peer->row.id;
    scan->catalog = broker->catalog;
    snprintf(scan->agency_name, sizeof scan->agency_name, "%s", peer->row.name);
    scan->after = peer->feed_scanned;
    scan->limit = broker->options.feed_items;
    scan->most = BATCH_ITEMS_MOST;
    scan->most_bytes = BATCH_BYTES_MOST;
    return scan;
}

/* ---- references ---- */

/* Whether a row's item refers to a record: how its reader knows that one is the store's to say. */
static bool row_refers(struct broker *broker, struct arena *arena, const struct scan_row *row)
{
    int type = catalog_type(broker->catalog, row->type.bytes, row->type.length);
    struct item item;
    struct error ignored;

    if (type < 0 || !broker->catalog->types[type].refers ||
        effect_read(arena, row->sending.bytes, row->sending.length, &item, &ignored) < 0)
        return false;
    for (uint16_t i = 0; i < item.field_count; i++) {
        int field = catalog_field(&broker->catalog->types[type], item.fields[i].name.bytes, item.fields[i].name.length);

        if (field >= 0 && broker->catalog->types[type].fields[field].type == VALUE_REFERENCE &&
            item.fields[i].value.state == VALUE_SET)
            return true;
    }
    return false;
}

static bool scan_refers(struct broker *broker, const struct scan *scan)
{
    for (uint32_t i = 0; i < scan->row_count; i++)
        if (row_refers(broker, scan->arena, &scan->rows[i]))
            return true;
    return false;
}

static int compare_links(const void *left, const void *right)
{
    const struct link *a = left, *b = right;

    return (a->record > b->record) - (a->record < b->record);
}

/* The record's number, or, where the reader has a row of it at this position, that row's key. */
static struct value reference_sent(const struct scan *scan, const struct agency_block *block, int field,
                                   struct value value, feed_position position)
{
    const struct text target = block->references[field];
    struct link wanted = { .record = reference_number(value) };
    const struct link *found =
        scan->link_count > 0 ? bsearch(&wanted, scan->links, scan->link_count, sizeof wanted, compare_links) : NULL;

    while (found && found > scan->links && found[-1].record == wanted.record)
        found--;
    for (; found && found < scan->links + scan->link_count && found->record == wanted.record; found++)
        if (found->since < position && (found->until == 0 || found->until >= position) &&
            found->block.length == target.length && memcmp(found->block.bytes, target.bytes, target.length) == 0)
            return reference_local(scan->arena, arena_copy(scan->arena, target.bytes, target.length), found->key.bytes,
                                   found->key.length);
    return value;
}

static void scan_take(struct broker *broker, struct peer *peer, struct scan *scan);

/* The next stretch of its feed, from memory when it keeps up, else from the store. */
void feed_wake(struct broker *broker, struct peer *peer)
{
    feed_flush(broker, peer);
    while (peer_is_fed(peer) && !peer->scanning && !peer->out && peer->feed_scanned < broker->head) {
        struct scan *scan = scan_new(broker, peer);

        bool recent = recent_scan(broker->recent, broker->cache, scan);

        if (recent && scan_refers(broker, scan)) {
            arena_free(&scan->arena);
            scan = scan_new(broker, peer);
            recent = false;
        }
        if (recent) {
            scan_take(broker, peer, scan);
            feed_flush(broker, peer);
        } else {
            peer->scanning = true;
            action_add(broker, BROKER_ACTION_SCAN)->scan = scan;
        }
    }
}

/* Turns one row into an item of what the agency reads. False: nothing of it is for this agency. */
static bool item_make(struct broker *broker, struct peer *peer, const struct scan *scan, const struct scan_row *row,
                      struct item *item)
{
    struct arena *arena = scan->arena;
    int type_index = catalog_type(broker->catalog, row->type.bytes, row->type.length);
    const struct agency_block *block;
    const struct catalog_type *type;
    struct value *values;
    struct error err;
    uint16_t kept = 0;

    if (type_index < 0 || effect_read(arena, row->sending.bytes, row->sending.length, item, &err) < 0)
        return false;
    type = &broker->catalog->types[type_index];
    values = arena_array(arena, type->field_count, sizeof *values);
    for (uint16_t i = 0; i < item->field_count; i++) {
        int field = catalog_field(type, item->fields[i].name.bytes, item->fields[i].name.length);

        if (field >= 0)
            values[field] = item->fields[i].value;
    }
    /* By its link; else by its values: what is there already and no longer fits is for its people to see. */
    block = row->key.length > 0 ? peer_block_named(peer, row->block) : NULL;
    if (!block || block->type != type_index)
        block = peer_block(peer, (uint16_t)type_index, values);
    if (!block)
        return false;
    item->position = row->position;
    item->record = row->record;
    item->block = block->name;
    item->key = row->key;
    if (item->operation == OPERATION_DELETE)
        return block->fed[UNIT_EXISTENCE] && block->delete != DELETE_IGNORE;
    for (uint16_t i = 0; i < item->field_count; i++) {
        int field = catalog_field(type, item->fields[i].name.bytes, item->fields[i].name.length);

        if (field < 0 || !block->fields[field] || !block->fed[type->fields[field].unit])
            continue;
        item->fields[kept] = item->fields[i];
        if (type->fields[field].type == VALUE_REFERENCE)
            item->fields[kept].value = reference_sent(scan, block, field, item->fields[i].value, row->position);
        kept++;
    }
    item->field_count = kept;
    if (item->operation == OPERATION_INSERT)
        return block->fed[UNIT_EXISTENCE] && (block->insert || row->key.length > 0);
    return kept > 0 && (block->insert || row->key.length > 0);
}

static void feed_queue(struct peer *peer, struct arena *arena, struct feed feed, size_t size)
{
    struct outgoing *next = calloc(1, sizeof *next);

    if (!next)
        abort();
    next->arena = arena;
    next->feed = feed;
    next->size = size;
    if (peer->out_last)
        peer->out_last->next = next;
    else
        peer->out = next;
    peer->out_last = next;
}

/* Cuts the items into frames; the last one is final. The scan's arena stays with the last frame. */
static void feed_cut(struct peer *peer, struct scan *scan, struct item *items, uint32_t count)
{
    uint32_t start = 0;
    size_t size = FEED_OVERHEAD;

    for (uint32_t i = 0; i < count; i++) {
        size_t more = message_item_size(&items[i]);

        if (size + more > FEED_FRAME_BYTES && i > start) {
            feed_queue(peer, NULL, (struct feed){ .items = items + start, .item_count = i - start }, size);
            start = i;
            size = FEED_OVERHEAD;
        }
        size += more;
    }
    struct feed last = { .final = true, .position = scan->end, .items = items + start, .item_count = count - start };

    memcpy(last.leaf, scan->leaf, sizeof last.leaf);
    feed_queue(peer, scan->arena, last, size);
}

void feed_idle(struct broker *broker, struct peer *peer)
{
    struct feed feed = { .final = true, .position = peer->feed_scanned };

    if (!peer_is_fed(peer) || peer->scanning || peer->out || peer->feed_scanned <= peer->feed_sent ||
        broker->now_ms - peer->feed_quiet_ms < FEED_QUIET_MS)
        return;
    memcpy(feed.leaf, peer->feed_leaf, sizeof feed.leaf);
    feed_queue(peer, NULL, feed, FEED_OVERHEAD);
    feed_flush(broker, peer);
}

static void scan_take(struct broker *broker, struct peer *peer, struct scan *scan)
{
    struct item *items;
    uint32_t count = 0;
    bool quiet;

    items = arena_array(scan->arena, scan->row_count, sizeof *items);
    if (scan->link_count > 0)
        qsort(scan->links, scan->link_count, sizeof *scan->links, compare_links);
    for (uint32_t i = 0; i < scan->row_count; i++)
        count += item_make(broker, peer, scan, &scan->rows[i], &items[count]);
    if (peer->feed_scanned == peer->feed_sent)
        peer->feed_quiet_ms = broker->now_ms;
    peer->feed_scanned = scan->end;
    memcpy(peer->feed_leaf, scan->leaf, sizeof peer->feed_leaf);
    quiet = count == 0 && broker->now_ms - peer->feed_quiet_ms < FEED_QUIET_MS;
    if (quiet || scan->end == peer->feed_sent)
        arena_free(&scan->arena); /* every change of its own would otherwise bring it an empty batch */
    else
        feed_cut(peer, scan, items, count);
}

void feed_scanned(struct broker *broker, struct scan *scan)
{
    struct peer *peer = peer_by_id(broker, scan->agency);

    assert(peer);
    if (peer_is_fed(peer) && peer->scanning && scan->after == peer->feed_scanned)
        scan_take(broker, peer, scan);
    else
        arena_free(&scan->arena); /* the session has changed meanwhile */
    peer->scanning = false;
    feed_wake(broker, peer);
}
