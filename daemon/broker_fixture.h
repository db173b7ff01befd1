/* broker_fixture.h: the broker's core on a store in memory, and agents that a test speaks for. */
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
            break;
        case BROKER_ACTION_LOG:
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
    if (world->storing) {
        keep_batch(world, batch);
        step(world, &(struct broker_event){ .kind = BROKER_EVENT_STORED, .batch = batch });
    } else {
        store_find(world, batch);
        step(world, &(struct broker_event){ .kind = BROKER_EVENT_FOUND, .batch = batch });
    }
}

static inline void answer_scan(struct world *world)
{
    struct scan *scan = world->scans[--world->scan_count];

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

    world->state.agencies = world->agencies;
    world->state.debts = debts;
    world->state.debt_count = 0;
    for (uint32_t i = 0; i < world->debt_count; i++)
        if (!world->debts[i].settled)
            debts[world->state.debt_count++] = world->debts[i].debt;
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
    world->options = (struct broker_options){
        .window_bytes = 1 << 20, .stage_bytes = 8 << 20, .batch_changes = 100, .feed_items = 50
    };
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

/* ---- agents ---- */

struct agent {
    struct world *world;
    uint16_t id;
    struct route route;
    struct block blocks[2];
    uint16_t block_count;
    uint32_t incarnation;
    uint64_t session, number, lsn;
    feed_position base, applied;
    uint8_t leaf[HASH_BYTES];
    uint64_t credit;
    struct fence fence; /* its newest row: what hello names */
};

static inline struct text said(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

/* A block with every field of the type; `key` NULL: a generated key. */
static inline struct block block_of(struct world *world, const char *name, const char *type_name, const char *key)
{
    const struct catalog_type *type =
        &world->catalog->types[catalog_type(world->catalog, type_name, strlen(type_name))];
    struct block block = {
        .name = said(name), .type = said(type_name), .generated = !key, .insert = true, .delete = DELETE_ROW
    };

    block.fields = arena_array(world->arena, type->field_count, sizeof *block.fields);
    for (uint16_t i = 0; i < type->field_count; i++)
        block.fields[block.field_count++] = said(type->fields[i].name);
    if (key)
        block.key_fields[block.key_field_count++] = said(key);
    return block;
}

/* Hands over a message as it is. */
static inline void deliver(struct agent *agent, const struct message *message)
{
    struct broker_event event = { .kind = BROKER_EVENT_FRAME };
    struct buffer packed = { 0 };

    message_pack(message, &packed);
    event.agency = agent->id;
    event.route = agent->route;
    event.frame = packed.bytes;
    event.length = packed.length;
    step(agent->world, &event);
    buffer_free(&packed); /* the core has copied what it keeps */
    if (!agent->world->held)
        settle(agent->world);
}

/* The next message of the session. */
static inline void say(struct agent *agent, struct message message)
{
    message.session = agent->session;
    message.number = ++agent->number;
    deliver(agent, &message);
}

static inline bool goes_to(const struct sent_frame *frame, const struct agent *agent)
{
    return frame->route.length == agent->route.length &&
           memcmp(frame->route.bytes, agent->route.bytes, frame->route.length) == 0;
}

/* The last message of this kind that was sent to the agent; of kind none when there is none. */
static inline const struct message *last_sent(const struct agent *agent, enum message_kind kind)
{
    static const struct message none;

    for (int i = agent->world->frame_count - 1; i >= 0; i--)
        if (agent->world->frames[i].message.kind == kind && goes_to(&agent->world->frames[i], agent))
            return &agent->world->frames[i].message;
    return &none;
}

static inline int count_sent(const struct agent *agent, enum message_kind kind)
{
    int count = 0;

    for (int i = 0; i < agent->world->frame_count; i++)
        count += agent->world->frames[i].message.kind == kind && goes_to(&agent->world->frames[i], agent);
    return count;
}

static inline void assert_error(const struct agent *agent, const char *code)
{
    const struct message *error = last_sent(agent, MESSAGE_ERROR);

    assert_int_equal(error->kind, MESSAGE_ERROR);
    if (!same_text(error->error.code, said(code)))
        fail_msg("error %.*s (%.*s) where %s was expected", (int)error->error.code.length, error->error.code.bytes,
                 (int)error->error.text.length, error->error.text.bytes, code);
}

static inline void say_hello(struct agent *agent)
{
    struct message message = { .kind = MESSAGE_HELLO };

    message.hello = (struct hello){ .version = PROTOCOL_VERSION,
                                    .software = said("test"),
                                    .incarnation = agent->incarnation,
                                    .source = { .system = said("7301"), .timeline = 1, .fence = agent->fence },
                                    .blocks = agent->blocks,
                                    .block_count = agent->block_count,
                                    .applied = agent->applied,
                                    .credit = agent->credit };
    memcpy(message.hello.applied_leaf, agent->leaf, HASH_BYTES);
    deliver(agent, &message);
}

/* Takes over what welcome says; the newest one must be of a new session. */
static inline void take_welcome(struct agent *agent)
{
    const struct message *welcome = last_sent(agent, MESSAGE_WELCOME);

    assert_true(welcome->session > agent->session);
    agent->session = welcome->session;
    agent->number = 0;
    agent->incarnation = welcome->welcome.incarnation;
    agent->lsn = welcome->welcome.lsn;
    if (welcome->welcome.load)
        agent->base = agent->applied = welcome->welcome.load;
}

static inline void greet(struct agent *agent)
{
    say_hello(agent);
    take_welcome(agent);
}

static inline struct change change_new(struct agent *agent, enum operation operation, const char *block,
                                       const char *key)
{
    struct change change = { .operation = operation, .block = said(block), .key = said(key) };

    change.fields = arena_array(agent->world->arena, CATALOG_FIELDS_MAX, sizeof *change.fields);
    return change;
}

static inline void set_field(struct change *change, const char *name, const char *value)
{
    struct change_field *field = &change->fields[change->field_count++];

    field->name = said(name);
    field->value = value ? value_text(value) : value_null();
    if (change->operation == OPERATION_DELETE) {
        field->old = field->value;
        field->value = (struct value){ 0 };
    }
}

static inline void seal(struct agent *agent, struct change *change)
{
    change_encode(agent->world->arena, change);
    memset(change->salt, 7, sizeof change->salt);
    commitment_make(change->salt, change->content.bytes, change->content.length, change->commitment);
}

/* One change as one transaction. `...` are pairs of field and value, NULL at the end; a value "" is NULL. */
static inline struct change change_of(struct agent *agent, enum operation operation, const char *key, ...)
{
    struct change change = change_new(agent, operation, "people", key);
    va_list arguments;
    const char *name;

    va_start(arguments, key);
    while ((name = va_arg(arguments, const char *))) {
        const char *value = va_arg(arguments, const char *);

        set_field(&change, name, value[0] ? value : NULL);
    }
    va_end(arguments);
    seal(agent, &change);
    return change;
}

static inline void say_piece(struct agent *agent, struct piece piece)
{
    struct message message = { .kind = MESSAGE_CHANGES };

    message.changes = (struct changes){ .pieces = &piece, .piece_count = 1 };
    if (piece.fence.seq > agent->fence.seq)
        agent->fence = piece.fence;
    say(agent, message);
}

static inline void say_change(struct agent *agent, struct change change)
{
    agent->lsn += 10;
    say_piece(
        agent,
        (struct piece){ .lsn = agent->lsn, .final = true, .base = agent->base, .changes = &change, .change_count = 1 });
}

static inline void say_report(struct agent *agent, enum report_kind kind, uint64_t record, feed_position position,
                              const char *text)
{
    struct report report = {
        .kind = kind, .record = record, .position = position, .block = said("people"), .text = said(text)
    };

    agent->lsn += 10;
    say_piece(
        agent,
        (struct piece){ .lsn = agent->lsn, .final = true, .base = agent->base, .reports = &report, .report_count = 1 });
}

/* The end of a load without rows. */
static inline void say_load_end(struct agent *agent)
{
    agent->lsn = 100;
    say_piece(agent, (struct piece){ .lsn = agent->lsn, .final = true, .base = agent->base });
}

static inline void enrol(struct world *world, const char *name, uint8_t key)
{
    uint8_t bytes[32];
    struct broker_event event = { .kind = BROKER_EVENT_ENROL };

    memset(bytes, key, sizeof bytes);
    event.name = name;
    event.key = bytes;
    event.user = "root";
    act(world, &event);
}

static inline void revoke(struct world *world, const char *name)
{
    struct broker_event event = { .kind = BROKER_EVENT_REVOKE };

    event.name = name;
    event.user = "root";
    act(world, &event);
}

/* An enrolled agent that has not said hello. */
static inline struct agent agent_new(struct world *world, const char *name, const char *key)
{
    struct agent agent = { .world = world, .credit = 1 << 20 };

    agent.id = (uint16_t)(world->state.agency_count + 1);
    agent.route = (struct route){ .length = 1, .bytes = { (uint8_t)agent.id } };
    agent.blocks[0] = block_of(world, "people", world->catalog->types[0].name, key);
    agent.block_count = 1;
    enrol(world, name, (uint8_t)name[0]);
    return agent;
}

/* An agent that has loaded nothing and is in step. */
static inline struct agent agent_join(struct world *world, const char *name, const char *key)
{
    struct agent agent = agent_new(world, name, key);

    greet(&agent);
    say_load_end(&agent);
    return agent;
}

static inline const struct agency_row *row_of(const struct agent *agent)
{
    return &agent->world->agencies[agent->id - 1];
}

/* The agent applies everything that it was fed, and its stream shows that. */
static inline void apply(struct agent *agent)
{
    for (int i = 0; i < agent->world->frame_count; i++) {
        const struct message *message = &agent->world->frames[i].message;

        if (message->kind != MESSAGE_FEED || message->session != agent->session ||
            !goes_to(&agent->world->frames[i], agent) || !message->feed.final ||
            message->feed.position <= agent->applied)
            continue;
        agent->applied = agent->base = message->feed.position;
        memcpy(agent->leaf, message->feed.leaf, HASH_BYTES);
    }
}

/* The newest item that was fed to the agent about this record, or one of record 0. */
static inline const struct item *last_item(const struct agent *agent, uint64_t record)
{
    static const struct item none;

    for (int i = agent->world->frame_count - 1; i >= 0; i--) {
        const struct feed *feed = &agent->world->frames[i].message.feed;

        if (agent->world->frames[i].message.kind != MESSAGE_FEED || !goes_to(&agent->world->frames[i], agent))
            continue;
        for (uint32_t at = feed->item_count; at > 0; at--)
            if (feed->items[at - 1].record == record)
                return &feed->items[at - 1];
    }
    return &none;
}

static inline const char *item_value(const struct item *item, const char *field)
{
    static char copy[512];

    for (uint16_t i = 0; i < item->field_count; i++)
        if (same_text(item->fields[i].name, said(field))) {
            snprintf(copy, sizeof copy, "%.*s", (int)item->fields[i].value.length,
                     item->fields[i].value.state == VALUE_SET ? item->fields[i].value.bytes : "");
            return item->fields[i].value.state == VALUE_SET ? copy : "(null)";
        }
    return "(absent)";
}

/* The canonical value of a field of a record of the first type. */
static inline const char *canonical_value(const struct world *world, uint64_t number, int field)
{
    static char copy[512];
    const struct stored_record *stored = store_record((struct world *)(uintptr_t)world, number);

    if (!stored || stored->values[field].state != VALUE_SET)
        return "(null)";
    snprintf(copy, sizeof copy, "%.*s", (int)stored->values[field].length, stored->values[field].bytes);
    return copy;
}

static inline const struct entry_row *last_entry(const struct world *world)
{
    return &world->entries[world->entry_count - 1];
}

/* The verdict on a field in an entry; VERDICT_NONE when it has none. */
static inline enum verdict verdict_in(const struct entry_row *row, const char *field)
{
    for (uint16_t i = 0; i < row->entry.field_count; i++)
        if (same_text(row->entry.fields[i].name, said(field)))
            return row->entry.fields[i].verdict;
    return VERDICT_NONE;
}

#endif
