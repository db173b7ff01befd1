#include "agents/postgres/replication.h"
#include "shell/pg.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS_MAX = 10000, MESSAGES_PER_TURN = 500 };

/* Decoded values come out of the types' output functions, so the session decides how they are spelled. The time limits
 * of a database or role are meant for its applications: a slot that waits for old transactions, and an exported
 * snapshot that must stay, would fall to them. */
static const char session_options[] =
    "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=3 -c bytea_output=hex"
    " -c search_path= -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
    " -c idle_session_timeout=0";

struct replication {
    struct loop *loop;
    struct replication_events events;
    PGconn *link;
    struct loop_source *socket, *patience; /* patience ends the attempt to connect */
    replication_answer *answer;            /* to the command that is out */
    PGresult *held;                        /* its result, until it is known to be the last */
    bool up, streaming, paused;
    bool lost, closed; /* nothing more is called; freed once nothing of ours is on the stack */
    unsigned depth;
    int64_t heard_ms;
};

static void no_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static void replication_free(struct replication *replication)
{
    loop_remove(&replication->socket);
    loop_remove(&replication->patience);
    PQclear(replication->held);
    PQfinish(replication->link);
    free(replication);
}

static void enter(struct replication *replication)
{
    replication->depth++;
}

/* From here on it may be gone. */
static void leave(struct replication *replication)
{
    bool closed = replication->closed;

    if (--replication->depth == 0 && closed)
        replication_free(replication);
}

/* Says once that it is over. */
static void lose(struct replication *replication, const char *sqlstate, const struct error *err)
{
    if (replication->lost || replication->closed)
        return;
    replication->lost = true;
    loop_remove(&replication->socket);
    loop_remove(&replication->patience);
    replication->events.lost(replication->events.context, sqlstate, err);
}

/* PQerrorMessage without its last line break. */
static void lose_link(struct replication *replication, const char *what)
{
    struct error err;
    const char *why = PQerrorMessage(replication->link);

    error_set(&err, ERR_RETRY, "%s: %.*s", what, (int)strcspn(why, "\n"), why);
    lose(replication, "", &err);
}

static void answer_with(struct replication *replication, const PGresult *result, const char *sqlstate,
                        const struct error *err)
{
    replication_answer *answer = replication->answer;

    replication->answer = NULL;
    if (answer)
        answer(replication->events.context, result, sqlstate, err);
    else if (err)
        lose(replication, sqlstate, err);
}

static void result_failed(struct replication *replication, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    struct error err;

    if (PQresultStatus(result) == PGRES_FATAL_ERROR)
        pg_error_set(&err, result);
    else
        error_set(&err, ERR_RETRY, "the server ended the change stream");
    if (PQstatus(replication->link) == CONNECTION_BAD && !sqlstate)
        lose_link(replication, "the replication connection was lost");
    else
        answer_with(replication, NULL, sqlstate ? sqlstate : "", &err);
}

static bool quiet(const struct replication *replication)
{
    return replication->closed || replication->lost;
}

static void deliver(struct replication *replication)
{
    PGresult *result = replication->held;
    ExecStatusType status = PQresultStatus(result);

    replication->held = NULL;
    if ((status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) && replication->answer)
        answer_with(replication, result, "", NULL);
    else if (result)
        result_failed(replication, result); /* also when the stream is over */
    PQclear(result);
}

/* A command is answered when its last result was read, because only then the next one may be sent. */
static void take_results(struct replication *replication)
{
    while (!quiet(replication) && !replication->streaming && !PQisBusy(replication->link)) {
        PGresult *result = PQgetResult(replication->link);

        if (!result) {
            deliver(replication);
            break;
        }
        if (PQresultStatus(result) == PGRES_COPY_BOTH) {
            replication->streaming = true;
            answer_with(replication, result, "", NULL);
            PQclear(result);
        } else if (!replication->held) {
            replication->held = result;
        } else {
            PQclear(result);
        }
    }
}

static void more(void *context);

/* Gives a bounded number of messages; what stays in libpq's buffer is not announced by the socket, so it calls itself
 * again. */
static void take_messages(struct replication *replication)
{
    for (int i = 0; !quiet(replication) && replication->streaming && !replication->paused; i++) {
        char *bytes;
        int length;

        if (i == MESSAGES_PER_TURN) {
            loop_defer(replication->loop, more, replication);
            break;
        }
        length = PQgetCopyData(replication->link, &bytes, 1);
        if (length == 0)
            break;
        if (length < 0) {
            replication->streaming = false; /* the reason comes as a result */
            if (length == -2)
                lose_link(replication, "the change stream broke off");
            break;
        }
        replication->events.message(replication->events.context, bytes, (size_t)length);
        PQfreemem(bytes);
    }
}

static void want(struct replication *replication)
{
    int waiting;

    if (quiet(replication) || !replication->up)
        return;
    waiting = PQflush(replication->link);
    if (waiting < 0)
        lose_link(replication, "the replication connection was lost");
    else
        loop_fd_want(replication->socket, !(replication->paused && replication->streaming), waiting > 0);
}

static void more(void *context)
{
    struct replication *replication = context;

    enter(replication);
    take_results(replication);
    take_messages(replication);
    take_results(replication);
    want(replication);
    leave(replication);
}

static void ready(void *context)
{
    struct replication *replication = context;

    if (!replication->paused || !replication->streaming) {
        replication->heard_ms = loop_monotonic_ms();
        if (!PQconsumeInput(replication->link)) {
            enter(replication);
            take_messages(replication); /* what came before the end still counts */
            take_results(replication);
            if (!quiet(replication))
                lose_link(replication, "the replication connection was lost");
            leave(replication);
            return;
        }
    }
    more(replication);
}

/* libpq may have another socket after each step (another address, or TLS). */
static void watch(struct replication *replication, bool read, bool write, loop_ready *call)
{
    loop_remove(&replication->socket);
    replication->socket = loop_fd(replication->loop, PQsocket(replication->link), read, write, call, replication);
}

static void connected(struct replication *replication)
{
    loop_remove(&replication->patience);
    if (PQsetnonblocking(replication->link, 1) < 0) {
        lose_link(replication, "cannot use the replication connection");
        return;
    }
    replication->up = true;
    replication->heard_ms = loop_monotonic_ms();
    watch(replication, true, false, ready);
    replication->events.up(replication->events.context);
}

static void connect_step(void *context)
{
    struct replication *replication = context;

    enter(replication);
    loop_remove(&replication->socket); /* PQconnectPoll may close it */
    switch (PQconnectPoll(replication->link)) {
    case PGRES_POLLING_READING:
        watch(replication, true, false, connect_step);
        break;
    case PGRES_POLLING_WRITING:
        watch(replication, false, true, connect_step);
        break;
    case PGRES_POLLING_OK:
        connected(replication);
        break;
    default:
        lose_link(replication, "cannot open a replication connection to the database");
    }
    leave(replication);
}

static void out_of_patience(void *context)
{
    struct replication *replication = context;
    struct error err;

    enter(replication);
    error_set(&err, ERR_RETRY, "the database did not answer a replication connection within %d s",
              CONNECT_MS_MAX / 1000);
    lose(replication, "", &err);
    leave(replication);
}

static void not_started(void *context)
{
    struct replication *replication = context;

    enter(replication);
    lose_link(replication, "cannot open a replication connection to the database");
    leave(replication);
}

struct replication *replication_open(struct loop *loop, const char *dsn, const char *application,
                                     const struct replication_events *events)
{
    static const char *const names[] = {
        "gssencmode", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "dbname",     "replication",     "application_name",    "client_encoding",  "options",
        NULL
    };
    const char *const values[] = { "disable",       "20", "10", "3", "60000", dsn, "database", application, "UTF8",
                                   session_options, NULL };
    struct replication *replication = calloc(1, sizeof *replication);

    if (!replication)
        abort();
    replication->loop = loop;
    replication->events = *events;
    replication->link = PQconnectStartParams(names, values, 1);
    if (!replication->link)
        abort();
    PQsetNoticeReceiver(replication->link, no_notice, NULL);
    if (PQstatus(replication->link) == CONNECTION_BAD) {
        loop_defer(loop, not_started, replication);
        return replication;
    }
    replication->patience = loop_timer(loop, CONNECT_MS_MAX, true, out_of_patience, replication);
    watch(replication, false, true, connect_step);
    return replication;
}

void replication_command(struct replication *replication, const char *command, replication_answer *answer)
{
    assert(replication->up && !replication->streaming && !replication->answer);
    replication->answer = answer;
    if (!PQsendQuery(replication->link, command))
        loop_defer(replication->loop, not_started, replication);
    else
        loop_defer(replication->loop, more, replication);
}

void replication_send(struct replication *replication, const char *bytes, size_t length)
{
    if (quiet(replication) || !replication->streaming)
        return;
    enter(replication);
    /* Nothing is lost when it fails: the link is, and what is read next says so. */
    if (PQputCopyData(replication->link, bytes, (int)length) > 0)
        want(replication);
    leave(replication);
}

void replication_pause(struct replication *replication, bool pause)
{
    if (replication->paused == pause)
        return;
    replication->paused = pause;
    if (!quiet(replication) && replication->up)
        loop_defer(replication->loop, more, replication);
}

int64_t replication_heard_ms(const struct replication *replication)
{
    return replication->heard_ms;
}

void replication_close(struct replication **replication)
{
    struct replication *closing = *replication;

    if (!closing)
        return;
    *replication = NULL;
    closing->closed = true;
    loop_defer_cancel(closing->loop, more, closing);
    loop_defer_cancel(closing->loop, not_started, closing);
    loop_remove(&closing->socket);
    loop_remove(&closing->patience);
    if (closing->depth == 0)
        replication_free(closing);
}

int lsn_parse(const char *text, uint64_t *ret, struct error *err)
{
    unsigned high, low;
    char behind;

    if (sscanf(text, "%8X/%8X%c", &high, &low, &behind) != 2)
        return error_set(err, ERR_STOP, "the server named a log position that cannot be read");
    *ret = (uint64_t)high << 32 | low;
    return 0;
}

void lsn_text(uint64_t lsn, char ret[18])
{
    snprintf(ret, 18, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}
