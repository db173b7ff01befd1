#include "agents/run.h"

#include "agents/agent.h"
#include "agents/driver.h"
#include "agents/link.h"
#include "agents/requests.h"
#include "agents/status.h"
#include "shell/control.h"
#include "shell/log.h"
#include "shell/notify.h"
#include "shell/zpl.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = AGENT_PAUSE_MIN_MS,
};

/* A feed message that the driver had no room for. */
struct fed {
    struct fed *next;
    size_t length;
    char bytes[];
};

/* What an action led to at once: an event for after the actions of this step. */
struct consequence {
    enum agent_event_kind kind;
    size_t taken;
    bool ok;
    uint8_t hash[HASH_BYTES];
    char text[512];
};

enum { CONSEQUENCES_MAX = 64 };

/* The whole process. */
struct program {
    struct agent_settings *settings;
    struct arena *arena; /* of what hello declares */
    struct requests requests;
    struct driver_options driver_options;
    struct loop *loop;
    struct agent *agent;
    struct agent_actions actions;
    struct driver *driver;
    struct link *link;
    struct control *control;
    struct loop_source *tick;

    struct arena *catalog_arena; /* what the mapping is bound to */
    struct arena *message_arena;
    const void *frame; /* being handled: kept when the driver has no room for it */
    size_t frame_length;
    struct fed *fed_first, *fed_last;
    struct consequence consequences[CONSEQUENCES_MAX];
    int consequence_count;
    bool turn_deferred, stopping;
    enum agent_state said; /* what systemd was told last */
    int status;
};

static void step(struct program *program, struct agent_event event);

/* ---- actions ---- */

static struct consequence *consequence_add(struct program *program, enum agent_event_kind kind)
{
    struct consequence *consequence = &program->consequences[program->consequence_count];

    assert(program->consequence_count < CONSEQUENCES_MAX);
    program->consequence_count++;
    *consequence = (struct consequence){ .kind = kind };
    return consequence;
}

/* Reads the catalog and binds the mapping to it. What it was bound to before is freed only afterwards. */
static int adopt(struct program *program, const struct agent_action *action, struct error *err)
{
    struct arena *arena = arena_new();
    const struct catalog *catalog;
    const struct tree *tree;

    if (zpl_parse(arena, "the broker's catalog", action->catalog.bytes, action->catalog.length, &tree, err) < 0 ||
        catalog_build(arena, tree, action->catalog.bytes, action->catalog.length, &catalog, err) < 0 ||
        mapping_bind(arena, &program->settings->mapping, catalog, program->settings->agency, err) < 0) {
        arena_free(&arena);
        return err->code;
    }
    arena_free(&program->catalog_arena);
    program->catalog_arena = arena;
    if (memcmp(catalog->hash, action->hash, HASH_BYTES) != 0)
        return error_set(err, ERR_STOP, "the broker's catalog is not the one whose hash it names");
    return program->driver->ops->check(program->driver, err);
}

static void act_adopt(struct program *program, const struct agent_action *action)
{
    struct consequence *consequence = consequence_add(program, AGENT_EVENT_ADOPTED);
    struct error err;

    consequence->ok = adopt(program, action, &err) == 0;
    memcpy(consequence->hash, action->hash, HASH_BYTES);
    if (!consequence->ok)
        snprintf(consequence->text, sizeof consequence->text, "%s", err.text);
}

static void act_send(struct program *program, const struct agent_action *action)
{
    if (link_send(program->link, action->frame, action->length))
        return;
    for (int i = 0; i < program->consequence_count; i++)
        if (program->consequences[i].kind == AGENT_EVENT_LINK_DOWN)
            return;
    snprintf(consequence_add(program, AGENT_EVENT_LINK_DOWN)->text, sizeof program->consequences[0].text,
             "broker at %s: the connection was lost", program->settings->broker_endpoint);
}

static void keep_fed(struct program *program)
{
    struct fed *fed = malloc(sizeof *fed + program->frame_length);

    if (!fed)
        abort();
    fed->next = NULL;
    fed->length = program->frame_length;
    memcpy(fed->bytes, program->frame, program->frame_length);
    if (program->fed_last)
        program->fed_last->next = fed;
    else
        program->fed_first = fed;
    program->fed_last = fed;
}

static void act_apply(struct program *program, const struct agent_action *action)
{
    if (program->fed_first || !program->driver->ops->apply(program->driver, action->feed))
        keep_fed(program); /* at most what the credit allows */
    else
        consequence_add(program, AGENT_EVENT_TAKEN)->taken = action->size;
}

static void forget_fed(struct program *program)
{
    while (program->fed_first) {
        struct fed *fed = program->fed_first;

        program->fed_first = fed->next;
        free(fed);
    }
    program->fed_last = NULL;
}

/* Ends the loop in a moment: what was queued to the broker still goes out when the link is closed. */
static void act_stop(struct program *program, const struct agent_action *action)
{
    if (!action->ok) {
        log_write(LOG_ERROR, "%s", action->text);
        program->status = EXIT_PERSON;
    }
    notify_stopping(action->text);
    program->stopping = true;
    loop_end(program->loop);
}

static void act(struct program *program, const struct agent_action *action)
{
    struct driver *driver = program->driver;

    switch (action->kind) {
    case AGENT_ACTION_SEND:
        act_send(program, action);
        break;
    case AGENT_ACTION_ADOPT:
        act_adopt(program, action);
        break;
    case AGENT_ACTION_LOAD:
        driver->ops->load(driver, action->incarnation, action->position);
        break;
    case AGENT_ACTION_LOAD_DONE:
        driver->ops->load_done(driver, action->incarnation, action->position);
        break;
    case AGENT_ACTION_CAPTURE:
        driver->ops->capture(driver, &action->known, action->lsn, action->position);
        break;
    case AGENT_ACTION_PAUSE:
        driver->ops->pause(driver, action->yes);
        break;
    case AGENT_ACTION_ADVANCE:
        driver->ops->advance(driver, action->lsn);
        break;
    case AGENT_ACTION_APPLY:
        act_apply(program, action);
        break;
    case AGENT_ACTION_FORGET:
        forget_fed(program);
        break;
    case AGENT_ACTION_STOP:
        act_stop(program, action);
        break;
    case AGENT_ACTION_LOG:
        log_write(action->warning ? LOG_WARN : LOG_NOTE, "%s", action->text);
        break;
    }
}

static void tell_systemd(struct program *program)
{
    struct agent_status status = agent_status(program->agent);

    if (status.state == program->said)
        return;
    program->said = status.state;
    if (status.state != AGENT_STOPPED)
        notify_status("%s", status_line(&status));
}

static void step_once(struct program *program, struct agent_event event)
{
    event.now_ms = loop_monotonic_ms();
    event.time_us = loop_time_us();
    event.random = randombytes_random();
    agent_actions_reset(&program->actions);
    agent_step(program->agent, &event, &program->actions);
    for (uint32_t i = 0; i < program->actions.count; i++)
        act(program, &program->actions.list[i]);
}

/* One event, and what its actions led to at once. */
static void step(struct program *program, struct agent_event event)
{
    struct consequence now[CONSEQUENCES_MAX];
    int count;

    if (program->stopping)
        return;
    step_once(program, event);
    while (program->consequence_count > 0 && !program->stopping) {
        count = program->consequence_count;
        memcpy(now, program->consequences, (size_t)count * sizeof *now);
        program->consequence_count = 0;
        for (int i = 0; i < count && !program->stopping; i++) {
            struct agent_event next = { .kind = now[i].kind, .text = now[i].text };

            if (next.kind == AGENT_EVENT_TAKEN) {
                next.taken = now[i].taken;
            } else if (next.kind == AGENT_EVENT_ADOPTED) {
                next.ok = now[i].ok;
                next.hash = now[i].hash;
            }
            step_once(program, next);
        }
    }
    tell_systemd(program);
}

/* ---- the database ---- */

static void on_opened(void *context, const struct driver_progress *progress)
{
    struct agent_progress known = { .source = progress->source,
                                    .incarnation = progress->incarnation,
                                    .applied = progress->applied };

    memcpy(known.applied_leaf, progress->applied_leaf, HASH_BYTES);
    step(context, (struct agent_event){ .kind = AGENT_EVENT_OPENED, .progress = &known });
}

static void on_turn(void *context)
{
    struct program *program = context;

    program->turn_deferred = false;
    step(program, (struct agent_event){ .kind = AGENT_EVENT_TURN });
}

static void on_captured(void *context, const struct piece *piece)
{
    struct program *program = context;

    step(program, (struct agent_event){ .kind = AGENT_EVENT_CAPTURED, .piece = piece });
    if (program->turn_deferred)
        return;
    program->turn_deferred = true;
    loop_defer(program->loop, on_turn, program);
}

static void on_idle(void *context, uint64_t lsn)
{
    step(context, (struct agent_event){ .kind = AGENT_EVENT_IDLE, .lsn = lsn });
}

static void on_loaded(void *context, uint64_t lsn)
{
    step(context, (struct agent_event){ .kind = AGENT_EVENT_LOADED, .lsn = lsn });
}

/* Gives the driver what it had no room for. Its text was read once: it can be read again. */
static void apply_fed(struct program *program)
{
    while (program->fed_first && !program->stopping) {
        struct fed *fed = program->fed_first;
        struct message message;
        struct error err;

        arena_reset(program->message_arena);
        if (message_read(program->message_arena, fed->bytes, fed->length, &message, &err) < 0)
            abort();
        if (!program->driver->ops->apply(program->driver, &message.feed))
            return;
        program->fed_first = fed->next;
        if (!program->fed_first)
            program->fed_last = NULL;
        step(program, (struct agent_event){ .kind = AGENT_EVENT_TAKEN, .taken = fed->length });
        free(fed);
    }
}

static void on_applied(void *context, feed_position position)
{
    struct program *program = context;

    step(program, (struct agent_event){ .kind = AGENT_EVENT_APPLIED, .position = position });
    apply_fed(program);
}

static void on_failed(void *context, const struct error *err)
{
    struct program *program = context;
    enum agent_event_kind kind = err->code == ERR_RETRY ? AGENT_EVENT_CLOSED : AGENT_EVENT_FAILED;

    forget_fed(program);
    step(program, (struct agent_event){ .kind = kind, .text = err->text });
}

static void on_doubted(void *context, const struct error *err)
{
    const char *code = err->code == ERR_LOST ? "lost" : err->code == ERR_RELOAD ? "reload" : "history";

    forget_fed(context);
    step(context, (struct agent_event){ .kind = AGENT_EVENT_DOUBTED, .text = err->text, .code = code });
}

/* ---- the link ---- */

static void on_up(void *context)
{
    step(context, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
}

static void on_down(void *context, const char *text)
{
    step(context, (struct agent_event){ .kind = AGENT_EVENT_LINK_DOWN, .text = text });
}

static void on_malformed(void *context, const char *text)
{
    step(context, (struct agent_event){ .kind = AGENT_EVENT_MALFORMED, .text = text });
}

static void on_frame(void *context, const void *bytes, size_t length)
{
    struct program *program = context;
    struct agent_event event = { .kind = AGENT_EVENT_MESSAGE };
    struct message message;
    struct error err;

    arena_reset(program->message_arena);
    if (message_read(program->message_arena, bytes, length, &message, &err) < 0) {
        on_malformed(program, err.text);
        return;
    }
    event.message = &message;
    event.size = length;
    program->frame = bytes;
    program->frame_length = length;
    step(program, event);
}

/* ---- running ---- */

static void on_tick(void *context)
{
    notify_watchdog(); /* whoever waits for the world is well; whoever is stuck does not tick */
    step(context, (struct agent_event){ .kind = AGENT_EVENT_TICK });
}

static void on_stop(void *context)
{
    step(context, (struct agent_event){ .kind = AGENT_EVENT_STOP, .text = "the agent was stopped" });
}

static void on_reload(void *context)
{
    (void)context;
    notify_reloading();
    log_write(LOG_NOTE, "settings and mapping are read when the agent starts: restart it to have them take effect");
    notify_ready("running");
}

static void close_all(struct program *program)
{
    if (program->driver)
        program->driver->ops->close(&program->driver);
    link_close(&program->link);
    control_close(&program->control);
    loop_remove(&program->tick);
    forget_fed(program);
    agent_free(&program->agent);
    agent_actions_free(&program->actions);
    arena_free(&program->catalog_arena);
    arena_free(&program->message_arena);
    arena_free(&program->arena);
    loop_free(&program->loop);
}

static int open_link(struct program *program, struct error *err)
{
    const struct link_sink sink = { program, on_up, on_down, on_frame, on_malformed };
    struct key key;
    int code;

    if (key_read(program->settings->key, &key, err) < 0)
        return error_wrap(err, "agent/key");
    code = link_open(program->loop, program->settings->broker_endpoint, &key, program->settings->broker_key, &sink,
                     &program->link, err);
    key_wipe(&key);
    return code;
}

static int start(struct program *program, struct error *err)
{
    const struct driver_sink sink = { .context = program,
                                      .opened = on_opened,
                                      .captured = on_captured,
                                      .idle = on_idle,
                                      .loaded = on_loaded,
                                      .applied = on_applied,
                                      .failed = on_failed,
                                      .doubted = on_doubted };
    const struct mapping *mapping = &program->settings->mapping;
    struct agent_options options = { .agency = program->settings->agency,
                                     .software = SOFTWARE,
                                     .blocks = mapping_declare(program->arena, mapping),
                                     .block_count = mapping->block_count };

    program->loop = loop_new();
    program->message_arena = arena_new();
    program->agent = agent_new(&options);
    loop_on_stop(program->loop, on_stop, program);
    loop_on_reload(program->loop, on_reload, program);
    if (open_link(program, err) < 0 || control_open(program->loop, program->settings->control, requests_handle,
                                                    &program->requests, &program->control, err) < 0)
        return err->code;
    program->driver_options = agent_driver_options(program->settings);
    program->driver =
        program->settings->driver->open(program->loop, &program->driver_options, &program->settings->mapping, &sink);
    program->requests = (struct requests){ program->settings->agency, program->agent, program->driver };
    program->tick = loop_timer(program->loop, TICK_MS, false, on_tick, program);
    return 0;
}

int agent_run(struct agent_settings *settings)
{
    struct program program = { .settings = settings, .arena = arena_new(), .said = AGENT_STATE_COUNT };
    struct error err;

    if (start(&program, &err) < 0) {
        log_write(LOG_ERROR, "%s", err.text);
        program.status = EXIT_FAILURE;
    } else {
        log_write(LOG_NOTE, SOFTWARE " for agency %s", settings->agency);
        notify_ready("starting");
        loop_run(program.loop);
    }
    close_all(&program);
    return program.status;
}
