/* parked.h: which records have an item that this database refused: a copy of selaras.parked's keys.
 *
 * Items of a parked record are not applied but join what is parked, so every item is looked up here. Only the apply
 * session writes the table; it is read again whenever that session is made anew. */
#ifndef SELARAS_PARKED_H
#define SELARAS_PARKED_H

#include "agents/net_fold.h"

struct parked_record {
    uint16_t block;
    uint64_t record;
    feed_position position; /* of the first item */
};

/* Sorted by block and record. Zeroed is empty. */
struct parked_set {
    struct parked_record *list;
    uint32_t count, capacity;
};

void parked_set_free(struct parked_set *set);
const struct parked_record *parked_find(const struct parked_set *set, uint16_t block, uint64_t record);
/* Nothing when it is there already. */
void parked_put(struct parked_set *set, uint16_t block, uint64_t record, feed_position position);
void parked_remove(struct parked_set *set, uint16_t block, uint64_t record);

#endif
