/* map.h: finds things by a few bytes within one batch: records by number, links by key. Lives and dies with its arena.
 */
#ifndef SELARAS_MAP_H
#define SELARAS_MAP_H

#include "proto/record.h"

struct map;

/* Agencies choose many of the keys: what hashes them must be known to nobody, or one agency could make all of its keys
 * collide, and a batch of it last for hours. */
struct hash_key {
    uint8_t bytes[16];
};
uint64_t hash_of(const struct hash_key *hash_key, const void *key, size_t length);

/* The hash key must outlive it. */
struct map *map_new(struct arena *arena, const struct hash_key *hash_key);
/* The place of the value under this key, NULL inside when it is new; the key is copied. Valid until the next map_slot.
 */
void **map_slot(struct map *map, const void *key, size_t length);
/* The value, or NULL. */
void *map_find(const struct map *map, const void *key, size_t length);

/* A key made of a number and two texts, unambiguously. */
struct text map_key(struct arena *arena, uint64_t first, struct text second, struct text third);

#endif
