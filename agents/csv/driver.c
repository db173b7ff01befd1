/* The driver of agencies whose data is a list that people keep in a spreadsheet.
 *
 * All its work is done in short steps, one after the other (work.h): a list being taken or a batch being applied has
 * the state to itself until it is committed. */
#include "agents/csv/facts.h"
#include "agents/csv/prepare.h"
#include "agents/csv/work.h"
#include "shell/log.h"
#include "shell/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { REOPEN_MS = 2000, SLICE_MS = 20 };

static struct lists *lists_of(struct driver *driver)
{
    return (struct lists *)(void *)driver;
}

/* ---- opening, and closing what is open ---- */

static void shut(struct lists *lists)
{
    struct error err;

    lists->open = lists->bound = lists->load_ends = lists->proves = false;
    lists->defect = (struct error){ 0 };
    lists->forget = 0;
    intake_free(&lists->intake);
    publish_free(&lists->publish);
    give_free(&lists->give);
    amend_free(&lists->apply);
    folder_close(&lists->folder);
    if (lists->state)
        state_rollback(lists->state);
    state_close(&lists->state);
    if (lists->lock >= 0)
        close(lists->lock);
    lists->lock = -1;
    error_set(&err, ERR_RETRY, _("the state file was closed: try again"));
    wishes_drop(&lists->wishes, &err);
    loop_remove(&lists->work_timer);
    loop_remove(&lists->retry_timer);
}

static void start(void *context);

static void on_reopen(void *context)
{
    struct lists *lists = context;

    loop_remove(&lists->reopen_timer);
    start(lists);
}

static void fail(struct lists *lists, const struct error *err)
{
    struct error why = *err;

    shut(lists);
    if (why.code == ERR_DOUBT || why.code == ERR_LOST) {
        lists->sink.doubted(lists->sink.context, &why);
        return;
    }
    if (why.code == ERR_RETRY)
        lists->reopen_timer = loop_timer(lists->loop, REOPEN_MS, true, on_reopen, lists);
    else
        why.code = ERR_STOP;
    lists->sink.failed(lists->sink.context, &why);
}

static void on_work(void *context);

void lists_wake_in(struct lists *lists, uint32_t ms)
{
    loop_remove(&lists->work_timer);
    lists->work_timer = loop_timer(lists->loop, ms, true, on_work, lists);
}

static void wake(void *context)
{
    lists_wake_in(context, 0);
}

static void on_retry(void *context)
{
    struct lists *lists = context;

    lists->retry = true;
    wake(lists);
}

static int open_all(struct lists *lists, struct error *err)
{
    if (state_open(lists->options->state, &lists->state, err) < 0) {
        if (err->code == ERR_STOP)
            error_wrap(err, "agent/state");
        return err->code;
    }
    return folder_open(lists->loop, lists->options->folder, wake, lists, &lists->folder, err);
}

static void start(void *context)
{
    struct lists *lists = context;
    struct driver_progress progress = { 0 };
    struct error err;

    if (open_all(lists, &err) < 0) {
        fail(lists, &err);
        return;
    }
    lists->apply = amend_new(lists->state, lists->mapping);
    lists->publish = publish_new(lists->state, lists->folder, lists->mapping, lists->options->forms);
    lists->give = give_new(lists->state, lists->mapping, &lists->sink);
    lists->intake = intake_new(lists->loop, lists->options, lists->mapping, lists->state, lists->folder, wake, lists);
    lists->state->corrections = true; /* somebody may have taken the files away */
    lists->retry_timer = loop_timer(lists->loop, lists->options->retry_interval_ms, false, on_retry, lists);
    progress.source =
        (struct source){ { lists->state->system, (uint32_t)strlen(lists->state->system) }, 1, lists->state->fence };
    progress.incarnation = lists->state->incarnation;
    progress.applied = lists->state->applied;
    memcpy(progress.applied_leaf, lists->state->leaf, HASH_BYTES);
    lists->open = true;
    lists->sink.opened(lists->sink.context, &progress);
}

static struct driver *open_driver(struct loop *loop, const struct driver_options *options, struct mapping *mapping,
                                  const struct driver_sink *sink)
{
    struct lists *lists = calloc(1, sizeof *lists);

    if (!lists)
        abort();
    *lists = (struct lists){
        .driver = { &csv_driver }, .loop = loop, .options = options, .mapping = mapping, .sink = *sink, .lock = -1
    };
    loop_defer(loop, start, lists);
    return &lists->driver;
}

static void close_driver(struct driver **driver)
{
    struct lists *lists;

    if (!*driver)
        return;
    lists = lists_of(*driver);
    *driver = NULL;
    loop_defer_cancel(lists->loop, start, lists);
    shut(lists);
    loop_remove(&lists->reopen_timer);
    free(lists);
}

/* One agent works on a state; --check looks at it beside. */
static int lock(struct lists *lists, struct error *err)
{
    struct arena *arena;

    if (lists->lock >= 0)
        return 0;
    arena = arena_new();
    lists->lock =
        open(arena_printf(arena, "%s/lock", lists->options->state), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    arena_free(&arena);
    if (lists->lock >= 0 && flock(lists->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return error_set(err, ERR_STOP, _("agent/state %s: %s"), lists->options->state,
                     errno == EWOULDBLOCK ? "another agent works on it: stop that one first" : strerror(errno));
}

/* A row that is set so must leave the block, or it would be gone and there at once. */
static bool leaves_by(const struct mapping_block *block)
{
    for (uint16_t i = 0; i < block->where_count; i++)
        if (strcmp(block->columns[block->where[i].column], block->delete_column) == 0)
            return true;
    return false;
}

/* What of a mapping is not for lists. */
static const char *unfit(const struct mapping_block *block)
{
    if (block->delete == DELETE_SET && !leaves_by(block))
        return _(
            "delete: in a list, a row is gone by a column only when \"where\" says by the same column which rows are "
            "there");
    if (block->generated)
        return _("key: a list makes no keys; its rows are found by the catalog's identifiers");
    if (block->absence_s > 0 || block->reload)
        return _("absence and reload: a list is compared with the one before, whatever was deleted in between");
    for (uint16_t i = 0; i < block->field_count; i++)
        if (block->fields[i].refers)
            return _("fields: a list cannot refer to records of another type by this version");
    return NULL;
}

static int check(struct driver *driver, struct error *err)
{
    struct lists *lists = lists_of(driver);

    if (!lists->open)
        return error_set(err, ERR_RETRY, _("the state file is not open"));
    for (uint16_t i = 0; i < lists->mapping->block_count; i++) {
        const char *why = unfit(&lists->mapping->blocks[i]);

        if (why)
            return error_set(err, ERR_STOP, "mapping/%s/%s", lists->mapping->blocks[i].name, why);
    }
    if (lock(lists, err) < 0)
        return err->code;
    intake_restart(lists->intake); /* what it has in hand was read by the catalog before */
    publish_restart(lists->publish);
    lists->bound = true;
    wake(lists);
    return 0;
}

/* ---- capture and load ---- */

static void stop_giving(struct lists *lists)
{
    give_stop(lists->give);
    amend_forget(lists->apply);
    lists->proves = false;
}

static void load(struct driver *driver, uint32_t incarnation, feed_position position)
{
    struct lists *lists = lists_of(driver);

    (void)incarnation; /* both are remembered once the broker has all of it */
    (void)position;
    assert(lists->open);
    stop_giving(lists);
    give_load(lists->give);
    wake(lists);
}

static void load_done(struct driver *driver, uint32_t incarnation, feed_position position)
{
    struct lists *lists = lists_of(driver);

    lists->load_ends = true;
    lists->incarnation = incarnation;
    lists->load = position;
    wake(lists);
}

static void capture(struct driver *driver, const struct source *known, uint64_t lsn, feed_position base)
{
    struct lists *lists = lists_of(driver);
    uint32_t length = known->system.length < 32 ? known->system.length : 32;

    assert(lists->open);
    if (!lists->load_ends)
        stop_giving(lists);
    lists->known = *known;
    memcpy(lists->known_system, length ? known->system.bytes : "", length);
    lists->known.system = (struct text){ lists->known_system, length };
    lists->from = lsn;
    lists->base = base;
    lists->proves = true;
    wake(lists);
}

static void pause_giving(struct driver *driver, bool yes)
{
    struct lists *lists = lists_of(driver);

    if (!lists->open)
        return;
    give_pause(lists->give, yes);
    wake(lists);
}

static void advance(struct driver *driver, uint64_t lsn)
{
    struct lists *lists = lists_of(driver);

    if (!lists->open)
        return;
    lists->forget = lsn;
    wake(lists);
}

static bool apply(struct driver *driver, const struct feed *feed)
{
    struct lists *lists = lists_of(driver);
    struct error err;
    bool taken = false;

    if (!lists->open)
        return false;
    if (amend_take(lists->apply, feed, &taken, &err) < 0)
        lists->defect = err;
    wake(lists);
    return taken;
}

/* ---- the work ---- */

static void on_work(void *context)
{
    struct lists *lists = context;
    int64_t until_ms = loop_monotonic_ms() + SLICE_MS;
    struct error err = { 0 };
    bool more = true;

    loop_remove(&lists->work_timer);
    while (more && lists->open && loop_monotonic_ms() < until_ms) {
        err.code = 0;
        if (work_step(lists, &more, &err) < 0) {
            fail(lists, &err);
            return;
        }
    }
    if (more && lists->open)
        wake(lists);
}

/* ---- questions ---- */

static void ask(struct lists *lists, const struct wish *wish)
{
    struct error err;

    wish_add(&lists->wishes, wish);
    if (lists->open) {
        wake(lists);
        return;
    }
    error_set(&err, ERR_RETRY, _("the state file cannot be read now: try again"));
    wishes_drop(&lists->wishes, &err);
}

static void parked(struct driver *driver, void (*done)(void *context, const char *json, const struct error *err),
                   void *context)
{
    ask(lists_of(driver), &(struct wish){ .list = true, .done = done, .context = context });
}

static void settle(struct driver *driver, uint64_t record, bool close, const char *user, const char *why,
                   void (*done)(void *context, const char *json, const struct error *err), void *context)
{
    struct wish wish = { .record = record, .close = close, .done = done, .context = context };

    if (asprintf(&wish.note, "%s: %s", user, why) < 0)
        abort();
    ask(lists_of(driver), &wish);
}

static void facts(struct driver *driver, struct buffer *out)
{
    struct lists *lists = lists_of(driver);

    if (lists->open)
        facts_write(lists->state, lists->mapping, lists->give, lists->intake, out);
}

const struct driver_ops csv_driver = {
    .name = "csv",
    .open = open_driver,
    .close = close_driver,
    .check = check,
    .load = load,
    .load_done = load_done,
    .capture = capture,
    .pause = pause_giving,
    .advance = advance,
    .apply = apply,
    .parked = parked,
    .settle = settle,
    .facts = facts,
    .prepare = csv_prepare,
};
