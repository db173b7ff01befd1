/* stream.h: turns the messages of one replication stream into pieces, with the base that the stream itself shows.
 *
 * Local and applied transactions stand in it in the order in which they committed: an applied one (of our own origin)
 * says in a message of its own how far the feed was applied, and each local one after it was made on that base.
 * Pure. */
#ifndef SELARAS_STREAM_H
#define SELARAS_STREAM_H

#include "agents/postgres/alterations.h"
#include "agents/postgres/fold.h"

struct stream;

struct stream_options {
    const char *origin;            /* transactions of this origin are our own applies */
    const struct mapping *mapping; /* bound */
    size_t bytes_max;              /* see fold.h */
    bool whole;                    /* see beyond.h, as the next one */
    struct alterations *alterations;
    struct absents *absents; /* deletions that wait, as of `lsn`; NULL: none does */
    size_t piece_bytes;      /* about how large one piece gets */
    uint64_t lsn;            /* what ended up to here is committed at the broker: it is left out */
    feed_position base;      /* committed with it */
    uint8_t seed[32];        /* random, used for this stream only */
};

/* Copies `options`; origin and mapping must outlive the stream. */
struct stream *stream_new(const struct stream_options *options);
void stream_free(struct stream **stream);

enum stream_found {
    STREAM_NOTHING, /* within a transaction, or between two */
    STREAM_PIECES,  /* a transaction ended: stream_next() gives its pieces */
    STREAM_BASE,    /* an apply of ours ended that has nothing to report, and nothing was deleted beyond it: only
                       position and base are new */
    STREAM_EMPTY,   /* a transaction ended that concerns nobody */
    STREAM_EMPTIED, /* a transaction ended that truncated a table of which `reload` is said: nothing can be read from
                       here on, all must be loaded anew; stream_emptied() says when */
};

/* Takes one message of pgoutput. Not while stream_left(). For errors see pgoutput.h, fold.h and applied.h; ERR_DOUBT
 * when the base went back. */
must_check int stream_take(struct stream *stream, const void *bytes, size_t length, enum stream_found *ret,
                           struct error *err);

/* The next piece of the transaction that ended; borrowed until the next call on the stream. False when there is none
 * left. */
bool stream_next(struct stream *stream, struct piece *ret);
bool stream_left(const struct stream *stream);

/* The reason, ERR_RELOAD, and the time from which on: at once when rows came back in the same transaction, else when
 * the longest `absence` of the mapping is over: a snapshot taken sooner may lack what comes back in others. */
int64_t stream_emptied(const struct stream *stream, struct error *ret_why);
/* Whether a transaction has begun and not ended yet. */
bool stream_open(const struct stream *stream);
/* End LSN of the last transaction that was read whole, its commit time, and the base from there on. */
uint64_t stream_lsn(const struct stream *stream);
int64_t stream_time_us(const struct stream *stream);
feed_position stream_base(const struct stream *stream);
/* How many values and rows of the last transaction were left out because they could not be translated, and where the
 * first was. */
uint32_t stream_problems(const struct stream *stream, struct error *ret_first);

#endif
