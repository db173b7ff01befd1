/* key_index.h: finds what belongs to a local key of a block: an open hash table that can also forget. Pure. */
#ifndef SELARAS_KEY_INDEX_H
#define SELARAS_KEY_INDEX_H

#include "proto/record.h"

#include <stddef.h>

struct local_key {
    uint16_t block;
    uint32_t length;
    char bytes[];
};

struct key_slot {
    const struct local_key *key; /* borrowed; NULL: free */
    void *entry;
    uint64_t hash;
};

/* Zeros are an empty index. */
struct key_index {
    struct key_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

void *key_index_find(const struct key_index *index, uint16_t block, struct text key);
/* The key must not be there yet and must stay where it is until it is removed. */
void key_index_put(struct key_index *index, const struct local_key *key, void *entry);
/* The key must be there. */
void key_index_remove(struct key_index *index, const struct local_key *key);
/* Forgets everything and gives the memory back. */
void key_index_free(struct key_index *index);

#endif
