#include "shell/pg_answers.h"
#include "shell/pg_connect.h"
#include "shell/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_MS = 10000 };

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* ---- Life of the object ---- */

static void enter(struct pg *pg)
{
    pg->depth++;
}

/* Frees what was closed meanwhile. */
static void leave(struct pg *pg)
{
    if (--pg->depth > 0 || !pg->closed)
        return;
    free(pg->dsn);
    free(pg->application);
    free(pg->prepared.all);
    free(pg);
}

/* The source goes first: PQfinish gives its descriptor's number back. */
static void disconnect(struct pg *pg)
{
    loop_remove(&pg->source);
    loop_remove(&pg->timer);
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->phase = PHASE_DOWN;
    pg->prepared.count = 0;
    pg->in_transaction = pg->rollback_wanted = pg->rollback_queued = pg->held = pg->broken = false;
    for (struct unit *unit = pg->units.first; unit; unit = unit->next)
        unit->lost = true;
}

/* The connection is gone, or could not be made: whoever waits for a unit hears it first, then the owner. */
static void lose(struct pg *pg, const struct error *err)
{
    disconnect(pg);
    answers_tell_lost(pg);
    if (!pg->closed)
        pg->state(pg->context, false, err);
}

/* PQerrorMessage is not shown once statements have run: it collects their details, which hold values. */
static void lose_link(struct pg *pg)
{
    struct error err;
    const char *host = PQhost(pg->conn);

    error_set(&err, ERR_RETRY, _("lost the connection to PostgreSQL (database %s at %s): %s"), PQdb(pg->conn),
              host && host[0] ? host : _("the default socket"),
              pg->farewell[0] ? pg->farewell : _("it was closed without a reason; is the server running?"));
    lose(pg, &err);
}

/* ---- Being connected ---- */

static void flush(struct pg *pg)
{
    int left = PQflush(pg->conn);

    if (left < 0)
        pg->broken = true;
    else
        loop_fd_want(pg->source, true, left > 0);
}

/* Reads, tells, writes. What had been answered before the link broke still counts. A callback may have closed or
 * reopened the connection meanwhile. */
static void progress(void *context)
{
    struct pg *pg = context;
    bool readable;

    enter(pg);
    answers_tell_lost(pg);
    if (!pg->closed && pg->phase == PHASE_UP) {
        readable = PQconsumeInput(pg->conn);
        PQisBusy(pg->conn); /* also takes what came unasked: why the server ends the connection */
        answers_take(pg);
        if (!pg->closed && pg->phase == PHASE_UP) {
            if (readable && !pg->broken)
                flush(pg);
            if (!readable || pg->broken)
                lose_link(pg);
        }
    }
    leave(pg);
}

static void come_up(struct pg *pg)
{
    loop_remove(&pg->timer);
    PQsetNoticeReceiver(pg->conn, answers_notice, pg);
    pg->farewell[0] = '\0';
    if (PQsetnonblocking(pg->conn, 1) != 0 || !PQenterPipelineMode(pg->conn)) {
        lose_link(pg);
        return;
    }
    pg->phase = PHASE_UP;
    pg->source = loop_fd(pg->loop, PQsocket(pg->conn), true, false, progress, pg);
    pg->state(pg->context, true, NULL);
}

static void fail_connecting(struct pg *pg, const char *reason)
{
    struct error err;
    char line[400];

    text_line(line, sizeof line, reason);
    error_set(&err, ERR_RETRY, _("cannot connect to PostgreSQL: %s"), line);
    lose(pg, &err);
}

static void connect_timeout(void *context)
{
    struct pg *pg = context;

    enter(pg);
    fail_connecting(pg, _("no answer within 10 s; is the server running, and does a firewall let us through?"));
    leave(pg);
}

/* The socket may be another one after each PQconnectPoll, even under the same number: it is registered anew every time.
 */
static void connect_go_on(void *context)
{
    struct pg *pg = context;
    PostgresPollingStatusType status;

    enter(pg);
    loop_remove(&pg->source);
    status = PQconnectPoll(pg->conn);
    if (status == PGRES_POLLING_OK)
        come_up(pg);
    else if (status == PGRES_POLLING_FAILED)
        fail_connecting(pg, PQerrorMessage(pg->conn));
    else
        pg->source = loop_fd(pg->loop, PQsocket(pg->conn), status == PGRES_POLLING_READING,
                             status == PGRES_POLLING_WRITING, connect_go_on, pg);
    leave(pg);
}

static void connect_failed_at_once(void *context)
{
    struct pg *pg = context;
    struct error err;

    enter(pg);
    if (pg->conn) {
        fail_connecting(pg, PQerrorMessage(pg->conn));
    } else { /* libpq's own words may quote a password */
        error_set(&err, ERR_STOP,
                  _("the database setting is no connection string that libpq understands (PostgreSQL 15, section "
                    "34.1.1); example: \"host=/run/postgresql dbname=selaras\""));
        lose(pg, &err);
    }
    leave(pg);
}

static void start(struct pg *pg)
{
    assert(!pg->conn);
    pg->conn = pg_connect_start(pg->dsn, pg->application);
    pg->phase = PHASE_CONNECTING;
    if (!pg->conn || PQstatus(pg->conn) == CONNECTION_BAD) {
        loop_defer(pg->loop, connect_failed_at_once, pg);
        return;
    }
    pg->source = loop_fd(pg->loop, PQsocket(pg->conn), false, true, connect_go_on, pg);
    pg->timer = loop_timer(pg->loop, CONNECT_TIMEOUT_MS, true, connect_timeout, pg);
}

struct pg *pg_open(struct loop *loop, const char *dsn, const char *application, pg_state *state, void *context)
{
    struct pg *pg = allocated(calloc(1, sizeof *pg));

    pg->loop = loop;
    pg->dsn = allocated(strdup(dsn));
    pg->application = allocated(strdup(application));
    pg->state = state;
    pg->context = context;
    start(pg);
    return pg;
}

void pg_reopen(struct pg *pg)
{
    loop_defer_cancel(pg->loop, connect_failed_at_once, pg);
    disconnect(pg);
    loop_defer(pg->loop, progress, pg); /* tells the units that were open */
    start(pg);
}

void pg_close(struct pg **pg)
{
    struct pg *old = *pg;

    if (!old)
        return;
    *pg = NULL;
    enter(old);
    disconnect(old);
    loop_defer_cancel(old->loop, connect_failed_at_once, old);
    loop_defer_cancel(old->loop, progress, old);
    while (old->units.first)
        unit_free(units_pop(&old->units));
    old->closed = true;
    leave(old);
}

bool pg_up(const struct pg *pg)
{
    return pg->phase == PHASE_UP;
}

void pg_hold(struct pg *pg, bool held)
{
    pg->held = held;
}

int pg_pending(const struct pg *pg)
{
    return pg->pending;
}

/* ---- Queueing ---- */

static bool send_prepare(struct pg *pg, struct unit *unit, int index, const char *sql,
                         const struct pg_parameters *parameters)
{
    struct step *step = unit_step(unit, "");
    char name[24];

    step->prepares = true;
    step->prepared = index;
    step->name = pg->prepared.all[index].name;
    snprintf(name, sizeof name, "s%lu", step->name);
    return PQsendPrepare(pg->conn, name, sql, parameters->count, parameters->types);
}

static bool send_prepared(struct pg *pg, struct unit *unit, const char *sql, const struct pg_parameters *parameters)
{
    int index = prepared_find(&pg->prepared, sql);
    struct step *step;
    char name[24];

    if (prepared_needs_parse(&pg->prepared, index, unit) && !send_prepare(pg, unit, index, sql, parameters))
        return false;
    step = unit_step(unit, sql);
    step->prepared = index;
    step->name = pg->prepared.all[index].name;
    snprintf(name, sizeof name, "s%lu", step->name);
    return PQsendQueryPrepared(pg->conn, name, parameters->count, parameters->values, parameters->lengths,
                               parameters->formats, 0);
}

static bool send_plain(struct pg *pg, struct unit *unit, const char *sql, const struct pg_parameters *parameters)
{
    unit_step(unit, sql);
    return PQsendQueryParams(pg->conn, sql, parameters->count, parameters->types, parameters->values,
                             parameters->lengths, parameters->formats, 0);
}

/* The unit that is being queued. */
static struct unit *unit_open(struct pg *pg)
{
    return pg->units.open ? pg->units.open : units_add(&pg->units, pg->phase != PHASE_UP);
}

void pg_statement(struct pg *pg, const char *sql, bool prepared, const struct pg_parameters *parameters)
{
    static const struct pg_parameters none;
    struct unit *unit = unit_open(pg);

    if (unit->lost || pg->broken)
        return;
    if (!(prepared ? send_prepared : send_plain)(pg, unit, sql, parameters ? parameters : &none))
        pg->broken = true;
}

void pg_sync(struct pg *pg, pg_done *done, void *context)
{
    struct unit *unit = unit_open(pg);

    unit->done = done;
    unit->context = context;
    pg->pending++;
    if (unit->lost || pg->broken) {
        units_close_last(&pg->units);
        loop_defer(pg->loop, progress, pg);
        return;
    }
    answers_sync(pg);
    if (pg->rollback_wanted)
        answers_rollback(pg);
    if (!pg->broken)
        flush(pg);
    if (pg->broken)
        loop_defer(pg->loop, progress, pg);
}
