/* absent_store.h: keeps deletions that wait (absent.h) in the agency's own database.
 *
 * selaras.absent is not published: what we write there does not come back in the stream. Each row says with which
 * transaction it began and ended to wait, so that what was written before a crash for transactions that the broker does
 * not have is taken back, and made anew when they are read again. */
#ifndef SELARAS_ABSENT_STORE_H
#define SELARAS_ABSENT_STORE_H

#include "agents/postgres/absent.h"
#include "shell/pg.h"

struct absent_store;

struct absent_store_sink {
    void *context;
    /* What was queued last is done. */
    void (*restored)(void *context, struct absents *absents); /* which is the receiver's */
    void (*kept)(void *context);
    void (*failed)(void *context, const struct error *err);
};

/* Works on `pg`, which it does not own; mapping and `pg` outlive it. */
struct absent_store *absent_store_new(struct pg *pg, const struct mapping *mapping,
                                      const struct absent_store_sink *sink);
/* Only once `pg` is closed. */
void absent_store_free(struct absent_store **store);

/* What waits as of `lsn`, up to which the broker has everything. */
void absent_store_restore(struct absent_store *store, uint64_t lsn);
/* Writes what is fresh and settled. */
void absent_store_keep(struct absent_store *store, const struct absents *absents);
/* Nothing that was asked for is told any more. */
void absent_store_rest(struct absent_store *store);
/* The broker has everything up to `lsn`: what was settled by then is no longer needed. */
void absent_store_acknowledged(struct absent_store *store, uint64_t lsn);
/* Queues what forgets all of it: a load begins, which compares everything. */
void absent_store_forget(struct pg *pg);

#endif
