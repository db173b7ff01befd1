#include "agents/postgres/apply.h"

#include "agents/fed.h"
#include "agents/postgres/apply_work.h"
#include "shell/log.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A question about parked records that waits for its turn. */
struct wish {
    struct wish *next;
    uint64_t record;
    bool close;
    char *user, *why;
    void (*done)(void *context, const char *json, const struct error *err);
    void *context;
};

struct apply {
    struct apply_work work;
    struct apply_sink sink;
    bool ready;

    struct fed *coming;       /* its end has not come */
    struct fed *first, *last; /* whole, waiting */
    size_t waiting_bytes;
    feed_position taken; /* end of the last whole batch */

    bool loading; /* apply_load_done waits or runs */
    uint32_t load_incarnation;
    feed_position load_position;

    /* what runs now */
    struct apply_batch *batch;
    struct fed *running; /* the batches in it */
    const struct item **items;
    struct settle *settle;
    struct wish *wishes, *wish; /* waiting; being answered (NULL: the timer's own) */
    bool busy;
    bool resting; /* a load is under way */

    unsigned yields;
    struct loop_source *yield_timer, *retry_timer;
    bool retry_due;
    struct error defect; /* told from the loop */
};

static void work_on(void *context);

/* ---- batches ---- */

static void fail(struct apply *apply, const struct error *err)
{
    apply->sink.failed(apply->sink.context, err);
}

/* The batches that are next, as one transaction: while one commits, more have come. */
static void take_batches(struct apply *apply)
{
    struct fed **end = &apply->running;
    uint32_t count = 0, at = 0;
    size_t bytes = 0;

    while (apply->first && (count == 0 || (count + apply->first->count <= APPLY_ITEMS_MAX &&
                                           bytes + arena_used(apply->first->arena) <= APPLY_BYTES_MAX))) {
        struct fed *fed = apply->first;

        apply->first = fed->next;
        fed->next = NULL;
        *end = fed;
        end = &fed->next;
        count += fed->count;
        bytes += arena_used(fed->arena);
        if (count == 0)
            count = 1; /* even nothing but empty batches must end */
    }
    if (!apply->first)
        apply->last = NULL;
    apply->waiting_bytes -= bytes;
    apply->items = calloc(count + 1u, sizeof *apply->items);
    if (!apply->items)
        abort();
    for (struct fed *fed = apply->running; fed; fed = fed->next)
        for (uint32_t i = 0; i < fed->count; i++)
            apply->items[at++] = fed->items[i];
}

static void running_free(struct apply *apply)
{
    fed_free(&apply->running);
    free(apply->items);
    apply->items = NULL;
}

static void on_yielded(void *context)
{
    struct apply *apply = context;

    loop_remove(&apply->yield_timer);
    apply->busy = false;
    work_on(apply);
}

/* Gives way to the agency's own work for a moment that grows and is never the same twice. */
static void yield(struct apply *apply)
{
    uint32_t most = APPLY_YIELD_MIN_MS;

    for (unsigned i = 0; i < apply->yields && most < APPLY_YIELD_MAX_MS; i++)
        most *= 2;
    if (most > APPLY_YIELD_MAX_MS)
        most = APPLY_YIELD_MAX_MS;
    apply->yields++;
    if (apply->yields % 30 == 0)
        log_about(LOG_WARN, &(struct log_about){ .position = apply->running ? apply->running->position : 0 },
                  "a batch waits because rows it needs are locked by the agency's own work or the server is busy");
    apply->yield_timer =
        loop_timer(apply->work.loop, most / 2 + randombytes_uniform(most / 2 + 1), true, on_yielded, apply);
}

static void batch_start(struct apply *apply);

static void on_batch(void *context, const struct error *err)
{
    struct apply *apply = context;
    struct error why = *err; /* it may live in the batch */
    feed_position position = 0;

    apply_batch_free(&apply->batch);
    if (why.code == ERR_RETRY) {
        if (pg_up(apply->work.pg))
            yield(apply); /* the batch stays `running` */
        return;           /* else the lost session is told in a moment */
    }
    if (why.code != 0) {
        why.code = ERR_STOP;
        error_wrap(&why, "applying what the broker fed");
        fail(apply, &why);
        return;
    }
    for (struct fed *fed = apply->running; fed; fed = fed->next)
        position = fed->position;
    running_free(apply);
    apply->yields = 0;
    apply->busy = false;
    loop_defer(apply->work.loop, work_on, apply);
    apply->sink.applied(apply->sink.context, position);
}

static void batch_start(struct apply *apply)
{
    const struct fed *last;
    uint32_t count = 0;

    if (!apply->running)
        take_batches(apply);
    for (last = apply->running; last->next; last = last->next)
        count += last->count;
    count += last->count;
    apply->busy = true;
    apply->batch = apply_batch_start(&apply->work, apply->items, count, last->position, last->leaf, on_batch, apply);
}

static void on_defect(void *context)
{
    struct apply *apply = context;

    fail(apply, &apply->defect);
}

bool apply_take(struct apply *apply, const struct feed *feed)
{
    if (apply->first && apply->waiting_bytes >= APPLY_WAITING_BYTES)
        return false;
    if (!apply->coming)
        apply->coming = fed_new();
    for (uint32_t i = 0; i < feed->item_count; i++)
        if (feed->items[i].position > apply->taken)
            fed_add(apply->coming, &feed->items[i]);
    if (arena_used(apply->coming->arena) > APPLY_BATCH_BYTES) {
        error_set(&apply->defect, ERR_STOP, "the broker fed a batch of more than %d MiB",
                  APPLY_BATCH_BYTES / 1024 / 1024);
        loop_defer(apply->work.loop, on_defect, apply);
        return true;
    }
    if (!feed->final)
        return true;
    if (feed->position <= apply->taken) {
        fed_free(&apply->coming); /* fed before; what is still being applied is told when it is done */
        return true;
    }
    apply->coming->position = apply->taken = feed->position;
    memcpy(apply->coming->leaf, feed->leaf, HASH_BYTES);
    apply->waiting_bytes += arena_used(apply->coming->arena);
    if (apply->last)
        apply->last->next = apply->coming;
    else
        apply->first = apply->coming;
    apply->last = apply->coming;
    apply->coming = NULL;
    loop_defer(apply->work.loop, work_on, apply);
    return true;
}

void apply_forget(struct apply *apply)
{
    fed_free(&apply->coming);
}

void apply_rest(struct apply *apply)
{
    apply_forget(apply);
    fed_free(&apply->first);
    apply->last = NULL;
    apply->waiting_bytes = 0;
    apply->resting = true;
    work_on(apply);
}

void apply_wake(struct apply *apply)
{
    apply->resting = false;
    loop_defer(apply->work.loop, work_on, apply);
}

bool apply_idle(const struct apply *apply)
{
    return !apply->busy && !apply->first && !apply->running && !apply->loading;
}

/* ---- the end of a load ---- */

static void on_load_done(void *context, const struct pg_outcome *outcome)
{
    struct apply *apply = context;

    if (!outcome->ok) {
        if (pg_up(apply->work.pg))
            fail(apply, &outcome->err);
        return;
    }
    apply->loading = false;
    apply->busy = false;
    apply->work.applied = apply->taken = apply->load_position;
    parked_set_free(&apply->work.parked);
    work_on(apply);
}

static void load_done_start(struct apply *apply)
{
    static const char sql_loaded[] =
        "UPDATE selaras.agent SET incarnation = $1::int8::int4, applied = $2::int8, leaf = NULL";
    struct arena *arena = arena_new();
    struct pg_parameters parameters = { 0 };

    apply->busy = true;
    pg_int8(&parameters, arena, apply->load_incarnation);
    pg_int8(&parameters, arena, (int64_t)apply->load_position);
    work_begin(&apply->work, apply->load_position);
    pg_statement(apply->work.pg, sql_loaded, false, &parameters);
    pg_statement(apply->work.pg, "DELETE FROM selaras.parked", false, NULL);
    work_commit(&apply->work, &(struct applied){ .position = apply->load_position }, on_load_done, apply);
    arena_free(&arena);
}

void apply_load_done(struct apply *apply, uint32_t incarnation, feed_position load)
{
    apply->loading = true;
    apply->resting = false;
    apply->load_incarnation = incarnation;
    apply->load_position = load;
    apply->taken = load;
    loop_defer(apply->work.loop, work_on, apply);
}

/* ---- parked records ---- */

static void wish_free(struct wish **wish)
{
    if (!*wish)
        return;
    free((*wish)->user);
    free((*wish)->why);
    free(*wish);
    *wish = NULL;
}

static void on_settle(void *context, const struct settle_result *result, const struct error *err)
{
    struct apply *apply = context;
    char json[128];

    snprintf(json, sizeof json,
             "{\"released\":%" PRIu32 ",\"closed\":%" PRIu32 ",\"refused\":%" PRIu32 ",\"busy\":%" PRIu32 "}",
             result->released, result->closed, result->refused, result->busy);
    if (result->released > 0)
        log_write(LOG_NOTE, "%" PRIu32 " parked records were applied after all", result->released);
    settle_free(&apply->settle);
    if (apply->wish)
        apply->wish->done(apply->wish->context, json, err->code == 0 ? NULL : err);
    wish_free(&apply->wish);
    apply->busy = false;
    if (err->code == ERR_STOP)
        fail(apply, err);
    else if (pg_up(apply->work.pg))
        loop_defer(apply->work.loop, work_on, apply);
}

static void settle_wish(struct apply *apply)
{
    struct wish *wish = apply->wishes;

    apply->busy = true;
    apply->wishes = wish->next;
    apply->wish = wish;
    apply->settle = settle_start(&apply->work, wish->record, wish->close, wish->user, wish->why, on_settle, apply);
}

static void settle_due(struct apply *apply)
{
    apply->retry_due = false;
    if (apply->work.parked.count == 0)
        return;
    apply->busy = true;
    apply->settle = settle_start(&apply->work, 0, false, NULL, NULL, on_settle, apply);
}

static void on_retry_timer(void *context)
{
    struct apply *apply = context;

    apply->retry_due = true;
    work_on(apply);
}

void apply_absents(struct apply *apply, const struct absents *absents)
{
    apply->work.absents = absents;
}

void apply_beat(struct apply *apply, int64_t time_us, bool came_back)
{
    if (!came_back && (apply->work.wait_us == 0 || time_us <= apply->work.wait_us))
        return;
    apply->work.wait_us = 0;
    apply->retry_due = true;
    loop_defer(apply->work.loop, work_on, apply);
}

void apply_settle(struct apply *apply, uint64_t record, bool close, const char *user, const char *why,
                  void (*done)(void *context, const char *json, const struct error *err), void *context)
{
    struct wish *wish = calloc(1, sizeof *wish), **end = &apply->wishes;

    if (!wish)
        abort();
    *wish = (struct wish){ .record = record, .close = close, .done = done, .context = context };
    wish->user = strdup(user ? user : "");
    wish->why = strdup(why ? why : "");
    if (!wish->user || !wish->why)
        abort();
    while (*end)
        end = &(*end)->next;
    *end = wish;
    loop_defer(apply->work.loop, work_on, apply);
}

/* ---- the session ---- */

/* One thing at a time: the end of a load, what an operator asked, batches, and when there are none, parked records. */
static void work_on(void *context)
{
    struct apply *apply = context;

    if (!apply->ready || apply->busy)
        return;
    if (apply->loading)
        load_done_start(apply);
    else if (apply->resting)
        running_free(apply); /* it was rolled back, to be tried again */
    else if (apply->running)
        batch_start(apply);
    else if (apply->wishes)
        settle_wish(apply);
    else if (apply->first)
        batch_start(apply);
    else if (apply->retry_due)
        settle_due(apply);
}

static void on_session(void *context, const struct error *err)
{
    struct apply *apply = context;

    if (err->code != 0) {
        fail(apply, err);
        return;
    }
    apply->ready = true;
    apply->sink.ready(apply->sink.context);
}

static void on_state(void *context, bool up, const struct error *err)
{
    struct apply *apply = context;
    struct error why;

    if (up) {
        session_start(&apply->work, on_session, apply);
        return;
    }
    why = *err; /* the connection is closed on it */
    fail(apply, &why);
}

struct apply *apply_open(struct loop *loop, const struct driver_options *options, const struct mapping *mapping,
                         const struct inspection *inspection, const struct apply_sink *sink)
{
    struct apply *apply = calloc(1, sizeof *apply);

    if (!apply)
        abort();
    apply->work = (struct apply_work){
        .loop = loop,
        .options = options,
        .mapping = mapping,
        .inspection = inspection,
        .sql = apply_sql_new(mapping, inspection),
        .applied = inspection->applied,
    };
    apply->taken = inspection->applied;
    apply->sink = *sink;
    apply->work.pg = pg_open(loop, options->database, "selaras-agent apply", on_state, apply);
    apply->retry_timer = loop_timer(loop, options->retry_interval_ms, false, on_retry_timer, apply);
    return apply;
}

/* Whoever waits for an answer gets one. */
static void wishes_end(struct apply *apply)
{
    struct error err;

    error_set(&err, ERR_RETRY, "the connection to the agency's database was lost: try again");
    while (apply->wish || apply->wishes) {
        struct wish *wish = apply->wish ? apply->wish : apply->wishes;

        if (wish == apply->wish)
            apply->wish = NULL;
        else
            apply->wishes = wish->next;
        wish->done(wish->context, NULL, &err);
        wish_free(&wish);
    }
}

void apply_close(struct apply **closing)
{
    struct apply *apply = *closing;

    if (!apply)
        return;
    *closing = NULL;
    pg_close(&apply->work.pg);
    loop_remove(&apply->yield_timer);
    loop_remove(&apply->retry_timer);
    loop_defer_cancel(apply->work.loop, work_on, apply);
    loop_defer_cancel(apply->work.loop, on_defect, apply);
    apply_batch_free(&apply->batch);
    settle_free(&apply->settle);
    wishes_end(apply);
    fed_free(&apply->coming);
    fed_free(&apply->first);
    running_free(apply);
    parked_set_free(&apply->work.parked);
    apply_sql_free(&apply->work.sql);
    free(apply);
}
