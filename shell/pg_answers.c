#include "shell/pg_answers.h"

#include "shell/text.h"

#include <stdio.h>
#include <string.h>

static void unit_tell(struct pg *pg, struct unit *unit, const struct pg_outcome *outcome)
{
    if (!unit->ours)
        pg->pending--;
    if (unit->done)
        unit->done(unit->context, outcome);
    unit_free(unit);
}

/* Tells the units that were lost up to now. What their owners queue meanwhile is told from the loop. */
void answers_tell_lost(struct pg *pg)
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

void answers_notice(void *context, const PGresult *result)
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

void answers_sync(struct pg *pg)
{
    units_close_last(&pg->units);
    if (!PQpipelineSync(pg->conn))
        pg->broken = true;
}

/* Each unit stands alone: one that failed leaves no open transaction behind. The ROLLBACK must not cut a unit that is
 * being queued in two; that one fails for the same reason. */
void answers_rollback(struct pg *pg)
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
    answers_sync(pg);
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
            answers_rollback(pg);
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

void answers_take(struct pg *pg)
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
