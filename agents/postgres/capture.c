#include "agents/postgres/capture.h"
#include "agents/postgres/replication.h"
#include "agents/postgres/stream.h"
#include "shell/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    TICK_MS = 1000,
    STATUS_MS = 10000,  /* wal_sender_timeout is 60 s */
    ASK_MS = 20000,     /* so long without a word: ask the server for one */
    SILENCE_MS = 60000, /* so long: it is gone */
    COALESCE_MS = 200,  /* a piece with nothing but position and base waits so long for a newer one */
    REST_MS = 5000,     /* what is not read for so long is given back to the server */
    GIVEN_MS = 100,     /* how often it is looked whether the broker has what was given */
    COPY_HEAD_BYTES = 25,
    KEEPALIVE_BYTES = 18,
    STATUS_BYTES = 34,
};
#define TRANSACTION_BYTES_MAX ((size_t)1 << 30)
#define EPOCH_2000_US (INT64_C(946684800) * 1000000)

struct capture {
    struct loop *loop;
    struct capture_options options;
    struct capture_sink sink;
    struct replication *replication;
    struct loop_source *tick, *coalesce;
    char slot[64]; /* and origin */
    struct stream *stream;
    uint64_t start;         /* where streaming begins */
    uint64_t written;       /* the server's log up to here was seen */
    uint64_t flushed, told; /* the broker has it; the server knows */
    uint64_t given;         /* end LSN of the last piece */
    int64_t told_ms, resumed_ms;
    bool pending; /* a piece of nothing but position and base waits */
    uint64_t idle, idle_told;
    bool streaming, paused;
    struct loop_source *reload; /* a table was truncated: its rows may still come back before all is loaded anew */
    bool keeping;               /* what the last transaction did to deletions that wait is being made durable */
    enum stream_found found;    /* by that transaction */
    int64_t unread_ms;          /* since when nothing is read from the stream; 0: it is read */
    bool resting;               /* the connection is closed until there is room again */
    bool ended, closed;         /* nothing more is called; freed once nothing of ours is on the stack */
    unsigned depth;
};

static bool quiet(const struct capture *capture)
{
    return capture->ended || capture->closed;
}

static void capture_free(struct capture *capture)
{
    replication_close(&capture->replication);
    loop_remove(&capture->tick);
    loop_remove(&capture->coalesce);
    loop_remove(&capture->reload);
    stream_free(&capture->stream);
    free(capture);
}

/* Whether something is before the next message of the stream. */
static bool blocked(const struct capture *capture)
{
    return capture->paused || capture->keeping || capture->reload || stream_left(capture->stream);
}

static void enter(struct capture *capture)
{
    capture->depth++;
}

/* From here on it may be gone. */
static void leave(struct capture *capture)
{
    if (--capture->depth == 0 && capture->closed)
        capture_free(capture);
}

static void fail(struct capture *capture, const struct error *err)
{
    if (quiet(capture))
        return;
    capture->ended = true;
    replication_close(&capture->replication);
    loop_remove(&capture->tick);
    loop_remove(&capture->coalesce);
    loop_remove(&capture->reload);
    capture->sink.failed(capture->sink.context, err);
}

static void number_put(char *at, uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        at[i] = (char)(number & 0xff);
}

static uint64_t number_get(const char *at)
{
    uint64_t number = 0;

    for (int i = 0; i < 8; i++)
        number = number << 8 | (unsigned char)at[i];
    return number;
}

/* PostgreSQL 15, 55.4: standby status update. Only what the broker has committed counts as flushed. */
static void tell_status(struct capture *capture, bool ask)
{
    char status[STATUS_BYTES] = { 'r' };
    uint64_t written = capture->written > capture->flushed ? capture->written : capture->flushed;

    if (!capture->streaming || quiet(capture))
        return;
    number_put(status + 1, written);
    number_put(status + 9, capture->flushed);
    number_put(status + 17, capture->flushed);
    number_put(status + 25, (uint64_t)(loop_time_us() - EPOCH_2000_US));
    status[33] = ask;
    replication_send(capture->replication, status, sizeof status);
    capture->told = capture->flushed;
    capture->told_ms = loop_monotonic_ms();
}

/* Each piece carries the newest position and base, so none that only waits for that need be given any more. */
static void give(struct capture *capture, const struct piece *piece)
{
    capture->pending = false;
    capture->given = piece->lsn;
    if (!quiet(capture))
        capture->sink.captured(capture->sink.context, piece);
}

static void give_idle(struct capture *capture)
{
    if (capture->idle <= capture->idle_told || quiet(capture))
        return;
    capture->idle_told = capture->idle;
    capture->sink.idle(capture->sink.context, capture->idle);
}

static void give_pending(struct capture *capture)
{
    if (capture->pending)
        give(capture, &(struct piece){ .lsn = stream_lsn(capture->stream),
                                       .final = true,
                                       .base = stream_base(capture->stream),
                                       .commit_time_us = stream_time_us(capture->stream) });
    give_idle(capture);
}

static void coalesced(void *context)
{
    struct capture *capture = context;

    enter(capture);
    loop_remove(&capture->coalesce);
    if (!blocked(capture) && !quiet(capture))
        give_pending(capture);
    leave(capture);
}

/* Everything before `lsn` was read. What waits to be given goes first, a little later, together. */
static void passed(struct capture *capture, uint64_t lsn)
{
    if (lsn > capture->idle)
        capture->idle = lsn;
    if (!capture->pending)
        give_idle(capture);
    else if (!capture->coalesce)
        capture->coalesce = loop_timer(capture->loop, COALESCE_MS, true, coalesced, capture);
}

/* Gives the pieces of the transaction that was read whole, as far as the receiver takes them. */
static void emit(struct capture *capture)
{
    struct piece piece;

    while (!capture->paused && !capture->keeping && !quiet(capture) && stream_next(capture->stream, &piece))
        give(capture, &piece);
    if (!quiet(capture) && !capture->resting)
        replication_pause(capture->replication, blocked(capture));
}

static void log_problems(const struct capture *capture)
{
    struct error first;
    uint32_t count = stream_problems(capture->stream, &first);
    char lsn[18];

    lsn_text(stream_lsn(capture->stream), lsn);
    if (count > 0)
        log_write(LOG_WARN,
                  "%" PRIu32 " values or rows of the transaction that ended at %s were left out; the first: %s", count,
                  lsn, first.text);
}

/* Each column once: what it does, it does all day. */
static void log_alterations(const struct capture *capture)
{
    struct alterations *alterations = capture->options.alterations;

    for (uint32_t i = 0; alterations && i < alterations->count; i++) {
        struct alteration *alteration = &alterations->list[i];
        const char *column = alteration_column(alteration);

        if (alteration->told)
            continue;
        alteration->told = true;
        log_write(LOG_WARN,
                  "table %s.%s: a trigger or cascade of the agency's own %s%s while what the broker fed was applied: "
                  "what it made of rows stays here and is not sent (counted in `selaras status`)",
                  alteration->block->schema, alteration->block->table,
                  column ? "wrote column " : "added rows, kept them or left them out", column ? column : "");
    }
}

/* Gives what the transaction that ended was found to be. */
static void conclude(struct capture *capture)
{
    if (capture->found == STREAM_PIECES) {
        emit(capture);
        return;
    }
    capture->pending |= capture->found == STREAM_BASE;
    passed(capture, stream_lsn(capture->stream));
}

static void on_reload(void *context)
{
    struct capture *capture = context;
    struct error why;

    loop_remove(&capture->reload);
    if (capture->flushed < capture->given) {
        capture->reload = loop_timer(capture->loop, GIVEN_MS, true, on_reload, capture);
        return;
    }
    enter(capture);
    stream_emptied(capture->stream, &why);
    fail(capture, &why);
    leave(capture);
}

/* Nothing more is read: the load will find it. Not sooner, or what comes back a little later would be missed, and not
 * before the broker has what was read until here: a deletion among that would be forgotten. */
static void wait_for_load(struct capture *capture)
{
    struct error why;
    int64_t wait_ms = (stream_emptied(capture->stream, &why) - loop_time_us()) / 1000;

    if (wait_ms > 0)
        log_write(LOG_NOTE, "%s in %" PRId64 " s: until then its rows may come back (`absence`), and nothing is read",
                  why.text, wait_ms / 1000 + 1);
    capture->reload = loop_timer(capture->loop, wait_ms > 0 ? (uint32_t)wait_ms + 1 : 1, true, on_reload, capture);
    replication_pause(capture->replication, true);
}

static int take_data(struct capture *capture, const char *bytes, size_t length, struct error *err)
{
    struct absents *absents = capture->options.absents;

    if (length < COPY_HEAD_BYTES)
        return error_set(err, ERR_STOP, "the server's change stream holds a message that is too short");
    if (stream_take(capture->stream, bytes + COPY_HEAD_BYTES, length - COPY_HEAD_BYTES, &capture->found, err) < 0)
        return err->code;
    if (capture->found == STREAM_NOTHING)
        return 0;
    if (capture->found == STREAM_EMPTIED) {
        wait_for_load(capture);
        return 0;
    }
    log_problems(capture);
    log_alterations(capture);
    if (absents && absents_changed(absents)) {
        capture->keeping = true;
        replication_pause(capture->replication, true);
        capture->sink.keep(capture->sink.context);
    } else {
        conclude(capture);
    }
    return 0;
}

/* Of the server's own position only keepalives are proof: a message stands where its change was logged, long before the
 * commit that sent it. */
static int take_keepalive(struct capture *capture, const char *bytes, size_t length, struct error *err)
{
    uint64_t end;

    if (length != KEEPALIVE_BYTES)
        return error_set(err, ERR_STOP, "the server's change stream holds a keepalive of a wrong size");
    end = number_get(bytes + 1);
    if (!stream_open(capture->stream) && end > capture->written)
        capture->written = end;
    if (bytes[17])
        tell_status(capture, false);
    if (!stream_open(capture->stream) && !stream_left(capture->stream))
        passed(capture, end);
    return 0;
}

static void on_copied(void *context, const char *bytes, size_t length)
{
    struct capture *capture = context;
    struct error err;
    int result;

    enter(capture);
    if (bytes[0] == 'w')
        result = take_data(capture, bytes, length, &err);
    else if (bytes[0] == 'k')
        result = take_keepalive(capture, bytes, length, &err);
    else
        result = error_set(&err, ERR_STOP, "the server's change stream holds a message of unknown kind");
    if (result < 0)
        fail(capture, &err);
    leave(capture);
}

/* What the server says when a stream cannot begin or go on, and what that means here. */
static const struct {
    const char *sqlstate;
    bool streaming;
    int code;
    const char *meaning; /* %s is the slot */
} refusals[] = {
    { "42704", false, ERR_LOST, "the replication slot %s is gone, so changes since then cannot be known" },
    { "42704", true, ERR_LOST,
      "the publication of slot %s was dropped, so changes since then cannot be known (where there is none now: "
      "selaras-agent --prepare --apply FILE)" },
    { "55000", false, ERR_LOST, "the replication slot %s cannot be read any more, so changes cannot be known" },
    { "58P01", true, ERR_LOST, "the log that slot %s needs is gone, so changes cannot be known" },
    { "55006", false, ERR_RETRY,
      "the replication slot %s is in use; is another agent of this agency running, or is the server still ending the "
      "last connection?" },
};

static void on_lost(void *context, const char *sqlstate, const struct error *cause)
{
    struct capture *capture = context;
    struct error err = *cause;

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        char meaning[256];

        if (strcmp(refusals[i].sqlstate, sqlstate) != 0 || refusals[i].streaming != capture->streaming)
            continue;
        snprintf(meaning, sizeof meaning, "%.*s%s%s", (int)strcspn(refusals[i].meaning, "%"), refusals[i].meaning,
                 capture->slot, strstr(refusals[i].meaning, "%s") + 2);
        error_set(&err, refusals[i].code, "%s (%s)", meaning, cause->text);
        break;
    }
    enter(capture);
    fail(capture, &err);
    leave(capture);
}

static void on_streaming(void *context, const PGresult *result, const char *sqlstate, const struct error *err)
{
    struct capture *capture = context;

    if (!result) {
        on_lost(context, sqlstate, err);
        return;
    }
    enter(capture);
    capture->streaming = true;
    tell_status(capture, false);
    if (capture->sink.started && !quiet(capture))
        capture->sink.started(capture->sink.context);
    leave(capture);
}

static void on_up(void *context)
{
    struct capture *capture = context;
    char lsn[18], command[256];

    lsn_text(capture->start, lsn);
    snprintf(command, sizeof command,
             "START_REPLICATION SLOT \"%s\" LOGICAL %s (proto_version '1', publication_names 'selaras', messages "
             "'true')",
             capture->slot, lsn);
    replication_command(capture->replication, command, on_streaming);
}

/* Streams what committed after capture->start. */
static void stream_from(struct capture *capture, feed_position base)
{
    const struct capture_options *options = &capture->options;
    struct stream_options stream = { .origin = capture->slot,
                                     .mapping = options->mapping,
                                     .bytes_max = options->transaction_bytes_max,
                                     .whole = options->whole,
                                     .alterations = options->alterations,
                                     .absents = options->absents,
                                     .piece_bytes = CAPTURE_PIECE_BYTES,
                                     .lsn = capture->start,
                                     .base = base };

    if (stream.bytes_max == 0)
        stream.bytes_max = TRANSACTION_BYTES_MAX;
    if (getrandom(stream.seed, sizeof stream.seed, 0) != sizeof stream.seed)
        abort();
    stream_free(&capture->stream);
    capture->stream = stream_new(&stream);
    capture->replication = replication_open(
        capture->loop, options->dsn, capture->slot,
        &(struct replication_events){ .context = capture, .up = on_up, .message = on_copied, .lost = on_lost });
}

/* A server that cannot write to us cannot end the stream either, and whoever waits for that waits with it: a checkpoint
 * does when the slot keeps more than max_slot_wal_keep_size, and then the agency's log grows without end. So what is
 * not read for a while is closed, and read again from the last whole transaction when there is room. */
static void rest(struct capture *capture, int64_t now_ms)
{
    if (!blocked(capture)) {
        capture->unread_ms = 0;
        return;
    }
    if (capture->unread_ms == 0)
        capture->unread_ms = now_ms;
    if (now_ms - capture->unread_ms < REST_MS)
        return;
    replication_close(&capture->replication);
    capture->resting = true;
    capture->streaming = false;
}

static void go_on(struct capture *capture)
{
    give_pending(capture);
    if (quiet(capture))
        return;
    capture->start = stream_lsn(capture->stream);
    capture->unread_ms = 0;
    capture->resting = false;
    stream_from(capture, stream_base(capture->stream));
}

static void check_silence(struct capture *capture, int64_t now_ms)
{
    int64_t heard_ms = replication_heard_ms(capture->replication);
    int64_t silence_ms = now_ms - (heard_ms > capture->resumed_ms ? heard_ms : capture->resumed_ms);
    struct error err;

    if (blocked(capture)) {
        capture->resumed_ms = now_ms; /* we do not listen */
        return;
    }
    if (silence_ms > SILENCE_MS) {
        error_set(&err, ERR_RETRY, "the database has sent nothing for %d s", SILENCE_MS / 1000);
        fail(capture, &err);
    } else if (silence_ms > ASK_MS) {
        tell_status(capture, true);
    }
}

static void on_tick(void *context)
{
    struct capture *capture = context;
    int64_t now_ms = loop_monotonic_ms();

    enter(capture);
    if (capture->streaming && !quiet(capture)) {
        if (capture->flushed > capture->told || now_ms - capture->told_ms >= STATUS_MS)
            tell_status(capture, false);
        if (!quiet(capture))
            check_silence(capture, now_ms);
        if (!quiet(capture))
            rest(capture, now_ms);
    }
    leave(capture);
}

struct capture *capture_start(struct loop *loop, const struct capture_options *options, const struct capture_sink *sink,
                              uint64_t lsn, feed_position base)
{
    struct capture *capture = calloc(1, sizeof *capture);

    if (!capture)
        abort();
    capture->loop = loop;
    capture->options = *options;
    capture->sink = *sink;
    capture->start = capture->written = capture->flushed = lsn;
    capture->idle = capture->idle_told = lsn;
    snprintf(capture->slot, sizeof capture->slot, "selaras_%s", options->agency);
    capture->tick = loop_timer(loop, TICK_MS, false, on_tick, capture);
    stream_from(capture, base);
    return capture;
}

/* Not inside capture_pause: its caller expects no call from there. */
static void resume(void *context)
{
    struct capture *capture = context;

    enter(capture);
    emit(capture);
    if (!blocked(capture) && !capture->coalesce)
        give_pending(capture);
    if (capture->resting && !blocked(capture) && !quiet(capture))
        go_on(capture);
    leave(capture);
}

void capture_pause(struct capture *capture, bool pause)
{
    if (capture->paused == pause || quiet(capture))
        return;
    capture->paused = pause;
    if (!pause)
        loop_defer(capture->loop, resume, capture);
    else if (!capture->resting)
        replication_pause(capture->replication, true);
}

void capture_kept(struct capture *capture)
{
    if (quiet(capture))
        return;
    enter(capture);
    capture->keeping = false;
    loop_defer(capture->loop, resume, capture);
    conclude(capture);
    leave(capture);
}

void capture_advance(struct capture *capture, uint64_t lsn)
{
    if (lsn > capture->flushed)
        capture->flushed = lsn;
}

uint64_t capture_received(const struct capture *capture)
{
    return stream_lsn(capture->stream);
}

void capture_close(struct capture **capture)
{
    struct capture *closing = *capture;

    if (!closing)
        return;
    *capture = NULL;
    closing->closed = true;
    loop_defer_cancel(closing->loop, resume, closing);
    if (closing->depth == 0)
        capture_free(closing);
}
