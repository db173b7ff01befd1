#include "agents/agent_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *agent_state_name(enum agent_state state)
{
    static const char *const names[AGENT_STATE_COUNT] = {
        [AGENT_CLOSED] = "closed",     [AGENT_WAITING] = "waiting", [AGENT_GREETING] = "greeting",
        [AGENT_ADOPTING] = "adopting", [AGENT_LOADING] = "loading", [AGENT_STREAMING] = "streaming",
        [AGENT_STOPPED] = "stopped",
    };

    return names[state];
}

/* ---- hello ---- */

static void hello(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_HELLO };
    struct hello *hello = &message.hello;

    hello->version = PROTOCOL_VERSION;
    hello->software = agent_text(agent->options.software);
    hello->incarnation = agent->progress.incarnation;
    hello->source = agent->progress.source;
    if (agent->bound)
        memcpy(hello->catalog_hash, agent->catalog_hash, HASH_BYTES);
    hello->blocks = agent->options.blocks;
    hello->block_count = agent->options.block_count;
    hello->applied = agent->progress.applied;
    memcpy(hello->applied_leaf, agent->progress.applied_leaf, HASH_BYTES);
    hello->credit = agent->options.window_bytes;
    hello->agency = agent_text(agent->options.agency ? agent->options.agency : "");
    agent_send(agent, &message, out);

    agent->hello_applied = hello->applied;
    agent->feed_credit = hello->credit;
    agent->feed_bytes = agent->taken_bytes = 0;
    agent->hello_said_ms = agent->heard_ms = event->now_ms;
    agent->attempts++;
    agent->state = AGENT_GREETING;
}

/* A batch that is applied after hello named an earlier position would be fed twice, and its base be above what the
 * broker has sent in the new session: it is waited for, for a moment. */
static void hello_when_due(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_WAITING || !agent->link_up || event->now_ms < agent->hello_at_ms)
        return;
    if (agent->batch_count > 0 && event->now_ms < agent->settle_by_ms)
        return;
    hello(agent, event, out);
}

/* ---- starting a session ---- */

static void capture_from(struct agent *agent, const struct source *known, uint64_t lsn, feed_position base,
                         struct agent_actions *out)
{
    struct agent_action *action = agent_action(out, AGENT_ACTION_CAPTURE);

    action->known = *known;
    action->known.system = (struct text){
        arena_copy(out->arena, known->system.bytes, known->system.length),
        known->system.length,
    };
    action->lsn = lsn;
    action->position = base;
    agent->acked_lsn = agent->captured_lsn = agent->advanced_lsn = lsn;
    agent->captured_base = base;
    agent->idle_lsn = 0;
    agent->position_since_ms = 0;
    agent->paused = true;
    agent_pause(agent, false, out);
    agent->state = AGENT_STREAMING;
}

static void begin(struct agent *agent, struct agent_actions *out)
{
    const struct terms *terms = &agent->terms;
    struct agent_action *action;

    if (terms->load == 0) {
        agent_say(out, false, "session %" PRIu64 ": streaming from %" PRIX64 "/%08" PRIX64, agent->session,
                  terms->lsn >> 32, terms->lsn & UINT32_MAX);
        capture_from(agent, &terms->source, terms->lsn, terms->base, out);
        if (agent->progress.applied > agent->hello_applied)
            agent_say_applied(agent, out);
        return;
    }
    agent_say(out, false, "session %" PRIu64 ": first load begins, incarnation %" PRIu32, agent->session,
              terms->incarnation);
    action = agent_action(out, AGENT_ACTION_LOAD);
    action->incarnation = terms->incarnation;
    action->position = terms->load;
    agent->load_closed = false;
    agent->captured_lsn = agent->acked_lsn = agent->idle_lsn = 0;
    agent->paused = true;
    agent_pause(agent, false, out);
    agent->state = AGENT_LOADING;
}

static void on_adopted(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_ADOPTING)
        return;
    if (!event->ok) {
        agent_stop(agent, "mapping", event->text, out);
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
    if (welcome->agency.length != strlen(agency) ||
        memcmp(welcome->agency.bytes, agency, welcome->agency.length) != 0) {
        snprintf(text, sizeof text,
                 "the broker knows this key as agency %.*s, but the file says %s: correct agent/agency or agent/key",
                 (int)welcome->agency.length, welcome->agency.bytes, agency);
        agent_stop(agent, "mapping", text, out);
        return;
    }
    if (welcome->incarnation == 0 || (welcome->load == 0 && welcome->incarnation != agent->progress.incarnation)) {
        snprintf(text, sizeof text,
                 "the broker knows incarnation %" PRIu32 " of this agency, its database says %" PRIu32
                 ": one of the two was restored from a backup; ask the broker's operator for a re-load",
                 welcome->incarnation, agent->progress.incarnation);
        agent_stop(agent, "history", text, out);
        return;
    }
    keep_terms(agent, welcome);
    if (welcome->catalog.length > 0) {
        struct agent_action *action = agent_action(out, AGENT_ACTION_ADOPT);

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
        agent_trouble(agent, event, out, "the broker sent no catalog although ours is another: asking again");
    }
}

/* ---- in a session ---- */

static void on_ack(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct ack *ack = &event->message->ack;
    struct agent_action *action;

    if (agent->state == AGENT_STREAMING && ack->lsn > agent->captured_lsn) {
        agent_trouble(agent, event, out, "the broker acknowledged what this agent has not sent");
        return;
    }
    agent->attempts = 0;
    agent->trouble[0] = '\0';
    if (agent->state == AGENT_STREAMING && ack->lsn > agent->acked_lsn) {
        agent->acked_lsn = ack->lsn;
        agent_advance(agent, out);
    }
    if (agent->state != AGENT_LOADING || !agent->load_closed || ack->lsn < agent->load_lsn)
        return;
    agent_say(out, false, "first load is done, incarnation %" PRIu32, agent->terms.incarnation);
    action = agent_action(out, AGENT_ACTION_LOAD_DONE);
    action->incarnation = agent->terms.incarnation;
    action->position = agent->terms.load;
    agent->progress.incarnation = agent->terms.incarnation;
    agent->progress.applied = agent->terms.load;
    memset(agent->progress.applied_leaf, 0, HASH_BYTES);
    capture_from(agent, &(struct source){ .system = { "", 0 } }, agent->load_lsn, agent->terms.load, out);
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
    { "no-session", false, false }, { "gap", false, false },        { "credit", false, false },
    { "malformed", false, true },   { "base", false, false },       { "version", true, true },
    { "mapping", true, true },      { "history", true, true },      { "revoked", true, true },
    { "busy", false, true },        { "quarantined", false, true }, { "agency", true, true },
};

static void on_error(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct text code = event->message->error.code, text = event->message->error.text;
    bool stops = false, greeting = true;
    char why[512];

    for (size_t i = 0; i < sizeof broker_errors / sizeof broker_errors[0]; i++) {
        if (strlen(broker_errors[i].code) == code.length &&
            memcmp(broker_errors[i].code, code.bytes, code.length) == 0) {
            stops = broker_errors[i].stops;
            greeting = broker_errors[i].greeting;
        }
    }
    if (agent->state == AGENT_GREETING ? !greeting : !agent_in_session(agent))
        return;
    if (!stops && agent->state != AGENT_GREETING && event->message->session != 0 &&
        event->message->session < agent->session)
        return; /* it answers a message of the session before */
    snprintf(why, sizeof why, "broker: %.*s: %.*s", (int)code.length, code.bytes, (int)text.length, text.bytes);
    if (stops)
        agent_stop(agent, NULL, why, out);
    else
        agent_trouble(agent, event, out, "%s", why);
}

typedef void handler(struct agent *agent, const struct agent_event *event, struct agent_actions *out);

static const struct {
    handler *handle;
    bool numbered; /* only of the present session, and in order */
} messages[MESSAGE_KIND_COUNT] = {
    [MESSAGE_WELCOME] = { on_welcome, false }, [MESSAGE_ACK] = { on_ack, true },
    [MESSAGE_FEED] = { agent_on_feed, true },  [MESSAGE_CREDIT] = { agent_on_credit, true },
    [MESSAGE_PONG] = { on_pong, true },        [MESSAGE_ERROR] = { on_error, false },
};

static void on_message(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct message *message = event->message;

    if (!messages[message->kind].handle) {
        if (agent_in_session(agent))
            agent_trouble(agent, event, out, "the broker sent a %s, which is not for it to send",
                          message_name(message->kind));
        return;
    }
    if (messages[message->kind].numbered) {
        if (!agent_in_session(agent) || message->session != agent->session || message->number <= agent->received_number)
            return; /* of an earlier session, or seen already */
        agent->heard_ms = event->now_ms;
        if (message->number != agent->received_number + 1) {
            agent_trouble(agent, event, out, "gap: message %" PRIu64 " of the broker came after %" PRIu64,
                          message->number, agent->received_number);
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
    agent_leave(agent, event, out);
    agent->hello_at_ms = event->now_ms;
    hello_when_due(agent, event, out);
}

static void on_closed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    agent->open = false;
    agent_trouble(agent, event, out, "%s", event->text);
}

static void on_failed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    agent_stop(agent, "stopped", event->text, out);
}

/* The next hello is answered with a load. While the broker cannot be told it is found again. */
static void ask_for_load(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_ERROR };

    message.error.code = agent_text(event->code);
    message.error.text = agent_text(event->text);
    if (agent->link_up)
        agent_send(agent, &message, out);
    on_closed(agent, event, out);
}

/* The broker quarantines the agency. While it cannot be told we wait for the link, with the database closed. */
static void on_doubted(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (strcmp(event->code, "reload") == 0) {
        ask_for_load(agent, event, out);
        return;
    }
    if (agent->link_up) {
        agent_stop(agent, event->code, event->text, out);
        return;
    }
    agent->doubt = event->code;
    on_closed(agent, event, out);
}

static void on_link_up(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    agent->link_up = true;
    if (agent->doubt) {
        char why[sizeof agent->trouble];

        memcpy(why, agent->trouble, sizeof why);
        agent_stop(agent, agent->doubt, why, out);
        return;
    }
    hello_when_due(agent, event, out);
}

static void on_link_down(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    agent->link_up = false;
    if (!agent->doubt)
        agent_trouble(agent, event, out, "%s", event->text);
}

static void on_malformed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent_in_session(agent) || agent->state == AGENT_GREETING)
        agent_trouble(agent, event, out, "cannot read a message of the broker: %s", event->text);
}

static void ping(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_PING };

    message.ping.time_us = event->time_us;
    agent->pinged_ms = event->now_ms;
    agent_send(agent, &message, out);
}

static void on_tick(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    hello_when_due(agent, event, out);
    if (agent->state == AGENT_GREETING && event->now_ms - agent->hello_said_ms >= AGENT_WELCOME_MS)
        agent_trouble(agent, event, out, "the broker does not answer hello");
    if (!agent_in_session(agent))
        return;
    if (event->now_ms - agent->heard_ms >= AGENT_SILENCE_MS) {
        agent_trouble(agent, event, out, "nothing was heard of the broker for %d s", AGENT_SILENCE_MS / 1000);
        return;
    }
    if (event->now_ms - agent->pinged_ms >= AGENT_PING_MS)
        ping(agent, event, out);
    agent_say_idle(agent, event, out);
    if (agent->position_since_ms != 0 && event->now_ms - agent->position_since_ms >= AGENT_POSITION_MS) {
        agent->position_since_ms = 0;
        agent_flush(agent, false, out);
    }
}

static void on_stop(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent_in_session(agent)) {
        struct message message = { .kind = MESSAGE_BYE };

        message.bye.text = agent_text(event->text ? event->text : "the agent was stopped");
        agent_send(agent, &message, out);
    }
    if (agent->state == AGENT_STOPPED)
        return;
    agent->state = AGENT_CLOSED;
    agent_stop(agent, NULL, event->text ? event->text : "told to stop", out);
    out->list[out->count - 1].ok = true;
}

static handler *const handlers[AGENT_EVENT_COUNT] = {
    [AGENT_EVENT_OPENED] = on_opened,     [AGENT_EVENT_CLOSED] = on_closed,
    [AGENT_EVENT_FAILED] = on_failed,     [AGENT_EVENT_DOUBTED] = on_doubted,
    [AGENT_EVENT_LINK_UP] = on_link_up,   [AGENT_EVENT_LINK_DOWN] = on_link_down,
    [AGENT_EVENT_MESSAGE] = on_message,   [AGENT_EVENT_MALFORMED] = on_malformed,
    [AGENT_EVENT_ADOPTED] = on_adopted,   [AGENT_EVENT_CAPTURED] = agent_on_captured,
    [AGENT_EVENT_IDLE] = agent_on_idle,   [AGENT_EVENT_LOADED] = agent_on_loaded,
    [AGENT_EVENT_TAKEN] = agent_on_taken, [AGENT_EVENT_APPLIED] = agent_on_applied,
    [AGENT_EVENT_TURN] = agent_on_turn,   [AGENT_EVENT_TICK] = on_tick,
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
