/* peer.h: what the core keeps of one agency, and of the broker as a whole, and its parts. For the core's own files
 * alone. */
#ifndef SELARAS_PEER_H
#define SELARAS_PEER_H

#include "daemon/altered.h"
#include "daemon/brake.h"
#include "daemon/broker.h"
#include "daemon/cache.h"
#include "daemon/debts.h"
#include "daemon/recent.h"
#include "daemon/reconcile.h"

enum { GROUND_BYTES_MAX = 400 };
enum { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_NOTE = 5 }; /* of shell/log.h */

/* A changes frame that waits for its batch: as it came, which is a tenth of what it takes when it is read. */
struct staged {
    struct staged *next;
    size_t size;
    uint32_t piece_count;
    uint32_t done; /* pieces that are in a batch already or were duplicates */
    bool ends;     /* a transaction */
    bool moves;    /* a local key */
    char frame[];
};

/* A feed frame that waits for credit. */
struct outgoing {
    struct outgoing *next;
    struct feed feed;
    struct arena *arena; /* of the items; NULL for all but the last frame of a batch */
    size_t size;         /* at most */
};

/* How many records of a type the agency holds, as of late. */
struct holding {
    uint64_t records;
    int64_t at_ms;
    uint64_t counted_for; /* the batch's number */
    bool known;
};

struct peer {
    const struct catalog *catalog; /* the broker's */
    struct agency_row row;         /* as committed, but for what `fresh` says */
    agency_index index;            /* AGENCY_GONE: the catalog does not name it */
    bool stored;                   /* the store has its row */
    struct arena *blocks_arena;
    char *blocks_bytes, *modes_bytes; /* of the row */
    struct agency_block *blocks;
    uint16_t block_count;
    bool bound; /* the blocks fit the catalog in force */
    struct debts *debts;
    struct altered *altered;
    struct holding *holdings; /* by type; NULL: nobody has asked */

    /* The session. */
    bool up;
    struct route route;
    int64_t heard_ms;   /* in a session */
    bool left;          /* its last session ended with its own word: nobody of it is there any more */
    bool contested;     /* a copy of it has shown itself in this session */
    bool went_on;       /* and it was heard after that */
    int64_t copy_at_us; /* when a copy of it was last turned away */
    uint64_t in_number, out_number;
    uint64_t in_credit, in_used, out_credit, out_used;
    struct staged *staged, *staged_last;
    uint64_t staged_bytes; /* of their frames */
    uint64_t open_bytes;   /* of the frames of a transaction whose end has not come */
    int64_t staged_ms;     /* when the last frame came */
    uint32_t ready;        /* complete transactions waiting */
    uint64_t queued_lsn;   /* of the last piece that came */
    uint32_t queued_number;
    feed_position queued_base;
    bool queued_open;        /* that piece was not final */
    bool large_first;        /* the transaction that is to be taken next is too large for one batch */
    uint32_t hello_timeline; /* what its hello said; kept once a fence has proved it */
    bool load_ended;         /* in a batch or committed */

    /* A hello that waits for its batch, or is in it; `next_*` one that came meanwhile. */
    struct arena *hello_arena, *next_arena;
    struct hello hello, next_hello;
    struct route hello_route, next_route;
    bool hello_waits, next_waits;
    uint32_t hello_cost;   /* of its hellos of late ... */
    int64_t hello_cost_ms; /* ... counted down until then */
    struct staged *graves; /* frames of an ended session that the batch in flight may still borrow from */

    /* The feed. */
    feed_position feed_sent;       /* end of the last batch sent whole */
    feed_position feed_scanned;    /* nothing for it up to here */
    uint8_t feed_leaf[HASH_BYTES]; /* hash of the leaf there */
    int64_t feed_quiet_ms;         /* since when scanned is ahead of sent */
    bool scanning;
    struct outgoing *out, *out_last;

    feed_position applied; /* said, not stored yet */
    bool quarantine_waits;
    enum quarantine quarantine_kind;
    char quarantine_reason[256];
    uint16_t fill_type; /* while STATE_FILLING */
    uint64_t fill_after;
    uint16_t missing_types; /* before that: of so many types what is missing was looked at ... */
    uint64_t missing_after; /* ... and of the next one up to this record ... */
    uint64_t missing_left;  /* ... behind which so many are left */
};

/* An operator's request that waits for its batch. */
struct admin {
    struct admin *next;
    enum broker_event_kind kind;
    char name[33]; /* the agency; the record type of a reveal */
    uint8_t key[32];
    uint64_t record, other;
    bool dry; /* only what would be done is wanted */
    char what[REVEAL_BYTES_MAX + 1];
    char user[64];
    char ground[GROUND_BYTES_MAX + 1];
    enum agency_mode mode; /* of this table, or, without a name, of all */
    char table[NAME_BYTES + 1];
    void *request;
    const char *failure; /* why it was not done; NULL: it was */
    const char *said;    /* the answer then; NULL: none but that */
};

/* What a refused batch was made of, while the one thing in it is looked for that PostgreSQL refuses. */
enum suspect_kind { SUSPECT_TRANSACTION, SUSPECT_FILL, SUSPECT_HELLO, SUSPECT_ADMINS, SUSPECT_SETTLE, SUSPECT_OTHER };
struct suspect {
    enum suspect_kind kind;
    uint16_t agency; /* id; 0: none */
};
struct suspects {
    struct suspect *list; /* in the order in which they stood in the batch */
    uint32_t count, capacity;
    uint32_t taken; /* of the front: in the batch in flight */
};

/* A transaction that is too large to be decided at once, while it is decided part by part: see parts.c. */
struct parts {
    struct peer *peer;          /* NULL: there is none */
    struct staged *frame;       /* with the next piece; kept until the batch ends, also when the session has */
    uint32_t piece;             /* which one of it */
    struct staged *first_frame; /* where it begins */
    uint32_t first_piece;
    uint32_t taken;     /* pieces before that */
    bool resolving;     /* the first time through: what is moved or deleted is looked up */
    bool begun;         /* a part is written: PostgreSQL's transaction is open */
    bool last;          /* the part in flight ends it */
    bool arrived;       /* one before it has brought rows that others may refer to */
    uint64_t *resolved; /* records of what is moved or deleted, in order */
    uint32_t resolved_count, resolved_capacity, resolved_used;
    struct agency_row row; /* as the parts so far leave it, and where they leave the ledger */
    feed_position head;
    int64_t head_time_us;
    uint64_t next_record;
    uint32_t changes; /* since a batch of the feed could last end */
    size_t bytes;
    bool counting;       /* what may be beyond a limit is counted the first time through */
    uint64_t since;      /* the number of its first batch */
    uint32_t *counts;    /* by limit; NULL: nothing is */
    uint32_t *over;      /* by limit: the hold of what is beyond it; NULL: nothing is */
    struct brake *brake; /* as the parts so far leave it */
};

struct preview;

struct broker {
    struct broker_options options;
    const struct catalog *catalog;
    struct text catalog_text;
    struct reconciler *reconciler;
    struct cache *cache;
    struct recent *recent;
    struct brake *brake;
    struct agency_ids ids;
    struct hash_key hash_key;
    struct peer *peers;
    uint32_t peer_count, peer_capacity;

    feed_position head;
    int64_t head_time_us;
    uint64_t next_record;
    uint32_t catalog_version;
    bool catalog_fresh; /* the catalog must still be activated */
    bool opened;
    bool stopped; /* a person is needed: nothing is begun any more */

    struct batch *batch;                 /* in flight; NULL: idle */
    uint64_t batches;                    /* begun so far */
    struct work *work;                   /* what it is about: see decide.h */
    struct admin *admins;                /* oldest first */
    struct working unwatched;            /* where it is noted when nobody asks for it */
    struct preview *preview, *previewed; /* on its way; and one whose answer the shell writes out now */
    struct parts parts;                  /* of the transaction that the batch is a part of */
    struct suspects suspects;            /* of a batch that was refused; see suspects.c */
    struct peer *large;     /* whose transaction may go beyond its share of what is staged; NULL: nobody's */
    uint32_t batch_changes; /* at most in one: fewer while the records of them are large */
    uint32_t turn;          /* the agency whose changes are taken first next time */
    uint64_t salts;         /* made so far */
    int64_t now_us, now_ms;
    int64_t started_ms; /* of the first step; 0: there was none */
    int64_t applied_ms; /* when applied positions were last stored */

    struct arena *step_arena; /* texts of actions */
    struct broker_actions *actions;
};

struct broker_action *action_add(struct broker *broker, enum broker_action_kind kind);
struct broker_action *action_log(struct broker *broker, int level, const struct peer *peer, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Says in fields of the journal which entry a line is about. */
void action_about(struct broker *broker, struct broker_action *line, const struct entry *entry);
/* Sends a message of the peer's session, numbered; returns the frame's bytes. */
size_t peer_send(struct broker *broker, struct peer *peer, struct message *message);
/* Sends an error to whoever it is. */
void send_error(struct broker *broker, const struct route *route, uint64_t session, uint64_t number, const char *code,
                const char *text);
/* Sends an error and ends the session. */
void peer_fail(struct broker *broker, struct peer *peer, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Ends the session: what it had staged and waiting is dropped; it comes again. */
void peer_drop(struct broker *broker, struct peer *peer);
/* Says how far everything of it is committed. */
void peer_ack(struct broker *broker, struct peer *peer);
/* A place for an agency, which no batch in flight knows of. */
struct peer *peer_add(struct broker *broker, const struct agency_row *row);
void peer_free(struct broker *broker, struct peer *peer);
/* A copy of a text of the row, in place of the one in *bytes. */
struct text peer_keep(char **bytes, struct text text);
struct peer *peer_by_id(struct broker *broker, uint16_t id);
struct peer *peer_named(struct broker *broker, const char *name);
/* A copy that ends in NUL, cut at the end of a character when it does not fit. */
void text_copy(char *ret, size_t size, struct text text);
/* The block of this type that a record with these values (absent ones are not known) would come into, or NULL: one that
 * takes new records before one that only holds what its agency has put there. */
const struct agency_block *peer_block(const struct peer *peer, uint16_t type, const struct value *values);
/* Whether it takes new records of this type at all. */
bool peer_inserts(const struct peer *peer, uint16_t type);
/* The block of this name, or NULL. */
const struct agency_block *peer_block_named(const struct peer *peer, struct text name);
/* Ties its blocks to the catalog and gives them their modes. Without error it is bound. */
must_check int peer_bind(struct peer *peer, struct error *err);
/* Whether any of its tables is in mode full. */
bool peer_reads(const struct peer *peer);
/* Whether it is sent anything at all now. */
bool peer_is_fed(const struct peer *peer);
void broker_salt(struct broker *broker, uint8_t ret[32]);

/* Asks for the agency's quarantine: the next batch makes it so. The first reason stands. */
void peer_doubt(struct peer *peer, enum quarantine kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* session.c: what agencies say. */
void session_frame(struct broker *broker, const struct broker_event *event);
/* What was sent on this route is lost, and whatever came behind it would be out of order: the agency says hello again.
 */
void session_lost(struct broker *broker, const struct route *route);
/* The broker has crashed on this more than once: its agency is quarantined, and the others can go on. */
void session_crashed(struct broker *broker, const struct working *working);
/* Ends a session that has been silent for too long. */
void session_watch(struct broker *broker, struct peer *peer);

/* operators.c: what operators ask for. */
void operator_asks(struct broker *broker, const struct broker_event *event);
/* Gives each agency that is to be enrolled its place, before a batch begins: one in flight knows the places there are.
 */
void operators_place(struct broker *broker);
/* Why the agency, whose row will be `row`, cannot be given this mode (`table` "": for all of it), or NULL. */
const char *mode_refused(const struct broker *broker, struct arena *arena, const struct agency_row *row,
                         const struct peer *peer, enum agency_mode mode, const char *table);
/* Answers a request: done, or why not. */
void answer(struct broker *broker, void *request, const char *failure);
/* Done, and what of it is to be told, as JSON. */
void answer_told(struct broker *broker, void *request, const char *json);
void answer_failure(struct broker *broker, void *request, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Forgets the first request of a list and returns what it is to be answered by. */
void *admin_pop(struct admin **list);

/* preview.c */
void preview_ask(struct broker *broker, const struct broker_event *event);
/* The request of one that is given up, or NULL. */
void *preview_abandoned(struct broker *broker);
void preview_fail(struct broker *broker, const char *why);
void preview_free(struct preview **preview);

/* stage.c: what an agency has sent and no batch has taken yet. */
void stage_changes(struct broker *broker, struct peer *peer, struct arena *arena, const struct message *message,
                   const void *frame, size_t size);
/* What an agency may send before any of it is stored. */
uint64_t stage_share(const struct broker *broker);
/* Ends the session of an agency that keeps others waiting. */
void stage_watch(struct broker *broker);
/* Whether the broker has this piece, so that it only needs another ack: "a transaction at or below the last committed
 * end LSN is a duplicate as a whole". */
bool piece_is_duplicate(const struct agency_row *row, const struct piece *piece);
/* The last `count` pieces that a batch has taken are to be taken again. */
void stage_give_back(struct peer *peer, uint32_t count);
void stage_clear(struct broker *broker, struct peer *peer);
/* Reads a frame that was staged: what it says borrows from it, and its changes are not decoded. */
struct changes staged_read(struct arena *arena, const struct staged *staged);
/* No batch is in flight: what was kept for it may go. */
void stage_bury(struct peer *peer);
/* Forgets frames all of whose pieces are done, and gives credit back. */
void stage_release(struct broker *broker, struct peer *peer);

/* rival.c: a copy beside the database that it was made from. */
/* Whether this hello's database is older than what the broker has had of it, or has forked: by its newest fence row. */
bool hello_is_of_a_copy(const struct agency_row *row, const struct hello *hello);
/* NULL, or the code by which this hello is refused because the database that went on is, or may be, alive. */
const char *rival_refusal(struct broker *broker, struct peer *peer, const struct hello *hello);

/* feed.c: what an agency is sent. */
void feed_start(struct broker *broker, struct peer *peer, feed_position applied);
void feed_wake(struct broker *broker, struct peer *peer);
/* Tells an agency that has nothing to receive how far the ledger is, after a while. */
void feed_idle(struct broker *broker, struct peer *peer);
void feed_scanned(struct broker *broker, struct scan *scan);
void feed_clear(struct peer *peer);

#endif
