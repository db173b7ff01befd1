/* fed.h: a batch as it was fed, whole or still coming, copied. */
#ifndef SELARAS_FED_H
#define SELARAS_FED_H

#include "proto/message.h"

struct fed {
    struct fed *next;
    struct arena *arena;
    struct item **items;
    uint32_t count, capacity;
    feed_position position;
    uint8_t leaf[HASH_BYTES];
};

struct fed *fed_new(void);
/* Frees a whole list and clears the pointer. */
void fed_free(struct fed **list);
/* Appends a copy. */
void fed_add(struct fed *fed, const struct item *item);

#endif
