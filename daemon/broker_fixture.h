/* broker_fixture.h: the broker's core with a store in memory and agents that a test speaks for.
 *
 * The store keeps what was written as PostgreSQL would (records packed, links and debts as rows) and answers from nothing else,
 * so that a core that is started anew knows what a broker that is started anew knows. */
#ifndef SELARAS_BROKER_FIXTURE_H
#define SELARAS_BROKER_FIXTURE_H

#include "daemon/broker.h"
#include "daemon/reconcile_fixture.h"

#include <stdarg.h>

enum { ROWS_MAX = 20000, FRAMES_MAX = 40000, WORLD_PEERS_MAX = 8, SCANS_MAX = 8, NOW_US = 1700000000 };

struct stored_record {
    const struct catalog_type *type;
    uint64_t number;
    bool exists;
    struct value *values;
    struct text meta;
};

struct stored_debt {
    struct debt debt;
    bool settled;
};

struct sent_frame {
    struct route route;
    struct message message;
};

struct world {
    struct arena *arena; /* everything the store has */
    const struct catalog *catalog;
    struct text catalog_text;
    struct broker_options options;
    struct broker *broker;
    struct broker_actions actions;
    int64_t now_ms;

    bool held; /* the store does not answer */
    struct batch *batch;
    bool storing; /* else it is being looked up */
    struct scan *scans[SCANS_MAX];
    int scan_count;
    int batch_count; /* committed */

    struct ledger_state state;
    struct agency_row agencies[WORLD_PEERS_MAX];
    struct stored_record records[ROWS_MAX];
    uint32_t record_count;
    struct link links[ROWS_MAX];
    uint32_t link_count;
    struct stored_debt debts[ROWS_MAX];
    uint32_t debt_count;
    struct entry_row entries[ROWS_MAX];
    uint32_t entry_count;

    struct sent_frame frames[FRAMES_MAX];
    int frame_count;
    int answer_count;
    bool answer_ok;
};

/* ---- the store ---- */

static inline struct text kept(struct world *world, struct text text)
{
    return (struct text){ arena_copy(world->arena, text.bytes, text.length), text.length };
}

static inline bool same_text(struct text left, struct text right)
{
    return left.length == right.length && memcmp(left.bytes, right.bytes, left.length) == 0;
}

static inline bool is_found(const struct found *found, uint64_t number)
{
    for (uint32_t i = 0; i < found->record_count; i++)
        if (found->records[i]->number == number)
            return true;
    return false;
}

static inline void find_record(struct world *world, struct batch *batch, const struct stored_record *stored)
{
    struct canonical *record = canonical_new(batch->arena, stored->type, stored->number);
    struct error err;

    if (is_found(&batch->found, stored->number))
        return;
    record->exists = stored->exists;
    memcpy(record->values, stored->values, stored->type->field_count * sizeof *record->values);
    if (canonical_meta_read(batch->arena, stored->meta.bytes, stored->meta.length, batch->ids, record, &err) < 0)
        abort();
    batch->found.records[batch->found.record_count++] = record;
    (void)world;
}

static inline bool is_wanted(const struct world *world, const struct batch *batch, const struct stored_record *stored)
{
    uint16_t type = (uint16_t)(stored->type - world->catalog->types);

    for (uint32_t i = 0; i < batch->wanted.record_count; i++)
        if (batch->wanted.records[i].type == type && batch->wanted.records[i].number == stored->number)
            return true;
    for (uint32_t i = 0; i < batch->wanted.identifier_count; i++)
        if (batch->wanted.identifiers[i].type == type && stored->type->fields[batch->wanted.identifiers[i].field].identifier &&
            value_equal(stored->values[batch->wanted.identifiers[i].field], batch->wanted.identifiers[i].value))
            return true;
    for (uint32_t i = 0; i < batch->found.key_count; i++)
        if (batch->found.keys[i].record == stored->number)
            return true;
    return false;
}

static inline bool has_link(const struct world *world, uint64_t record, uint16_t agency, struct text block)
{
    for (uint32_t i = 0; i < world->link_count; i++)
        if (world->links[i].record == record && world->links[i].agency == agency && world->links[i].until == 0 &&
            same_text(world->links[i].block, block))
            return true;
    return false;
}

static inline void find_fill(struct world *world, struct batch *batch)
{
    const struct wanted_fill *fill = &batch->wanted.fill;
    uint32_t count = 0;

    for (uint32_t i = 0; i < world->record_count && count < fill->limit; i++) {
        const struct stored_record *stored = &world->records[i];

        if (stored->type != &world->catalog->types[fill->type] || !stored->exists || stored->number <= fill->after ||
            has_link(world, stored->number, fill->agency, fill->block))
            continue;
        find_record(world, batch, stored);
        count++;
    }
}

static inline void store_find(struct world *world, struct batch *batch)
{
    struct found *found = &batch->found;

    found->keys = arena_array(batch->arena, world->link_count, sizeof *found->keys);
    found->links = arena_array(batch->arena, world->link_count, sizeof *found->links);
    found->records = arena_array(batch->arena, world->record_count, sizeof(struct canonical *));
    for (uint32_t i = 0; i < world->link_count; i++)
        for (uint32_t k = 0; k < batch->wanted.key_count; k++)
            if (world->links[i].agency == batch->wanted.keys[k].agency &&
                same_text(world->links[i].block, batch->wanted.keys[k].block) &&
                same_text(world->links[i].key, batch->wanted.keys[k].key)) {
                found->keys[found->key_count++] = world->links[i];
                break;
            }
    for (uint32_t i = 0; i < world->record_count; i++)
        if (is_wanted(world, batch, &world->records[i]))
            find_record(world, batch, &world->records[i]);
    for (uint32_t i = 0; batch->wanted.links && i < world->link_count; i++)
        if (is_found(found, world->links[i].record))
            found->links[found->link_count++] = world->links[i];
    if (batch->wanted.fill.limit > 0)
        find_fill(world, batch);
    for (uint32_t i = 0; i < world->entry_count; i++)
        if (world->entries[i].entry.position == batch->wanted.leaf) {
            found->leaf_known = true;
            leaf_hash(world->entries[i].leaf.bytes, world->entries[i].leaf.length, found->leaf);
        }
}

static inline struct stored_record *store_record(struct world *world, uint64_t number)
{
    for (uint32_t i = 0; i < world->record_count; i++)
        if (world->records[i].number == number)
            return &world->records[i];
    return NULL;
}

static inline void keep_record(struct world *world, const struct batch *batch, const struct canonical *record)
{
    struct stored_record *stored = store_record(world, record->number);
    struct buffer packed = { 0 };

    if (!stored) {
        assert_true(world->record_count < ROWS_MAX);
        stored = &world->records[world->record_count++];
    }
    canonical_meta_pack(record, batch->ids, &packed);
    *stored = (struct stored_record){ .type = record->type, .number = record->number, .exists = record->exists };
    stored->values = arena_array(world->arena, record->type->field_count, sizeof *stored->values);
    for (uint16_t i = 0; i < record->type->field_count; i++) {
        stored->values[i] = record->values[i];
        if (stored->values[i].state == VALUE_SET)
            stored->values[i].bytes = arena_copy(world->arena, record->values[i].bytes, record->values[i].length);
    }
    stored->meta = kept(world, (struct text){ packed.bytes, (uint32_t)packed.length });
    buffer_free(&packed);
}

static inline struct link *link_row(struct world *world, const struct link *link)
{
    for (uint32_t i = 0; i < world->link_count; i++)
        if (world->links[i].agency == link->agency && same_text(world->links[i].block, link->block) &&
            same_text(world->links[i].key, link->key) && world->links[i].since == link->since)
            return &world->links[i];
    return NULL;
}

static inline void keep_links(struct world *world, const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->link_count; i++) {
        struct link *row = link_row(world, &writes->links[i].link);

        if (writes->links[i].write == LINK_REMOVE && row && row->record == writes->links[i].link.record)
            *row = world->links[--world->link_count];
    }
    for (uint32_t i = 0; i < writes->link_count; i++) {
        const struct link *link = &writes->links[i].link;
        struct link *row = link_row(world, link);

        if (writes->links[i].write == LINK_REMOVE)
            continue;
        for (uint32_t j = 0; j < i; j++) /* ON CONFLICT DO UPDATE cannot affect a row a second time */
            assert_false(writes->links[j].write != LINK_REMOVE && writes->links[j].link.agency == link->agency &&
                         same_text(writes->links[j].link.block, link->block) && same_text(writes->links[j].link.key, link->key) &&
                         writes->links[j].link.since == link->since);
        if (!row)
            row = &world->links[world->link_count++];
        *row = *link;
        row->block = kept(world, link->block);
        row->key = kept(world, link->key);
    }
}

static inline void keep_debts(struct world *world, const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->debt_count; i++)
        world->debts[world->debt_count++] = (struct stored_debt){ .debt = writes->debts[i] };
    for (uint32_t i = 0; i < writes->settled_count; i++)
        for (uint32_t j = 0; j < world->debt_count; j++)
            if (world->debts[j].debt.agency == writes->settled[i].agency &&
                world->debts[j].debt.record == writes->settled[i].record && world->debts[j].debt.kind == writes->settled[i].kind)
                world->debts[j].settled = true;
}

static inline void keep_agency(struct world *world, const struct agency_write *write)
{
    struct agency_row *row = NULL;
    struct text blocks = { 0 };

    for (uint32_t i = 0; i < world->state.agency_count; i++)
        if (world->agencies[i].id == write->row.id)
            row = &world->agencies[i];
    assert_int_equal(write->create, row == NULL);
    if (!row)
        row = &world->agencies[world->state.agency_count++];
    assert_int_equal(row->session, write->old_session);
    assert_int_equal(row->lsn, write->old_lsn);
    assert_int_equal(row->load_number, write->old_load_number);
    assert_int_equal(row->incarnation, write->old_incarnation);
    blocks = write->blocks ? kept(world, write->row.blocks) : row->blocks;
    *row = write->row;
    row->blocks = blocks;
    for (uint32_t i = 0; write->reset && i < world->link_count;)
        if (world->links[i].agency == row->id)
            world->links[i] = world->links[--world->link_count];
        else
            i++;
    for (uint32_t i = 0; write->reset && i < world->debt_count; i++)
        world->debts[i].settled = world->debts[i].settled || world->debts[i].debt.agency == row->id;
}

static inline void keep_batch(struct world *world, const struct batch *batch)
{
    const struct writes *writes = &batch->writes;

    assert_int_equal(writes->old_head, world->state.head); /* compare-and-set */
    for (uint32_t i = 0; i < writes->entry_count; i++) {
        struct entry_row *row = &world->entries[world->entry_count++];

        *row = writes->entries[i];
        assert_int_equal(row->entry.position, i + 1 + (writes->old_head ? writes->old_head : (UINT64_C(1) << 48) - 1));
        row->leaf = kept(world, row->leaf);
        row->body = kept(world, row->body);
        row->effect = kept(world, row->effect);
        row->reply = kept(world, row->reply);
        row->entry.type = kept(world, row->entry.type);
        row->entry.agency = kept(world, row->entry.agency);
        row->entry.fields = arena_array(world->arena, row->entry.field_count, sizeof *row->entry.fields);
        for (uint16_t f = 0; f < row->entry.field_count; f++) {
            row->entry.fields[f] = writes->entries[i].entry.fields[f];
            row->entry.fields[f].name = kept(world, row->entry.fields[f].name);
            row->entry.fields[f].rule = kept(world, row->entry.fields[f].rule);
        }
    }
    for (uint32_t i = 0; i < writes->record_count; i++)
        keep_record(world, batch, writes->records[i]);
    keep_links(world, writes);
    keep_debts(world, writes);
    for (uint32_t i = 0; i < writes->agency_count; i++)
        keep_agency(world, &writes->agencies[i]);
    world->state.opened = true;
    world->state.head = writes->head;
    world->state.head_time_us = writes->head_time_us;
    world->state.next_record = writes->next_record;
    world->state.catalog_version = writes->catalog_version;
    memcpy(world->state.catalog_hash, world->catalog->hash, HASH_BYTES);
    world->batch_count++;
}

/* What of an entry goes to this agency. */
static inline struct text sending_of(const struct entry_row *row, const struct scan *scan)
{
    struct text name = { scan->agency_name, (uint32_t)strlen(scan->agency_name) };

    return same_text(row->entry.agency, name) ? row->reply : row->effect;
}

static inline void scan_row_fill(struct world *world, struct scan *scan, const struct entry_row *row)
{
    struct scan_row *to = &scan->rows[scan->row_count++];
    feed_position best = 0;

    *to = (struct scan_row){ .position = row->entry.position, .type = row->entry.type, .record = row->entry.record };
    to->sending = sending_of(row, scan);
    for (uint32_t i = 0; i < world->link_count; i++) {
        const struct link *link = &world->links[i];

        if (link->agency != scan->agency || link->record != to->record || link->since >= to->position ||
            (link->until != 0 && link->until < to->position) || (to->key.length > 0 && link->since < best))
            continue;
        best = link->since;
        to->block = kept(world, link->block);
        to->key = kept(world, link->key);
    }
}

static inline void store_scan_entries(struct world *world, struct scan *scan)
{
    uint32_t hits = 0, at = 0;

    scan->rows = arena_array(scan->arena, world->entry_count, sizeof *scan->rows);
    while (at < world->entry_count && world->entries[at].entry.position <= scan->after)
        at++;
    for (; at < world->entry_count; at++) {
        const struct entry_row *row = &world->entries[at];

        if (sending_of(row, scan).length > 0) {
            scan_row_fill(world, scan, row);
            hits++;
        }
        scan->end = row->entry.position;
        leaf_hash(row->leaf.bytes, row->leaf.length, scan->leaf);
        if (hits >= scan->limit && row->boundary)
            return;
    }
    assert_true(hits < scan->limit); /* else store.c finds no place where the batch may end, and stops the broker */
}

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
    if (catalog_build(world->arena, tree_fixture(world->arena, catalog_text), catalog_text, strlen(catalog_text), &world->catalog,
                      &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    world->options =
        (struct broker_options){ .window_bytes = 1 << 20, .stage_bytes = 8 << 20, .batch_changes = 100, .feed_items = 50 };
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
};

static inline struct text said(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

/* A block with every field of the type; `key` NULL: a generated key. */
static inline struct block block_of(struct world *world, const char *name, const char *type_name, const char *key)
{
    const struct catalog_type *type = &world->catalog->types[catalog_type(world->catalog, type_name, strlen(type_name))];
    struct block block = { .name = said(name), .type = said(type_name), .generated = !key, .insert = true, .delete = DELETE_ROW };

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

/* The last message of this kind that was sent to the agent, or NULL. */
static inline const struct message *last_sent(const struct agent *agent, enum message_kind kind)
{
    for (int i = agent->world->frame_count - 1; i >= 0; i--)
        if (agent->world->frames[i].message.kind == kind && goes_to(&agent->world->frames[i], agent))
            return &agent->world->frames[i].message;
    return NULL;
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

    assert_non_null(error);
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
                                    .source = { .system = said("7301"), .timeline = 1 },
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

    assert_non_null(welcome);
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

static inline struct change change_new(struct agent *agent, enum operation operation, const char *block, const char *key)
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
    say(agent, message);
}

static inline void say_change(struct agent *agent, struct change change)
{
    agent->lsn += 10;
    say_piece(agent, (struct piece){ .lsn = agent->lsn, .final = true, .base = agent->base, .changes = &change, .change_count = 1 });
}

static inline void say_report(struct agent *agent, enum report_kind kind, uint64_t record, feed_position position, const char *text)
{
    struct report report = { .kind = kind, .record = record, .position = position, .block = said("people"), .text = said(text) };

    agent->lsn += 10;
    say_piece(agent,
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

        if (message->kind != MESSAGE_FEED || message->session != agent->session || !goes_to(&agent->world->frames[i], agent) ||
            !message->feed.final || message->feed.position <= agent->applied)
            continue;
        agent->applied = agent->base = message->feed.position;
        memcpy(agent->leaf, message->feed.leaf, HASH_BYTES);
    }
}

/* The newest item that was fed to the agent about this record, or NULL. */
static inline const struct item *last_item(const struct agent *agent, uint64_t record)
{
    for (int i = agent->world->frame_count - 1; i >= 0; i--) {
        const struct feed *feed = &agent->world->frames[i].message.feed;

        if (agent->world->frames[i].message.kind != MESSAGE_FEED || !goes_to(&agent->world->frames[i], agent))
            continue;
        for (uint32_t at = feed->item_count; at > 0; at--)
            if (feed->items[at - 1].record == record)
                return &feed->items[at - 1];
    }
    return NULL;
}

static inline const char *item_value(const struct item *item, const char *field)
{
    static char copy[512];

    for (uint16_t i = 0; item && i < item->field_count; i++)
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
