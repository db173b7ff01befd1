#include "shell/pg.h"

#include "shell/pg_connect.h"
#include "shell/pg_unit.h"
#include "shell/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_MS = 10000 };

enum phase { PHASE_DOWN, PHASE_CONNECTING, PHASE_UP };

struct pg {
    struct loop *loop;
    char *dsn, *application;
    pg_state *state;
    void *context;
    enum phase phase;
    PGconn *conn;
    struct loop_source *source, *timer;
    struct units units;
    struct prepared_list prepared;
    int pending;
    bool in_transaction;  /* an explicit one is open, as far as results have come */
    bool rollback_wanted; /* as soon as the open unit is closed */
    bool rollback_queued;
    bool held;          /* pg_hold */
    bool broken;        /* something could not be sent: the rest is done from the loop */
    char farewell[128]; /* why the server says that it ends the connection */
    int depth;          /* calls of ours on the stack */
    bool closed;
};

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* ---- Telling ---- */

static void unit_tell(struct pg *pg, struct unit *unit, const struct pg_outcome *outcome)
{
    if (!unit->ours)
        pg->pending--;
    if (unit->done)
        unit->done(unit->context, outcome);
    unit_free(unit);
}

/* Tells the units that were lost up to now. What their owners queue meanwhile is told from the loop. */
static void tell_lost(struct pg *pg)
{
    uint64_t last = pg->units.last_number;
    struct unit *unit;

    while (!pg->closed && (unit = pg->units.first) && unit->lost && unit->closed && unit->number <= last) {
        struct pg_outcome outcome = { .failed = unit->result_count };

        outcome.results = unit->results;
        outcome.result_count = unit->result_count;
        error_set(&outcome.err, ERR_RETRY, _("the connection to PostgreSQL was lost or is not up yet"));
        units_pop(&pg->units);
        unit_tell(pg, unit, &outcome);
    }
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
    tell_lost(pg);
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

/* ---- Results ---- */

/* PQtransactionStatus tells it only while nothing else is on its way, so it is kept from the command tags. A COMMIT
 * after a failure in an earlier unit succeeds, PostgreSQL says, as a ROLLBACK, or behind our own ROLLBACK as nothing.
 */
static void note_transaction(struct pg *pg, struct unit *unit, PGresult *result)
{
    const char *tag = PQcmdStatus(result);
    enum turn turn = unit->steps[unit->at].turn;

    if (turn == TURN_COMMIT && (!pg->in_transaction || strcmp(tag, "COMMIT") != 0)) {
        unit->not_committed = true;
        unit->failed_step = unit->at;
    }
    if (strcmp(tag, "BEGIN") == 0 || strcmp(tag, "START TRANSACTION") == 0)
        pg->in_transaction = true;
    else if (strcmp(tag, "COMMIT") == 0 || (strcmp(tag, "ROLLBACK") == 0 && turn != TURN_SAVEPOINT))
        pg->in_transaction = false;
}

/* The server says why it ends the connection as an error of whatever runs, or as a notice when nothing does. */
static void note_farewell(struct pg *pg, const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (severity && strcmp(severity, "FATAL") == 0 && sqlstate && message)
        snprintf(pg->farewell, sizeof pg->farewell, "%s: %s", sqlstate, message);
}

static void take_notice(void *context, const PGresult *result)
{
    note_farewell(context, result);
}

static bool is_good(ExecStatusType status)
{
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

/* Takes the result of the unit's next step, or an error that came only with its end. */
static void take_result(struct pg *pg, struct unit *unit, PGresult *result)
{
    const struct step *step = unit->at < unit->step_count ? &unit->steps[unit->at] : NULL;

    unit->answered = true;
    if (step && is_good(PQresultStatus(result))) {
        if (!step->prepares) {
            note_transaction(pg, unit, result);
            unit->results[unit->result_count++] = result;
            return;
        }
        prepared_ready(&pg->prepared, step);
    } else if (!unit->failure && PQresultStatus(result) != PGRES_PIPELINE_ABORTED) {
        note_farewell(pg, result);
        unit->failure = result;
        unit->failed_step = unit->at;
        if (step && step->turn == TURN_COMMIT) /* a failed COMMIT ends the transaction */
            pg->in_transaction = false;
        return;
    }
    PQclear(result);
}

static void send_sync(struct pg *pg)
{
    units_close_last(&pg->units);
    if (!PQpipelineSync(pg->conn))
        pg->broken = true;
}

/* Each unit stands alone: one that failed leaves no open transaction behind. The ROLLBACK must not cut a unit that is
 * being queued in two; that one fails for the same reason. */
static void rollback(struct pg *pg)
{
    struct unit *unit;

    if (pg->units.open) {
        pg->rollback_wanted = true;
        return;
    }
    pg->rollback_wanted = false;
    pg->rollback_queued = true;
    unit = units_add(&pg->units, false);
    unit->ours = true;
    unit_step(unit, "ROLLBACK");
    if (!PQsendQueryParams(pg->conn, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0))
        pg->broken = true;
    send_sync(pg);
}

/* Whether the statement failed only because it had been prepared before something changed: run again, it is prepared
 * anew. */
static bool is_stale(const struct pg *pg, const struct unit *unit, const char *sqlstate)
{
    const struct step *step = unit->failed_step < unit->step_count ? &unit->steps[unit->failed_step] : NULL;

    return step && step->prepared >= 0 && !step->prepares && pg->prepared.all[step->prepared].unit != unit->number &&
           (strcmp(sqlstate, "0A000") == 0 || strcmp(sqlstate, "26000") == 0);
}

static void outcome_fail(struct pg *pg, const struct unit *unit, struct pg_outcome *outcome)
{
    const char *sqlstate = PQresultErrorField(unit->failure, PG_DIAG_SQLSTATE);

    outcome->failure = unit->failure;
    snprintf(outcome->sqlstate, sizeof outcome->sqlstate, "%s", sqlstate ? sqlstate : "");
    pg_error_set(&outcome->err, unit->failure);
    if (is_stale(pg, unit, outcome->sqlstate)) {
        prepared_forget(&pg->prepared);
        outcome->err.code = ERR_RETRY;
    }
}

static void unit_finish(struct pg *pg)
{
    struct unit *unit = units_pop(&pg->units);
    struct pg_outcome outcome = { .results = unit->results, .result_count = unit->result_count, .ok = true };

    if (unit->ours)
        pg->rollback_queued = false;
    if (unit->failure) {
        outcome_fail(pg, unit, &outcome);
    } else if (unit->not_committed) {
        snprintf(outcome.sqlstate, sizeof outcome.sqlstate, "25P02");
        error_set(&outcome.err, ERR_RETRY, _("not committed: the transaction had failed in an earlier step"));
    }
    if (outcome.err.code != 0) {
        outcome.ok = false;
        outcome.failed = unit_statements(unit, unit->failed_step);
        if (pg->in_transaction && !pg->rollback_queued && !pg->held)
            rollback(pg);
    }
    unit_tell(pg, unit, &outcome);
}

/* Takes one answer of libpq for the first unit. False when it is none that can come here. */
static bool take_answer(struct pg *pg, PGresult *result)
{
    struct unit *unit = pg->units.first;
    bool at_end = unit->at == unit->step_count;

    if (!result) {
        if (!unit->answered)
            return false;
        unit->answered = false;
        if (!at_end)
            unit->at++;
        return true;
    }
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        if (!at_end || !unit->closed)
            return false;
        unit_finish(pg);
        return true;
    }
    if (unit->answered) {
        PQclear(result);
        return false;
    }
    take_result(pg, unit, result);
    return true;
}

static void take_answers(struct pg *pg)
{
    struct unit *unit;

    while (!pg->closed && pg->phase == PHASE_UP && (unit = pg->units.first) && !pg->broken) {
        if (unit->at == unit->step_count && !unit->closed)
            return; /* everything that was sent of it is answered */
        if (PQisBusy(pg->conn))
            return;
        if (!take_answer(pg, PQgetResult(pg->conn)))
            pg->broken = true; /* libpq and we disagree about what was sent: no result can be trusted any more */
    }
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
    tell_lost(pg);
    if (!pg->closed && pg->phase == PHASE_UP) {
        readable = PQconsumeInput(pg->conn);
        PQisBusy(pg->conn); /* also takes what came unasked: why the server ends the connection */
        take_answers(pg);
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
    PQsetNoticeReceiver(pg->conn, take_notice, pg);
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
    send_sync(pg);
    if (pg->rollback_wanted)
        rollback(pg);
    if (!pg->broken)
        flush(pg);
    if (pg->broken)
        loop_defer(pg->loop, progress, pg);
}
