#include "daemon/links.h"

#include "daemon/map.h"

#include <string.h>

struct node {
    struct link link;
    struct node *next_of_key, *next_of_record, *next;
    bool stored;  /* a row of the store */
    bool changed; /* its until is not what the store has */
    bool removed;
};

struct links {
    struct arena *arena;
    struct map *keys;    /* (agency, block, key) to nodes */
    struct map *records; /* (record, agency, block) to nodes */
    struct node *all;
    uint32_t count;
};

static void **key_slot(const struct links *links, uint16_t agency, struct text block, struct text key)
{
    struct text name = map_key(links->arena, agency, block, key);

    return map_slot(links->keys, name.bytes, name.length);
}

static void **record_slot(const struct links *links, uint16_t agency, struct text block, uint64_t record)
{
    struct text id = { (const char *)&agency, sizeof agency };
    struct text name = map_key(links->arena, record, id, block);

    return map_slot(links->records, name.bytes, name.length);
}

static struct node *node_add(struct links *links, const struct link *link, bool stored)
{
    void **of_key = key_slot(links, link->agency, link->block, link->key);
    void **of_record = record_slot(links, link->agency, link->block, link->record);
    struct node *node;

    for (node = *of_key; node; node = node->next_of_key) {
        if (node->link.since != link->since)
            continue;
        if (node->link.record == link->record) {
            if (!stored && (node->removed || node->link.until != link->until)) {
                node->removed = false;
                node->link.until = link->until;
                node->changed = true;
            }
            return node; /* the store found it twice, or it came back */
        }
        node->removed = true; /* the key is another record's from now on */
    }
    node = arena_alloc(links->arena, sizeof *node);
    node->link = *link;
    node->stored = stored;
    node->next_of_key = *of_key;
    *of_key = node;
    node->next_of_record = *of_record;
    *of_record = node;
    node->next = links->all;
    links->all = node;
    links->count++;
    return node;
}

struct links *links_new(struct batch *batch)
{
    struct links *links = arena_alloc(batch->arena, sizeof *links);

    links->arena = batch->arena;
    links->keys = map_new(batch->arena, batch->hash_key);
    links->records = map_new(batch->arena, batch->hash_key);
    for (uint32_t i = 0; i < batch->found.link_count; i++)
        node_add(links, &batch->found.links[i], true);
    return links;
}

uint64_t links_find(const struct links *links, uint16_t agency, struct text block, struct text key, feed_position base)
{
    const struct node *found = NULL;

    for (const struct node *node = *key_slot(links, agency, block, key); node; node = node->next_of_key)
        if (!node->removed && node->link.since <= base && (node->link.until == 0 || node->link.until > base) &&
            (!found || node->link.since > found->link.since))
            found = node;
    return found ? found->link.record : 0;
}

uint64_t links_ever(const struct links *links, uint16_t agency, struct text block, struct text key, uint32_t at)
{
    const struct node *node = *key_slot(links, agency, block, key);

    while (node && at-- > 0)
        node = node->next_of_key;
    return node ? node->link.record : 0;
}

static struct node *node_good(const struct links *links, uint16_t agency, struct text block, uint64_t record)
{
    for (struct node *node = *record_slot(links, agency, block, record); node; node = node->next_of_record)
        if (!node->removed && node->link.until == 0)
            return node;
    return NULL;
}

bool links_held(const struct links *links, uint16_t agency, struct text block, uint64_t record, struct text *ret)
{
    const struct node *node = node_good(links, agency, block, record);

    if (!node)
        return false;
    *ret = node->link.key;
    return true;
}

void links_add(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
               feed_position base)
{
    if (node_good(links, agency, block, record)) {
        links_move(links, agency, block, key, record, base);
        return;
    }
    for (struct node *node = *record_slot(links, agency, block, record); node; node = node->next_of_record)
        if (node->link.until <= base)
            node->removed = true; /* it has seen that */
    node_add(links, &(struct link){ .agency = agency, .block = block, .key = key, .record = record }, false);
}

void links_move(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                feed_position base)
{
    feed_position until = 0;

    for (struct node *node = *record_slot(links, agency, block, record); node; node = node->next_of_record) {
        if (node->link.since <= base)
            node->removed = true;
        else if (!node->removed && (until == 0 || node->link.since < until))
            until = node->link.since;
    }
    node_add(links, &(struct link){ .agency = agency, .block = block, .key = key, .record = record, .until = until },
             false);
}

void links_feed(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                feed_position position)
{
    struct node *old = node_good(links, agency, block, record);

    if (old && old->link.key.length == key.length && memcmp(old->link.key.bytes, key.bytes, key.length) == 0)
        return;
    links_end(links, agency, block, record, position);
    node_add(links, &(struct link){ .agency = agency, .block = block, .key = key, .record = record, .since = position },
             false);
}

void links_end(struct links *links, uint16_t agency, struct text block, uint64_t record, feed_position position)
{
    struct node *node = node_good(links, agency, block, record);

    if (node) {
        node->link.until = position;
        node->changed = true;
    }
}

void links_remove(struct links *links, uint16_t agency, struct text block, uint64_t record)
{
    for (struct node *node = *record_slot(links, agency, block, record); node; node = node->next_of_record)
        if (node->link.until == 0)
            node->removed = true;
}

void links_pass(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                uint64_t other, feed_position position)
{
    links_end(links, agency, block, record, position);
    links_feed(links, agency, block, key, other, position);
}

void links_return(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                  uint64_t other, feed_position position, feed_position now)
{
    struct node *passed = NULL, *was = NULL;

    for (struct node *node = *key_slot(links, agency, block, key); node; node = node->next_of_key) {
        if (!node->removed && node->link.record == other && node->link.since == position && node->link.until == 0)
            passed = node;
        if (!node->removed && node->link.record == record && node->link.until == position)
            was = node;
    }
    if (!passed || !was) {
        links_pass(links, agency, block, key, other, record, now);
        return;
    }
    passed->removed = true;
    was->link.until = 0;
    was->changed = true;
}

void links_write(struct links *links, struct writes *writes)
{
    writes->links = arena_array(links->arena, links->count, sizeof *writes->links);
    for (const struct node *node = links->all; node; node = node->next) {
        struct link_change *change = &writes->links[writes->link_count];

        change->link = node->link;
        if (node->removed && node->stored)
            change->write = LINK_REMOVE;
        else if (!node->removed && !node->stored)
            change->write = LINK_ADD;
        else if (!node->removed && node->changed)
            change->write = LINK_END;
        else
            continue;
        writes->link_count++;
    }
}
