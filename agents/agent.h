/* agent.h: one agency's side of the protocol: what to send, what to apply, when the source may forget.
 *
 * A pure state machine (PROTOCOL.md 4): events go in, actions come out, time and randomness come with the event. It
 * keeps no change for ever: what the broker has not acknowledged is read again from the agency's own log in the next
 * session. The source is never told to forget what the broker has not committed. */
#ifndef SELARAS_AGENT_H
#define SELARAS_AGENT_H

#include "proto/message.h"

enum {
    AGENT_WINDOW_BYTES = 4 * 1024 * 1024, /* of feed that the broker may send ahead, when the options say nothing */
    AGENT_BATCH_BYTES = 256 * 1024,       /* about how large one changes message gets */
    AGENT_UNSENT_BYTES = 1024 * 1024,     /* captured and not yet sent: capture waits from here on */
    AGENT_PING_MS = 5000,
    AGENT_SILENCE_MS = 3 * AGENT_PING_MS, /* nothing heard for so long: the session is lost */
    AGENT_WELCOME_MS = 10000,             /* a hello that is not answered for so long is said again */
    AGENT_PAUSE_MIN_MS = 200,             /* before saying hello again: doubles up to ... */
    AGENT_PAUSE_MAX_MS = 10000,
    AGENT_SETTLE_MS = 3000,   /* a hello waits so long for batches that are being applied */
    AGENT_POSITION_MS = 1000, /* a piece that carries nothing but a position may wait so long for company */
};

enum agent_state {
    AGENT_CLOSED,   /* the agency's database is not open */
    AGENT_WAITING,  /* for the link, or for the pause before hello to end */
    AGENT_GREETING, /* hello was said */
    AGENT_ADOPTING, /* welcome came; the mapping is being bound to its catalog */
    AGENT_LOADING,  /* first load, until the broker has acknowledged all of it */
    AGENT_STREAMING,
    AGENT_STOPPED, /* a person is needed, or we were told to */
    AGENT_STATE_COUNT,
};
const char *agent_state_name(enum agent_state state);

/* What the agency's database says of itself when it opens (see driver.h). */
struct agent_progress {
    struct source source;
    uint32_t incarnation; /* 0: not loaded */
    feed_position applied;
    uint8_t applied_leaf[HASH_BYTES];
};

enum agent_event_kind {
    AGENT_EVENT_OPENED,    /* progress: the database is open and checked */
    AGENT_EVENT_CLOSED,    /* text: it was lost; the driver opens it again by itself */
    AGENT_EVENT_FAILED,    /* text: it cannot go on without a person */
    AGENT_EVENT_DOUBTED,   /* text, code (PROTOCOL 4.4): what was or is in it cannot be known; with `reload` the driver
                              opens it again by itself */
    AGENT_EVENT_LINK_UP,   /* the connection to the broker is up */
    AGENT_EVENT_LINK_DOWN, /* text: it was lost, and with it whatever was on its way */
    AGENT_EVENT_MESSAGE,   /* message, size: from the broker */
    AGENT_EVENT_MALFORMED, /* text: what came from the broker cannot be read */
    AGENT_EVENT_ADOPTED,   /* hash, ok, text: the mapping was bound to the catalog and checked, or cannot be */
    AGENT_EVENT_CAPTURED,  /* piece */
    AGENT_EVENT_IDLE,      /* lsn */
    AGENT_EVENT_LOADED,    /* lsn */
    AGENT_EVENT_TAKEN,     /* size: of a feed message whose items the driver took */
    AGENT_EVENT_APPLIED,   /* position */
    AGENT_EVENT_TURN,      /* nothing more happens in this turn of the loop: what was captured may go */
    AGENT_EVENT_TICK,      /* at least every AGENT_PAUSE_MIN_MS */
    AGENT_EVENT_STOP,      /* we are told to end */
    AGENT_EVENT_COUNT,
};

/* Everything in it is borrowed for the step. */
struct agent_event {
    enum agent_event_kind kind;
    int64_t now_ms;  /* monotonic */
    int64_t time_us; /* the wall clock */
    uint32_t random; /* spreads the hellos of many agents */
    union {
        const struct agent_progress *progress;
        struct {
            const struct message *message;
            size_t size;
        };
        struct {
            bool ok;
            const uint8_t *hash;
        };
        const struct piece *piece;
        uint64_t lsn;
        feed_position position;
        size_t taken;
        const char *code;
    };
    const char *text;
};

enum agent_action_kind {
    AGENT_ACTION_SEND,      /* frame, length */
    AGENT_ACTION_ADOPT,     /* catalog: bind the mapping to it and check; answered by AGENT_EVENT_ADOPTED */
    AGENT_ACTION_LOAD,      /* incarnation, position S */
    AGENT_ACTION_LOAD_DONE, /* the same */
    AGENT_ACTION_CAPTURE,   /* known, lsn, position: the base */
    AGENT_ACTION_PAUSE,     /* yes: capture and load wait, or go on */
    AGENT_ACTION_ADVANCE,   /* lsn */
    AGENT_ACTION_APPLY,     /* feed, size: answered by AGENT_EVENT_TAKEN once the driver took it; those wait in order */
    AGENT_ACTION_FORGET,    /* feed that waits for the driver is void: it comes again */
    AGENT_ACTION_STOP,      /* text: why; ok: only because we were told to */
    AGENT_ACTION_LOG,       /* text, warning */
};

/* Everything in it stays until agent_actions_reset, but `feed` only as long as the message it came in. */
struct agent_action {
    enum agent_action_kind kind;
    union {
        struct {
            const char *frame;
            size_t length;
        };
        struct {
            struct text catalog;
            uint32_t version;
            const uint8_t *hash;
        };
        struct {
            uint32_t incarnation;
            uint64_t lsn;
            feed_position position;
            struct source known;
        };
        struct {
            const struct feed *feed;
            size_t size;
        };
        struct {
            const char *text;
            bool warning, ok;
        };
        bool yes;
    };
};

struct agent_actions {
    struct agent_action *list;
    uint32_t count, capacity;
    struct arena *arena;
};
void agent_actions_reset(struct agent_actions *actions);
void agent_actions_free(struct agent_actions *actions);

struct agent_options {
    const char *agency;
    const char *software;
    struct block *blocks; /* what hello declares; outlives the agent */
    uint16_t block_count;
    uint64_t window_bytes; /* 0: AGENT_WINDOW_BYTES */
};

struct agent;
struct agent *agent_new(const struct agent_options *options);
void agent_free(struct agent **agent);

/* Advances the agent by one event and appends what must now be done, in order. */
void agent_step(struct agent *agent, const struct agent_event *event, struct agent_actions *out);

/* For `status`. */
struct agent_status {
    enum agent_state state;
    bool link_up;
    uint64_t session;
    uint32_t incarnation;
    uint64_t acked_lsn, captured_lsn;
    feed_position applied;
    uint64_t changes_sent, items_taken; /* since the agent started */
    size_t unsent_bytes;
    int64_t round_trip_us, clock_offset_us; /* of the last pong; round trip -1 when there was none */
    const char *trouble;                    /* the last one; "" when there was none */
};
struct agent_status agent_status(const struct agent *agent);

#endif
