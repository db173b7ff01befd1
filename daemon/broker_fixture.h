/* broker_fixture.h: the broker's core on a store in memory. */
#ifndef SELARAS_BROKER_FIXTURE_H
#define SELARAS_BROKER_FIXTURE_H

#include "daemon/store_fixture.h"

#include <stdarg.h>

/* ---- events and actions ---- */

static inline void take_send(struct world *world, const struct broker_action *action)
{
    struct sent_frame *frame;
    struct error err;
    struct text copy = kept(world, action->frame);

    if (world->frame_count == FRAMES_MAX)
        return;
    frame = &world->frames[world->frame_count++];
    frame->route = action->route;
    if (message_read(world->arena, copy.bytes, copy.length, &frame->message, &err) < 0) {
        fprintf(stderr, "the broker sent what no agent can read: %s\n", err.text);
        abort();
    }
}

static inline void take_actions(struct world *world)
{
    for (size_t i = 0; i < world->actions.count; i++) {
        const struct broker_action *action = &world->actions.actions[i];

        switch (action->kind) {
        case BROKER_ACTION_SEND:
            take_send(world, action);
            break;
        case BROKER_ACTION_LOOKUP:
        case BROKER_ACTION_STORE:
            world->batch = action->batch;
            world->storing = action->kind == BROKER_ACTION_STORE;
            break;
        case BROKER_ACTION_SCAN:
            assert_true(world->scan_count < SCANS_MAX);
            world->scans[world->scan_count++] = action->scan;
            break;
        case BROKER_ACTION_ANSWER:
            world->answer_count++;
            world->answer_ok = action->ok;
            world->previewed = action->preview;
            break;
        case BROKER_ACTION_STOP:
            world->stopped = true;
            break;
        case BROKER_ACTION_LOG:
            world->said_type = action->type;
            world->said_position = action->position;
            if (getenv("TELL"))
                printf("    log %s: %s\n", action->agency ? action->agency : "-", action->text);
            break;
        default:
            break;
        }
    }
}

static inline void step(struct world *world, struct broker_event *event)
{
    event->now_us = NOW_US + world->now_ms * 1000;
    event->monotonic_ms = world->now_ms;
    broker_step(world->broker, event, &world->actions);
    take_actions(world);
}

/* The store answers the batch in flight. */
static inline void answer_batch(struct world *world)
{
    struct batch *batch = world->batch;

    world->batch = NULL;
    if (is_refused(world, batch)) {
        world->refusal_count++;
        roll_back(world);
        step(world, &(struct broker_event){
                        .kind = BROKER_EVENT_REFUSED, .batch = batch, .why = "PostgreSQL 23514: a constraint" });
    } else if (world->storing) {
        keep_batch(world, batch);
        step(world, &(struct broker_event){ .kind = BROKER_EVENT_STORED, .batch = batch });
    } else {
        world->lookup_count++;
        store_find(world, batch);
        step(world, &(struct broker_event){ .kind = BROKER_EVENT_FOUND, .batch = batch });
    }
}

static inline void answer_scan(struct world *world)
{
    struct scan *scan = world->scans[--world->scan_count];

    world->scan_total++;
    store_scan_entries(world, scan);
    step(world, &(struct broker_event){ .kind = BROKER_EVENT_SCANNED, .scan = scan });
}

/* The store answers until nothing is left to do. */
static inline void settle(struct world *world)
{
    while (world->batch || world->scan_count > 0)
        if (world->batch)
            answer_batch(world);
        else
            answer_scan(world);
}

static inline void act(struct world *world, struct broker_event *event)
{
    step(world, event);
    if (!world->held)
        settle(world);
}

static inline void pass(struct world *world, int64_t ms)
{
    world->now_ms += ms;
    act(world, &(struct broker_event){ .kind = BROKER_EVENT_TICK });
}

static inline void world_start(struct world *world)
{
    struct debt *debts = arena_array(world->arena, world->debt_count, sizeof *debts);
    struct error err;

    struct hold_row *holds = arena_array(world->arena, world->hold_count, sizeof *holds);

    world->state.agencies = world->agencies;
    world->state.holds = holds;
    world->state.hold_count = 0;
    world->state.next_hold = world->hold_count + 1;
    for (uint32_t i = 0; i < world->hold_count; i++)
        if (!world->holds[i].closed) {
            holds[world->state.hold_count] = world->holds[i];
            holds[world->state.hold_count].changes = 0;
            for (uint32_t h = 0; h < world->held_count; h++)
                holds[world->state.hold_count].changes +=
                    world->helds[h].hold == world->holds[i].number && !world->helds[h].how;
            world->state.hold_count++;
        }
    world->state.uses = world->uses;
    world->state.use_count = world->use_count;
    world->state.debts = debts;
    world->state.debt_count = 0;
    for (uint32_t i = 0; i < world->debt_count; i++)
        if (!world->debts[i].settled)
            debts[world->state.debt_count++] = world->debts[i].debt;
    world->state.altered = arena_array(world->arena, world->altered_count, sizeof *world->state.altered);
    world->state.altered_count = 0;
    for (uint32_t i = 0; i < world->altered_count; i++)
        if (altered_stands(world, i))
            world->state.altered[world->state.altered_count++] = world->altered[i];
    if (broker_new(&world->options, world->catalog, world->catalog_text, &world->state, &world->broker, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    act(world, &(struct broker_event){ .kind = BROKER_EVENT_TICK });
}

/* The core is dropped as main.c drops it, with whatever was in flight. */
static inline void world_drop(struct world *world)
{
    struct arena *arena = world->batch ? world->batch->arena : NULL;

    roll_back(world);
    broker_free(&world->broker);
    arena_free(&arena);
    world->batch = NULL;
    while (world->scan_count > 0) {
        arena = world->scans[--world->scan_count]->arena;
        arena_free(&arena);
    }
}

static inline struct world *world_new(const char *catalog_text)
{
    struct world *world = calloc(1, sizeof *world);
    struct error err;

    assert_non_null(world);
    world->arena = arena_new();
    world->catalog_text = (struct text){ catalog_text, (uint32_t)strlen(catalog_text) };
    if (catalog_build(world->arena, tree_fixture(world->arena, catalog_text), catalog_text, strlen(catalog_text),
                      &world->catalog, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    world->options = (struct broker_options){ .window_bytes = 1 << 20,
                                              .total_bytes = 64 << 20,
                                              .stage_bytes = 8 << 20,
                                              .batch_changes = 100,
                                              .feed_items = 50,
                                              .cache_bytes = 1 << 16 };
    world->now_ms = 1000;
    world_start(world);
    return world;
}

static inline void world_free(struct world **world)
{
    world_drop(*world);
    free((*world)->actions.actions);
    arena_free(&(*world)->arena);
    free(*world);
    *world = NULL;
}

#endif
