/* beyond.h: what stands in an apply transaction of ours beyond the items that it applied.
 *
 * The agency's own triggers and cascades run in our transaction, and its rows come under our origin. Those that we
 * wrote are listed in the transaction's message (applied.h); of the others the deleted ones are changes of this agency,
 * made on the base of that apply, and what else is not as we wrote it is noted. Pure. */
#ifndef SELARAS_BEYOND_H
#define SELARAS_BEYOND_H

#include "agents/postgres/alterations.h"
#include "agents/postgres/applied.h"
#include "agents/postgres/fold.h"
#include "agents/postgres/row_view.h"

struct beyond;

/* `whole`: all rows are looked at, because something in this database may write into our transactions; else only those
 * that come and go. `alterations` and `absents` may be NULL; of the latter those end whose row we put there. All
 * outlive it. */
struct beyond *beyond_new(const struct views *views, bool whole, size_t bytes_max, struct alterations *alterations,
                          struct absents *absents);
void beyond_free(struct beyond **beyond);

/* Takes an insert, update, delete or truncate of a transaction of ours. Errors as fold_add. */
must_check int beyond_add(struct beyond *beyond, const struct pgoutput_message *message, struct error *err);
/* The transaction has ended and said this (NULL: nothing): gives `fold` the rows that others deleted, notes the rest,
 * adds a report, in `arena`, of each record that it wrote and that is not as it was written, and forgets it all. */
void beyond_end(struct beyond *beyond, struct applied *applied, struct arena *arena, struct fold *fold);
void beyond_reset(struct beyond *beyond);

#endif
