#include "agents/agent.h"

#include "agents/outgoing.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYSTEM_BYTES_MAX = 128 };

/* What welcome said, kept until the mapping is bound. */
struct terms {
    uint32_t incarnation;
    uint64_t lsn;
    feed_position base, load;
    struct source source;
    char system[SYSTEM_BYTES_MAX];
    uint8_t catalog_hash[HASH_BYTES];
};

/* A batch whose last part was given to the driver, and which is not applied yet. */
struct batch {
    feed_position position;
    uint8_t leaf[HASH_BYTES];
};

struct agent {
    struct agent_options options;
    enum agent_state state;
    char trouble[256];

    struct agent_progress progress;
    char system[SYSTEM_BYTES_MAX];
    bool open, link_up;

    bool bound;
    uint8_t catalog_hash[HASH_BYTES];

    uint64_t session;
    uint64_t sent_number, received_number;
    int64_t hello_at_ms; /* earliest, while waiting */
    int64_t settle_by_ms;
    unsigned attempts; /* hellos since something last went well */
    int64_t hello_said_ms, heard_ms, pinged_ms;
    feed_position hello_applied;
    struct terms terms;

    /* changes */
    struct outgoing *outgoing;
    bool paused;
    uint64_t credit, sent_bytes;
    uint64_t captured_lsn; /* of the last whole transaction captured in this session */
    uint64_t acked_lsn, advanced_lsn, idle_lsn;
    bool load_closed; /* the piece that ends the load was captured */
    uint64_t load_lsn;
    int64_t position_since_ms; /* how long a mere position waits; 0: none does */

    /* feed */
    uint64_t feed_credit, feed_bytes, taken_bytes;
    struct batch *batches;
    uint32_t batch_count, batch_capacity;

    uint64_t changes_sent, items_taken;
    int64_t round_trip_us, clock_offset_us;
    struct buffer packed;
};

const char *agent_state_name(enum agent_state state)
{
    static const char *const names[AGENT_STATE_COUNT] = {
        [AGENT_CLOSED] = "closed",     [AGENT_WAITING] = "waiting", [AGENT_GREETING] = "greeting",
        [AGENT_ADOPTING] = "adopting", [AGENT_LOADING] = "loading", [AGENT_STREAMING] = "streaming",
        [AGENT_STOPPED] = "stopped",
    };

    return names[state];
}

/* ---- actions ---- */

static struct agent_action *action_add(struct agent_actions *out, enum agent_action_kind kind)
{
    struct agent_action *action;

    if (!out->arena)
        out->arena = arena_new();
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 16;
        out->list = realloc(out->list, out->capacity * sizeof *out->list);
        if (!out->list)
            abort();
    }
    action = &out->list[out->count++];
    *action = (struct agent_action){ .kind = kind };
    return action;
}

void agent_actions_reset(struct agent_actions *actions)
{
    actions->count = 0;
    if (actions->arena)
        arena_reset(actions->arena);
}

void agent_actions_free(struct agent_actions *actions)
{
    free(actions->list);
    arena_free(&actions->arena);
    *actions = (struct agent_actions){ 0 };
}

static void say(struct agent_actions *out, bool warning, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(struct agent_actions *out, bool warning, const char *fmt, ...)
{
    struct agent_action *action = action_add(out, AGENT_ACTION_LOG);
    char text[512];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    action->text = arena_copy(out->arena, text, strlen(text));
    action->warning = warning;
}

/* Numbers the message within the session and appends its frame. Returns the frame's bytes. */
static size_t send(struct agent *agent, struct message *message, struct agent_actions *out)
{
    struct agent_action *action = action_add(out, AGENT_ACTION_SEND);

    if (message->kind != MESSAGE_HELLO) {
        message->session = agent->session;
        message->number = ++agent->sent_number;
    }
    agent->packed.length = 0;
    message_pack(message, &agent->packed);
    action->frame = arena_copy(out->arena, agent->packed.bytes, agent->packed.length);
    action->length = agent->packed.length;
    return agent->packed.length;
}

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

static bool in_session(const struct agent *agent)
{
    return agent->state >= AGENT_ADOPTING && agent->state <= AGENT_STREAMING;
}

/* Stops for good, and tells the broker why. */
static void stop(struct agent *agent, const char *code, const char *why, struct agent_actions *out)
{
    struct agent_action *action;

    if (agent->state == AGENT_STOPPED)
        return;
    if (code && in_session(agent)) {
        struct message message = { .kind = MESSAGE_ERROR };

        message.error.code = text_of(code);
        message.error.text = text_of(why);
        send(agent, &message, out);
    }
    agent->state = AGENT_STOPPED;
    snprintf(agent->trouble, sizeof agent->trouble, "%s", why);
    action = action_add(out, AGENT_ACTION_STOP);
    action->text = arena_copy(out->arena, why, strlen(why));
}

/* ---- between sessions ---- */

/* Doubles from the least pause to the longest, and spreads: a broker that comes back must not hear all agents at once. */
static int64_t pause_ms(const struct agent *agent, uint32_t random)
{
    int64_t most = AGENT_PAUSE_MIN_MS;

    for (unsigned i = 0; i < agent->attempts && most < AGENT_PAUSE_MAX_MS; i++)
        most *= 2;
    if (most > AGENT_PAUSE_MAX_MS)
        most = AGENT_PAUSE_MAX_MS;
    return most / 2 + (int64_t)((uint64_t)most / 2 * random / UINT32_MAX);
}

/* Ends the session, if there is one, and says hello again after a pause. What was captured and is not acknowledged is
 * read again from the slot; what was fed and is not applied is fed again. */
static void leave(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state == AGENT_STOPPED)
        return;
    if (agent->state == AGENT_LOADING || agent->state == AGENT_STREAMING) {
        action_add(out, AGENT_ACTION_PAUSE)->yes = true;
        action_add(out, AGENT_ACTION_FORGET);
    }
    agent->paused = true;
    outgoing_clear(agent->outgoing);
    agent->hello_at_ms = event->now_ms + pause_ms(agent, event->random);
    agent->settle_by_ms = agent->hello_at_ms + AGENT_SETTLE_MS;
    agent->state = agent->open ? AGENT_WAITING : AGENT_CLOSED;
}

static void trouble(struct agent *agent, const struct agent_event *event, struct agent_actions *out, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* As leave(), with a reason that is logged once, not at every attempt. */
static void trouble(struct agent *agent, const struct agent_event *event, struct agent_actions *out, const char *fmt, ...)
{
    char text[sizeof agent->trouble];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    if (strcmp(text, agent->trouble) != 0)
        say(out, true, "%s", text);
    memcpy(agent->trouble, text, sizeof text);
    leave(agent, event, out);
}

static void hello(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_HELLO };
    struct hello *hello = &message.hello;

    hello->version = PROTOCOL_VERSION;
    hello->software = text_of(agent->options.software);
    hello->incarnation = agent->progress.incarnation;
    hello->source = agent->progress.source;
    if (agent->bound)
        memcpy(hello->catalog_hash, agent->catalog_hash, HASH_BYTES);
    hello->blocks = agent->options.blocks;
    hello->block_count = agent->options.block_count;
    hello->applied = agent->progress.applied;
    memcpy(hello->applied_leaf, agent->progress.applied_leaf, HASH_BYTES);
    hello->credit = agent->options.window_bytes;
    send(agent, &message, out);

    agent->hello_applied = hello->applied;
    agent->feed_credit = hello->credit;
    agent->feed_bytes = agent->taken_bytes = 0;
    agent->hello_said_ms = agent->heard_ms = event->now_ms;
    agent->attempts++;
    agent->state = AGENT_GREETING;
}

/* A batch that is applied after hello named an earlier position would be fed twice, and its base be above what the broker
 * has sent in the new session: it is waited for, for a moment. */
static void hello_when_due(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_WAITING || !agent->link_up || event->now_ms < agent->hello_at_ms)
        return;
    if (agent->batch_count > 0 && event->now_ms < agent->settle_by_ms)
        return;
    hello(agent, event, out);
}

/* ---- changes ---- */

static void pause(struct agent *agent, bool yes, struct agent_actions *out)
{
    if (agent->paused == yes)
        return;
    agent->paused = yes;
    action_add(out, AGENT_ACTION_PAUSE)->yes = yes;
}

/* Sends what credit allows, in messages of about AGENT_BATCH_BYTES; with `whole` only messages that are full. */
static void flush(struct agent *agent, bool whole, struct agent_actions *out)
{
    while (!outgoing_empty(agent->outgoing) && agent->credit > agent->sent_bytes &&
           (!whole || outgoing_bytes(agent->outgoing) >= AGENT_BATCH_BYTES)) {
        struct message message = { .kind = MESSAGE_CHANGES };
        uint64_t left = agent->credit - agent->sent_bytes;

        message.changes.piece_count =
            outgoing_peek(agent->outgoing, AGENT_BATCH_BYTES, left < FRAME_BYTES_MAX ? (size_t)left : FRAME_BYTES_MAX,
                          &message.changes.pieces);
        if (message.changes.piece_count == 0)
            break;
        for (uint32_t i = 0; i < message.changes.piece_count; i++)
            agent->changes_sent += message.changes.pieces[i].change_count;
        agent->sent_bytes += send(agent, &message, out);
        outgoing_sent(agent->outgoing, message.changes.piece_count);
    }
    if (outgoing_bytes(agent->outgoing) >= AGENT_UNSENT_BYTES)
        pause(agent, true, out);
    else if (outgoing_bytes(agent->outgoing) < AGENT_BATCH_BYTES)
        pause(agent, false, out);
}

/* The slot follows what the broker has committed, never more; and an idle source when nothing is on its way. */
static void advance(struct agent *agent, struct agent_actions *out)
{
    uint64_t lsn = agent->acked_lsn;

    if (agent->acked_lsn >= agent->captured_lsn && outgoing_empty(agent->outgoing) && agent->idle_lsn > lsn)
        lsn = agent->idle_lsn;
    if (lsn <= agent->advanced_lsn)
        return;
    agent->advanced_lsn = lsn;
    action_add(out, AGENT_ACTION_ADVANCE)->lsn = lsn;
}

static void on_captured(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_LOADING && agent->state != AGENT_STREAMING)
        return; /* read again in the next session */
    outgoing_add(agent->outgoing, event->piece);
    if (event->piece->final && event->piece->lsn > agent->captured_lsn)
        agent->captured_lsn = event->piece->lsn;
    agent->idle_lsn = 0;
    flush(agent, true, out);
}

/* What is more than a position leaves in the same turn of the loop; a mere position waits a moment for company, because it
 * costs the broker a transaction of its own. */
static void on_turn(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_LOADING && agent->state != AGENT_STREAMING)
        return;
    if (outgoing_urgent(agent->outgoing)) {
        agent->position_since_ms = 0;
        flush(agent, false, out);
    } else if (!outgoing_empty(agent->outgoing)) {
        if (agent->position_since_ms == 0)
            agent->position_since_ms = event->now_ms;
    }
}

static void on_idle(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_STREAMING)
        return;
    agent->idle_lsn = event->lsn;
    advance(agent, out);
}

/* PROTOCOL 6: one piece without changes, with lsn = L and base S, ends the load. */
static void on_loaded(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct piece end = { .lsn = event->lsn, .final = true, .base = agent->terms.load, .commit_time_us = event->time_us };

    if (agent->state != AGENT_LOADING)
        return;
    outgoing_add(agent->outgoing, &end);
    agent->load_closed = true;
    agent->load_lsn = event->lsn;
    flush(agent, false, out);
}

/* ---- starting a session ---- */

static void capture_from(struct agent *agent, const struct source *known, uint64_t lsn, feed_position base,
                         struct agent_actions *out)
{
    struct agent_action *action = action_add(out, AGENT_ACTION_CAPTURE);

    action->known = *known;
    action->known.system = (struct text){
        arena_copy(out->arena, known->system.bytes, known->system.length),
        known->system.length,
    };
    action->lsn = lsn;
    action->position = base;
    agent->acked_lsn = agent->captured_lsn = agent->advanced_lsn = lsn;
    agent->idle_lsn = 0;
    agent->position_since_ms = 0;
    agent->paused = true;
    pause(agent, false, out);
    agent->state = AGENT_STREAMING;
}

static void say_applied(struct agent *agent, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_APPLIED };

    message.applied.position = agent->progress.applied;
    send(agent, &message, out);
}

static void begin(struct agent *agent, struct agent_actions *out)
{
    const struct terms *terms = &agent->terms;
    struct agent_action *action;

    if (agent->progress.incarnation != 0) {
        say(out, false, "session %" PRIu64 ": streaming from %" PRIX64 "/%08" PRIX64, agent->session, terms->lsn >> 32,
            terms->lsn & UINT32_MAX);
        capture_from(agent, &terms->source, terms->lsn, terms->base, out);
        if (agent->progress.applied > agent->hello_applied)
            say_applied(agent, out);
        return;
    }
    say(out, false, "session %" PRIu64 ": first load begins, incarnation %" PRIu32, agent->session, terms->incarnation);
    action = action_add(out, AGENT_ACTION_LOAD);
    action->incarnation = terms->incarnation;
    action->position = terms->load;
    agent->load_closed = false;
    agent->captured_lsn = agent->acked_lsn = agent->idle_lsn = 0;
    agent->paused = true;
    pause(agent, false, out);
    agent->state = AGENT_LOADING;
}

static void on_adopted(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_ADOPTING)
        return;
    if (!event->ok) {
        stop(agent, "mapping", event->text, out);
        return;
    }
    memcpy(agent->catalog_hash, event->hash, HASH_BYTES);
    agent->bound = true;
    begin(agent, out);
}

static void keep_terms(struct agent *agent, const struct welcome *welcome)
{
    struct terms *terms = &agent->terms;
    uint32_t length = welcome->source.system.length;

    *terms = (struct terms){ .incarnation = welcome->incarnation,
                             .lsn = welcome->lsn,
                             .base = welcome->base,
                             .load = welcome->load,
                             .source = welcome->source };
    if (length >= sizeof agent->terms.system)
        length = sizeof agent->terms.system - 1;
    if (length > 0)
        memcpy(terms->system, welcome->source.system.bytes, length);
    terms->source.system = (struct text){ terms->system, length };
    memcpy(terms->catalog_hash, welcome->catalog_hash, HASH_BYTES);
}

static void on_welcome(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct message *message = event->message;
    const struct welcome *welcome = &message->welcome;
    const char *agency = agent->options.agency;
    char text[512];

    if (agent->state != AGENT_GREETING || message->session <= agent->session)
        return;
    agent->session = message->session;
    agent->sent_number = agent->received_number = 0;
    agent->credit = welcome->credit;
    agent->sent_bytes = 0;
    agent->pinged_ms = event->now_ms;
    agent->state = AGENT_ADOPTING;
    outgoing_clear(agent->outgoing);
    if (welcome->agency.length != strlen(agency) || memcmp(welcome->agency.bytes, agency, welcome->agency.length) != 0) {
        snprintf(text, sizeof text,
                 "the broker knows this key as agency %.*s, but the file says %s: correct agent/agency or agent/key",
                 (int)welcome->agency.length, welcome->agency.bytes, agency);
        stop(agent, "mapping", text, out);
        return;
    }
    if (welcome->incarnation == 0 ||
        (agent->progress.incarnation != 0 && welcome->incarnation != agent->progress.incarnation)) {
        snprintf(text, sizeof text,
                 "the broker knows incarnation %" PRIu32 " of this agency, its database says %" PRIu32
                 ": one of the two was restored from a backup; ask the broker's operator for a re-load",
                 welcome->incarnation, agent->progress.incarnation);
        stop(agent, "history", text, out);
        return;
    }
    keep_terms(agent, welcome);
    if (welcome->catalog.length > 0) {
        struct agent_action *action = action_add(out, AGENT_ACTION_ADOPT);

        action->catalog = (struct text){
            arena_copy(out->arena, welcome->catalog.bytes, welcome->catalog.length),
            welcome->catalog.length,
        };
        action->version = welcome->catalog_version;
        action->hash = (const uint8_t *)arena_copy(out->arena, welcome->catalog_hash, HASH_BYTES);
    } else if (agent->bound && memcmp(agent->catalog_hash, welcome->catalog_hash, HASH_BYTES) == 0) {
        begin(agent, out);
    } else {
        agent->bound = false; /* the next hello asks for the whole catalog */
        trouble(agent, event, out, "the broker sent no catalog although ours is another: asking again");
    }
}

/* ---- in a session ---- */

static void on_ack(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct ack *ack = &event->message->ack;
    struct agent_action *action;

    agent->attempts = 0;
    agent->trouble[0] = '\0';
    if (agent->state == AGENT_STREAMING && ack->lsn > agent->acked_lsn) {
        agent->acked_lsn = ack->lsn;
        advance(agent, out);
    }
    if (agent->state != AGENT_LOADING || !agent->load_closed || ack->lsn < agent->load_lsn)
        return;
    say(out, false, "first load is done, incarnation %" PRIu32, agent->terms.incarnation);
    action = action_add(out, AGENT_ACTION_LOAD_DONE);
    action->incarnation = agent->terms.incarnation;
    action->position = agent->terms.load;
    agent->progress.incarnation = agent->terms.incarnation;
    agent->progress.applied = agent->terms.load;
    memset(agent->progress.applied_leaf, 0, HASH_BYTES);
    capture_from(agent, &(struct source){ .system = { "", 0 } }, agent->load_lsn, agent->terms.load, out);
}

static void batch_remember(struct agent *agent, const struct feed *feed)
{
    struct batch *batch;

    if (agent->batch_count == agent->batch_capacity) {
        agent->batch_capacity = agent->batch_capacity ? 2 * agent->batch_capacity : 64;
        agent->batches = realloc(agent->batches, agent->batch_capacity * sizeof *agent->batches);
        if (!agent->batches)
            abort();
    }
    batch = &agent->batches[agent->batch_count++];
    batch->position = feed->position;
    memcpy(batch->leaf, feed->leaf, HASH_BYTES);
}

static void on_feed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct feed *feed = &event->message->feed;
    struct agent_action *action;

    if (agent->state != AGENT_STREAMING) {
        trouble(agent, event, out, "the broker fed before the load was done");
        return;
    }
    agent->feed_bytes += event->size;
    if (agent->feed_bytes > agent->feed_credit) {
        trouble(agent, event, out, "the broker sent more feed than it had credit for");
        return;
    }
    agent->attempts = 0;
    agent->items_taken += feed->item_count;
    if (feed->final && feed->position > agent->progress.applied)
        batch_remember(agent, feed);
    action = action_add(out, AGENT_ACTION_APPLY);
    action->feed = feed;
    action->size = event->size;
}

static void on_taken(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_CREDIT };

    if (agent->state != AGENT_STREAMING)
        return;
    agent->taken_bytes += event->taken;
    if (agent->taken_bytes + agent->options.window_bytes < agent->feed_credit + agent->options.window_bytes / 4)
        return; /* a credit message for each part would cost more than it brings */
    agent->feed_credit = agent->taken_bytes + agent->options.window_bytes;
    message.credit.total = agent->feed_credit;
    send(agent, &message, out);
}

static void on_applied(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    uint32_t done = 0;

    while (done < agent->batch_count && agent->batches[done].position <= event->position)
        done++;
    if (event->position > agent->progress.applied) {
        agent->progress.applied = event->position;
        memset(agent->progress.applied_leaf, 0, HASH_BYTES);
        if (done > 0 && agent->batches[done - 1].position == event->position)
            memcpy(agent->progress.applied_leaf, agent->batches[done - 1].leaf, HASH_BYTES);
    }
    memmove(agent->batches, agent->batches + done, (agent->batch_count - done) * sizeof *agent->batches);
    agent->batch_count -= done;
    if (agent->state == AGENT_STREAMING)
        say_applied(agent, out);
}

static void on_credit(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (event->message->credit.total > agent->credit)
        agent->credit = event->message->credit.total;
    if (agent->state == AGENT_LOADING || agent->state == AGENT_STREAMING)
        flush(agent, !outgoing_urgent(agent->outgoing), out);
}

/* Half of the round trip is the measure of what is not known of the offset. */
static void on_pong(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    int64_t sent_us = event->message->pong.time_us;

    (void)out;
    agent->round_trip_us = event->time_us - sent_us;
    agent->clock_offset_us = event->message->pong.broker_time_us - (sent_us + agent->round_trip_us / 2);
}

/* PROTOCOL 4.4. A code that is not here is one of a later broker: it is treated as a defect. */
static const struct {
    const char *code;
    bool stops;
    bool greeting; /* may answer a hello; others that arrive then belong to the session before */
} broker_errors[] = {
    { "no-session", false, false }, { "gap", false, false },   { "credit", false, false },
    { "malformed", false, true },   { "base", false, false },  { "version", true, true },
    { "mapping", true, true },      { "history", true, true }, { "revoked", true, true },
    { "busy", false, true },
};

static void on_error(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct text code = event->message->error.code, text = event->message->error.text;
    bool stops = false, greeting = true;
    char why[512];

    for (size_t i = 0; i < sizeof broker_errors / sizeof broker_errors[0]; i++) {
        if (strlen(broker_errors[i].code) == code.length && memcmp(broker_errors[i].code, code.bytes, code.length) == 0) {
            stops = broker_errors[i].stops;
            greeting = broker_errors[i].greeting;
        }
    }
    if (agent->state == AGENT_GREETING ? !greeting : !in_session(agent))
        return;
    if (!stops && agent->state != AGENT_GREETING && event->message->session != 0 &&
        event->message->session < agent->session)
        return; /* it answers a message of the session before */
    snprintf(why, sizeof why, "broker: %.*s: %.*s", (int)code.length, code.bytes, (int)text.length, text.bytes);
    if (stops)
        stop(agent, NULL, why, out);
    else
        trouble(agent, event, out, "%s", why);
}

typedef void handler(struct agent *agent, const struct agent_event *event, struct agent_actions *out);

static const struct {
    handler *handle;
    bool numbered; /* only of the present session, and in order */
} messages[MESSAGE_KIND_COUNT] = {
    [MESSAGE_WELCOME] = { on_welcome, false }, [MESSAGE_ACK] = { on_ack, true },   [MESSAGE_FEED] = { on_feed, true },
    [MESSAGE_CREDIT] = { on_credit, true },    [MESSAGE_PONG] = { on_pong, true }, [MESSAGE_ERROR] = { on_error, false },
};

static void on_message(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct message *message = event->message;

    if (!messages[message->kind].handle) {
        if (in_session(agent))
            trouble(agent, event, out, "the broker sent a %s, which is not for it to send", message_name(message->kind));
        return;
    }
    if (messages[message->kind].numbered) {
        if (!in_session(agent) || message->session != agent->session || message->number <= agent->received_number)
            return; /* of an earlier session, or seen already */
        agent->heard_ms = event->now_ms;
        if (message->number != agent->received_number + 1) {
            trouble(agent, event, out, "gap: message %" PRIu64 " of the broker came after %" PRIu64, message->number,
                    agent->received_number);
            return;
        }
        agent->received_number = message->number;
    }
    agent->heard_ms = event->now_ms;
    messages[message->kind].handle(agent, event, out);
}

/* ---- the world ---- */

static void on_opened(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    uint32_t length = event->progress->source.system.length;

    if (agent->state == AGENT_STOPPED)
        return;
    assert(length < sizeof agent->system);
    agent->progress = *event->progress;
    if (length > 0)
        memcpy(agent->system, event->progress->source.system.bytes, length);
    agent->progress.source.system = (struct text){ agent->system, length };
    agent->open = true;
    agent->batch_count = 0; /* the database has said what is applied */
    leave(agent, event, out);
    agent->hello_at_ms = event->now_ms;
    hello_when_due(agent, event, out);
}

static void on_closed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    agent->open = false;
    trouble(agent, event, out, "%s", event->text);
}

static void on_failed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    stop(agent, "stopped", event->text, out);
}

/* The broker quarantines the agency. */
static void on_doubted(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    stop(agent, "history", event->text, out);
}

static void on_link_up(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    agent->link_up = true;
    hello_when_due(agent, event, out);
}

static void on_link_down(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    agent->link_up = false;
    trouble(agent, event, out, "%s", event->text);
}

static void on_malformed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (in_session(agent) || agent->state == AGENT_GREETING)
        trouble(agent, event, out, "cannot read a message of the broker: %s", event->text);
}

static void ping(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_PING };

    message.ping.time_us = event->time_us;
    agent->pinged_ms = event->now_ms;
    send(agent, &message, out);
}

static void on_tick(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    hello_when_due(agent, event, out);
    if (agent->state == AGENT_GREETING && event->now_ms - agent->hello_said_ms >= AGENT_WELCOME_MS)
        trouble(agent, event, out, "the broker does not answer hello");
    if (!in_session(agent))
        return;
    if (event->now_ms - agent->heard_ms >= AGENT_SILENCE_MS) {
        trouble(agent, event, out, "nothing was heard of the broker for %d s", AGENT_SILENCE_MS / 1000);
        return;
    }
    if (event->now_ms - agent->pinged_ms >= AGENT_PING_MS)
        ping(agent, event, out);
    if (agent->position_since_ms != 0 && event->now_ms - agent->position_since_ms >= AGENT_POSITION_MS) {
        agent->position_since_ms = 0;
        flush(agent, false, out);
    }
}

static void on_stop(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (in_session(agent)) {
        struct message message = { .kind = MESSAGE_BYE };

        message.bye.text = text_of(event->text ? event->text : "the agent was stopped");
        send(agent, &message, out);
    }
    if (agent->state == AGENT_STOPPED)
        return;
    agent->state = AGENT_CLOSED;
    stop(agent, NULL, event->text ? event->text : "told to stop", out);
    out->list[out->count - 1].ok = true;
}

static handler *const handlers[AGENT_EVENT_COUNT] = {
    [AGENT_EVENT_OPENED] = on_opened,       [AGENT_EVENT_CLOSED] = on_closed,       [AGENT_EVENT_FAILED] = on_failed,
    [AGENT_EVENT_DOUBTED] = on_doubted,     [AGENT_EVENT_LINK_UP] = on_link_up,     [AGENT_EVENT_LINK_DOWN] = on_link_down, [AGENT_EVENT_MESSAGE] = on_message,
    [AGENT_EVENT_MALFORMED] = on_malformed, [AGENT_EVENT_ADOPTED] = on_adopted,     [AGENT_EVENT_CAPTURED] = on_captured,
    [AGENT_EVENT_IDLE] = on_idle,           [AGENT_EVENT_LOADED] = on_loaded,       [AGENT_EVENT_TAKEN] = on_taken,
    [AGENT_EVENT_APPLIED] = on_applied,     [AGENT_EVENT_TURN] = on_turn,           [AGENT_EVENT_TICK] = on_tick,
    [AGENT_EVENT_STOP] = on_stop,
};

struct agent *agent_new(const struct agent_options *options)
{
    struct agent *agent = calloc(1, sizeof *agent);

    if (!agent)
        abort();
    agent->options = *options;
    if (agent->options.window_bytes == 0)
        agent->options.window_bytes = AGENT_WINDOW_BYTES;
    agent->outgoing = outgoing_new();
    agent->paused = true;
    agent->round_trip_us = -1;
    return agent;
}

void agent_free(struct agent **agent)
{
    if (!*agent)
        return;
    outgoing_free(&(*agent)->outgoing);
    free((*agent)->batches);
    buffer_free(&(*agent)->packed);
    free(*agent);
    *agent = NULL;
}

void agent_step(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    assert(event->kind < AGENT_EVENT_COUNT);
    if (agent->state == AGENT_STOPPED && event->kind != AGENT_EVENT_APPLIED)
        return;
    handlers[event->kind](agent, event, out);
}

struct agent_status agent_status(const struct agent *agent)
{
    return (struct agent_status){
        .state = agent->state,
        .link_up = agent->link_up,
        .session = agent->session,
        .incarnation = agent->progress.incarnation,
        .acked_lsn = agent->acked_lsn,
        .captured_lsn = agent->captured_lsn,
        .applied = agent->progress.applied,
        .changes_sent = agent->changes_sent,
        .items_taken = agent->items_taken,
        .unsent_bytes = outgoing_bytes(agent->outgoing),
        .round_trip_us = agent->round_trip_us,
        .clock_offset_us = agent->clock_offset_us,
        .trouble = agent->trouble,
    };
}
