/* load.h: the first load: every mapped row under the exported snapshot of a new slot.
 *
 * What the snapshot shows and what the slot then streams meet exactly at the consistent point: nothing is in both,
 * nothing in neither. A load that fails starts over with a new slot; equal rows cost nothing. */
#ifndef SELARAS_LOAD_H
#define SELARAS_LOAD_H

#include "proto/mapping.h"
#include "shell/loop.h"

enum {
    LOAD_BATCH_ROWS = 2000, /* most rows of one FETCH */
    LOAD_PIECE_BYTES = 256 * 1024,
};

struct load;

/* Called from the loop, never from inside load_start. load_close may be called from any of them. */
struct load_sink {
    void *context;
    /* lsn 0, first counting from 1, nothing seen, final; borrowed for the call. */
    void (*captured)(void *context, const struct piece *piece);
    /* The last piece was given; the snapshot was taken at `lsn`, where streaming will start. Nothing more is called. */
    void (*loaded)(void *context, uint64_t lsn);
    /* Nothing more is called. ERR_RETRY: close this and start over. */
    void (*failed)(void *context, const struct error *err);
};

struct load_options {
    const char *dsn;
    const char *agency;
    const struct mapping *mapping; /* bound */
};

/* Drops the slot selaras_<agency> when there is one, makes it anew and reads. Waits for transactions that were already
 * running when the slot is made; after ten seconds a log line names the age of the oldest. Text and mapping of
 * `options` must outlive it. The caller sees to the origin, and that nothing is applied meanwhile. */
struct load *load_start(struct loop *loop, const struct load_options *options, const struct load_sink *sink);
/* Between batches: what was fetched still comes. */
void load_pause(struct load *load, bool pause);
void load_close(struct load **load);

#endif
