/* How the session of apply begins: what it holds, how it is set, and what it finds. */
#include "agents/postgres/apply_work.h"

#include <stdio.h>
#include <string.h>

/* A lost connection is told by its owner. */
static void session_failed(const struct apply_work *work, const struct pg_outcome *outcome)
{
    struct error err = outcome->err;

    error_wrap(&err, "setting up the apply session");
    if (strcmp(outcome->sqlstate, "55006") == 0)
        error_set(&err, ERR_RETRY,
                  "the replication origin selaras_%s is in use: is another agent of this agency running?",
                  work->options->agency);
    if (pg_up(work->pg))
        work->session_done(work->session_context, &err);
}

static void on_origin(void *context, const struct pg_outcome *outcome)
{
    if (!outcome->ok)
        session_failed(context, outcome);
}

/* Only one session has the origin at a time, so what it finds from then on stays true. What was read before may not:
 * the session before, whose client is gone, may have committed in between. Items of that batch would take effect again.
 */
static void on_state_read(void *context, const struct pg_outcome *outcome)
{
    struct apply_work *work = context;
    struct error err = { 0 };
    const PGresult *parked;

    if (!outcome->ok) {
        session_failed(work, outcome);
        return;
    }
    if ((feed_position)pg_result_int8(outcome->results[0], 0, 0) != work->applied) {
        error_set(&err, ERR_RETRY, "another session of ours has applied more meanwhile: looking again");
        work->session_done(work->session_context, &err);
        return;
    }
    parked = outcome->results[1];
    for (int row = 0; row < PQntuples(parked); row++) {
        struct text name = { PQgetvalue(parked, row, 0), (uint32_t)PQgetlength(parked, row, 0) };
        int block = mapping_block_named(work->mapping, name);

        if (block >= 0)
            parked_put(&work->parked, (uint16_t)block, (uint64_t)pg_result_int8(parked, row, 1),
                       (feed_position)pg_result_int8(parked, row, 2));
    }
    work->session_done(work->session_context, &err);
}

/* The schemas of the mapped tables: the agency's triggers run in our session, and many name the tables beside their own
 * without a schema. pg_catalog stands first, so that nothing in those schemas takes the place of what we call
 * ourselves.
 */
static const char *search_path(struct arena *arena, const struct mapping *mapping)
{
    const char *path = "pg_catalog";

    for (uint16_t i = 0; i < mapping->block_count; i++) {
        const char *schema = quoted(arena, mapping->blocks[i].schema);

        if (!strstr(path, schema))
            path = arena_printf(arena, "%s, %s", path, schema);
    }
    return path;
}

/* lock_timeout is for what NOWAIT does not cover: an insertion that meets one not yet committed, and foreign keys. A
 * time limit of the role is meant for its applications. Row security that hid rows from us would make us miss them:
 * switched off it is an error instead. */
static const char sql_settings[] =
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', false)," /* work_begin() says why */
    " set_config('lock_timeout', '50ms', false),"
    " set_config('statement_timeout', '0', false),"
    " set_config('idle_in_transaction_session_timeout', '60s', false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    " set_config('standard_conforming_strings', 'on', false),"
    " set_config('log_parameter_max_length_on_error', '0', false)," /* they are personal */
    " set_config('row_security', 'off', false),"
    " set_config('search_path', $1::text, false)";

void session_start(struct apply_work *work, session_done *done, void *context)
{
    struct pg_parameters name = { 0 }, path = { 0 };
    struct arena *arena = arena_new();
    char origin[64];

    work->session_done = done;
    work->session_context = context;
    snprintf(origin, sizeof origin, "selaras_%s", work->options->agency);
    pg_text(&name, origin);
    pg_statement(work->pg, "SELECT pg_replication_origin_session_setup($1::text)", false, &name);
    pg_text(&path, search_path(arena, work->mapping));
    pg_statement(work->pg, sql_settings, false, &path);
    pg_sync(work->pg, on_origin, work); /* its snapshot may be older than the origin is ours */
    pg_statement(work->pg, "SELECT applied FROM selaras.agent", false, NULL);
    pg_statement(work->pg, "SELECT block, record, position FROM selaras.parked", false, NULL);
    pg_sync(work->pg, on_state_read, work);
    arena_free(&arena);
}
