/* store.h: the broker's PostgreSQL: looks up what a batch is about, writes it in one transaction, reads the feed.
 *
 * Two connections: one writes (and holds the lock that makes this broker the active one), one reads feeds. A result
 * that was lost leaves it open whether a batch is committed: the owner drops its state and starts again from what is in
 * the database. */
#ifndef SELARAS_STORE_H
#define SELARAS_STORE_H

#include "daemon/broker.h"
#include "shell/loop.h"

struct store;

struct store_sink {
    void *context;
    /* This broker is the active one and the schema fits the catalog. `state` lives until the call returns. */
    void (*ready)(void *context, const struct ledger_state *state);
    void (*waiting)(void *context); /* another broker holds the lock; asked again every second */
    void (*found)(void *context, struct batch *batch);
    void (*stored)(void *context, struct batch *batch);
    /* PostgreSQL refuses what the batch looks up or writes, for what it holds: nothing of it is committed, and it would
     * be refused again. */
    void (*refused)(void *context, struct batch *batch, const struct error *why);
    void (*scanned)(void *context, struct scan *scan);
    /* ERR_RETRY: the connection or a result was lost; everything in flight is forgotten (its memory stays the caller's)
     * and ready() comes again. ERR_STOP: a person is needed. */
    void (*failed)(void *context, const struct error *err);
};

struct store *store_open(struct loop *loop, const char *dsn, const struct catalog *catalog,
                         const struct store_sink *sink);
void store_close(struct store **store);

/* Fills batch->found, then found(), or refused(). */
void store_lookup(struct store *store, struct batch *batch);
/* One transaction, then stored(), or refused(). */
void store_write(struct store *store, struct batch *batch);
/* Fills the rows, then scanned(). */
void store_scan(struct store *store, struct scan *scan);

/* Creates or extends the schema for this catalog and reads where the ledger stands; without `keep` nothing of it stays.
 * Blocking, on a connection of its own. For store.c and `selaras-broker --check`. */
must_check int store_prepare(const char *dsn, const struct catalog *catalog, struct arena *arena,
                             struct ledger_state *ret, bool keep, struct error *err);

#endif
