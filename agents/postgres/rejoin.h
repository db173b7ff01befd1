/* rejoin.h: rows that a transaction has deleted and made again where the database makes keys.
 *
 * A nightly reload deletes everything and inserts it anew, and each row gets another key. Whose row it was is said by
 * what identifies the record: then it is the same record under a new key, not a deletion and a new one. A row that has
 * no identifier, such as a newborn's, is the same when all of it is. What is left is told by its key, if that is the
 * same. Pure. */
#ifndef SELARAS_REJOIN_H
#define SELARAS_REJOIN_H

#include "agents/postgres/touched.h"

/* What says of a row of a block with generated keys which record it is, in `arena`: its identifiers, or all of it. At
 * most REJOIN_NAMES; returns how many. One in common will do. */
enum { REJOIN_NAMES = 8 };
uint16_t rejoin_names(struct touched_set *set, struct arena *arena, uint16_t block, const struct packed_row *row,
                      struct local_key **ret);
/* Whether a row that was made is the one that was deleted. */
bool rejoin_same(struct touched_set *set, const struct touched *gone, const struct touched *come);
/* Joins what belongs together, of blocks with generated keys. All of the transaction has been seen. */
void touched_rejoin(struct touched_set *set);

#endif
