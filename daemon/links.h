/* links.h: (agency, local key) to record, as one batch sees and changes it.
 *
 * While an item of ours that changes a key is on its way, both keys are good: the old one for changes with a base below
 * the item, the new one for those from it on. */
#ifndef SELARAS_LINKS_H
#define SELARAS_LINKS_H

#include "daemon/batch.h"

struct links;

/* Starts from what the batch has found. */
struct links *links_new(struct batch *batch);
/* The record that this key meant to an agency that had applied up to `base`; 0: none. */
uint64_t links_find(const struct links *links, uint16_t agency, struct text block, struct text key, feed_position base);
/* A record that this key has ever meant to the agency, for `at` from 0 on; 0 behind the last. */
uint64_t links_ever(const struct links *links, uint16_t agency, struct text block, struct text key, uint32_t at);
/* Whether the agency holds the record under a key that is still good; its key in *ret. */
bool links_held(const struct links *links, uint16_t agency, struct text block, uint64_t record, struct text *ret);
/* The agency itself, having applied up to `base`, gave the record this key: good at once, and the key it had is over. A
 * key that an item gives it beyond `base` is still to come, and ends this one then. */
void links_move(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                feed_position base);
/* The same of a row that its people have added, under a key that none of ours gives: what becomes of an earlier row of
 * the record, which an item on its way deletes, does not end it. */
void links_add(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
               feed_position base);
/* An item at `position` gives the record this key there: the old one, if any, is good until then. */
void links_feed(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                feed_position position);
/* An item at `position` deletes the row. */
void links_end(struct links *links, uint16_t agency, struct text block, uint64_t record, feed_position position);
/* The agency itself deleted the row. */
void links_remove(struct links *links, uint16_t agency, struct text block, uint64_t record);
/* At `position` the row under this key, which was the record's, has become another one's; and back again, as if it
 * never had been: unless its key has changed since, in which case it is `record`'s from `now` on. */
void links_pass(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                uint64_t other, feed_position position);
void links_return(struct links *links, uint16_t agency, struct text block, struct text key, uint64_t record,
                  uint64_t other, feed_position position, feed_position now);
/* What has changed, for the store. */
void links_write(struct links *links, struct writes *writes);

#endif
