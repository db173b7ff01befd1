/* agent_state.h: what the pieces of the agent's core share: its state, and how it speaks. */
#ifndef SELARAS_AGENT_STATE_H
#define SELARAS_AGENT_STATE_H

#include "agents/agent.h"
#include "agents/outgoing.h"

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
    char trouble[512];

    struct agent_progress progress;
    char system[SYSTEM_BYTES_MAX];
    bool open, link_up;
    const char *doubt; /* the code of `trouble`, which the broker must be told before we stop */

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
    uint64_t captured_lsn;       /* of the last whole transaction captured in this session */
    feed_position captured_base; /* of the last piece */
    uint64_t acked_lsn, advanced_lsn;
    uint64_t idle_lsn; /* nothing of ours up to here since what was captured; 0: not known */
    int64_t idle_said_ms;
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

/* ---- speaking (agent_actions.c) ---- */

struct agent_action *agent_action(struct agent_actions *out, enum agent_action_kind kind);
void agent_say(struct agent_actions *out, bool warning, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Numbers the message within the session and appends its frame. Returns the frame's bytes. */
size_t agent_send(struct agent *agent, struct message *message, struct agent_actions *out);
struct text agent_text(const char *text);
bool agent_in_session(const struct agent *agent);
/* Stops for good; `code`, when there is one, tells the broker why. */
void agent_stop(struct agent *agent, const char *code, const char *why, struct agent_actions *out);
/* Ends the session, if there is one, and says hello again after a pause. What was captured and is not acknowledged is
 * read again from the slot; what was fed and is not applied is fed again. */
void agent_leave(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
/* As agent_leave(), with a reason that is logged once, not at every attempt. */
void agent_trouble(struct agent *agent, const struct agent_event *event, struct agent_actions *out, const char *fmt,
                   ...) __attribute__((format(printf, 4, 5)));

/* ---- changes and feed (agent_flow.c) ---- */

void agent_pause(struct agent *agent, bool yes, struct agent_actions *out);
/* Sends what credit allows, in messages of about AGENT_BATCH_BYTES; with `whole` only messages that are full. */
void agent_flush(struct agent *agent, bool whole, struct agent_actions *out);
void agent_advance(struct agent *agent, struct agent_actions *out);
void agent_say_idle(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_say_applied(struct agent *agent, struct agent_actions *out);
void agent_on_captured(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_on_turn(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_on_idle(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_on_loaded(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_on_feed(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_on_taken(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_on_applied(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_on_credit(struct agent *agent, const struct agent_event *event, struct agent_actions *out);

#endif
