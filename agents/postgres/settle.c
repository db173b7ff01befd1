/* Parked records: tried again, or given up by an operator, one transaction each. */
#include "agents/postgres/apply_work.h"
#include "agents/postgres/notice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settle {
    struct apply_work *work;
    bool close;
    char *note; /* "user: why", of a closing */
    settle_done *done;
    void *context;

    struct parked_record *targets;
    uint32_t count, next;
    struct settle_result result;

    struct arena *arena; /* of the present target */
    struct apply_row *row;
    int results; /* index of the row's result */
};

static void next(struct settle *settle);

static void finish(struct settle *settle, const struct error *err)
{
    settle->done(settle->context, &settle->result, err);
}

static const struct parked_record *target(const struct settle *settle)
{
    return &settle->targets[settle->next];
}

static const char *block_name(const struct settle *settle)
{
    return settle->work->mapping->blocks[target(settle)->block].name;
}

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

static void key_parameters(struct settle *settle, struct pg_parameters *parameters)
{
    pg_text(parameters, block_name(settle));
    pg_int8(parameters, settle->arena, (int64_t)target(settle)->record);
}

static void report_of(const struct settle *settle, enum report_kind kind, const char *text, struct report *ret)
{
    *ret = (struct report){
        .kind = kind,
        .record = target(settle)->record,
        .position = target(settle)->position,
        .block = text_of(block_name(settle)),
        .text = text_of(text),
    };
}

/* An update that met no row is never silent. */
static void report_skip(const struct settle *settle, struct report *ret)
{
    report_of(settle, REPORT_SKIPPED, "", ret);
    ret->text = settle->row->net->key;
}

static void queue_delete(struct settle *settle)
{
    static const char sql_unpark[] = "DELETE FROM selaras.parked WHERE block = $1::text AND record = $2::int8";
    struct pg_parameters parameters = { 0 };

    key_parameters(settle, &parameters);
    pg_statement(settle->work->pg, sql_unpark, true, &parameters);
}

static void on_settled(void *context, const struct pg_outcome *outcome)
{
    struct settle *settle = context;

    if (!outcome->ok) {
        work_reset(settle->work);
        finish(settle, &outcome->err);
        return;
    }
    if (settle->close)
        settle->result.closed++;
    else
        settle->result.released++;
    parked_remove(&settle->work->parked, target(settle)->block, target(settle)->record);
    settle->next++;
    next(settle);
}

/* `row` was written; NULL: none was. */
static void commit(struct settle *settle, struct report *reports, uint32_t count, struct apply_row *row, pg_done *done)
{
    struct applied applied = { .position = settle->work->applied, .reports = reports, .report_count = count };

    work_wrote(settle->arena, settle->work, &row, row ? 1 : 0, &applied);
    work_commit(settle->work, &applied, done, settle);
}

static void close_target(struct settle *settle)
{
    struct report report;

    report_of(settle, REPORT_CLOSED, settle->note, &report);
    work_begin(settle->work, settle->work->applied);
    queue_delete(settle);
    commit(settle, &report, 1, NULL, on_settled);
}

/* ---- trying again ---- */

static void on_noted(void *context, const struct pg_outcome *outcome)
{
    struct settle *settle = context;

    if (!outcome->ok) {
        work_reset(settle->work);
        finish(settle, &outcome->err);
        return;
    }
    settle->result.refused++;
    settle->next++;
    next(settle);
}

/* Refused again: remembered in a transaction of its own. */
static void note_refusal(struct settle *settle, const char *reason)
{
    static const char sql_again[] =
        "UPDATE selaras.parked SET tries = tries + 1, reason = $3::text WHERE block = $1::text AND record = $2::int8";
    struct pg_parameters parameters = { 0 };

    key_parameters(settle, &parameters);
    pg_text(&parameters, reason);
    work_begin(settle->work, settle->work->applied);
    pg_statement(settle->work->pg, sql_again, true, &parameters);
    commit(settle, NULL, 0, NULL, on_noted);
}

static void abandon(struct settle *settle)
{
    pg_statement(settle->work->pg, "ROLLBACK", false, NULL);
    pg_sync(settle->work->pg, NULL, NULL);
    work_reset(settle->work);
}

static void on_tried(void *context, const struct pg_outcome *outcome);

/* Whether the row may still come back: its deletion is not read yet, or waits. Since when it is parked is the clock of
 * the agency's database, as is what the stream says of the time. */
static bool row_may_come(const struct settle *settle, const struct net *net, int64_t parked_us)
{
    struct apply_work *work = settle->work;
    const struct absents *absents = work->absents;
    int64_t until_us = parked_us + (int64_t)work->mapping->blocks[net->block].absence_s * 1000000;

    if (!absents || absents_wait(absents, net->block, net->key))
        return true;
    if (absents->time_us > until_us)
        return false;
    if (work->wait_us == 0 || until_us < work->wait_us)
        work->wait_us = until_us;
    return true;
}

/* It stays parked, as it is. */
static void leave(struct settle *settle)
{
    abandon(settle);
    settle->result.busy++;
    settle->next++;
    next(settle);
}

static void on_tried(void *context, const struct pg_outcome *outcome)
{
    struct settle *settle = context;
    struct report reports[3];
    uint32_t count = 1;
    bool homeless = false;

    if (!outcome->ok) {
        work_reset(settle->work);
        if (work_refused(outcome)) {
            note_refusal(settle, work_reason(settle->arena, outcome));
        } else if (outcome->err.code == ERR_RETRY && outcome->sqlstate[0]) {
            settle->result.busy++; /* somebody works on the row: next time */
            settle->next++;
            next(settle);
        } else {
            finish(settle, &outcome->err);
        }
        return;
    }
    settle->row->met = apply_meets(settle->row->kind) && PQntuples(outcome->results[settle->results]) > 0;
    if (apply_waits(settle->work->sql, settle->row)) {
        leave(settle);
        return;
    }
    if (settle->row->kind == APPLY_ENTER)
        homeless = PQntuples(outcome->results[settle->results]) == 0;
    else if (apply_makes(settle->row->kind))
        homeless = !apply_made(settle->arena, settle->work->sql, outcome->results[settle->results], settle->row);
    if (homeless) {
        abandon(settle);
        note_refusal(settle, apply_homeless(settle->arena, settle->work->sql, settle->row));
        return;
    }
    report_of(settle, REPORT_RELEASED, "", &reports[0]);
    if (settle->row->net->operation == OPERATION_UPDATE && !settle->row->met)
        report_skip(settle, &reports[count++]);
    if (apply_makes(settle->row->kind)) {
        report_of(settle, REPORT_LINKED, "", &reports[count]);
        reports[count++].text = settle->row->made;
        work_link(settle->work,
                  &(struct made_key){
                      .block = settle->row->net->block, .record = settle->row->net->record, .key = settle->row->made },
                  1);
    }
    queue_delete(settle);
    commit(settle, reports, count, settle->row, on_settled);
}

static void try_net(struct settle *settle, struct net *net)
{
    struct apply_work *work = settle->work;
    struct error err;

    if (apply_row_make(settle->arena, work->sql, net, 0, &settle->row, &err) < 0) {
        abandon(settle);
        note_refusal(settle, err.text);
        return;
    }
    pg_statement(work->pg, "SET CONSTRAINTS ALL IMMEDIATE", false, NULL);
    settle->results = 1;
    if (settle->row->kind != APPLY_NOTHING) {
        if (settle->row->key)
            apply_queue_lock(work->sql, work->pg, &settle->row, 1, true);
        settle->results +=
            (settle->row->key != NULL) + (int)notice_queue(work->pg, work->mapping, work->inspection, settle->row);
        apply_queue(work->sql, work->pg, &settle->row, 1);
    }
    pg_sync(work->pg, on_tried, settle);
}

/* What it refers to may have a row here by now. */
struct looking {
    struct settle *settle;
    struct net *net;
    const PGresult *links;
    struct text key;
};

static const struct text *key_of_links(void *context, uint16_t block, uint64_t record)
{
    struct looking *looking = context;
    const char *name = looking->settle->work->mapping->blocks[block].name;

    for (int i = 0; i < PQntuples(looking->links); i++)
        if (strcmp(PQgetvalue(looking->links, i, 0), name) == 0 &&
            (uint64_t)pg_result_int8(looking->links, i, 1) == record) {
            looking->key = text_of(PQgetvalue(looking->links, i, 2));
            return &looking->key;
        }
    return NULL;
}

static void on_links(void *context, const struct pg_outcome *outcome)
{
    struct looking *looking = context;
    struct settle *settle = looking->settle;

    if (!outcome->ok) {
        work_reset(settle->work);
        finish(settle, &outcome->err);
        return;
    }
    looking->links = outcome->results[0];
    references_give(settle->arena, settle->work->mapping, looking->net, key_of_links, looking);
    try_net(settle, looking->net);
}

/* False: it refers to nothing that our own links could know. */
static bool ask_links(struct settle *settle, struct net *net)
{
    const struct mapping *mapping = settle->work->mapping;
    struct looking *looking = arena_alloc(settle->arena, sizeof *looking);
    struct pg_array blocks = { 0 }, records = { 0 };
    struct pg_parameters parameters = { 0 };
    uint32_t count;

    *looking = (struct looking){ .settle = settle, .net = net };
    pg_array_start(&blocks, PG_OID_TEXT);
    pg_array_start(&records, PG_OID_INT8);
    count = references_ask(mapping, &mapping->blocks[net->block], net->fields, &blocks, &records);
    if (count > 0) {
        pg_array_parameter(&parameters, &blocks);
        pg_array_parameter(&parameters, &records);
        pg_statement(settle->work->pg, sql_link_keys, true, &parameters);
        pg_sync(settle->work->pg, on_links, looking);
    }
    pg_array_free(&blocks);
    pg_array_free(&records);
    return count > 0;
}

static void on_effect(void *context, const struct pg_outcome *outcome)
{
    struct settle *settle = context;
    struct apply_work *work = settle->work;
    struct error err;
    struct net *net;

    if (!outcome->ok) {
        work_reset(work);
        finish(settle, &outcome->err);
        return;
    }
    if (PQntuples(outcome->results[WORK_BEGIN_STATEMENTS]) == 0) { /* somebody took it away by hand */
        abandon(settle);
        parked_remove(&work->parked, target(settle)->block, target(settle)->record);
        settle->next++;
        next(settle);
        return;
    }
    if (work_parked_read(settle->arena, work, outcome->results[WORK_BEGIN_STATEMENTS], 0, &net, &err) < 0) {
        abandon(settle);
        finish(settle, &err);
        return;
    }
    net->waited = !row_may_come(settle, net, pg_result_int8(outcome->results[WORK_BEGIN_STATEMENTS], 0, 6));
    if (!ask_links(settle, net))
        try_net(settle, net);
}

static void try_target(struct settle *settle)
{
    static const char sql_effect[] =
        "SELECT p.block, p.record, p.position, p.key, p.effect, l.key,"
        " (extract(epoch FROM p.since) * 1000000)::int8 FROM selaras.parked p"
        " LEFT JOIN selaras.link l USING (block, record) WHERE p.block = $1::text AND p.record = $2::int8";
    struct pg_parameters parameters = { 0 };

    key_parameters(settle, &parameters);
    work_begin(settle->work, settle->work->applied);
    pg_statement(settle->work->pg, sql_effect, true, &parameters);
    pg_sync(settle->work->pg, on_effect, settle);
}

static void next(struct settle *settle)
{
    struct error none = { 0 };

    arena_reset(settle->arena);
    if (settle->next == settle->count)
        finish(settle, &none);
    else if (settle->close)
        close_target(settle);
    else
        try_target(settle);
}

static void on_begun(void *context, const struct pg_outcome *outcome)
{
    struct settle *settle = context;

    if (outcome->ok)
        next(settle);
    else
        finish(settle, &outcome->err);
}

struct settle *settle_start(struct apply_work *work, uint64_t record, bool close, const char *user, const char *why,
                            settle_done *done, void *context)
{
    struct settle *settle = calloc(1, sizeof *settle);

    if (!settle)
        abort();
    *settle = (struct settle){ .work = work, .close = close, .done = done, .context = context, .arena = arena_new() };
    settle->targets = calloc(work->parked.count + 1u, sizeof *settle->targets);
    if (!settle->targets || (close && asprintf(&settle->note, "%s: %s", user, why) < 0))
        abort();
    for (uint32_t i = 0; i < work->parked.count; i++)
        if (record == 0 || work->parked.list[i].record == record)
            settle->targets[settle->count++] = work->parked.list[i];
    pg_statement(work->pg, "SELECT", false, NULL); /* `done` is never called inside this call */
    pg_sync(work->pg, on_begun, settle);
    return settle;
}

void settle_free(struct settle **settle)
{
    if (!*settle)
        return;
    arena_free(&(*settle)->arena);
    free((*settle)->targets);
    free((*settle)->note);
    free(*settle);
    *settle = NULL;
}
