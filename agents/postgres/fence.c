/* fence.c: the proof, the row that is written now and then, and the look at what is published. */
#include "agents/postgres/fence.h"

#include "agents/postgres/absent_store.h"
#include "agents/postgres/published.h"
#include "agents/postgres/replication.h"
#include "shell/log.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_ROWS = 1000, PRUNE_EVERY = 100 };

struct fences {
    struct loop *loop;
    struct pg *pg;
    const struct driver_options *options;
    struct fence_sink sink;

    char system[64];
    uint32_t timeline;
    struct fence known;
    uint64_t lsn;
    int proving;                  /* questions on their way: only the last one counts */
    struct replication *branches; /* asks where this timeline left the one the broker knows */
    uint32_t timeline_now;
    struct error missing; /* what the proof found last; code 0: nothing */

    struct loop_source *timer;
    uint32_t written;
    bool writing;
    uint64_t seen_seq, seen_lsn, broker_seq;
    struct published *published;
    char unloaded[256]; /* mapped, and never loaded */
    bool unloaded_told;
};

static void fail(struct fences *fences, const struct error *err)
{
    fences_rest(fences);
    fences->sink.failed(fences->sink.context, err);
}

/* ---- what is published ---- */

static void on_remembered(void *context, const struct pg_outcome *outcome)
{
    struct fences *fences = context;
    struct error err = outcome->err;

    if (outcome->ok) {
        fences->sink.remembered(fences->sink.context);
        return;
    }
    error_wrap(&err, "remembering what is published");
    if (err.code != ERR_RETRY || pg_up(fences->pg))
        fail(fences, &err);
}

void fences_remember(struct fences *fences)
{
    fences_rest(fences);
    published_remember(fences->published, fences->pg);
    absent_store_forget(fences->pg);
    pg_sync(fences->pg, on_remembered, fences);
}

/* ---- a row now and then ---- */

static const char sql_row[] =
    "INSERT INTO selaras.fence (seq, token) SELECT coalesce(max(seq), 0) + 1, $1::bytea FROM selaras.fence";
static const char sql_prune[] = "DELETE FROM selaras.fence WHERE seq < $1::int8";
/* Some at a time, oldest first, so that nobody waits for it. */
static const char sql_prune_notices[] =
    "DELETE FROM selaras.notice WHERE number IN (SELECT number FROM selaras.notice"
    " WHERE at < now() - make_interval(days => $1::int8::int4) ORDER BY number LIMIT 10000)";

/* What the inspection found is what statements and casts are made of: when it is no longer so, everything is opened
 * anew. */
static int look(struct fences *fences, const PGresult *result, struct error *err)
{
    const char *unloaded = published_unloaded(result);

    if (published_check(fences->published, result, err) < 0)
        return err->code;
    if (unloaded[0] && !fences->unloaded_told)
        log_write(LOG_WARN,
                  "%s: mapped since this agency was loaded, so what is there already was never sent, only what changes "
                  "now is. To have it all compared run on the broker's host: selaras agency reload %s --ground TEXT",
                  unloaded, fences->options->agency);
    fences->unloaded_told = true;
    snprintf(fences->unloaded, sizeof fences->unloaded, "%s", unloaded);
    if (published_differs(fences->published, result))
        return error_set(err, ERR_RETRY, "a mapped table was altered: it is looked at anew");
    return 0;
}

const char *fences_unloaded(const struct fences *fences)
{
    return fences->unloaded;
}

static void on_written(void *context, const struct pg_outcome *outcome)
{
    struct fences *fences = context;
    struct error err = outcome->err;

    fences->writing = false;
    if (!outcome->ok) {
        if (err.code == ERR_RETRY)
            return; /* the next one will do; a lost connection is told by its owner */
        error_wrap(&err, "writing the fence");
        err.code = ERR_STOP;
        fail(fences, &err);
    } else if (look(fences, outcome->results[0], &err) < 0) {
        fail(fences, &err);
    }
}

static void write_row(void *context)
{
    struct fences *fences = context;
    struct pg_parameters token = { 0 }, prune = { 0 }, days = { 0 };
    struct arena *arena;
    uint8_t bytes[16];

    if (fences->writing)
        return;
    arena = arena_new();
    fences->writing = true;
    randombytes_buf(bytes, sizeof bytes);
    published_look(fences->published, fences->pg);
    pg_bytes(&token, bytes, sizeof bytes);
    pg_statement(fences->pg, sql_row, true, &token);
    if (fences->written++ % PRUNE_EVERY == 0) {
        pg_int8(&prune, arena, (int64_t)fences->broker_seq - KEPT_ROWS);
        pg_statement(fences->pg, sql_prune, true, &prune);
        pg_int8(&days, arena, fences->options->notice_days);
        pg_statement(fences->pg, sql_prune_notices, true, &days);
    }
    pg_sync(fences->pg, on_written, fences);
    arena_free(&arena);
}

void fences_rest(struct fences *fences)
{
    loop_remove(&fences->timer);
    replication_close(&fences->branches);
}

/* ---- the proof ---- */

enum { PROOF_SYSTEM, PROOF_TIMELINE, PROOF_WRITTEN, PROOF_TOKEN, PROOF_FLUSHED, PROOF_SLOT };
static const char sql_proof[] =
    "SELECT (SELECT system_identifier FROM pg_control_system()), " TIMELINE_SQL ", pg_current_wal_lsn(),"
    " (SELECT token FROM selaras.fence WHERE seq = $2::int8),"
    " (SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1::text AND database = "
    "current_database() AND plugin = 'pgoutput'),"
    " (SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1::text)";

static int check_token(const struct fences *fences, const PGresult *r, struct error *err)
{
    struct arena *arena = arena_new();
    struct text token = { 0 };
    bool same;

    if (fences->known.seq > 0 && !PQgetisnull(r, 0, PROOF_TOKEN))
        token = pg_result_bytes(arena, r, 0, PROOF_TOKEN);
    same = fences->known.seq == 0 || (token.length == sizeof fences->known.token &&
                                      memcmp(token.bytes, fences->known.token, sizeof fences->known.token) == 0);
    arena_free(&arena);
    if (same)
        return 0;
    return error_set(err, ERR_DOUBT, "%s",
                     token.length == 0
                         ? "the database lacks a fence row that the broker has seen: it was restored from a backup"
                         : "the database has another fence row than the broker has seen: it went on from a restored "
                           "or cloned copy");
}

static int check_log(const struct fences *fences, const PGresult *r, struct error *err)
{
    uint64_t written;

    if (lsn_parse(PQgetvalue(r, 0, PROOF_WRITTEN), &written, err) < 0)
        return err->code;
    if (written < fences->lsn)
        return error_set(err, ERR_DOUBT,
                         "its log ends before what the broker has received: it was restored or rewound");
    return 0;
}

static int check_slot(const struct fences *fences, const PGresult *r, struct error *err)
{
    uint64_t flushed;

    if (PQgetisnull(r, 0, PROOF_FLUSHED) || PQgetisnull(r, 0, PROOF_SLOT))
        return error_set(err, ERR_LOST,
                         "its replication slot selaras_%s is gone (dropped, or the database was promoted or copied "
                         "without it), so changes since then cannot be known",
                         fences->options->agency);
    if (strcmp(PQgetvalue(r, 0, PROOF_SLOT), "lost") == 0)
        return error_set(err, ERR_LOST,
                         "its replication slot selaras_%s was invalidated, because the agent was away for longer than "
                         "max_slot_wal_keep_size allows, so changes since then cannot be known",
                         fences->options->agency);
    if (lsn_parse(PQgetvalue(r, 0, PROOF_FLUSHED), &flushed, err) < 0)
        return err->code;
    if (flushed > fences->lsn)
        return error_set(err, ERR_LOST,
                         "its replication slot selaras_%s is ahead of what the broker has (was it made anew, or read "
                         "by something else?), so changes in between cannot be known",
                         fences->options->agency);
    return 0;
}

static int check_system(const struct fences *fences, const PGresult *r, struct error *err)
{
    if (fences->system[0] && strcmp(fences->system, PQgetvalue(r, 0, PROOF_SYSTEM)) != 0)
        return error_set(err, ERR_DOUBT,
                         "the database is another one than the broker knows (its system identifier differs)");
    return 0;
}

/* Whether it is the one that the broker knows. */
static int check_identity(const struct fences *fences, const PGresult *proof, struct error *err)
{
    if (check_system(fences, proof, err) < 0 || check_token(fences, proof, err) < 0)
        return err->code;
    return check_log(fences, proof, err);
}

/* What of its changes can still be known. Told last: of several doubts a person reads the first. */
static void check_completeness(const struct fences *fences, PGresult *const *results, struct error *ret)
{
    if (check_slot(fences, results[0], ret) == 0 && published_check(fences->published, results[1], ret) == 0)
        ret->code = 0;
}

static void conclude(struct fences *fences)
{
    if (fences->missing.code != 0) {
        fail(fences, &fences->missing);
        return;
    }
    write_row(fences);
    fences->timer = loop_timer(fences->loop, fences->options->fence_interval_ms, false, write_row, fences);
    fences->sink.proven(fences->sink.context);
}

/* ---- another timeline ---- */

/* In the history of a timeline: where it, or an ancestor of it, left `timeline`. Lines are
 * "parent<tab>position<tab>why".
 */
static bool branch_find(const char *history, uint32_t timeline, uint64_t *ret)
{
    for (const char *line = history; line; line = strchr(line, '\n')) {
        unsigned parent, high, low;

        line += *line == '\n';
        if (sscanf(line, "%u %8X/%8X", &parent, &high, &low) == 3 && parent == timeline) {
            *ret = (uint64_t)high << 32 | low;
            return true;
        }
    }
    return false;
}

static void on_history(void *context, const PGresult *result, const char *sqlstate, const struct error *cause)
{
    struct fences *fences = context;
    struct error err;
    uint64_t left = 0;
    char text[18];

    (void)sqlstate;
    if (!result) {
        err = *cause;
        error_wrap(&err, "asking for the history of timeline %" PRIu32, fences->timeline_now);
        fail(fences, &err);
        return;
    }
    if (PQntuples(result) == 1 && PQnfields(result) == 2 &&
        branch_find(PQgetvalue(result, 0, 1), fences->timeline, &left) && left >= fences->lsn) {
        replication_close(&fences->branches);
        conclude(fences);
        return;
    }
    lsn_text(left, text);
    if (left > 0)
        error_set(&err, ERR_DOUBT,
                  "the database was promoted or restored to timeline %" PRIu32
                  ", which left at %s, before the end of what the broker has received: its tail is not there any more",
                  fences->timeline_now, text);
    else
        error_set(&err, ERR_DOUBT,
                  "the database is on timeline %" PRIu32 ", which does not come from timeline %" PRIu32
                  ", the one that the broker knows",
                  fences->timeline_now, fences->timeline);
    fail(fences, &err);
}

static void on_branches_up(void *context)
{
    struct fences *fences = context;
    char command[64];

    snprintf(command, sizeof command, "TIMELINE_HISTORY %" PRIu32, fences->timeline_now);
    replication_command(fences->branches, command, on_history);
}

static void on_branches_lost(void *context, const char *sqlstate, const struct error *err)
{
    (void)sqlstate;
    fail(context, err);
}

static void on_branches_message(void *context, const char *bytes, size_t length)
{
    (void)context;
    (void)bytes;
    (void)length;
}

static void ask_branches(struct fences *fences)
{
    const struct replication_events events = {
        .context = fences, .up = on_branches_up, .message = on_branches_message, .lost = on_branches_lost
    };

    fences->branches = replication_open(fences->loop, fences->options->database, "selaras-agent", &events);
}

static void on_proof(void *context, const struct pg_outcome *outcome)
{
    struct fences *fences = context;
    struct error err = outcome->err;

    if (--fences->proving > 0)
        return;
    if (!outcome->ok) {
        error_wrap(&err, "comparing its history with the broker's");
        if (err.code != ERR_RETRY || pg_up(fences->pg))
            fail(fences, &err);
        return;
    }
    fences->timeline_now = (uint32_t)pg_result_int8(outcome->results[0], 0, PROOF_TIMELINE);
    if (check_identity(fences, outcome->results[0], &err) < 0) {
        fail(fences, &err);
        return;
    }
    check_completeness(fences, outcome->results, &fences->missing);
    if (fences->timeline != 0 && fences->timeline_now != fences->timeline)
        ask_branches(fences);
    else
        conclude(fences);
}

void fences_prove(struct fences *fences, const struct source *known, uint64_t lsn)
{
    struct pg_parameters parameters = { 0 };
    struct arena *arena = arena_new();
    char slot[64];

    fences_rest(fences);
    snprintf(fences->system, sizeof fences->system, "%.*s", (int)known->system.length,
             known->system.length ? known->system.bytes : "");
    fences->timeline = known->timeline;
    fences->known = known->fence;
    fences->lsn = lsn;
    fences->broker_seq = known->fence.seq;
    fences->seen_lsn = 0;
    fences->proving++;
    snprintf(slot, sizeof slot, "selaras_%s", fences->options->agency);
    pg_text(&parameters, slot);
    pg_int8(&parameters, arena, (int64_t)known->fence.seq);
    pg_statement(fences->pg, sql_proof, true, &parameters);
    published_look(fences->published, fences->pg);
    pg_sync(fences->pg, on_proof, fences);
    arena_free(&arena);
}

void fences_seen(struct fences *fences, const struct fence *fence, uint64_t lsn)
{
    if (fences->seen_lsn != 0 || fence->seq == 0)
        return; /* the one before it is not acknowledged yet */
    fences->seen_seq = fence->seq;
    fences->seen_lsn = lsn;
}

void fences_acknowledged(struct fences *fences, uint64_t lsn)
{
    if (fences->seen_lsn == 0 || lsn < fences->seen_lsn)
        return;
    fences->broker_seq = fences->seen_seq;
    fences->seen_lsn = 0;
}

struct fences *fences_new(struct loop *loop, struct pg *pg, const struct driver_options *options,
                          const struct inspection *inspection, const struct mapping *mapping,
                          const struct fence_sink *sink)
{
    struct fences *fences = calloc(1, sizeof *fences);

    if (!fences)
        abort();
    *fences = (struct fences){ .loop = loop, .pg = pg, .options = options, .sink = *sink };
    fences->published = published_new(options->agency, inspection, mapping);
    return fences;
}

void fences_free(struct fences **fences)
{
    if (!*fences)
        return;
    fences_rest(*fences);
    published_free(&(*fences)->published);
    free(*fences);
    *fences = NULL;
}
