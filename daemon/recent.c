#include "daemon/recent.h"

#include <stdlib.h>
#include <string.h>

struct recent_entry {
    struct text agency, type;
    uint64_t record;
    struct text effect, reply;
    struct text leaf; /* of one that a batch of the feed may end with */
    bool boundary;
};

/* The entries of one batch, positions first + 0, 1, ... */
struct recent_batch {
    struct recent_batch *next;
    struct arena *arena;
    feed_position before; /* the head before it */
    struct recent_entry *entries;
    uint32_t count;
};

struct recent {
    size_t limit_bytes, used_bytes;
    struct recent_batch *oldest, *newest;
};

struct recent *recent_new(size_t limit_bytes)
{
    struct recent *recent = calloc(1, sizeof *recent);

    if (!recent)
        abort();
    recent->limit_bytes = limit_bytes;
    return recent;
}

static void drop_oldest(struct recent *recent)
{
    struct recent_batch *old = recent->oldest;
    struct arena *arena = old->arena;

    recent->oldest = old->next;
    if (!old->next)
        recent->newest = NULL;
    recent->used_bytes -= arena_used(arena);
    arena_free(&arena);
}

void recent_clear(struct recent *recent)
{
    while (recent->oldest)
        drop_oldest(recent);
}

void recent_free(struct recent **recent)
{
    if (!*recent)
        return;
    recent_clear(*recent);
    free(*recent);
    *recent = NULL;
}

static struct text text_keep(struct arena *arena, struct text text)
{
    return text.length > 0 ? (struct text){ arena_copy(arena, text.bytes, text.length), text.length }
                           : (struct text){ 0 };
}

/* Neighbours have the same agency and type. */
static struct text name_keep(struct arena *arena, struct text name, struct text before)
{
    bool same = name.length == before.length && name.length > 0 && memcmp(name.bytes, before.bytes, name.length) == 0;

    return same ? before : text_keep(arena, name);
}

void recent_add(struct recent *recent, const struct batch *batch)
{
    const struct writes *writes = &batch->writes;
    struct arena *arena;
    struct recent_batch *added;
    struct recent_entry none = { 0 };

    if (writes->entry_count == 0)
        return;
    if (recent->newest && recent->newest->before + recent->newest->count + 1 != writes->entries[0].entry.position)
        recent_clear(recent);
    arena = arena_new();
    added = arena_alloc(arena, sizeof *added);
    *added = (struct recent_batch){ .arena = arena, .before = writes->entries[0].entry.position - 1 };
    added->entries = arena_array(arena, writes->entry_count, sizeof *added->entries);
    for (; added->count < writes->entry_count; added->count++) {
        const struct entry_row *row = &writes->entries[added->count];
        const struct recent_entry *before = added->count > 0 ? &added->entries[added->count - 1] : &none;

        added->entries[added->count] =
            (struct recent_entry){ .agency = name_keep(arena, row->entry.agency, before->agency),
                                   .type = name_keep(arena, row->entry.type, before->type),
                                   .record = row->entry.record,
                                   .effect = text_keep(arena, row->effect),
                                   .reply = text_keep(arena, row->reply),
                                   .boundary = row->boundary };
        if (row->boundary)
            added->entries[added->count].leaf = text_keep(arena, row->leaf);
    }
    *(recent->newest ? &recent->newest->next : &recent->oldest) = added;
    recent->newest = added;
    recent->used_bytes += arena_used(arena);
    while (recent->oldest && recent->used_bytes > recent->limit_bytes)
        drop_oldest(recent);
}

/* What of the entry goes to this agency. */
static struct text sending_of(const struct recent_entry *entry, const struct scan *scan)
{
    size_t length = strlen(scan->agency_name);

    return entry->agency.length == length && memcmp(entry->agency.bytes, scan->agency_name, length) == 0
               ? entry->reply
               : entry->effect;
}

static bool row_add(const struct cache *cache, struct scan *scan, uint32_t *capacity, const struct recent_entry *entry,
                    feed_position position, struct text sending)
{
    struct scan_row *row;
    struct text key = { "", 0 };

    if (entry->record > 0 && !cache_key_at(cache, entry->record, scan->agency, position, &key))
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

/* The batch in which the entry behind `after` stands, or NULL. */
static const struct recent_batch *batch_behind(const struct recent *recent, feed_position after)
{
    const struct recent_batch *at = recent->oldest;

    if (!at || after < at->before)
        return NULL;
    while (at && after >= at->before + at->count)
        at = at->next;
    return at;
}

bool recent_scan(const struct recent *recent, const struct cache *cache, struct scan *scan)
{
    const struct recent_batch *batch = batch_behind(recent, scan->after);
    uint32_t capacity = 64, at = batch ? (uint32_t)(scan->after - batch->before) : 0, complete = 0;
    struct text leaf = { 0 };
    uint64_t bytes = 0;
    bool known = true;

    scan->rows = arena_array(scan->arena, capacity, sizeof *scan->rows);
    for (; batch && known && complete < scan->limit; batch = batch->next, at = 0)
        for (; at < batch->count && known && complete < scan->limit; at++) {
            const struct recent_entry *entry = &batch->entries[at];
            struct text sending = sending_of(entry, scan);

            bytes += sending.length;
            known = sending.length == 0 || ((scan->row_count == 0 || fits(scan, bytes)) &&
                                            row_add(cache, scan, &capacity, entry, batch->before + at + 1, sending));
            if (!known || !entry->boundary)
                continue;
            scan->end = batch->before + at + 1;
            leaf = entry->leaf;
            complete = scan->row_count;
        }
    scan->row_count = complete; /* what is behind the last boundary is not whole */
    if (leaf.length > 0)
        leaf_hash(leaf.bytes, leaf.length, scan->leaf);
    return leaf.length > 0;
}
