/* work.h: one batch while the core works on it. For the core's own files alone: gather.c says what it is about,
 * decide.c and admit.c decide it, finish.c takes over what is committed. */
#ifndef SELARAS_WORK_H
#define SELARAS_WORK_H

#include "daemon/links.h"
#include "daemon/peer.h"

enum {
    WHOLE_CHANGES_MAX = 10000, /* a transaction of at most so many reaches its readers whole */
    WHOLE_BYTES_MAX = 8 * 1024 * 1024,
};

/* So much of what waits. */
struct amount {
    uint32_t changes;
    size_t bytes;
    uint32_t transactions;
};

/* What one peer has in the batch. */
struct share {
    struct peer *peer;
    struct agency_row row; /* as it will be */
    struct piece **pieces;
    uint32_t piece_count;
    struct amount taken;
    bool hello, refused; /* a hello, and whether it is answered with an error */
    const char *refusal;
    char refusal_text[512];
    bool fill;
    uint64_t fill_after;                  /* it is filled up to there, when that is committed */
    bool filled;                          /* ... with all of this type */
    bool missing;                         /* what its load did not have of what it had is looked at ... */
    uint64_t missing_after, missing_left; /* ... up to there, and so many are left */
    bool missing_done;                    /* ... none of this type */
    const struct had_row *had;            /* the row whose deletion is decided; NULL: none is */
    enum had_write had_write;
    feed_position had_base, had_since;
    const char *complete, *empty; /* blocks that its load says it has all rows of, or none: "{a,b}" */
    bool write;                   /* the row has changed */
    bool reset;
    bool quarantined;
    bool asked;         /* it has asked for a load itself: that was looked at */
    bool reloaded;      /* an operator has asked for a load: its session ends */
    bool moded;         /* or for another mode: what was observed is forgotten */
    bool rekeyed;       /* its key was revoked or replaced */
    bool arrived;       /* it has got rows that others may refer to ... */
    uint64_t *arrivals; /* ... of these records, when something parked may wait for them */
    uint32_t arrival_count, arrival_capacity;
    struct awaiting *wakes; /* parked records that are looked at again */
    uint32_t wake_count;
};

/* A record that an agency had as a row which it has taken for another one: a row of its own is sent to it again. */
struct robbed {
    const struct peer *peer;
    uint64_t record, by;
    struct robbed *next;
};

struct work {
    struct batch *batch;
    struct working *working; /* of the broker */
    struct share *shares;
    uint32_t share_count;
    struct admin *admins;
    struct links *links;
    bool previewing;            /* it is a page of a preview, and nothing of it is written */
    struct observed_row *page;  /* that page */
    struct value **page_values; /* by row, then by field of the type */
    uint32_t page_count;
    struct observing *observing; /* what observed rows become; NULL: none does */
    struct map *records;         /* number to canonical */
    struct map *identifiers;     /* (type and unit, values) to canonical */
    struct exchange *exchange;   /* of the transaction that is being decided; NULL: nothing can be exchanged in it */
    const struct canonical *created; /* by the newest change that has created one */
    bool second;                     /* keys without a link were looked up as identifiers too */
    uint32_t entry_capacity, debt_capacity, settled_capacity, lowered_capacity, altered_capacity, record_capacity,
        held_capacity;
    struct buffer scratch;
    struct brake *brake;    /* the batch's copy, once it is needed */
    const uint32_t *over;   /* by limit: the hold that the transaction's changes beyond it go to; NULL: none */
    struct map *held_index; /* (record, hold and unit) to its row in writes.helds, from 1 */
    uint32_t settling;      /* the hold of which a part is settled; 0: none */
    uint16_t settling_type, settling_unit;
    struct robbed *robbed;                       /* rows that agencies say are another record's now */
    struct map *same_asked;                      /* what same_wants() has asked for */
    int settle_step;                             /* of looking up what it is about */
    uint32_t settle_records, settle_identifiers; /* capacities */
};

/* Notes that what the agency sent behind its committed position is worked on; or this piece. */
void work_on_frames(struct working *working, const struct peer *peer);
void work_on_piece(struct working *working, const struct peer *peer, const struct piece *piece);

struct text text_of(const char *string);
/* Grows an array in the batch's arena so that one more fits. */
void *room(struct work *work, void *array, uint32_t count, uint32_t *capacity, size_t size);
/* The peer's share of the batch; share_make makes it when it has none yet. */
struct share *share_make(struct work *work, struct peer *peer);
struct share *share_of(const struct work *work, const struct peer *peer);

/* gather.c: takes what waits into the batch. */
/* Complete transactions of the peer, whole, until any of the limit is reached; returns the pieces taken. */
uint32_t take_transactions(struct work *work, struct peer *peer, const struct amount *limit);
/* Decodes the changes of what the share has taken: they were looked at when they came, but for duplicates. */
void decode_pieces(struct work *work, const struct share *share);
/* Begins the batch of the next part of a large transaction. */
void decide_next_part(struct broker *broker);
/* False: there is nothing to take. */
bool take_admins(struct broker *broker, struct work *work);
bool take_hello(struct broker *broker, struct work *work, struct peer *peer);
bool take_fill(struct broker *broker, struct work *work, struct peer *peer);

/* What this key of the agency means must be known, and this record. */
void want_key(struct work *work, const struct peer *peer, const struct agency_block *block, struct text key,
              uint32_t *capacity);
void want_record(struct work *work, uint16_t type, uint64_t number, uint32_t *capacity);
/* A record that has this identifier must be known; `values` are copied, what they borrow is not. */
void want_identifier(struct work *work, uint16_t type, uint16_t unit, const struct value *values, uint32_t *capacity);

/* parts.c: a transaction that is too large to be decided at once. */
/* Whether one comes next, and nothing of it is taken yet. */
bool parts_begin(struct broker *broker);
/* Takes its next pieces into this batch. */
void parts_take(struct broker *broker, struct work *work);
/* What must be looked up before anything of the transaction is decided, because another change of it may move the key.
 */
bool is_resolved_first(const struct change *change);
/* Remembers, and gives back in the same order, the records of such changes. */
void parts_resolve(struct parts *parts, uint64_t record);
uint64_t parts_resolved(struct parts *parts);
/* What the part in flight leaves is where the next one goes on. */
void parts_go_on(struct broker *broker, struct work *work);
/* It is committed, or as if it had never been. */
void parts_end(struct parts *parts);

/* suspects.c: what a refused batch was made of. */
/* Takes the first half of it into this batch. False: none of it is there any more. */
bool suspects_take(struct broker *broker, struct work *work);
/* What was taken is committed: it was none of these. */
void suspects_cleared(struct broker *broker);

/* finish.c */
/* The part in flight is done with: the next one's batch begins. */
void batch_next_part(struct broker *broker);
/* No batch is in flight: what was kept for it may go. */
void batch_end(struct broker *broker);
/* The hello is answered; one that came meanwhile is next. */
void hello_done(struct peer *peer);

/* entries.c: the entries and records that the batch writes. */
struct entry_row *entry_add(struct broker *broker, struct work *work, enum entry_kind kind, const struct peer *peer);
/* Commits an administrative entry to what it says: a list of two texts. */
void entry_say(struct broker *broker, struct work *work, struct entry_row *row, const char *first, const char *second);
/* Commits it to these bytes, which live as long as the batch. */
void entry_commit(struct broker *broker, struct entry_row *row, struct text body);
/* The place in its source of change `number` of this piece. */
void entry_source(struct entry_row *row, const struct share *share, const struct piece *piece, uint32_t number);
struct text sending_pack(struct work *work, const struct sending *sending, const struct reason *reason);
void record_write(struct work *work, struct canonical *record);
/* The record, or its deletion, for one agency alone, as an entry of its own. */
struct entry_row *send_item(struct broker *broker, struct work *work, struct peer *peer, struct canonical *record);
/* The same of one that exists and that the agency has: every field as an update, with a reason for its people. */
struct entry_row *send_item_because(struct broker *broker, struct work *work, struct peer *peer,
                                    struct canonical *record, const struct reason *reason);
/* Once everything is decided. */
void pack_records(struct work *work);
void pack_leaves(struct work *work);

/* reach.c: which row of an agency is a record, and how an item changes that. */
/* The block under which the agency holds the record now, and its key there; NULL: it has none. */
const struct agency_block *reach_held(const struct work *work, const struct peer *peer, const struct canonical *record,
                                      struct text *ret_key);
/* Whether the record is one that the agency does not hold and takes. */
bool reach_inserts(const struct work *work, const struct peer *peer, const struct canonical *record);
/* How the item of an entry at `position` changes the links of whoever it goes to. */
void link_item(struct work *work, const struct peer *peer, const struct canonical *record, enum operation operation,
               bool identifier_changed, feed_position position);
/* `writer` NULL: nobody has written it. */
void link_readers(struct broker *broker, struct work *work, const struct peer *writer, const struct canonical *record,
                  const struct outcome *outcome, feed_position position);

/* reports.c: what became of items, and what is owed for it. */
/* What it is about; NULL: no record of its block's type. Another change may have brought in one of another type. */
struct canonical *report_record(const struct broker *broker, const struct work *work, const struct peer *peer,
                                const struct report *report);
/* Keys that the agency says it has made, before what comes after in the transaction looks rows up by them. */
void take_links(const struct broker *broker, struct work *work, const struct peer *peer, const struct piece *piece);
void decide_report(struct broker *broker, struct work *work, struct peer *peer, const struct report *report,
                   struct canonical *record);
/* What triggers of the agencies made of the record's fields is no more what is known of them: where `outcome` is sent,
 * and where the writer has changed them itself; `fields` are its new values by field of the type (NULL: it changed
 * nothing now). `writer` is NULL when it was a person. */
void altered_settled(struct broker *broker, struct work *work, struct peer *writer, const struct canonical *record,
                     enum operation operation, const struct value *fields, const struct outcome *outcome);
/* The same of what is sent to one agency alone. */
void altered_sent(struct work *work, struct peer *peer, const struct canonical *record, const struct sending *sending);
/* Skips whose answer the agency has applied by now are settled. */
void debts_answered(struct work *work, struct peer *peer, feed_position base);

/* changes.c: the changes of a piece. */
/* The new values of a change, by field of the type. */
void fields_of_change(const struct catalog_type *type, const struct change *change, struct value *fields);
void index_record(struct work *work, struct canonical *record);
void index_identifiers(struct work *work, struct canonical *record);
/* The record that a change is about, if there is one already, and its new values by field of the type. */
struct canonical *change_record(struct broker *broker, struct work *work, const struct peer *peer,
                                const struct piece *piece, const struct change *change, uint64_t resolved,
                                struct value **ret_fields);
uint64_t taken_by_other(void *context, const struct canonical *record, uint16_t unit, const struct value *values);
/* Once an identifier of the record has changed: a deleted one that has it too loses it, so that it stays unique, which
 * is an entry of its own. Pointers to entries of the batch are void. */
void take_from_deleted(struct broker *broker, struct work *work, const struct canonical *record);
/* Why a change is held whose key nothing is known by. */
extern const char unknown_key[];
/* Which record a row is, of which but `shell` is known so far: `shell` itself, when nobody has its identifiers.
 * *ret_why: it cannot be told. `part`: it is only a part of the row. */
struct canonical *held_target(struct work *work, const struct peer *peer, const struct agency_block *block,
                              struct canonical *shell, struct text key, const struct value *values, bool part,
                              const char **ret_why);
struct canonical *record_numbered(const struct work *work, uint64_t number);
/* Whether anybody's change of it has ever taken effect. */
bool record_is_written(const struct canonical *record);
/* The record that an update or deletion is about, by what its keys meant before the transaction; 0: none, or an insert.
 * All of a transaction are resolved before any is decided: within it keys may be exchanged. */
uint64_t target_resolve(struct broker *broker, struct work *work, const struct peer *peer, const struct piece *piece,
                        const struct change *change);
void decide_change(struct broker *broker, struct work *work, struct share *share, const struct piece *piece,
                   const struct change *change, uint32_t number, uint64_t resolved);

/* decide.c: a key that may be an identifier is wanted as one. */
bool want_key_identified(struct work *work, const struct agency_block *block, struct text key, uint32_t *capacity);
/* The record that has this identifier, as far as the batch knows, or NULL. */
struct canonical *record_identified(const struct work *work, const struct catalog_type *type, uint16_t unit,
                                    const struct value *values);
/* Asks, for an update of record `resolved`, what the transaction would exchange. */
void exchange_change(struct broker *broker, struct work *work, const struct share *share, const struct piece *piece,
                     const struct change *change, uint64_t resolved);

/* exchange.c: identifiers that pass from one record to another within one transaction. */
struct exchange *exchange_new(struct work *work);
/* An update of the transaction; all are asked for before anything of it is decided, then exchange_settle() once.
 * `fields` lives as long as the batch. */
void exchange_ask(struct broker *broker, struct exchange *exchange, const struct writer *writer,
                  const struct canonical *record, const struct value *fields);
void exchange_settle(struct exchange *exchange);
/* Whether this record will have given up what it still has. `exchange` may be NULL, here and below. */
bool exchange_gives(const struct exchange *exchange, const struct canonical *holder, uint16_t unit);
/* Whether this record is to get another identifier. */
bool exchange_grants(const struct exchange *exchange, const struct canonical *record, uint16_t unit);
/* Whether some record is to get this one. */
bool exchange_wants(const struct exchange *exchange, const struct catalog_type *type, uint16_t unit,
                    const struct value *values);

/* admit.c: who may take part: hellos, loads, quarantines, keys. */
void decide_hello(struct broker *broker, struct work *work, struct share *share);
void end_load(struct broker *broker, struct work *work, struct share *share, const struct piece *piece);
void decide_fill(struct broker *broker, struct work *work, struct share *share);
void quarantine(struct broker *broker, struct work *work, struct share *share, enum quarantine kind,
                const char *reason);
/* The agency has asked for a load of its own accord: its next hello begins one. */
void reload_itself(struct broker *broker, struct work *work, struct share *share, const char *reason);
void open_ledger(struct broker *broker, struct work *work);

/* missing.c: what an agency had and its load, which it has asked for itself, does not have: it has deleted that. */
/* What it has now is noted. */
void missing_note(struct share *share);
/* Nothing follows from what it had. */
void missing_forget(struct share *share);
/* Its load says that it had all rows of a block. */
void missing_told(struct work *work, struct share *share, const struct report *report);
/* Says what is to be looked up of it next. False: all of it was looked at. */
bool take_missing(struct broker *broker, struct work *work, struct peer *peer);
void decide_missing(struct broker *broker, struct work *work, struct share *share);
/* That is committed. */
void missing_committed(const struct share *share);
void decide_admins(struct broker *broker, struct work *work);

/* preview.c: what an agency that observes would do. */
/* Whether its next page comes next; `others`: there is other work, which is done in turn. */
bool preview_is_due(const struct broker *broker, bool others);
/* A batch of the agencies begins. */
void preview_let_others(struct broker *broker);
/* Says what the next page is about. False: there is none, and the batch only ends it. */
bool preview_take(struct broker *broker, struct work *work);
/* False: more must be looked up. */
bool preview_found(struct broker *broker, struct work *work);

#endif
