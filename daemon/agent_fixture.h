/* agent_fixture.h: agents that a test speaks for, and what they are told. */
#ifndef SELARAS_AGENT_FIXTURE_H
#define SELARAS_AGENT_FIXTURE_H

#include "daemon/broker_fixture.h"

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
    const char *system; /* NULL: the usual one */
    struct fence fence; /* its newest row: what hello names */
    int errors_seen;    /* by assert_error */
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

/* Fails unless an error has come since the last call, and the newest is this one. */
static inline void assert_error(struct agent *agent, const char *code)
{
    const struct message *error = last_sent(agent, MESSAGE_ERROR);
    int count = count_sent(agent, MESSAGE_ERROR);

    if (count <= agent->errors_seen)
        fail_msg("no error came where %s was expected", code);
    agent->errors_seen = count;
    if (!same_text(error->error.code, said(code)))
        fail_msg("error %.*s (%.*s) where %s was expected", (int)error->error.code.length, error->error.code.bytes,
                 (int)error->error.text.length, error->error.text.bytes, code);
}

static inline void say_hello(struct agent *agent)
{
    struct message message = { .kind = MESSAGE_HELLO };

    message.hello = (struct hello){
        .version = PROTOCOL_VERSION,
        .software = said("test"),
        .incarnation = agent->incarnation,
        .source = { .system = said(agent->system ? agent->system : "7301"), .timeline = 1, .fence = agent->fence },
        .blocks = agent->blocks,
        .block_count = agent->block_count,
        .applied = agent->applied,
        .credit = agent->credit
    };
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

static inline void resume(struct world *world, const char *name, const char *ground)
{
    struct broker_event event = { .kind = BROKER_EVENT_RESUME };

    event.name = name;
    event.ground = ground;
    event.user = "root";
    act(world, &event);
}

static inline void reload(struct world *world, const char *name, const char *ground)
{
    struct broker_event event = { .kind = BROKER_EVENT_RELOAD };

    event.name = name;
    event.ground = ground;
    event.user = "root";
    act(world, &event);
}

static inline void set_mode(struct world *world, const char *name, const char *table, enum agency_mode mode)
{
    struct broker_event event = { .kind = BROKER_EVENT_MODE };

    event.name = name;
    event.table = table;
    event.mode = mode;
    event.ground = "SK 1/2026";
    event.user = "root";
    act(world, &event);
}

/* An enrolled agent that has not said hello, in mode full. */
static inline struct agent agent_new(struct world *world, const char *name, const char *key)
{
    struct agent agent = { .world = world, .credit = 1 << 20 };

    agent.id = (uint16_t)(world->state.agency_count + 1);
    agent.route = (struct route){ .length = 1, .bytes = { (uint8_t)agent.id } };
    agent.blocks[0] = block_of(world, "people", world->catalog->types[0].name, key);
    agent.block_count = 1;
    enrol(world, name, (uint8_t)name[0]);
    set_mode(world, name, "", MODE_FULL);
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

/* The newest entry of a change: those of a hold, or of what a deleted record gives up, stand behind it. */
static inline const struct entry_row *last_change(const struct world *world)
{
    const struct entry_row *row = last_entry(world);

    while (row->entry.kind != ENTRY_CHANGE)
        row--;
    return row;
}

/* The verdict on a field in an entry; VERDICT_NONE when it has none. */
static inline enum verdict verdict_in(const struct entry_row *row, const char *field)
{
    for (uint16_t i = 0; i < row->entry.field_count; i++)
        if (same_text(row->entry.fields[i].name, said(field)))
            return row->entry.fields[i].verdict;
    return VERDICT_NONE;
}

static inline const char *long_text(struct world *world, size_t length)
{
    char *text = arena_alloc(world->arena, length + 1);

    memset(text, 'x', length);
    return text;
}

/* The insert of a row whose key and identifier are this number. */
static inline struct change numbered(struct agent *agent, uint32_t number, const char *name)
{
    const char *key = arena_printf(agent->world->arena, "%u", number);

    return name ? change_of(agent, OPERATION_INSERT, key, "nik", key, "name", name, NULL)
                : change_of(agent, OPERATION_INSERT, key, "nik", key, NULL);
}

/* The rows 1 to `count`, inserted in one transaction of several parts. */
static inline void insert_many(struct agent *agent, uint32_t count)
{
    enum { PART = 2000 }; /* so many fit into a frame */
    struct change *changes = arena_array(agent->world->arena, count, sizeof *changes);

    agent->lsn += 10;
    for (uint32_t i = 0; i < count; i++)
        changes[i] = numbered(agent, i + 1, NULL);
    for (uint32_t i = 0; i < count; i += PART)
        say_piece(agent, (struct piece){ .lsn = agent->lsn,
                                         .first = i,
                                         .final = i + PART >= count,
                                         .base = agent->base,
                                         .changes = changes + i,
                                         .change_count = count - i < PART ? count - i : PART });
}

static inline void say_changes(struct agent *agent, struct change *changes, uint32_t count)
{
    agent->lsn += 10;
    say_piece(agent,
              (struct piece){
                  .lsn = agent->lsn, .final = true, .base = agent->base, .changes = changes, .change_count = count });
}

/* An update that gives the row `from` the key `to`; `identifies`: the key is its identifier, which changes with it. */
static inline struct change moved(struct agent *agent, const char *from, const char *to, bool identifies,
                                  const char *name)
{
    struct change move = change_new(agent, OPERATION_UPDATE, "people", to);

    move.old_key = said(from);
    if (identifies)
        set_field(&move, "nik", to);
    if (name)
        set_field(&move, "name", name);
    seal(agent, &move);
    return move;
}

/* Fails when the last error is not this one, or when there have been more or fewer than `count`. */
static inline void assert_errors(struct agent *agent, int count, const char *code)
{
    assert_int_equal(count_sent(agent, MESSAGE_ERROR), count);
    assert_error(agent, code);
}

static inline void assert_canonical(const struct world *world, uint64_t record, int field, const char *value)
{
    assert_string_equal(canonical_value(world, record, field), value);
}

#endif
