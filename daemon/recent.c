#include "daemon/recent.h"

#include <stdlib.h>
#include <string.h>

/* One entry, in one piece of memory with its texts: many batches have but one. */
struct recent_entry {
    size_t size;
    struct text agency, type;
    uint64_t record;
    struct text effect, reply;
    struct text leaf; /* of one that a batch of the feed may end with */
    const uint16_t *withheld;
    uint16_t withheld_count;
    bool boundary;
};

/* Positions are dense: the entry at `first` + i stands at ring[(start + i) % capacity]. */
struct recent {
    size_t limit_bytes, used_bytes; /* of the entries and of the ring */
    feed_position first;
    struct recent_entry **ring;
    uint32_t start, count, capacity;
};

enum { RING_FIRST = 64 };

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

struct recent *recent_new(size_t limit_bytes)
{
    struct recent *recent = allocated(calloc(1, sizeof *recent));

    recent->limit_bytes = limit_bytes;
    return recent;
}

static void drop_oldest(struct recent *recent)
{
    struct recent_entry *old = recent->ring[recent->start];

    recent->start = (recent->start + 1) % recent->capacity;
    recent->count--;
    recent->first++;
    recent->used_bytes -= old->size;
    free(old);
}

void recent_clear(struct recent *recent)
{
    while (recent->count > 0)
        drop_oldest(recent);
}

void recent_free(struct recent **recent)
{
    if (!*recent)
        return;
    recent_clear(*recent);
    free((*recent)->ring);
    free(*recent);
    *recent = NULL;
}

static struct text text_put(char **at, struct text text)
{
    struct text put = { *at, text.length };

    if (text.length > 0)
        memcpy(*at, text.bytes, text.length);
    *at += text.length;
    return put;
}

static struct recent_entry *entry_new(const struct entry_row *row)
{
    struct text leaf = row->boundary ? row->leaf : (struct text){ 0 };
    size_t size = sizeof(struct recent_entry) + row->entry.agency.length + row->entry.type.length + row->effect.length +
                  row->reply.length + leaf.length + row->withheld_count * sizeof *row->withheld;
    struct recent_entry *entry = allocated(malloc(size));
    char *at = (char *)(entry + 1);

    *entry = (struct recent_entry){ .size = size, .record = row->entry.record, .boundary = row->boundary };
    entry->withheld_count = row->withheld_count;
    if (row->withheld_count > 0) { /* first, where it is aligned */
        entry->withheld = memcpy(at, row->withheld, row->withheld_count * sizeof *row->withheld);
        at += row->withheld_count * sizeof *row->withheld;
    }
    entry->agency = text_put(&at, row->entry.agency);
    entry->type = text_put(&at, row->entry.type);
    entry->effect = text_put(&at, row->effect);
    entry->reply = text_put(&at, row->reply);
    entry->leaf = text_put(&at, leaf);
    return entry;
}

static void ring_grow(struct recent *recent)
{
    uint32_t capacity = recent->capacity ? recent->capacity * 2 : RING_FIRST;
    struct recent_entry **ring = allocated(calloc(capacity, sizeof(struct recent_entry *)));

    for (uint32_t i = 0; i < recent->count; i++)
        ring[i] = recent->ring[(recent->start + i) % recent->capacity];
    free(recent->ring);
    recent->used_bytes += (capacity - recent->capacity) * sizeof(struct recent_entry *);
    recent->ring = ring;
    recent->start = 0;
    recent->capacity = capacity;
}

void recent_add(struct recent *recent, const struct batch *batch)
{
    const struct writes *writes = &batch->writes;

    if (writes->entry_count == 0)
        return;
    if (recent->first + recent->count != writes->entries[0].entry.position)
        recent_clear(recent);
    if (recent->count == 0)
        recent->first = writes->entries[0].entry.position;
    for (uint32_t i = 0; i < writes->entry_count; i++) {
        struct recent_entry *entry = entry_new(&writes->entries[i]);

        if (recent->count == recent->capacity)
            ring_grow(recent);
        recent->ring[(recent->start + recent->count++) % recent->capacity] = entry;
        recent->used_bytes += entry->size;
        while (recent->count > 0 && recent->used_bytes > recent->limit_bytes)
            drop_oldest(recent);
    }
}

/* The frames that are made of a scan wait for credit: the entry may have made room for others by then. */
static struct text text_keep(struct arena *arena, struct text text)
{
    return text.length > 0 ? (struct text){ arena_copy(arena, text.bytes, text.length), text.length }
                           : (struct text){ 0 };
}

/* What of the entry goes to this agency. */
static struct text sending_of(const struct recent_entry *entry, const struct scan *scan)
{
    size_t length = strlen(scan->agency_name);

    for (uint16_t i = 0; i < entry->withheld_count; i++)
        if (entry->withheld[i] == scan->agency)
            return (struct text){ 0 };
    return entry->agency.length == length && memcmp(entry->agency.bytes, scan->agency_name, length) == 0
               ? entry->reply
               : entry->effect;
}

static bool row_add(const struct cache *cache, struct scan *scan, uint32_t *capacity, const struct recent_entry *entry,
                    feed_position position, struct text sending)
{
    struct scan_row *row;
    struct text block = { "", 0 }, key = { "", 0 };

    if (entry->record > 0 && !cache_key_at(cache, entry->record, scan->agency, position, &block, &key))
        return false;
    if (scan->row_count == *capacity) {
        struct scan_row *rows = arena_array(scan->arena, *capacity * 2, sizeof *rows);

        memcpy(rows, scan->rows, scan->row_count * sizeof *rows);
        scan->rows = rows;
        *capacity *= 2;
    }
    row = &scan->rows[scan->row_count];
    *row = (struct scan_row){ .position = position, .record = entry->record };
    row->type = text_keep(scan->arena, entry->type);
    row->block = text_keep(scan->arena, block);
    row->key = text_keep(scan->arena, key);
    row->sending = text_keep(scan->arena, sending);
    scan->row_count++;
    return true;
}

/* Whether one more item is no more than a batch may have; a transaction that must be cut is left to the store. */
static bool fits(const struct scan *scan, uint64_t bytes)
{
    return scan->row_count < scan->most && bytes <= scan->most_bytes;
}

bool recent_scan(const struct recent *recent, const struct cache *cache, struct scan *scan)
{
    feed_position end = recent->first + recent->count, at = scan->after + 1;
    uint32_t capacity = 64, complete = 0;
    const struct recent_entry *last = NULL;
    uint64_t bytes = 0;
    bool known = at >= recent->first;

    scan->rows = arena_array(scan->arena, capacity, sizeof *scan->rows);
    for (; known && at < end && complete < scan->limit; at++) {
        const struct recent_entry *entry = recent->ring[(recent->start + (at - recent->first)) % recent->capacity];
        struct text sending = sending_of(entry, scan);

        bytes += sending.length;
        known = sending.length == 0 ||
                ((scan->row_count == 0 || fits(scan, bytes)) && row_add(cache, scan, &capacity, entry, at, sending));
        if (!known || !entry->boundary)
            continue;
        scan->end = at;
        last = entry;
        complete = scan->row_count;
    }
    scan->row_count = complete; /* what is behind the last boundary is not whole */
    if (last)
        leaf_hash(last->leaf.bytes, last->leaf.length, scan->leaf);
    return last != NULL;
}
