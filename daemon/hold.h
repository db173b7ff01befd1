/* hold.h: what is kept back while a batch is decided, and the decisions that settle it. For the core's own files alone;
 * brake.h is what it rests on. */
#ifndef SELARAS_HOLD_H
#define SELARAS_HOLD_H

#include "daemon/work.h"

/* The batch's own copy of the brake. */
struct brake *brake_of(struct broker *broker, struct work *work);

/* Before any of a transaction's changes is decided all of them are counted: kinds of which there are more than their
 * limits allow go to holds, whole. A limit that is a share may want a count of records first: then the batch's `wanted`
 * says so. */
bool limits_want_counts(struct broker *broker, struct work *work);
/* Whether anything that the agency maps is limited. */
bool limits_of_any(const struct broker *broker, const struct peer *peer);
/* Counts a change of a transaction, of which nothing is decided yet, into *counts (made when it is needed; free()). */
void limits_count(struct broker *broker, struct work *work, const struct share *share, const struct piece *piece,
                  const struct change *change, uint64_t resolved, uint32_t **counts);
/* By limit: the hold that the transaction's changes beyond it go to; NULL: nothing is. To be given to free(). `more` of
 * each kind that was counted come in later batches. */
uint32_t *limits_meet(struct broker *broker, struct work *work, struct share *share, const uint32_t *counts,
                      uint64_t more);
/* The same, for the changes that are decided next. */
void limits_apply(struct broker *broker, struct work *work, struct share *share, const uint32_t *counts, uint64_t more);
/* By unit of the type: the hold that this change of it goes to; NULL: none. `record` NULL: it is new. */
const uint32_t *limits_holds(struct broker *broker, struct work *work, const struct share *share,
                             const struct change *change, const struct canonical *record, const struct value *fields);

/* The open hold of this agency for such changes; it is opened, with its entry, when there is none. Pointers to entries
 * of the batch are void. */
struct hold *hold_for(struct broker *broker, struct work *work, const struct peer *peer, uint16_t type, uint16_t unit,
                      enum hold_cause cause, const char *reason);
/* Takes down what an entry at `entry` has done to what is held of the record, or was held and listed under another
 * number. `how` says what has become of it then; NULL: what its writer did. Pointers to entries are void. */
void hold_notes(struct broker *broker, struct work *work, const struct peer *peer, struct canonical *record,
                uint64_t listed, const struct outcome *outcome, feed_position entry, const char *how);
/* Whom the effect of an entry about this record does not go to. */
void entry_withhold(struct broker *broker, struct work *work, struct entry_row *row, const struct peer *writer,
                    const struct canonical *record);

/* What operators ask for. */
void decide_hold(struct broker *broker, struct work *work, struct admin *admin);
/* Takes the next part of what a decision settles. False: there is none. */
bool take_settle(struct broker *broker, struct work *work);
bool any_settle(struct broker *broker);
/* Whether more must be looked up before it can be settled. */
bool settle_wants(struct broker *broker, struct work *work);
void decide_settle(struct broker *broker, struct work *work);

#endif
