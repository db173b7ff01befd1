/* broker.h: the core of the broker: what happens goes in as events, what must be done comes out as actions.
 *
 * One batch at a time: gather what the agencies have sent, look up what it is about, decide, store all of it in one
 * transaction, then acknowledge and feed. Nothing here waits, reads a clock or knows PostgreSQL and ØMQ. When a store's
 * result is lost the shell drops this whole state and starts again from what PostgreSQL says. */
#ifndef SELARAS_BROKER_H
#define SELARAS_BROKER_H

#include "daemon/batch.h"
#include "daemon/preview.h"

struct broker;

/* What may be said of a reveal. */
enum { REVEAL_BYTES_MAX = 400 };

/* Where a connection's messages come from and go to: ØMQ's routing id. */
struct route {
    uint8_t length;
    uint8_t bytes[31];
};

/* What the core works on within a step: if it crashes, this is whose input it was. All of it is numbers. */
struct working {
    uint16_t agency; /* id; 0: nobody's */
    uint16_t behind; /* 1: what it sent behind the position; 0: the transaction, or piece of a load, at it */
    uint32_t number; /* of a load's piece, while lsn is 0 */
    uint64_t lsn;
};

struct broker_options {
    struct working *working; /* noted here, for whoever starts the broker again */
    uint64_t window_bytes;   /* of changes that an agency may send ahead ... */
    uint64_t total_bytes;    /* ... and all together, unless that is less than a frame for each */
    uint64_t stage_bytes;    /* of one agency's unfinished transaction; one at a time may be larger than its share */
    uint32_t batch_changes;
    uint32_t feed_items;
    uint64_t cache_bytes; /* of records that need no lookup; a quarter more for the last entries */
    uint8_t seed[32];     /* randomness for the salts of the broker's own entries */
};

enum broker_event_kind {
    BROKER_EVENT_FRAME,     /* agency, route, frame: the agency is the one whose key the connection proved */
    BROKER_EVENT_FOUND,     /* batch */
    BROKER_EVENT_STORED,    /* batch: committed */
    BROKER_EVENT_REFUSED,   /* batch, why: PostgreSQL refused what it looks up or writes; nothing of it is committed */
    BROKER_EVENT_SCANNED,   /* scan */
    BROKER_EVENT_ENROL,     /* name, key, request */
    BROKER_EVENT_REVOKE,    /* name, request */
    BROKER_EVENT_RELOAD,    /* name, ground, request: its next hello begins a load, whatever it says of its history */
    BROKER_EVENT_RESUME,    /* name, ground, request: lifts the quarantine of an agency whose batch was refused */
    BROKER_EVENT_MODE,      /* name, mode, table (or "": all of them), ground, request: what becomes of its changes */
    BROKER_EVENT_REVEAL,    /* name (the record type, or ""), record, what, request */
    BROKER_EVENT_RELEASE,   /* record (the hold), what (a selection of records, or ""), ground, request */
    BROKER_EVENT_REJECT,    /* the same */
    BROKER_EVENT_PREVIEW,   /* name, table, record (how many samples), request: what the agency would do in mode full */
    BROKER_EVENT_SAME,      /* name (the record type), record, other (which is the same), dry, ground, request */
    BROKER_EVENT_DIFFERENT, /* the same */
    BROKER_EVENT_LOST,      /* route: a message to it could not be sent */
    BROKER_EVENT_CRASHED,   /* working: the broker has crashed on it, again and again */
    BROKER_EVENT_TICK,
    BROKER_EVENT_COUNT,
};

struct broker_event {
    enum broker_event_kind kind;
    int64_t now_us;
    int64_t monotonic_ms;
    union {
        struct {
            uint16_t agency;
            struct route route;
            const void *frame;
            size_t length;
        };
        struct {
            struct batch *batch;
            const char *why; /* without personal values */
        };
        struct scan *scan;
        struct working working;
        struct {
            const char *name;
            const uint8_t *key;
            const char *ground;
            void *request;
            const char *user;
            const char *what;
            const char *table;
            enum agency_mode mode;
            uint64_t record, other;
            bool dry; /* nothing is done: only what would be is answered */
        };
    };
};

enum broker_action_kind {
    BROKER_ACTION_SEND,   /* route, frame */
    BROKER_ACTION_LOOKUP, /* batch: fill `found`; answered by BROKER_EVENT_FOUND or _REFUSED */
    BROKER_ACTION_STORE,  /* batch: durable before anything that follows; answered by BROKER_EVENT_STORED or
                            _REFUSED */
    BROKER_ACTION_SCAN,   /* scan; answered by BROKER_EVENT_SCANNED */
    BROKER_ACTION_ANSWER, /* request: ok, text, or a preview */
    BROKER_ACTION_LOG,    /* level, agency (NULL: the broker), text; type and position where it is about an entry */
    BROKER_ACTION_STOP,   /* text: a person is needed */
    BROKER_ACTION_COUNT,
};

struct broker_action {
    enum broker_action_kind kind;
    struct route route;
    struct text frame;
    struct batch *batch;
    struct scan *scan;
    void *request;
    bool ok;
    int level; /* of shell/log.h */
    const char *agency;
    const char *text;
    const struct preview_result *preview;
    const char *type; /* of record */
    feed_position position;
};

/* Everything in it lives until the next broker_step. */
struct broker_actions {
    struct broker_action *actions;
    size_t count, capacity;
};

/* Starts from what the store has. The catalog, its text and the options must outlive it. Agencies that the catalog no
 * longer names keep their rows but cannot connect. ERR_STOP when stored blocks or state do not fit the catalog. */
must_check int broker_new(const struct broker_options *options, const struct catalog *catalog, struct text catalog_text,
                          const struct ledger_state *state, struct broker **ret, struct error *err);
void broker_free(struct broker **broker);
/* An operator's request that this broker has not answered and, being dropped, will not; NULL when there is no more. */
void *broker_abandoned(struct broker *broker);

void broker_step(struct broker *broker, const struct broker_event *event, struct broker_actions *ret);

/* What status shows of one agency; NULL behind the last. */
struct peer_view {
    const struct agency_row *row;
    bool known; /* the catalog names it */
    bool up;
    bool reads;         /* some table of it is fed */
    feed_position sent; /* end of the last batch that was sent to it */
    uint32_t parked, skipped, held;
    uint32_t altered; /* values that its own triggers made other than it was fed */
    bool altered_more;
    int64_t copy_at_us; /* when an older copy of its database was last turned away; 0: none was */
};
/* An open hold, likewise. */
const struct hold_row *broker_hold(const struct broker *broker, uint32_t at);
/* Whether PostgreSQL has refused what its decision comes to: it waits for another decision. */
bool broker_hold_refused(const struct broker *broker, uint32_t at);
bool broker_peer(const struct broker *broker, uint32_t at, struct peer_view *ret);
feed_position broker_head(const struct broker *broker);
uint32_t broker_catalog_version(const struct broker *broker);
/* The agency that this key proves, or 0. In time that does not depend on which. */
uint16_t broker_agency_of_key(const struct broker *broker, const uint8_t key[32]);

#endif
