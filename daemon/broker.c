#include "daemon/broker.h"

#include "daemon/decide.h"
#include "daemon/peer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOG_LEVEL_WARN = 4,
    SILENCE_MS = 60 * 1000,
    FEED_CREDIT_MOST = 64 * 1024 * 1024, /* of one agency: what it does not read waits in our memory */
};

/* ---- actions ---- */

struct broker_action *action_add(struct broker *broker, enum broker_action_kind kind)
{
    struct broker_actions *actions = broker->actions;

    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity ? actions->capacity * 2 : 16;
        actions->actions = realloc(actions->actions, actions->capacity * sizeof *actions->actions);
        if (!actions->actions)
            abort();
    }
    actions->actions[actions->count] = (struct broker_action){ .kind = kind };
    return &actions->actions[actions->count++];
}

void action_log(struct broker *broker, int level, const struct peer *peer, const char *fmt, ...)
{
    struct broker_action *action;
    char text[512];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    action = action_add(broker, BROKER_ACTION_LOG);
    action->level = level;
    action->agency = peer ? peer->row.name : NULL;
    action->text = arena_copy(broker->step_arena, text, strlen(text));
}

static size_t send_message(struct broker *broker, const struct route *route, const struct message *message)
{
    struct buffer packed = { 0 };
    struct broker_action *action;

    message_pack(message, &packed);
    action = action_add(broker, BROKER_ACTION_SEND);
    action->route = *route;
    action->frame =
        (struct text){ arena_copy(broker->step_arena, packed.bytes, packed.length), (uint32_t)packed.length };
    buffer_free(&packed);
    return action->frame.length;
}

size_t peer_send(struct broker *broker, struct peer *peer, struct message *message)
{
    message->session = peer->row.session;
    message->number = message->kind == MESSAGE_WELCOME ? 0 : ++peer->out_number;
    return send_message(broker, &peer->route, message);
}

static void send_error(struct broker *broker, const struct route *route, uint64_t session, uint64_t number,
                       const char *code, const char *text)
{
    struct message message = { .kind = MESSAGE_ERROR, .session = session, .number = number };

    message.error.code = (struct text){ code, (uint32_t)strlen(code) };
    message.error.text = (struct text){ text, (uint32_t)strlen(text) };
    send_message(broker, route, &message);
}

void peer_fail(struct broker *broker, struct peer *peer, const char *code, const char *fmt, ...)
{
    char text[480];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    if (!peer->up)
        return;
    send_error(broker, &peer->route, peer->row.session, ++peer->out_number, code, text);
    action_log(broker, LOG_LEVEL_WARN, peer, "session %" PRIu64 " ended, %s: %s", peer->row.session, code, text);
    peer_drop(broker, peer);
}

void peer_ack(struct broker *broker, struct peer *peer)
{
    struct message message = { .kind = MESSAGE_ACK };

    message.ack = (struct ack){ .lsn = peer->row.lsn, .load_number = peer->row.load_number, .base = peer->row.base };
    peer_send(broker, peer, &message);
}

void peer_drop(struct broker *broker, struct peer *peer)
{
    peer->up = false;
    stage_clear(broker, peer);
    feed_clear(peer);
}

/* ---- peers ---- */

struct peer *peer_by_id(struct broker *broker, uint16_t id)
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (broker->peers[i].row.id == id)
            return &broker->peers[i];
    return NULL;
}

struct peer *peer_named(struct broker *broker, const char *name)
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (strcmp(broker->peers[i].row.name, name) == 0)
            return &broker->peers[i];
    return NULL;
}

void text_copy(char *ret, size_t size, struct text text)
{
    size_t length = text.length < size ? text.length : size - 1;

    while (length < text.length && length > 0 && ((unsigned char)text.bytes[length] & 0xc0) == 0x80)
        length--; /* inside a character */
    memcpy(ret, text.bytes, length);
    ret[length] = '\0';
}

const struct agency_block *peer_block(const struct peer *peer, uint16_t type)
{
    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].type == type)
            return &peer->blocks[i];
    return NULL;
}

const struct agency_block *peer_block_named(const struct peer *peer, struct text name)
{
    for (uint16_t i = 0; i < peer->block_count; i++)
        if (peer->blocks[i].name.length == name.length &&
            memcmp(peer->blocks[i].name.bytes, name.bytes, name.length) == 0)
            return &peer->blocks[i];
    return NULL;
}

bool peer_is_fed(const struct peer *peer)
{
    return peer->up && peer->row.enrolled && peer->row.mode == MODE_FULL &&
           (peer->row.state == STATE_FILLING || peer->row.state == STATE_ACTIVE);
}

void broker_salt(struct broker *broker, uint8_t ret[32])
{
    commitment_make(broker->options.seed, &broker->salts, sizeof broker->salts, ret);
    broker->salts++;
}

static struct peer *peer_add(struct broker *broker, const struct agency_row *row)
{
    struct peer *peer;
    int index = catalog_agency(broker->catalog, row->name, strlen(row->name));

    assert(!broker->batch && broker->peer_count < CATALOG_AGENCIES_MAX);
    peer = &broker->peers[broker->peer_count++];
    *peer = (struct peer){ .row = *row,
                           .index = index < 0 ? AGENCY_GONE : (agency_index)index,
                           .blocks_arena = arena_new() };
    if (index >= 0)
        broker->ids.id[index] = row->id;
    if (row->blocks.length > 0) {
        peer->blocks_bytes = malloc(row->blocks.length);
        if (!peer->blocks_bytes)
            abort();
        memcpy(peer->blocks_bytes, row->blocks.bytes, row->blocks.length);
        peer->row.blocks.bytes = peer->blocks_bytes;
    }
    return peer;
}

/* ---- life ---- */

static int check_catalog(struct broker *broker, const struct ledger_state *state, struct error *err)
{
    const struct catalog *catalog = broker->catalog;

    broker->catalog_fresh = !state->opened || state->catalog_version != catalog->version;
    if (state->opened && catalog->version < state->catalog_version)
        return error_set(err, ERR_STOP,
                         "catalog: version %u is older than version %u, which is in force: raise its version",
                         catalog->version, state->catalog_version);
    if (!broker->catalog_fresh && memcmp(state->catalog_hash, catalog->hash, HASH_BYTES) != 0)
        return error_set(err, ERR_STOP,
                         "catalog: version %u has changed since it was activated: give it a higher version",
                         catalog->version);
    return 0;
}

int broker_new(const struct broker_options *options, const struct catalog *catalog, struct text catalog_text,
               const struct ledger_state *state, struct broker **ret, struct error *err)
{
    struct broker *broker = calloc(1, sizeof *broker);

    if (!broker)
        abort();
    broker->options = *options;
    broker->catalog = catalog;
    broker->catalog_text = catalog_text;
    broker->ids.count = catalog->agency_count;
    broker->opened = state->opened;
    broker->head = state->head;
    broker->head_time_us = state->head_time_us;
    broker->next_record = state->opened ? state->next_record : 1;
    broker->catalog_version = state->catalog_version;
    broker->step_arena = arena_new();
    broker->peers = calloc(CATALOG_AGENCIES_MAX, sizeof *broker->peers);
    if (!broker->peers)
        abort();
    if (check_catalog(broker, state, err) < 0 || reconciler_new(catalog, &broker->reconciler, err) < 0) {
        broker_free(&broker);
        return err->code;
    }
    for (uint32_t i = 0; i < state->agency_count && i < CATALOG_AGENCIES_MAX; i++) {
        struct peer *peer = peer_add(broker, &state->agencies[i]);

        peer->stored = true;
        /* Where they do not fit a new catalog, its next hello says what it maps now. */
        peer->bound =
            peer->index != AGENCY_GONE && blocks_bind(peer->blocks_arena, catalog, peer->index, peer->row.blocks,
                                                      &peer->blocks, &peer->block_count, err) == 0;
        if (!peer->bound)
            peer->block_count = 0;
    }
    for (uint32_t i = 0; i < state->debt_count; i++) {
        struct peer *peer = peer_by_id(broker, state->debts[i].agency);
        struct peer_debt *debt = calloc(1, sizeof *debt);

        if (!debt)
            abort();
        debt->debt = state->debts[i];
        if (peer) {
            debt->next = peer->debts;
            peer->debts = debt;
        }
    }
    *ret = broker;
    return 0;
}

static void peer_free(struct broker *broker, struct peer *peer)
{
    while (peer->debts) {
        struct peer_debt *debt = peer->debts;

        peer->debts = debt->next;
        free(debt);
    }
    peer_drop(broker, peer);
    stage_bury(peer);
    arena_free(&peer->blocks_arena);
    arena_free(&peer->hello_arena);
    arena_free(&peer->next_arena);
    free(peer->blocks_bytes);
}

static void *admin_pop(struct admin **list)
{
    struct admin *admin = *list;
    void *request = admin->request;

    *list = admin->next;
    free(admin);
    return request;
}

void *broker_abandoned(struct broker *broker)
{
    if (broker->admins)
        return admin_pop(&broker->admins);
    return broker->work ? work_abandoned(broker->work) : NULL;
}

void broker_free(struct broker **broker)
{
    struct broker *old = *broker;

    if (!old)
        return;
    for (uint32_t i = 0; i < old->peer_count; i++)
        peer_free(old, &old->peers[i]);
    if (old->work)
        work_free(old->work);
    reconciler_free(&old->reconciler);
    arena_free(&old->step_arena);
    free(old->peers);
    free(old);
    *broker = NULL;
}

/* ---- messages ---- */

typedef void message_handler(struct broker *broker, struct peer *peer, struct arena **arena,
                             const struct message *message, size_t size);

static void on_changes(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                       size_t size)
{
    struct arena *taken = *arena;

    *arena = NULL;
    stage_changes(broker, peer, taken, message, size);
}

static void on_applied(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                       size_t size)
{
    (void)arena;
    (void)size;
    if (message->applied.position > peer->feed_sent)
        peer_fail(broker, peer, "base", "applied is above what was sent to this agency");
    else if (message->applied.position > peer->applied)
        peer->applied = message->applied.position;
}

static void on_credit(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                      size_t size)
{
    (void)arena;
    (void)size;
    if (message->credit.total > peer->out_used + FEED_CREDIT_MOST)
        peer_fail(broker, peer, "credit", "no more than %d bytes of feed go ahead", FEED_CREDIT_MOST);
    else if (message->credit.total > peer->out_credit)
        peer->out_credit = message->credit.total;
    feed_wake(broker, peer);
}

static void on_ping(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                    size_t size)
{
    struct message pong = { .kind = MESSAGE_PONG };

    (void)arena;
    (void)size;
    pong.pong.time_us = message->ping.time_us;
    pong.pong.broker_time_us = broker->now_us;
    peer_send(broker, peer, &pong);
}

static bool text_is(struct text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.bytes, word, text.length) == 0;
}

/* An agent reports why it stops: perhaps its history is in doubt. */
static void on_error(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                     size_t size)
{
    (void)arena;
    (void)size;
    action_log(broker, LOG_LEVEL_WARN, peer, "its agent stops, %.*s: %.*s", (int)message->error.code.length,
               message->error.code.bytes, (int)message->error.text.length, message->error.text.bytes);
    if ((text_is(message->error.code, "history") || text_is(message->error.code, "lost")) &&
        peer->row.state != STATE_QUARANTINED) {
        peer->quarantine_waits = true;
        text_copy(peer->quarantine_reason, sizeof peer->quarantine_reason, message->error.text);
    }
    peer->left = true;
    peer_drop(broker, peer);
}

static void on_bye(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                   size_t size)
{
    (void)arena;
    (void)size;
    action_log(broker, 5, peer, "session %" PRIu64 " ended by its agent: %.*s", peer->row.session,
               (int)message->bye.text.length, message->bye.text.bytes);
    peer->left = true;
    peer_drop(broker, peer);
}

static message_handler *const handlers[MESSAGE_KIND_COUNT] = {
    [MESSAGE_CHANGES] = on_changes, [MESSAGE_APPLIED] = on_applied, [MESSAGE_CREDIT] = on_credit,
    [MESSAGE_PING] = on_ping,       [MESSAGE_ERROR] = on_error,     [MESSAGE_BYE] = on_bye,
};

static void on_hello(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                     const struct route *route)
{
    bool busy = peer->hello_waits && broker->batch;
    const char *refusal;

    if (message->hello.version != PROTOCOL_VERSION) {
        send_error(broker, route, 0, 0, "version", "this broker speaks protocol version 1");
        return;
    }
    if (message->hello.software.length >= sizeof peer->row.software ||
        message->hello.source.system.length >= sizeof peer->row.system || message->hello.credit > FEED_CREDIT_MOST) {
        send_error(broker, route, 0, 0, "malformed", "hello: software, system or credit is larger than may be");
        return;
    }
    if (peer->index == AGENCY_GONE) {
        send_error(broker, route, 0, 0, "mapping", "the catalog does not name this agency");
        return;
    }
    refusal = rival_refusal(broker, peer, &message->hello);
    if (refusal) {
        send_error(
            broker, route, 0, 0, refusal,
            "this database is an older copy of the one that the broker knows, which is connected or was a moment "
            "ago. If that one is gone for good, wait");
        return;
    }
    peer_drop(broker, peer);
    if (busy) { /* the one before may be in the batch in flight */
        arena_free(&peer->next_arena);
        peer->next_arena = *arena;
        peer->next_hello = message->hello;
        peer->next_route = *route;
        peer->next_waits = true;
    } else {
        arena_free(&peer->hello_arena);
        peer->hello_arena = *arena;
        peer->hello = message->hello;
        peer->hello_route = *route;
        peer->hello_waits = true;
    }
    *arena = NULL;
}

static bool same_route(const struct route *left, const struct route *right)
{
    return left->length == right->length && memcmp(left->bytes, right->bytes, left->length) == 0;
}

/* Whether a message belongs to the peer's session and is the next of it. */
static bool in_session(struct broker *broker, struct peer *peer, const struct route *route,
                       const struct message *message)
{
    if (!peer->up || message->session != peer->row.session || !same_route(route, &peer->route)) {
        /* While its hello is being stored the agent may still send what belongs to the session before. */
        if (!peer->hello_waits && message->kind != MESSAGE_ERROR && message->kind != MESSAGE_BYE)
            send_error(broker, route, message->session, 0, "no-session", "say hello");
        return message->kind == MESSAGE_ERROR && !peer->up; /* why an agent stops is heard at any time */
    }
    peer->heard_ms = broker->now_ms;
    if (message->number <= peer->in_number) { /* seen already; once-only rests on positions */
        peer_ack(broker, peer);
        return false;
    }
    if (message->number != peer->in_number + 1) {
        peer_fail(broker, peer, "gap", "message %" PRIu64 " came where %" PRIu64 " was expected", message->number,
                  peer->in_number + 1);
        return false;
    }
    peer->in_number = message->number;
    return true;
}

static void on_frame(struct broker *broker, const struct broker_event *event)
{
    struct peer *peer = peer_by_id(broker, event->agency);
    struct arena *arena;
    struct message message;
    struct error err;
    void *frame;

    if (!peer || !peer->row.enrolled)
        return;
    arena = arena_new();
    frame = arena_copy(arena, event->frame, event->length); /* what is read borrows from it */
    if (message_read(arena, frame, event->length, &message, &err) < 0) {
        if (peer->up && same_route(&event->route, &peer->route))
            peer_fail(broker, peer, "malformed", "%s", err.text);
        else
            send_error(broker, &event->route, 0, 0, "malformed", err.text);
    } else if (message.kind == MESSAGE_HELLO) {
        on_hello(broker, peer, &arena, &message, &event->route);
    } else if (in_session(broker, peer, &event->route, &message)) {
        if (handlers[message.kind])
            handlers[message.kind](broker, peer, &arena, &message, event->length);
        else
            peer_fail(broker, peer, "malformed", "%s is not for an agent to send", message_name(message.kind));
    }
    arena_free(&arena);
}

/* ---- operators ---- */

static void answer(struct broker *broker, void *request, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void answer(struct broker *broker, void *request, const char *fmt, ...)
{
    struct broker_action *action = action_add(broker, BROKER_ACTION_ANSWER);
    char text[480];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    action->request = request;
    action->text = arena_copy(broker->step_arena, text, strlen(text));
}

/* Whether another agency has this key, or is about to get it. */
static const char *key_holder(const struct broker *broker, const char *name, const uint8_t key[32])
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (strcmp(broker->peers[i].row.name, name) != 0 && broker->peers[i].row.enrolled &&
            memcmp(broker->peers[i].row.key, key, 32) == 0)
            return broker->peers[i].row.name;
    for (const struct admin *admin = broker->admins; admin; admin = admin->next)
        if (strcmp(admin->name, name) != 0 && !admin->revoke && memcmp(admin->key, key, 32) == 0)
            return admin->name;
    return NULL;
}

static const char *nearest_agency(const struct catalog *catalog, const char *name)
{
    const char *names[CATALOG_AGENCIES_MAX + 1] = { NULL };

    for (uint8_t i = 0; i < catalog->agency_count; i++)
        names[i] = catalog->agencies[i];
    return nearest_word(name, names);
}

static void on_admin(struct broker *broker, const struct broker_event *event)
{
    bool revoke = event->kind == BROKER_EVENT_REVOKE;
    struct peer *peer = peer_named(broker, event->name);
    const char *holder;
    struct admin *admin, **last = &broker->admins;

    if (revoke && (!peer || !peer->row.enrolled)) {
        answer(broker, event->request, "%s has no key that could be revoked", event->name);
        return;
    }
    if (catalog_agency(broker->catalog, event->name, strlen(event->name)) < 0) {
        const char *near = nearest_agency(broker->catalog, event->name);

        answer(broker, event->request, "the catalog names no agency %s%s%s", event->name, near ? "; did you mean " : "",
               near ? near : "");
        return;
    }
    holder = revoke ? NULL : key_holder(broker, event->name, event->key);
    if (holder) {
        answer(broker, event->request, "this key belongs to %s already: each agency needs its own", holder);
        return;
    }
    if (!peer && broker->batch) {
        answer(broker, event->request, "busy: try again");
        return;
    }
    if (!peer) {
        struct agency_row row = { .id = 1, .mode = MODE_FULL };

        snprintf(row.name, sizeof row.name, "%s", event->name);
        for (uint32_t i = 0; i < broker->peer_count; i++)
            if (broker->peers[i].row.id >= row.id)
                row.id = (uint16_t)(broker->peers[i].row.id + 1);
        peer_add(broker, &row);
    }
    admin = calloc(1, sizeof *admin);
    if (!admin)
        abort();
    admin->revoke = revoke;
    snprintf(admin->name, sizeof admin->name, "%s", event->name);
    snprintf(admin->user, sizeof admin->user, "%s", event->user);
    if (!revoke)
        memcpy(admin->key, event->key, sizeof admin->key);
    admin->request = event->request;
    while (*last)
        last = &(*last)->next;
    *last = admin;
}

/* ---- steps ---- */

static void lookup(struct broker *broker)
{
    action_add(broker, BROKER_ACTION_LOOKUP)->batch = broker->batch;
}

static void on_found(struct broker *broker)
{
    if (!decide_found(broker)) {
        broker->batch->found = (struct found){ 0 };
        lookup(broker);
        return;
    }
    action_add(broker, BROKER_ACTION_STORE)->batch = broker->batch;
}

/* What was sent on this route is lost, and whatever came behind it would be out of order: the agency says hello again.
 */
static void on_lost(struct broker *broker, const struct route *route)
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (broker->peers[i].up && same_route(&broker->peers[i].route, route)) {
            action_log(broker, LOG_LEVEL_WARN, &broker->peers[i],
                       "session %" PRIu64 " ended: it does not take what it is sent", broker->peers[i].row.session);
            peer_drop(broker, &broker->peers[i]);
        }
}

static void on_tick(struct broker *broker)
{
    for (uint32_t i = 0; i < broker->peer_count; i++) {
        struct peer *peer = &broker->peers[i];

        if (peer->up && broker->now_ms - peer->heard_ms > SILENCE_MS) {
            action_log(broker, LOG_LEVEL_WARN, peer, "session %" PRIu64 " ended: nothing heard for a minute",
                       peer->row.session);
            peer_drop(broker, peer);
        }
        feed_idle(broker, peer);
    }
}

void broker_step(struct broker *broker, const struct broker_event *event, struct broker_actions *ret)
{
    arena_reset(broker->step_arena);
    ret->count = 0;
    broker->actions = ret;
    broker->now_us = event->now_us;
    broker->now_ms = event->monotonic_ms;
    if (broker->started_ms == 0)
        broker->started_ms = event->monotonic_ms;
    switch (event->kind) {
    case BROKER_EVENT_FRAME:
        on_frame(broker, event);
        break;
    case BROKER_EVENT_FOUND:
        on_found(broker);
        break;
    case BROKER_EVENT_STORED:
        decide_stored(broker);
        break;
    case BROKER_EVENT_SCANNED:
        feed_scanned(broker, event->scan);
        break;
    case BROKER_EVENT_ENROL:
    case BROKER_EVENT_REVOKE:
        on_admin(broker, event);
        break;
    case BROKER_EVENT_LOST:
        on_lost(broker, &event->route);
        break;
    case BROKER_EVENT_TICK:
        on_tick(broker);
        break;
    case BROKER_EVENT_COUNT:
        assert(false);
    }
    if (!broker->batch && decide_start(broker))
        lookup(broker);
}

/* ---- views ---- */

bool broker_peer(const struct broker *broker, uint32_t at, struct peer_view *ret)
{
    const struct peer *peer;

    if (at >= broker->peer_count)
        return false;
    peer = &broker->peers[at];
    *ret = (struct peer_view){ .row = &peer->row,
                               .known = peer->index != AGENCY_GONE,
                               .up = peer->up,
                               .sent = peer->feed_sent,
                               .copy_at_us = peer->copy_at_us };
    for (const struct peer_debt *debt = peer->debts; debt; debt = debt->next)
        *(debt->debt.kind == DEBT_PARKED ? &ret->parked : &ret->skipped) += 1;
    return true;
}

feed_position broker_head(const struct broker *broker)
{
    return broker->head;
}

uint32_t broker_catalog_version(const struct broker *broker)
{
    return broker->catalog_version;
}

uint16_t broker_agency_of_key(const struct broker *broker, const uint8_t key[32])
{
    uint16_t found = 0;

    for (uint32_t i = 0; i < broker->peer_count; i++) {
        unsigned char differs = 0;

        for (int b = 0; b < 32; b++)
            differs |= (unsigned char)(broker->peers[i].row.key[b] ^ key[b]);
        if (differs == 0 && broker->peers[i].row.enrolled)
            found = broker->peers[i].row.id;
    }
    return found;
}
