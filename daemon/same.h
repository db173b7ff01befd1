/* same.h: two records that a person has said to be one, or not to be. For the core's own files alone.
 *
 * The one that goes is deleted and remembers which one it is the same as. Whoever names it by an identifier means that
 * one from then on; so does the row of an agency that has not had the other one: it passes to it, and is sent it whole.
 * An agency that has had both loses one of its rows, as it loses any deleted record's. Nothing is forgotten: said to be
 * different, the record comes back as it was. */
#ifndef SELARAS_SAME_H
#define SELARAS_SAME_H

#include "daemon/work.h"

/* The record that is meant by this one now: itself, or the one that it is the same as. NULL stays NULL. */
struct canonical *same_end(const struct work *work, struct canonical *record);
/* The same for a row of the agency that was this record's: it is the other one's only where it has passed to it. */
struct canonical *same_row(const struct work *work, const struct peer *peer, struct canonical *record);
/* Whether the one that the record is the same as took this identifier, and left it without. */
bool same_took(const struct canonical *record, uint16_t unit);
/* Whether this is asked of the record for the first time; what has smaller numbers is same.c's own. */
enum { SAME_REFERRED = 0xfffe, SAME_REFERER = 0xffff };
bool same_is_new(struct work *work, uint64_t number, uint64_t what);
/* Whether more must be looked up: what the records found are the same as, and what people's decisions are about. */
bool same_wants(struct broker *broker, struct work *work);
/* What an operator has decided. */
void decide_same(struct broker *broker, struct work *work, struct admin *admin);
void decide_different(struct broker *broker, struct work *work, struct admin *admin);

#endif
