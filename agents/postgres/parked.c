#include "agents/postgres/parked.h"

#include <stdlib.h>
#include <string.h>

void parked_set_free(struct parked_set *set)
{
    free(set->list);
    *set = (struct parked_set){ 0 };
}

/* Where it is or would be. */
static uint32_t place_of(const struct parked_set *set, uint16_t block, uint64_t record)
{
    uint32_t low = 0, high = set->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct parked_record *at = &set->list[middle];

        if (at->block < block || (at->block == block && at->record < record))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct parked_record *parked_find(const struct parked_set *set, uint16_t block, uint64_t record)
{
    uint32_t place = place_of(set, block, record);

    if (place < set->count && set->list[place].block == block && set->list[place].record == record)
        return &set->list[place];
    return NULL;
}

void parked_put(struct parked_set *set, uint16_t block, uint64_t record, feed_position position)
{
    uint32_t place = place_of(set, block, record);

    if (parked_find(set, block, record))
        return;
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? 2 * set->capacity : 16;
        set->list = realloc(set->list, set->capacity * sizeof *set->list);
        if (!set->list)
            abort();
    }
    memmove(set->list + place + 1, set->list + place, (set->count - place) * sizeof *set->list);
    set->list[place] = (struct parked_record){ block, record, position };
    set->count++;
}

void parked_remove(struct parked_set *set, uint16_t block, uint64_t record)
{
    uint32_t place = place_of(set, block, record);

    if (!parked_find(set, block, record))
        return;
    set->count--;
    memmove(set->list + place, set->list + place + 1, (set->count - place) * sizeof *set->list);
}
