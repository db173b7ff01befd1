/* driver.h: what an agent needs of its agency's database, whatever kind it is: capture, apply, progress, snapshot.
 *
 * A driver is asynchronous on the process's loop: an operation starts something, the sink is told what came of it. It
 * is never called back inside the operation that started it. Implementations: agents/postgres/driver.c,
 * agents/csv/driver.c. */
#ifndef SELARAS_DRIVER_H
#define SELARAS_DRIVER_H

#include "agents/why.h"
#include "proto/mapping.h"
#include "shell/loop.h"

#include <stdio.h>

struct form;   /* agents/csv/form.h */
struct driver; /* an implementation embeds it first */

/* What the database itself says of its history, and how far it has applied. Text is borrowed for the call. */
struct driver_progress {
    struct source source; /* system, timeline and the newest fence row */
    uint32_t incarnation; /* 0: not loaded */
    feed_position applied;
    uint8_t applied_leaf[HASH_BYTES];
    const char *warnings; /* what is not wrong yet, for a sysadmin: a line each, "" for none */
};

struct driver_sink {
    void *context;
    /* The database can be reached and its names, keys and rights are as they must be. Comes first, and again after each
     * loss of the connection: capture and apply must then be started anew. */
    void (*opened)(void *context, const struct driver_progress *progress);
    /* One source transaction or a part of it, in commit order, base included; borrowed for the call. After
     * driver->pause(true) at most what was already read still comes. */
    void (*captured)(void *context, const struct piece *piece);
    /* Everything before `lsn` that concerns us has been given to captured(): the slot may follow once all of it is
     * committed. */
    void (*idle)(void *context, uint64_t lsn);
    /* The last piece of a first load was given to captured(); the snapshot was taken at `lsn`. */
    void (*loaded)(void *context, uint64_t lsn);
    /* The batch that ended at `position` is committed in the agency's database. */
    void (*applied)(void *context, feed_position position);
    /* ERR_RETRY: the driver goes on by itself and calls opened() again; said so that it can be shown. ERR_STOP: a
     * person is needed: the agent says why and stops. */
    void (*failed)(void *context, const struct error *err);
    /* ERR_DOUBT or ERR_LOST: it stops too, and the broker is told, so that it quarantines the agency. Found again
     * whenever the agent is started again. ERR_RELOAD: the broker is told, so that it wants a load, and the driver goes
     * on as after ERR_RETRY. */
    void (*doubted)(void *context, const struct error *err);
};

struct driver_options {
    const char *agency;
    const char *database;     /* libpq connection string; "" where there is none */
    const char *folder;       /* that lists are saved in; "" where there are none, and so it is with the others */
    const char *state;        /* folder of what is known of the lists */
    const struct form *forms; /* of the mapping's blocks */
    uint64_t list_bytes;      /* a list may have */
    uint32_t list_rows;
    uint32_t fence_interval_ms;
    uint32_t retry_interval_ms; /* of parked records */
    uint32_t notice_days;       /* how long notices are kept */
    enum why_language language; /* that they are written in */
    bool allow_unlimited_wal;   /* start though max_slot_wal_keep_size is -1 */
};

struct driver_ops {
    const char *name; /* "postgres", "csv": agent/driver */

    /* Starts connecting. `mapping` is not bound yet; it and `options` outlive the driver. */
    struct driver *(*open)(struct loop *loop, const struct driver_options *options, struct mapping *mapping,
                           const struct driver_sink *sink);
    void (*close)(struct driver **driver);

    /* The mapping is bound to the catalog: checks tables, columns, types and keys against it. ERR_STOP with the remedy.
     * Runs in one go: nothing else happens on this agency's side before it is done. */
    int (*check)(struct driver *driver, struct error *err);
    /* Makes a new slot and origin (progress set to `load`) and reads everything under the slot's snapshot, as pieces of
     * `incarnation` numbered from 1, then loaded(). */
    void (*load)(struct driver *driver, uint32_t incarnation, feed_position load);
    /* The broker has the whole load: remembers the incarnation, durably, so that a restart does not load again. */
    void (*load_done)(struct driver *driver, uint32_t incarnation, feed_position load);
    /* Compares `known`, what the broker has of this database, with the database (any doubt goes to doubted()),
     * then streams from `lsn` on. `base` is the base committed with it. Pieces of an earlier stream or load are not
     * given any more, and a batch that has not ended is forgotten: its feed comes again. load() does the same. */
    void (*capture)(struct driver *driver, const struct source *known, uint64_t lsn, feed_position base);
    void (*pause)(struct driver *driver, bool pause);
    /* The broker has committed everything up to here: the source may forget it. */
    void (*advance)(struct driver *driver, uint64_t lsn);

    /* Takes one part of a batch; `final` ends it at `position` and `leaf`. Items are copied. The driver applies one
     * batch at a time and returns false when it has as much waiting as it may hold: try again after applied(). */
    bool (*apply)(struct driver *driver, const struct feed *feed);

    /* Parked records: JSON array of { block, record, since, tries, reason, position } for the operator; retry or close
     * one (record 0: all). `done` gets JSON or, when err is set, the reason. */
    void (*parked)(struct driver *driver, void (*done)(void *context, const char *json, const struct error *err),
                   void *context);
    void (*settle)(struct driver *driver, uint64_t record, bool close, const char *user, const char *why,
                   void (*done)(void *context, const char *json, const struct error *err), void *context);

    /* Members of its own for `status`, into an object that is begun. NULL: none. */
    void (*facts)(struct driver *driver, struct buffer *out);

    /* One row of a block as the database spells it, `columns` in the block's order (the caller's array): of the first
     * ones that which says most. Needs no driver that is open, writes nothing, and may block. NULL: this kind has no
     * rows to look at. */
    int (*example)(const struct driver_options *options, const struct mapping *mapping, uint16_t block,
                   struct arena *arena, struct value *columns, bool *ret_found, struct error *err);

    /* --prepare: writes to `out` what must be done before an agent may work, and with `apply` does it (as whoever `dsn`
     * names, NULL: the agent itself). Needs no driver that is open, and may block. */
    int (*prepare)(const struct driver_options *options, const struct mapping *mapping, const char *dsn, bool apply,
                   FILE *out, struct error *err);
};

struct driver {
    const struct driver_ops *ops;
};

extern const struct driver_ops postgres_driver, csv_driver;

/* By name; NULL: there is none of that name. `driver_names` ends in NULL. */
const struct driver_ops *driver_named(const char *name);
extern const char *const driver_names[];

#endif
