#include "agents/postgres/key_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_LEAST = 64 };

/* FNV-1a, and a last mix because only the low bits choose the slot. */
static uint64_t hash_of(uint16_t block, const char *bytes, uint32_t length)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ block;

    for (uint32_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static bool slot_is(const struct key_slot *slot, uint64_t hash, uint16_t block, struct text key)
{
    return slot->hash == hash && slot->key->block == block && slot->key->length == key.length &&
           memcmp(slot->key->bytes, key.bytes, key.length) == 0;
}

/* The slot of this key, or the free one where it would go. */
static struct key_slot *slot_for(const struct key_index *index, uint64_t hash, uint16_t block, struct text key)
{
    size_t at = hash & (index->capacity - 1);

    while (index->slots[at].key && !slot_is(&index->slots[at], hash, block, key))
        at = (at + 1) & (index->capacity - 1);
    return &index->slots[at];
}

static struct text key_text(const struct local_key *key)
{
    return (struct text){ key->bytes, key->length };
}

static void grow(struct key_index *index)
{
    struct key_index larger = { .capacity = index->capacity ? index->capacity * 2 : SLOTS_LEAST,
                                .count = index->count };

    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        abort();
    for (size_t i = 0; i < index->capacity; i++) {
        const struct key_slot *slot = &index->slots[i];

        if (slot->key)
            *slot_for(&larger, slot->hash, slot->key->block, key_text(slot->key)) = *slot;
    }
    free(index->slots);
    *index = larger;
}

void *key_index_find(const struct key_index *index, uint16_t block, struct text key)
{
    if (index->count == 0)
        return NULL;
    return slot_for(index, hash_of(block, key.bytes, key.length), block, key)->entry;
}

void key_index_put(struct key_index *index, const struct local_key *key, void *entry)
{
    uint64_t hash = hash_of(key->block, key->bytes, key->length);
    struct key_slot *slot;

    if ((index->count + 1) * 4 > index->capacity * 3)
        grow(index);
    slot = slot_for(index, hash, key->block, key_text(key));
    assert(!slot->key);
    *slot = (struct key_slot){ key, entry, hash };
    index->count++;
}

/* Closes the gap instead of leaving a mark, so that a table in which keys come and go never fills up. */
void key_index_remove(struct key_index *index, const struct local_key *key)
{
    size_t mask = index->capacity - 1;
    size_t gap, at;

    assert(index->count > 0);
    gap = (size_t)(slot_for(index, hash_of(key->block, key->bytes, key->length), key->block, key_text(key)) -
                   index->slots);
    assert(index->slots[gap].key);
    for (at = (gap + 1) & mask; index->slots[at].key; at = (at + 1) & mask) {
        size_t home = index->slots[at].hash & mask;

        if (((at - home) & mask) >= ((at - gap) & mask)) { /* its way from home leads over the gap */
            index->slots[gap] = index->slots[at];
            gap = at;
        }
    }
    index->slots[gap] = (struct key_slot){ 0 };
    index->count--;
}

void key_index_free(struct key_index *index)
{
    free(index->slots);
    *index = (struct key_index){ 0 };
}
