/* fence.h: is this still the database that the broker knows? (PROTOCOL 4.3)
 *
 * PostgreSQL goes on from a restored, rewound or cloned database without a word, so before anything is streamed it must
 * prove that it has gone on from where the broker last saw it. On any doubt: ERR_DOUBT when it is not the one it was,
 * ERR_LOST when it is but changes of it can never be known; never a guess. */
#ifndef SELARAS_FENCE_H
#define SELARAS_FENCE_H

#include "agents/postgres/inspect.h"

struct fences;

/* Called from the loop. */
struct fence_sink {
    void *context;
    void (*proven)(void *context);
    void (*remembered)(void *context);
    void (*failed)(void *context, const struct error *err);
};

/* Works on `pg`, which it does not own. `inspection` says what was found of the mapped
 * tables. All arguments outlive it. */
struct fences *fences_new(struct loop *loop, struct pg *pg, const struct driver_options *options,
                          const struct inspection *inspection, const struct mapping *mapping,
                          const struct fence_sink *sink);
/* Only once `pg` is closed. */
void fences_free(struct fences **fences);

/* Before a load makes its slot: remembers which tables are published, so that a break is found later, and
 * forgets the deletions that wait: the load compares everything. Then remembered(). */
void fences_remember(struct fences *fences);
/* Compares `known` with the database; proven() is called for the last call only. Then writes a new row, and one more
 * each interval, and checks that each mapped name is still the published table. */
void fences_prove(struct fences *fences, const struct source *known, uint64_t lsn);
/* What is mapped and was never loaded, for `status`; "" for nothing. Borrowed. */
const char *fences_unloaded(const struct fences *fences);
/* Writes no more rows. */
void fences_rest(struct fences *fences);
/* The stream has shown this row in the transaction that ended at `lsn`; the broker has everything up to `lsn`: rows
 * long before the last one that it has are deleted. */
void fences_seen(struct fences *fences, const struct fence *fence, uint64_t lsn);
void fences_acknowledged(struct fences *fences, uint64_t lsn);

#endif
