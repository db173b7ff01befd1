#include "daemon/map.h"

#include <sodium.h>
#include <string.h>

struct slot {
    const char *key;
    uint32_t length;
    uint64_t hash;
    void *value;
};

/* Open addressing with linear probing; at most half full. */
struct map {
    struct arena *arena;
    const struct hash_key *hash_key;
    struct slot *slots;
    size_t count, capacity;
};

enum { CAPACITY_FIRST = 64 };

_Static_assert(sizeof(struct hash_key) == crypto_shorthash_KEYBYTES && crypto_shorthash_BYTES == sizeof(uint64_t),
               "libsodium's SipHash-2-4");

uint64_t hash_of(const struct hash_key *hash_key, const void *key, size_t length)
{
    uint64_t hash;

    crypto_shorthash((unsigned char *)&hash, key, length, hash_key->bytes);
    return hash;
}

struct map *map_new(struct arena *arena, const struct hash_key *hash_key)
{
    struct map *map = arena_alloc(arena, sizeof *map);

    map->arena = arena;
    map->hash_key = hash_key;
    map->capacity = CAPACITY_FIRST;
    map->slots = arena_array(arena, map->capacity, sizeof *map->slots);
    return map;
}

static struct slot *slot_of(const struct map *map, const void *key, size_t length, uint64_t hash)
{
    size_t at = hash & (map->capacity - 1);

    while (map->slots[at].key && !(map->slots[at].hash == hash && map->slots[at].length == length &&
                                   memcmp(map->slots[at].key, key, length) == 0))
        at = (at + 1) & (map->capacity - 1);
    return &map->slots[at];
}

static void grow(struct map *map)
{
    struct slot *old = map->slots;
    size_t capacity = map->capacity;

    map->capacity *= 2;
    map->slots = arena_array(map->arena, map->capacity, sizeof *map->slots);
    for (size_t i = 0; i < capacity; i++)
        if (old[i].key)
            *slot_of(map, old[i].key, old[i].length, old[i].hash) = old[i];
}

void **map_slot(struct map *map, const void *key, size_t length)
{
    uint64_t hash = hash_of(map->hash_key, key, length);
    struct slot *slot = slot_of(map, key, length, hash);

    if (slot->key)
        return &slot->value;
    if (map->count * 2 >= map->capacity) {
        grow(map);
        slot = slot_of(map, key, length, hash);
    }
    slot->key = arena_copy(map->arena, key, length);
    slot->length = (uint32_t)length;
    slot->hash = hash;
    map->count++;
    return &slot->value;
}

void *map_find(const struct map *map, const void *key, size_t length)
{
    return slot_of(map, key, length, hash_of(map->hash_key, key, length))->value;
}

struct text map_key(struct arena *arena, uint64_t first, struct text second, struct text third)
{
    size_t fixed = sizeof first + sizeof second.length;
    size_t length = fixed + second.length + third.length;
    char *key = arena_alloc(arena, length);

    memcpy(key, &first, sizeof first);
    memcpy(key + sizeof first, &second.length, sizeof second.length);
    if (second.length > 0)
        memcpy(key + fixed, second.bytes, second.length);
    if (third.length > 0)
        memcpy(key + fixed + second.length, third.bytes, third.length);
    return (struct text){ key, (uint32_t)length };
}
