/* The PostgreSQL driver: what is captured, loaded, applied and checked, behind one table.
 *
 * Three connections: control (questions, fence), apply, and the replication stream or a load. When one of them is lost
 * all are made anew and the database is asked again what is true: there is one way to start. */
#include "agents/driver.h"

#include "agents/postgres/absent_store.h"
#include "agents/postgres/apply.h"
#include "agents/postgres/capture.h"
#include "agents/postgres/example.h"
#include "agents/postgres/fence.h"
#include "agents/postgres/load.h"
#include "agents/postgres/prepare.h"
#include "shell/json.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { REOPEN_MIN_MS = 500, REOPEN_MAX_MS = 10000 };

/* A question of the operator about parked records. */
struct question {
    struct postgres *postgres;
    struct question *next;
    void (*done)(void *context, const char *json, const struct error *err);
    void *context;
};

struct postgres {
    struct driver driver;
    struct loop *loop;
    const struct driver_options *options;
    struct mapping *mapping;
    struct driver_sink sink;

    struct pg *control;
    struct inspect *inspect;
    struct inspection *found;
    struct fences *fences;
    struct apply *apply;
    struct capture *capture;
    struct load *load;
    struct absent_store *absent_store;
    struct absents *absents; /* what waits as of what is captured; NULL: nothing is */

    struct question *questions;     /* not answered yet */
    struct alterations alterations; /* since the start */

    bool open, paused;
    bool came_back;     /* rows whose deletion waited, or it was sent, since the last heartbeat */
    bool load_waits;    /* until what is published is remembered */
    bool capture_waits; /* until the database has proven itself */
    uint64_t from;      /* where capture starts once the database has proven itself */
    feed_position base;
    unsigned failures;
    struct loop_source *reopen_timer;
};

static struct postgres *postgres_of(struct driver *driver)
{
    return (struct postgres *)(void *)driver;
}

/* ---- opening, and closing what is open ---- */

static void stop_reading(struct postgres *postgres)
{
    capture_close(&postgres->capture);
    load_close(&postgres->load);
    if (postgres->absent_store)
        absent_store_rest(postgres->absent_store);
    if (postgres->apply)
        apply_absents(postgres->apply, NULL);
    absents_free(&postgres->absents);
    postgres->load_waits = postgres->capture_waits = false;
    if (postgres->fences)
        fences_rest(postgres->fences);
}

static void question_answer(struct question *question, const char *json, const struct error *err)
{
    struct question **place = &question->postgres->questions;

    while (*place != question)
        place = &(*place)->next;
    *place = question->next;
    question->done(question->context, json, json ? NULL : err);
    free(question);
}

static void shut(struct postgres *postgres)
{
    struct error err;

    postgres->open = false;
    stop_reading(postgres);
    apply_close(&postgres->apply);
    pg_close(&postgres->control);
    error_set(&err, ERR_RETRY, "the connection to the agency's database was lost: try again");
    while (postgres->questions)
        question_answer(postgres->questions, NULL, &err);
    fences_free(&postgres->fences);
    absent_store_free(&postgres->absent_store);
    inspect_free(&postgres->inspect);
    inspection_free(&postgres->found);
}

static void start(struct postgres *postgres);

static void on_reopen(void *context)
{
    struct postgres *postgres = context;

    loop_remove(&postgres->reopen_timer);
    start(postgres);
}

static void reopen_later(struct postgres *postgres)
{
    uint32_t most = REOPEN_MIN_MS;

    for (unsigned i = 0; i < postgres->failures && most < REOPEN_MAX_MS; i++)
        most *= 2;
    if (most > REOPEN_MAX_MS)
        most = REOPEN_MAX_MS;
    postgres->failures++;
    postgres->reopen_timer =
        loop_timer(postgres->loop, most / 2 + randombytes_uniform(most / 2 + 1), true, on_reopen, postgres);
}

/* Whatever failed: everything is closed, and made anew unless a person is needed. */
static void on_failed(void *context, const struct error *err)
{
    struct postgres *postgres = context;
    struct error why = *err; /* it may live in what is closed now */

    shut(postgres);
    if (why.code == ERR_RELOAD)
        reopen_later(postgres);
    if (why.code == ERR_DOUBT || why.code == ERR_LOST || why.code == ERR_RELOAD) {
        postgres->sink.doubted(postgres->sink.context, &why);
        return;
    }
    if (why.code == ERR_RETRY)
        reopen_later(postgres);
    else
        why.code = ERR_STOP;
    postgres->sink.failed(postgres->sink.context, &why);
}

static void on_ready(void *context)
{
    struct postgres *postgres = context;
    const struct inspection *found = postgres->found;
    struct driver_progress progress = {
        .source = { .system = { found->system, (uint32_t)strlen(found->system) },
                    .timeline = found->timeline,
                    .fence = found->fence },
        .incarnation = found->incarnation,
        .applied = found->applied,
        .warnings = found->warnings,
    };

    memcpy(progress.applied_leaf, found->applied_leaf, HASH_BYTES);
    postgres->open = true;
    postgres->sink.opened(postgres->sink.context, &progress);
}

static void on_applied(void *context, feed_position position)
{
    struct postgres *postgres = context;

    postgres->failures = 0;
    postgres->sink.applied(postgres->sink.context, position);
}

static void on_proven(void *context);
static void on_remembered(void *context);
static void on_restored(void *context, struct absents *absents);
static void on_kept(void *context);

static void on_inspected(void *context, struct inspection *found, const struct error *err)
{
    struct postgres *postgres = context;
    const struct apply_sink apply_sink = { postgres, on_ready, on_applied, on_failed };
    const struct fence_sink fence_sink = { postgres, on_proven, on_remembered, on_failed };
    const struct absent_store_sink absent_sink = { postgres, on_restored, on_kept, on_failed };

    inspect_free(&postgres->inspect);
    if (err->code != 0) {
        on_failed(postgres, err);
        return;
    }
    postgres->found = found;
    postgres->fences =
        fences_new(postgres->loop, postgres->control, postgres->options, found, postgres->mapping, &fence_sink);
    postgres->absent_store = absent_store_new(postgres->control, postgres->mapping, &absent_sink);
    postgres->apply = apply_open(postgres->loop, postgres->options, postgres->mapping, found, &apply_sink);
}

static void on_control(void *context, bool up, const struct error *err)
{
    struct postgres *postgres = context;

    if (up)
        postgres->inspect =
            inspect_start(postgres->control, postgres->options, postgres->mapping, on_inspected, postgres);
    else
        on_failed(postgres, err);
}

static void start(struct postgres *postgres)
{
    assert(!postgres->control);
    postgres->control = pg_open(postgres->loop, postgres->options->database, "selaras-agent", on_control, postgres);
}

static struct driver *open_driver(struct loop *loop, const struct driver_options *options, struct mapping *mapping,
                                  const struct driver_sink *sink)
{
    struct postgres *postgres = calloc(1, sizeof *postgres);

    if (!postgres)
        abort();
    *postgres = (struct postgres){
        .driver = { &postgres_driver },
        .loop = loop,
        .options = options,
        .mapping = mapping,
        .sink = *sink,
    };
    start(postgres);
    return &postgres->driver;
}

static void close_driver(struct driver **driver)
{
    struct postgres *postgres;

    if (!*driver)
        return;
    postgres = postgres_of(*driver);
    *driver = NULL;
    shut(postgres);
    loop_remove(&postgres->reopen_timer);
    alterations_free(&postgres->alterations);
    free(postgres);
}

static int check(struct driver *driver, struct error *err)
{
    struct postgres *postgres = postgres_of(driver);

    if (!postgres->open)
        return error_set(err, ERR_RETRY, "the database is not open");
    return inspect_types(postgres->found, postgres->mapping, err);
}

/* ---- capture and load ---- */

static void on_captured(void *context, const struct piece *piece)
{
    struct postgres *postgres = context;

    postgres->failures = 0;
    if (piece->fence.seq > 0) {
        fences_seen(postgres->fences, &piece->fence, piece->lsn);
        apply_beat(postgres->apply, piece->commit_time_us, postgres->came_back);
        postgres->came_back = false;
    }
    postgres->sink.captured(postgres->sink.context, piece);
}

static void on_idle(void *context, uint64_t lsn)
{
    struct postgres *postgres = context;

    postgres->sink.idle(postgres->sink.context, lsn);
}

static void on_keep(void *context)
{
    struct postgres *postgres = context;

    postgres->came_back |= postgres->absents->settled != NULL;
    absent_store_keep(postgres->absent_store, postgres->absents);
}

static void on_kept(void *context)
{
    struct postgres *postgres = context;

    absents_kept(postgres->absents);
    capture_kept(postgres->capture);
}

static void on_proven(void *context)
{
    struct postgres *postgres = context;

    if (postgres->capture_waits)
        absent_store_restore(postgres->absent_store, postgres->from);
}

static void on_restored(void *context, struct absents *absents)
{
    struct postgres *postgres = context;
    const struct capture_options options = {
        .dsn = postgres->options->database,
        .agency = postgres->options->agency,
        .mapping = postgres->mapping,
        .whole = postgres->found->meddled,
        .alterations = &postgres->alterations,
        .absents = absents,
    };
    const struct capture_sink sink = {
        .context = postgres, .captured = on_captured, .idle = on_idle, .failed = on_failed, .keep = on_keep
    };

    postgres->absents = absents;
    if (!postgres->capture_waits)
        return; /* a load was asked for since */
    postgres->capture_waits = false;
    apply_absents(postgres->apply, absents);
    postgres->capture = capture_start(postgres->loop, &options, &sink, postgres->from, postgres->base);
    capture_pause(postgres->capture, postgres->paused);
}

static void capture(struct driver *driver, const struct source *known, uint64_t lsn, feed_position base)
{
    struct postgres *postgres = postgres_of(driver);

    assert(postgres->open);
    stop_reading(postgres);
    apply_forget(postgres->apply);
    apply_wake(postgres->apply);
    postgres->paused = false;
    postgres->from = lsn;
    postgres->base = base;
    postgres->capture_waits = true;
    fences_prove(postgres->fences, known, lsn);
}

static void on_loaded(void *context, uint64_t lsn)
{
    struct postgres *postgres = context;

    postgres->sink.loaded(postgres->sink.context, lsn);
}

static void on_remembered(void *context)
{
    struct postgres *postgres = context;
    const struct load_options options = {
        .dsn = postgres->options->database,
        .agency = postgres->options->agency,
        .mapping = postgres->mapping,
    };
    const struct load_sink sink = { postgres, on_captured, on_loaded, on_failed };
    struct error err;

    if (!postgres->load_waits || postgres->load)
        return; /* of a load that was given up */
    postgres->load_waits = false;
    if (!apply_idle(postgres->apply)) {
        error_set(&err, ERR_RETRY,
                  "a batch of the session before is still being applied: the database is opened anew, so that the load "
                  "does not meet it");
        on_failed(postgres, &err);
        return;
    }
    postgres->load = load_start(postgres->loop, &options, &sink);
    load_pause(postgres->load, postgres->paused);
}

static void load(struct driver *driver, uint32_t incarnation, feed_position position)
{
    struct postgres *postgres = postgres_of(driver);

    (void)incarnation; /* both are remembered once the broker has all of it */
    (void)position;
    assert(postgres->open);
    stop_reading(postgres);
    apply_rest(postgres->apply);
    postgres->paused = false;
    postgres->load_waits = true;
    fences_remember(postgres->fences);
}

static void load_done(struct driver *driver, uint32_t incarnation, feed_position position)
{
    struct postgres *postgres = postgres_of(driver);

    assert(postgres->open);
    load_close(&postgres->load);
    apply_load_done(postgres->apply, incarnation, position);
}

static void pause(struct driver *driver, bool yes)
{
    struct postgres *postgres = postgres_of(driver);

    postgres->paused = yes;
    if (postgres->capture)
        capture_pause(postgres->capture, yes);
    if (postgres->load)
        load_pause(postgres->load, yes);
}

static void advance(struct driver *driver, uint64_t lsn)
{
    struct postgres *postgres = postgres_of(driver);

    if (!postgres->capture)
        return;
    fences_acknowledged(postgres->fences, lsn);
    absent_store_acknowledged(postgres->absent_store, lsn);
    capture_advance(postgres->capture, lsn);
}

/* ---- apply ---- */

static bool apply(struct driver *driver, const struct feed *feed)
{
    struct postgres *postgres = postgres_of(driver);

    return postgres->open && apply_take(postgres->apply, feed);
}

static void on_parked(void *context, const struct pg_outcome *outcome)
{
    struct question *question = context;

    question_answer(question, outcome->ok ? PQgetvalue(outcome->results[0], 0, 0) : NULL, &outcome->err);
}

static const char sql_parked[] =
    "SELECT coalesce(json_agg(json_build_object('block', block, 'record', record, 'position', position, 'since', since,"
    " 'tries', tries, 'reason', reason)), '[]')"
    " FROM (SELECT * FROM selaras.parked ORDER BY since, record LIMIT 1000) p";

static bool not_open(struct postgres *postgres, void (*done)(void *context, const char *json, const struct error *err),
                     void *context)
{
    struct error err;

    if (postgres->open)
        return false;
    error_set(&err, ERR_RETRY, "the database cannot be reached now: try again");
    done(context, NULL, &err);
    return true;
}

static void parked(struct driver *driver, void (*done)(void *context, const char *json, const struct error *err),
                   void *context)
{
    struct postgres *postgres = postgres_of(driver);
    struct question *question;

    if (not_open(postgres, done, context))
        return;
    question = malloc(sizeof *question);
    if (!question)
        abort();
    *question = (struct question){ postgres, postgres->questions, done, context };
    postgres->questions = question;
    pg_statement(postgres->control, sql_parked, true, NULL);
    pg_sync(postgres->control, on_parked, question);
}

static void settle(struct driver *driver, uint64_t record, bool close, const char *user, const char *why,
                   void (*done)(void *context, const char *json, const struct error *err), void *context)
{
    struct postgres *postgres = postgres_of(driver);

    if (!not_open(postgres, done, context))
        apply_settle(postgres->apply, record, close, user, why, done, context);
}

/* What is mapped and was never loaded; how many deletions wait for their rows to come back; what the agency's own
 * triggers made of rows that we wrote: "altered_public.peserta_jkn.iuran": 3. */
static void facts(struct driver *driver, struct buffer *out)
{
    const struct postgres *postgres = postgres_of(driver);
    const struct alterations *alterations = &postgres->alterations;
    struct arena *arena = arena_new();

    if (postgres->fences && fences_unloaded(postgres->fences)[0])
        json_write_text(out, "never_loaded", fences_unloaded(postgres->fences));

    if (postgres->absents && postgres->absents->count > 0)
        json_write_uint(out, "absent", postgres->absents->count);
    for (uint32_t i = 0; i < alterations->count; i++) {
        const struct alteration *alteration = &alterations->list[i];
        const char *column = alteration_column(alteration);

        json_write_uint(out,
                        arena_printf(arena, "altered_%s.%s%s%s", alteration->block->schema, alteration->block->table,
                                     column ? "." : "", column ? column : ""),
                        alteration->count);
    }
    arena_free(&arena);
}

static int prepare_database(const struct driver_options *options, const struct mapping *mapping, const char *dsn,
                            bool apply, FILE *out, struct error *err)
{
    return prepare(&(struct prepare_options){ options->agency, options->database, dsn, apply }, mapping, out, err);
}

const struct driver_ops postgres_driver = {
    .name = "postgres",
    .open = open_driver,
    .close = close_driver,
    .check = check,
    .load = load,
    .load_done = load_done,
    .capture = capture,
    .pause = pause,
    .advance = advance,
    .apply = apply,
    .parked = parked,
    .settle = settle,
    .example = example_read,
    .facts = facts,
    .prepare = prepare_database,
};
