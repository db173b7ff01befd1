/* debts.h: items that did not take effect at one agency: what was skipped and its answer is on its way, what is parked.
 *
 * Found by record, and skips in the order of their answers, so that no change has to go through all of them: an agency
 * whose database refuses much may owe much. */
#ifndef SELARAS_DEBTS_H
#define SELARAS_DEBTS_H

#include "daemon/batch.h"

struct debts;

struct debts *debts_new(void);
void debts_free(struct debts **debts);

/* Keeps a copy, without block and reason, but for what the reason says that it waits for. */
void debts_add(struct debts *debts, const struct debt *debt);
/* One of this kind about the record, the newest first, or NULL. Borrowed until it is removed. */
const struct debt *debts_find(const struct debts *debts, uint64_t record, enum debt_kind kind);
/* The skip of the record whose answer comes behind `position`, and so holds what the item there did too: of several the
 * one of the earliest item, or NULL. Borrowed likewise. */
const struct debt *debts_answering(const struct debts *debts, uint64_t record, feed_position position);
/* An earlier item turns out to be answered by it. */
void debts_lower(struct debts *debts, const struct debt *debt, feed_position position);
/* The skip whose answer comes first, or NULL. */
const struct debt *debts_oldest_skip(const struct debts *debts);
/* Forgets one that debts_find or debts_oldest_skip returned. */
void debts_remove(struct debts *debts, const struct debt *debt);
/* Forgets all. */
void debts_clear(struct debts *debts);
uint32_t debts_count(const struct debts *debts, enum debt_kind kind);

/* A batch changes debts while it is being decided: either it is committed and they are kept, or it was refused, and
 * they are again what they were at the last debts_keep. */
void debts_keep(struct debts *debts);
void debts_undo(struct debts *debts);

/* PROTOCOL 5.1: a parked record waits for another one when its reason is "TYPE NUMBER is not here". How many do,
 * whether any of them is to be looked at, and which: when it is added, and when what it waits for may be there. */
uint32_t debts_awaiting(const struct debts *debts);
bool debts_to_look_at(const struct debts *debts);
uint32_t debts_due(const struct debts *debts, struct awaiting *ret, uint32_t most);
/* `awaited` is put in order; NULL: whatever it is. */
void debts_wake(struct debts *debts, uint64_t *awaited, uint32_t count);
/* They have been looked at, and it was to no avail yet. */
void debts_looked_at(struct debts *debts, const struct awaiting *list, uint32_t count);

/* PROTOCOL 5.1: until they are settled, changes of that record count as made just before the first such item. */
feed_position debts_base(const struct debts *debts, uint64_t record, feed_position base);

#endif
