/* apply.h: what the broker feeds, put into the agency's database: one session, one transaction at a time.
 *
 * Items, progress and the replication origin commit together, so a batch takes effect once or not at all. It yields to
 * the agency's own work, parks what the database refuses, and reports what met no row. After a COMMIT whose result was
 * lost the session is made anew and selaras.agent is asked what is true: the owner does so by opening everything again.
 */
#ifndef SELARAS_APPLY_H
#define SELARAS_APPLY_H

#include "agents/postgres/inspect.h"

enum {
    APPLY_ITEMS_MAX = 10000,                /* of waiting batches that are applied as one transaction */
    APPLY_BYTES_MAX = 8 * 1024 * 1024,      /* the same */
    APPLY_WAITING_BYTES = 16 * 1024 * 1024, /* whole batches that may wait */
    APPLY_BATCH_BYTES = 64 * 1024 * 1024,   /* one batch: more is an error */
    APPLY_YIELD_MIN_MS = 20,                /* before trying again when a row was locked: doubles up to ... */
    APPLY_YIELD_MAX_MS = 1000,
};

struct absents; /* absent.h */
struct apply;

/* Called from the loop. apply_close may be called from any of them. */
struct apply_sink {
    void *context;
    void (*ready)(void *context); /* the session is set up */
    void (*applied)(void *context, feed_position position);
    /* ERR_RETRY: the session is lost: close this and start over. ERR_STOP: a person is needed. */
    void (*failed)(void *context, const struct error *err);
};

/* Connects. All arguments outlive it. */
struct apply *apply_open(struct loop *loop, const struct driver_options *options, const struct mapping *mapping,
                         const struct inspection *inspection, const struct apply_sink *sink);
void apply_close(struct apply **apply);

/* The first load is at the broker: remembers incarnation and position, and that nothing is parked. */
void apply_load_done(struct apply *apply, uint32_t incarnation, feed_position load);
/* See driver_ops.apply. Items at or below the last batch taken are left out: they were fed before. */
bool apply_take(struct apply *apply, const struct feed *feed);
/* A batch that has not ended is forgotten: its feed comes again. */
void apply_forget(struct apply *apply);
/* A load begins: what was fed is forgotten, and nothing more is begun until apply_load_done or apply_wake. What a
 * transaction under way does may still be committed: apply_idle says when there is none. */
void apply_rest(struct apply *apply);
void apply_wake(struct apply *apply);
/* The deletions that wait as of what is captured, which outlive this or the next call; NULL: nothing is captured. */
void apply_absents(struct apply *apply, const struct absents *absents);
/* The stream has shown a heartbeat of this time. Parked records are tried again, as they are now and then anyhow, when
 * `came_back` says that deletions wait no more, or one has waited for its row for long enough. */
void apply_beat(struct apply *apply, int64_t time_us, bool came_back);
/* Whether nothing waits and nothing runs. */
bool apply_idle(const struct apply *apply);
void apply_settle(struct apply *apply, uint64_t record, bool close, const char *user, const char *why,
                  void (*done)(void *context, const char *json, const struct error *err), void *context);

#endif
