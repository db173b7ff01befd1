#include "daemon/cache.h"

#include <stdlib.h>
#include <string.h>

/* A row of selaras.link. It is a member of two lists: of its record, as an array, and of its key. */
struct cached_link {
    struct cached_link *next_of_key;
    struct cached_key *key;
    struct cached *owner;
    feed_position since, until;
};

/* (agency, block, local key): the rows of it that are here. */
struct cached_key {
    struct cached_key *next; /* of the bucket */
    uint64_t hash;
    uint16_t agency;
    struct text block, key;
    bool complete; /* the store has no others */
    struct cached_link *rows;
};

/* A record with all its links, in one piece of memory: values, links, then the bytes of values and metadata. */
struct cached {
    struct cached *next;          /* of the bucket */
    struct cached *newer, *older; /* by last use */
    size_t size;
    uint64_t number;
    const struct catalog_type *type;
    bool exists;
    struct value *values;
    struct text meta;
    struct cached_link *links;
    uint32_t link_count;
};

struct cache {
    struct hash_key hash_key;
    size_t limit_bytes, used_bytes;
    struct cached **records; /* buckets; their number is a power of two */
    struct cached_key **keys;
    size_t record_buckets, key_buckets, record_count, key_count;
    struct cached *newest, *oldest;
};

enum { BUCKETS_FIRST = 1024 };

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

struct cache *cache_new(size_t limit_bytes, const struct hash_key *hash_key)
{
    struct cache *cache = allocated(calloc(1, sizeof *cache));

    cache->limit_bytes = limit_bytes;
    cache->hash_key = *hash_key;
    cache->record_buckets = cache->key_buckets = BUCKETS_FIRST;
    cache->records = allocated(calloc(BUCKETS_FIRST, sizeof(struct cached *)));
    cache->keys = allocated(calloc(BUCKETS_FIRST, sizeof(struct cached_key *)));
    return cache;
}

/* ---- finding ---- */

static uint64_t mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

/* Blocks are few and named by people; an agency may choose its keys. */
static uint64_t hash_key(const struct cache *cache, uint16_t agency, struct text block, struct text key)
{
    return hash_of(&cache->hash_key, key.bytes, key.length) ^
           mix(hash_of(&cache->hash_key, block.bytes, block.length) + agency);
}

static bool same_text(struct text left, struct text right)
{
    return left.length == right.length && (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
}

static struct cached *record_find(const struct cache *cache, uint64_t number)
{
    struct cached *at = cache->records[mix(number) & (cache->record_buckets - 1)];

    while (at && at->number != number)
        at = at->next;
    return at;
}

static struct cached_key *key_find(const struct cache *cache, uint16_t agency, struct text block, struct text key)
{
    uint64_t hash = hash_key(cache, agency, block, key);
    struct cached_key *at = cache->keys[hash & (cache->key_buckets - 1)];

    while (at && (at->hash != hash || at->agency != agency || !same_text(at->key, key) || !same_text(at->block, block)))
        at = at->next;
    return at;
}

/* ---- the order of use ---- */

static void use_remove(struct cache *cache, struct cached *cached)
{
    *(cached->newer ? &cached->newer->older : &cache->newest) = cached->older;
    *(cached->older ? &cached->older->newer : &cache->oldest) = cached->newer;
}

static void use_newest(struct cache *cache, struct cached *cached)
{
    cached->newer = NULL;
    cached->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = cached;
    cache->newest = cached;
}

/* ---- keys ---- */

static size_t key_size(const struct cached_key *key)
{
    return sizeof *key + key->block.length + key->key.length;
}

static void keys_grow(struct cache *cache)
{
    size_t buckets = cache->key_buckets * 2;
    struct cached_key **grown = allocated(calloc(buckets, sizeof *grown));

    for (size_t i = 0; i < cache->key_buckets; i++)
        while (cache->keys[i]) {
            struct cached_key *moved = cache->keys[i];

            cache->keys[i] = moved->next;
            moved->next = grown[moved->hash & (buckets - 1)];
            grown[moved->hash & (buckets - 1)] = moved;
        }
    free(cache->keys);
    cache->keys = grown;
    cache->key_buckets = buckets;
}

static struct cached_key *key_add(struct cache *cache, uint16_t agency, struct text block, struct text key)
{
    struct cached_key *made = key_find(cache, agency, block, key), **bucket;
    char *bytes;

    if (made)
        return made;
    if (cache->key_count == cache->key_buckets)
        keys_grow(cache);
    made = allocated(malloc(sizeof *made + block.length + key.length));
    bytes = (char *)(made + 1);
    memcpy(bytes, block.bytes, block.length);
    memcpy(bytes + block.length, key.bytes, key.length);
    *made = (struct cached_key){ .hash = hash_key(cache, agency, block, key),
                                 .agency = agency,
                                 .block = { bytes, block.length },
                                 .key = { bytes + block.length, key.length } };
    bucket = &cache->keys[made->hash & (cache->key_buckets - 1)];
    made->next = *bucket;
    *bucket = made;
    cache->key_count++;
    cache->used_bytes += key_size(made);
    return made;
}

static void key_free(struct cache *cache, struct cached_key *key)
{
    struct cached_key **at = &cache->keys[key->hash & (cache->key_buckets - 1)];

    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
    cache->key_count--;
    cache->used_bytes -= key_size(key);
    free(key);
}

static void link_remove(struct cache *cache, struct cached_link *link)
{
    struct cached_link **at = &link->key->rows;

    while (*at != link)
        at = &(*at)->next_of_key;
    *at = link->next_of_key;
    link->key->complete = false;
    if (!link->key->rows)
        key_free(cache, link->key);
}

/* ---- records ---- */

static void record_forget(struct cache *cache, struct cached *cached)
{
    struct cached **at = &cache->records[mix(cached->number) & (cache->record_buckets - 1)];

    for (uint32_t i = 0; i < cached->link_count; i++)
        link_remove(cache, &cached->links[i]);
    while (*at != cached)
        at = &(*at)->next;
    *at = cached->next;
    use_remove(cache, cached);
    cache->record_count--;
    cache->used_bytes -= cached->size;
    free(cached);
}

void cache_clear(struct cache *cache)
{
    while (cache->oldest)
        record_forget(cache, cache->oldest);
}

void cache_free(struct cache **cache)
{
    struct cache *old = *cache;

    if (!old)
        return;
    cache_clear(old);
    free(old->records);
    free(old->keys);
    free(old);
    *cache = NULL;
}

static void records_grow(struct cache *cache)
{
    size_t buckets = cache->record_buckets * 2;
    struct cached **grown = allocated(calloc(buckets, sizeof *grown));

    for (size_t i = 0; i < cache->record_buckets; i++)
        while (cache->records[i]) {
            struct cached *moved = cache->records[i];
            struct cached **bucket = &grown[mix(moved->number) & (buckets - 1)];

            cache->records[i] = moved->next;
            moved->next = *bucket;
            *bucket = moved;
        }
    free(cache->records);
    cache->records = grown;
    cache->record_buckets = buckets;
}

/* A copy of the record with room for its links. */
static struct cached *cached_new(const struct canonical *record, uint32_t link_count)
{
    size_t values = record->type->field_count * sizeof(struct value), links = link_count * sizeof(struct cached_link);
    size_t size = sizeof(struct cached) + values + links + record->meta.length;
    struct cached *cached;
    char *at;

    for (uint16_t i = 0; i < record->type->field_count; i++)
        size += record->values[i].state == VALUE_SET ? record->values[i].length : 0;
    cached = allocated(malloc(size));
    *cached = (struct cached){ .size = size, .number = record->number, .type = record->type, .exists = record->exists };
    cached->values = (struct value *)(cached + 1);
    cached->links = (struct cached_link *)((char *)cached->values + values);
    at = (char *)cached->links + links;
    memcpy(cached->values, record->values, values);
    for (uint16_t i = 0; i < record->type->field_count; i++) {
        struct value *value = &cached->values[i];

        if (value->state != VALUE_SET)
            continue;
        memcpy(at, value->bytes, value->length);
        value->bytes = at;
        at += value->length;
    }
    memcpy(at, record->meta.bytes, record->meta.length);
    cached->meta = (struct text){ at, record->meta.length };
    return cached;
}

static void link_add(struct cached *owner, struct cached_key *key, feed_position since, feed_position until)
{
    struct cached_link *link = &owner->links[owner->link_count++];

    *link =
        (struct cached_link){ .key = key, .owner = owner, .since = since, .until = until, .next_of_key = key->rows };
    key->rows = link;
}

static void record_insert(struct cache *cache, struct cached *cached)
{
    struct cached **bucket;

    if (cache->record_count == cache->record_buckets)
        records_grow(cache);
    bucket = &cache->records[mix(cached->number) & (cache->record_buckets - 1)];
    cached->next = *bucket;
    *bucket = cached;
    use_newest(cache, cached);
    cache->record_count++;
    cache->used_bytes += cached->size;
}

/* It has been written: the same links, other values. */
static void record_replace(struct cache *cache, struct cached *old, const struct canonical *record)
{
    struct cached *cached = cached_new(record, old->link_count);

    for (uint32_t i = 0; i < old->link_count; i++) {
        struct cached_link **at = &old->links[i].key->rows, *link = &cached->links[i];

        *link = old->links[i];
        link->owner = cached;
        while (*at != &old->links[i])
            at = &(*at)->next_of_key;
        *at = link;
    }
    cached->link_count = old->link_count;
    old->link_count = 0;
    record_forget(cache, old);
    record_insert(cache, cached);
}

/* ---- answering ---- */

static struct canonical *record_give(struct cache *cache, struct batch *batch, struct cached *cached)
{
    struct canonical *record = canonical_new(batch->arena, cached->type, cached->number);
    struct error err;

    record->exists = cached->exists;
    for (uint16_t i = 0; i < cached->type->field_count; i++) {
        record->values[i] = cached->values[i];
        if (record->values[i].state == VALUE_SET)
            record->values[i].bytes = arena_copy(batch->arena, cached->values[i].bytes, cached->values[i].length);
    }
    canonical_note_stored(batch->arena, record);
    record->meta.bytes = arena_copy(batch->arena, cached->meta.bytes, cached->meta.length);
    record->meta.length = cached->meta.length;
    if (canonical_meta_read(batch->arena, record->meta.bytes, record->meta.length, batch->ids, record, &err) < 0)
        abort(); /* we have packed it, or read it before */
    use_remove(cache, cached);
    use_newest(cache, cached);
    return record;
}

static struct text text_keep(struct arena *arena, struct text text)
{
    return (struct text){ arena_copy(arena, text.bytes, text.length), text.length };
}

/* What is being given to one batch; each record once. */
struct giving {
    struct cache *cache;
    struct batch *batch;
    struct map *given;
    uint32_t record_capacity, link_capacity;
};

static void *grown(struct arena *arena, void *array, uint32_t count, uint32_t *capacity, uint32_t more, size_t size)
{
    void *larger;

    if (count + more <= *capacity)
        return array;
    *capacity = *capacity * 2 + more + 32;
    larger = arena_array(arena, *capacity, size);
    if (count > 0)
        memcpy(larger, array, count * size);
    return larger;
}

/* The record with all its links. */
static void give(struct giving *giving, struct cached *cached)
{
    struct found *known = &giving->batch->known;
    struct arena *arena = giving->batch->arena;
    void **slot = map_slot(giving->given, &cached->number, sizeof cached->number);

    if (*slot)
        return;
    *slot = cached;
    known->records =
        grown(arena, known->records, known->record_count, &giving->record_capacity, 1, sizeof(struct canonical *));
    known->records[known->record_count++] = record_give(giving->cache, giving->batch, cached);
    known->links =
        grown(arena, known->links, known->link_count, &giving->link_capacity, cached->link_count, sizeof *known->links);
    for (uint32_t i = 0; i < cached->link_count; i++) {
        const struct cached_link *link = &cached->links[i];

        known->links[known->link_count++] = (struct link){ .agency = link->key->agency,
                                                           .block = text_keep(arena, link->key->block),
                                                           .key = text_keep(arena, link->key->key),
                                                           .record = cached->number,
                                                           .since = link->since,
                                                           .until = link->until };
    }
}

void cache_answer(struct cache *cache, struct batch *batch)
{
    struct giving giving = { .cache = cache, .batch = batch, .given = map_new(batch->arena, batch->hash_key) };
    struct wanted *wanted = &batch->wanted;
    uint32_t left = 0;

    for (uint32_t i = 0; i < wanted->key_count; i++) {
        const struct wanted_key *want = &wanted->keys[i];
        const struct cached_key *key = key_find(cache, want->agency, want->block, want->key);

        if (!key || !key->complete) {
            wanted->keys[left++] = *want;
            continue;
        }
        for (const struct cached_link *row = key->rows; row; row = row->next_of_key)
            give(&giving, row->owner);
    }
    wanted->key_count = left;
    left = 0;
    for (uint32_t i = 0; i < wanted->record_count; i++) {
        struct cached *cached = record_find(cache, wanted->records[i].number);

        if (cached && cached->type == &batch->catalog->types[wanted->records[i].type])
            give(&giving, cached);
        else
            wanted->records[left++] = wanted->records[i];
    }
    wanted->record_count = left;
}

/* ---- keeping ---- */

/* Whatever has to do with a key or record whose links the batch has changed is not known any more. */
static void forget_links(struct cache *cache, const struct batch *batch, struct map *touched)
{
    for (uint32_t i = 0; i < batch->writes.link_count; i++) {
        const struct link *link = &batch->writes.links[i].link;
        struct cached_key *key;
        struct cached *cached = record_find(cache, link->record);

        *map_slot(touched, &link->record, sizeof link->record) = touched;
        if (cached)
            record_forget(cache, cached);
        while ((key = key_find(cache, link->agency, link->block, link->key))) {
            uint64_t number = key->rows->owner->number;

            *map_slot(touched, &number, sizeof number) = touched;
            record_forget(cache, key->rows->owner);
        }
    }
}

/* The links that were found, by record. */
struct found_link {
    const struct link *link;
    struct found_link *next;
};

static struct map *links_by_record(const struct batch *batch)
{
    struct map *map = map_new(batch->arena, batch->hash_key);

    for (uint32_t i = 0; i < batch->found.link_count; i++) {
        struct found_link *found = arena_alloc(batch->arena, sizeof *found);
        void **slot = map_slot(map, &batch->found.links[i].record, sizeof(uint64_t));

        *found = (struct found_link){ &batch->found.links[i], *slot };
        *slot = found;
    }
    return map;
}

static bool is_listed(const struct cached *cached, const struct cached_key *key, feed_position since)
{
    for (uint32_t i = 0; i < cached->link_count; i++)
        if (cached->links[i].key == key && cached->links[i].since == since)
            return true;
    return false;
}

static void keep_record(struct cache *cache, const struct batch *batch, const struct canonical *record,
                        const struct found_link *links)
{
    struct cached *cached = record_find(cache, record->number);
    uint32_t count = 0;

    if (cached) {
        if (record->queued)
            record_replace(cache, cached, record);
        return;
    }
    if (batch->wanted.fill.limit > 0)
        return; /* its links are not known */
    for (const struct found_link *at = links; at; at = at->next)
        count++;
    cached = cached_new(record, count);
    record_insert(cache, cached);
    for (const struct found_link *at = links; at; at = at->next) {
        struct cached_key *key = key_add(cache, at->link->agency, at->link->block, at->link->key);

        if (!is_listed(cached, key, at->link->since)) /* the store may find a link for two reasons */
            link_add(cached, key, at->link->since, at->link->until);
    }
}

/* A key that was looked up is complete when every record behind its rows is here, and the batch has not changed them.
 */
static void mark_complete(struct cache *cache, const struct batch *batch)
{
    struct cached_key *key;

    for (uint32_t i = 0; i < batch->wanted.key_count; i++) {
        const struct wanted_key *want = &batch->wanted.keys[i];

        key = key_find(cache, want->agency, want->block, want->key);
        if (key)
            key->complete = true;
    }
    for (uint32_t i = 0; i < batch->found.link_count; i++) {
        const struct link *link = &batch->found.links[i];

        if (!record_find(cache, link->record) && (key = key_find(cache, link->agency, link->block, link->key)))
            key->complete = false;
    }
    for (uint32_t i = 0; i < batch->writes.link_count; i++) {
        const struct link *link = &batch->writes.links[i].link;

        if ((key = key_find(cache, link->agency, link->block, link->key)))
            key->complete = false;
    }
}

void cache_keep(struct cache *cache, const struct batch *batch)
{
    struct map *touched = map_new(batch->arena, batch->hash_key), *links;

    for (uint32_t i = 0; i < batch->writes.agency_count; i++)
        if (batch->writes.agencies[i].reset) { /* all its links are gone */
            cache_clear(cache);
            return;
        }
    forget_links(cache, batch, touched);
    links = links_by_record(batch);
    for (uint32_t i = 0; i < batch->found.record_count; i++) {
        const struct canonical *record = batch->found.records[i];

        if (!map_find(touched, &record->number, sizeof record->number) && (!record->dirty || record->queued))
            keep_record(cache, batch, record, map_find(links, &record->number, sizeof record->number));
    }
    mark_complete(cache, batch);
    while (cache->used_bytes > cache->limit_bytes && cache->oldest)
        record_forget(cache, cache->oldest);
}

bool cache_key_at(const struct cache *cache, uint64_t record, uint16_t agency, feed_position position,
                  struct text *ret_block, struct text *ret)
{
    const struct cached *cached = record_find(cache, record);
    feed_position best = 0;

    if (!cached)
        return false;
    *ret_block = *ret = (struct text){ "", 0 };
    for (uint32_t i = 0; i < cached->link_count; i++) {
        const struct cached_link *link = &cached->links[i];

        if (link->key->agency != agency || link->since >= position || (link->until != 0 && link->until < position) ||
            (ret->length > 0 && link->since < best))
            continue;
        best = link->since;
        *ret_block = link->key->block;
        *ret = link->key->key;
    }
    return true;
}
