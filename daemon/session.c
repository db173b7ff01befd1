/* What agents say: each message belongs to a session or begins one (PROTOCOL 3 and 4). */
#include "daemon/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SILENCE_MS = 60 * 1000,
    FEED_CREDIT_MOST = 64 * 1024 * 1024, /* of one agency: what it does not read waits in our memory */
    HELLO_COST_MOST = 300,               /* of an agency's hellos of late ... */
    HELLO_COST_ENTRY = 10,               /* ... one that makes an entry; another costs 1 */
    HELLO_FORGET_MS = 500,               /* ... of which 1 is forgotten each time */
};

typedef void message_handler(struct broker *broker, struct peer *peer, struct arena *arena,
                             const struct message *message, const struct broker_event *event);

static void on_changes(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                       const struct broker_event *event)
{
    stage_changes(broker, peer, arena, message, event->frame, event->length);
}

static void on_applied(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                       const struct broker_event *event)
{
    (void)arena;
    (void)event;
    if (message->applied.position > peer->feed_sent)
        peer_fail(broker, peer, "base", "applied is above what was sent to this agency");
    else if (message->applied.position > peer->applied)
        peer->applied = message->applied.position;
}

static void on_credit(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                      const struct broker_event *event)
{
    (void)arena;
    (void)event;
    if (message->credit.total > peer->out_used + FEED_CREDIT_MOST)
        peer_fail(broker, peer, "credit", "no more than %d bytes of feed go ahead", FEED_CREDIT_MOST);
    else if (message->credit.total > peer->out_credit)
        peer->out_credit = message->credit.total;
    feed_wake(broker, peer);
}

static void on_ping(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                    const struct broker_event *event)
{
    struct message pong = { .kind = MESSAGE_PONG };

    (void)arena;
    (void)event;
    pong.pong.time_us = message->ping.time_us;
    pong.pong.broker_time_us = broker->now_us;
    peer_send(broker, peer, &pong);
}

static bool text_is(struct text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.bytes, word, text.length) == 0;
}

/* An agent reports why it stops: perhaps its history is in doubt. */
static void on_error(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                     const struct broker_event *event)
{
    (void)arena;
    (void)event;
    action_log(broker, LOG_LEVEL_WARN, peer, "its agent ends the session, %.*s: %.*s", (int)message->error.code.length,
               message->error.code.bytes, (int)message->error.text.length, message->error.text.bytes);
    if (text_is(message->error.code, "history"))
        peer_doubt(peer, QUARANTINE_HISTORY, "%.*s", (int)message->error.text.length, message->error.text.bytes);
    if (text_is(message->error.code, "lost"))
        peer_doubt(peer, QUARANTINE_LOST, "%.*s", (int)message->error.text.length, message->error.text.bytes);
    if (text_is(message->error.code, "reload"))
        peer_doubt(peer, QUARANTINE_RELOAD, "%.*s", (int)message->error.text.length, message->error.text.bytes);
    peer->left = true;
    peer_drop(broker, peer);
}

static void on_bye(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                   const struct broker_event *event)
{
    (void)arena;
    (void)event;
    action_log(broker, LOG_LEVEL_NOTE, peer, "session %" PRIu64 " ended by its agent: %.*s", peer->row.session,
               (int)message->bye.text.length, message->bye.text.bytes);
    peer->left = true;
    peer_drop(broker, peer);
}

static message_handler *const handlers[MESSAGE_KIND_COUNT] = {
    [MESSAGE_CHANGES] = on_changes, [MESSAGE_APPLIED] = on_applied, [MESSAGE_CREDIT] = on_credit,
    [MESSAGE_PING] = on_ping,       [MESSAGE_ERROR] = on_error,     [MESSAGE_BYE] = on_bye,
};

/* Whether this hello makes an entry: a load, or another mapping than before. */
static bool makes_entry(const struct peer *peer, const struct hello *hello)
{
    struct buffer packed = { 0 };
    bool same;

    blocks_pack(hello->blocks, hello->block_count, &packed);
    same = packed.length == peer->row.blocks.length &&
           (packed.length == 0 || memcmp(packed.bytes, peer->row.blocks.bytes, packed.length) == 0);
    buffer_free(&packed);
    return hello->incarnation == 0 || !same;
}

/* Each hello is a row written, and a new mapping or load an entry besides: who says it over and over is told to wait.
 * An agent that works pauses for longer by itself. */
static bool hellos_too_often(const struct broker *broker, struct peer *peer, const struct hello *hello)
{
    int64_t forgotten = (broker->now_ms - peer->hello_cost_ms) / HELLO_FORGET_MS;

    if (forgotten > 0) {
        peer->hello_cost -= forgotten < peer->hello_cost ? (uint32_t)forgotten : peer->hello_cost;
        peer->hello_cost_ms += forgotten * HELLO_FORGET_MS;
    }
    if (peer->hello_cost >= HELLO_COST_MOST)
        return true;
    peer->hello_cost += makes_entry(peer, hello) ? HELLO_COST_ENTRY : 1;
    return false;
}

/* Whether an agent takes itself for another agency than its key proves: a key file was mixed up. */
static bool is_another(struct text said, const char *name)
{
    return said.length > 0 && (said.length != strlen(name) || memcmp(said.bytes, name, said.length) != 0);
}

static void on_hello(struct broker *broker, struct peer *peer, struct arena **arena, const struct message *message,
                     const struct route *route)
{
    bool busy = peer->hello_waits && broker->batch;
    const char *refusal;

    if (message->hello.version != PROTOCOL_VERSION) {
        send_error(broker, route, 0, 0, "version", "this broker speaks protocol version 1");
        return;
    }
    if (is_another(message->hello.agency, peer->row.name)) {
        send_error(broker, route, 0, 0, "agency",
                   arena_printf(broker->step_arena,
                                "the key in its key file is enrolled for %s, not for the agency that its file names: "
                                "give it a key of its own",
                                peer->row.name));
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
    if (hellos_too_often(broker, peer, &message->hello)) {
        send_error(broker, route, 0, 0, "busy", "this agency says hello too often: wait");
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
    peer->went_on = peer->contested;
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

void session_frame(struct broker *broker, const struct broker_event *event)
{
    struct peer *peer = peer_by_id(broker, event->agency);
    struct arena *arena;
    struct message message;
    struct error err;
    void *frame;

    if (!peer || !peer->row.enrolled)
        return;
    work_on_frames(broker->options.working, peer);
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
            handlers[message.kind](broker, peer, arena, &message, event);
        else
            peer_fail(broker, peer, "malformed", "%s is not for an agent to send", message_name(message.kind));
    }
    arena_free(&arena);
}

void session_lost(struct broker *broker, const struct route *route)
{
    for (uint32_t i = 0; i < broker->peer_count; i++)
        if (broker->peers[i].up && same_route(&broker->peers[i].route, route)) {
            action_log(broker, LOG_LEVEL_WARN, &broker->peers[i],
                       "session %" PRIu64 " ended: it does not take what it is sent", broker->peers[i].row.session);
            peer_drop(broker, &broker->peers[i]);
        }
}

void session_crashed(struct broker *broker, const struct working *working)
{
    struct peer *peer = peer_by_id(broker, working->agency);
    const char *where = working->behind ? "what it sent behind " : "its transaction at ";

    if (!peer)
        return;
    if (working->lsn > 0)
        peer_doubt(peer, QUARANTINE_CRASHED,
                   "the broker crashes on %s%" PRIX32 "/%" PRIX32 ": see its log, and report it", where,
                   (uint32_t)(working->lsn >> 32), (uint32_t)working->lsn);
    else
        peer_doubt(peer, QUARANTINE_CRASHED,
                   "the broker crashes on %spiece %" PRIu32 " of its load: see its log, and report it",
                   working->behind ? "what it sent behind " : "", working->number);
}

void session_watch(struct broker *broker, struct peer *peer)
{
    if (!peer->up || broker->now_ms - peer->heard_ms <= SILENCE_MS)
        return;
    action_log(broker, LOG_LEVEL_WARN, peer, "session %" PRIu64 " ended: nothing heard for a minute",
               peer->row.session);
    peer_drop(broker, peer);
}
