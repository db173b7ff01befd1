/* fold.h: what one source transaction did to each record, net.
 *
 * Rows come in one by one and leave as changes, each record at most once: by block of the mapping and local key, from
 * what was before the transaction to what is after it. A key that changes is followed. Only translated values of mapped
 * columns are ever kept. Pure. */
#ifndef SELARAS_FOLD_H
#define SELARAS_FOLD_H

#include "agents/postgres/absent.h"
#include "agents/postgres/row_view.h"
#include "proto/mapping.h"

struct fold;

/* `mapping` is bound and outlives the fold. `bytes_max` bounds what one transaction may keep here. */
struct fold *fold_new(const struct mapping *mapping, size_t bytes_max);
void fold_free(struct fold **fold);

/* Remembers how a table looks from here on; it is copied. ERR_STOP when a mapped column is not there. */
must_check int fold_relation(struct fold *fold, const struct pgoutput_relation *relation, struct error *err);

/* Takes one insert, update, delete or truncate. Tables that are not mapped are ignored. ERR_LOST: a mapped table was
 * truncated; ERR_STOP: a row does not fit its table, a deletion or key change came without the old key, or the
 * transaction is larger than bytes_max. */
must_check int fold_add(struct fold *fold, const struct pgoutput_message *message, struct error *err);

/* Whether a table of which the agency has said `reload` was truncated: the transaction cannot be folded, and `ret_why`
 * is ERR_RELOAD. `ret_refilled`: rows came into it afterwards. */
bool fold_emptied(const struct fold *fold, bool *ret_refilled, struct error *ret_why);
/* A row that is known to be gone, whatever else the transaction did to it. */
void fold_gone(struct fold *fold, const struct seen *old);
/* Who made this transaction's changes, and on what ground, as the transaction itself says: that is nearer to the truth
 * than what its rows' columns say, which may stand there since an earlier edit. `place` is 0 for the actor, 1 for the
 * ground; said twice, the last counts. Empty text says nothing; what is no UTF-8 or longer than WITNESS_BYTES_MAX is
 * left out and counted. Copied. */
void fold_witness(struct fold *fold, int place, struct text text);
/* How tables look: borrowed. */
const struct views *fold_views(const struct fold *fold);

/* Before fold_end: what of the transaction concerns deletions that wait, see absent.h. */
must_check int fold_absences(struct fold *fold, struct absents *absents, const struct absent_moment *moment,
                             struct error *err);
/* Ends the transaction: fold_next() gives its changes from now on. `seed` is 32 random bytes, used once: the salts are
 * made from it. Returns how many values could not be translated and rows had no key; `ret_first` then says where the
 * first was (never the value). */
uint32_t fold_end(struct fold *fold, const uint8_t seed[32], struct error *ret_first);
/* Whether fold_next has something left to give. */
bool fold_left(const struct fold *fold);
/* Whether what fold_next gives next is earlier than the apply in whose transaction it stands: those come first. */
bool fold_earlier(const struct fold *fold);
/* The next changes, all of them earlier or none, in `arena`, at least one and otherwise at most `bytes` of them;
 * returns how many. A record that leaves a key comes before one that takes it, except where keys were exchanged in a
 * circle. */
uint32_t fold_next(struct fold *fold, struct arena *arena, size_t bytes, struct change **ret);
/* Forgets the transaction; relations stay. */
void fold_reset(struct fold *fold);

#endif
