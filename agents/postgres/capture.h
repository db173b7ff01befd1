/* capture.h: the agency's committed changes, read from its replication slot.
 *
 * One replication connection streams the slot selaras_<agency> by pgoutput. Each source transaction becomes one struct
 * piece (several when it is large) with the base that the stream itself shows: transactions of our own origin are not
 * captured again, they set the base and bring reports. Nothing is skipped and nothing is invented: whatever is not
 * understood is ERR_STOP. */
#ifndef SELARAS_CAPTURE_H
#define SELARAS_CAPTURE_H

#include "agents/postgres/absent.h"
#include "agents/postgres/alterations.h"
#include "shell/loop.h"

enum {
    CAPTURE_PIECE_BYTES = 512 * 1024, /* about how large one piece of changes gets */
};

struct capture;

/* Called from the loop, never from inside capture_start. capture_close may be called from any of them. */
struct capture_sink {
    void *context;
    /* One source transaction or a part of it, in commit order; borrowed for the call. Also pieces without changes: a
     * fence row, reports of our own apply transactions, or only their position and base. */
    void (*captured)(void *context, const struct piece *piece);
    /* Everything of ours that committed before `lsn` has been given to captured(). Never falls. */
    void (*idle)(void *context, uint64_t lsn);
    /* Streaming has ended: nothing more is called; close this and, for ERR_RETRY, start another after a pause.
     * ERR_LOST: the slot is gone or was invalidated, the publication was dropped, a mapped table was truncated;
     * ERR_RELOAD: one was of which the mapping says `reload`, and what came back has had its time;
     * ERR_DOUBT: what was applied went back; ERR_STOP: a mapped table lost a column, the stream cannot be read. */
    void (*failed)(void *context, const struct error *err);
    /* Deletions have begun to wait, or have ended that: what options->absents say is fresh or settled must be durable
     * first. Nothing more is given until capture_kept(). */
    void (*keep)(void *context);
    /* Streaming has begun (may be NULL). */
    void (*started)(void *context);
};

struct capture_options {
    const char *dsn;                 /* as in the settings; replication=database is added here */
    const char *agency;              /* slot and origin are selaras_<agency>, the publication is selaras */
    const struct mapping *mapping;   /* bound */
    bool whole;                      /* all rows of our own transactions are looked at (beyond.h) */
    struct alterations *alterations; /* what was found in them; may be NULL. Outlives the capture */
    struct absents *absents;         /* deletions that wait, as of `lsn`; NULL: none does. Outlives the capture */
    size_t transaction_bytes_max;    /* memory for one source transaction's net changes; 0: 1 GiB. More is ERR_STOP */
};

/* Connects and streams what committed after `lsn`. `base` is the base committed with that position. Text and mapping of
 * `options` must outlive the capture. */
struct capture *capture_start(struct loop *loop, const struct capture_options *options, const struct capture_sink *sink,
                              uint64_t lsn, feed_position base);
/* Stops reading (from the next piece on) until told otherwise; status updates go on, so that the server waits. After a
 * few seconds the connection is closed, and made anew when reading goes on: a server that can only wait for us could
 * not give the slot up, and its checkpoints would wait too. */
void capture_pause(struct capture *capture, bool pause);
/* Everything up to `lsn` is committed at the broker: the slot may advance. Told to the server within a second, or with
 * the next status. */
void capture_advance(struct capture *capture, uint64_t lsn);
/* What absents_changed() was told of is durable: goes on. Not inside keep(). */
void capture_kept(struct capture *capture);
/* End LSN of the last transaction that was read whole. */
uint64_t capture_received(const struct capture *capture);
void capture_close(struct capture **capture);

#endif
