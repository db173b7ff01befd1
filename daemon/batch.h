/* batch.h: one durable step of the broker: what must be looked up for it, what was found, and what is to be written.
 *
 * Open data between the pure core, which fills `wanted` and `writes`, and the store, which fills `found`. Everything
 * lives in the batch's arena, which the core frees when the batch is committed. */
#ifndef SELARAS_BATCH_H
#define SELARAS_BATCH_H

#include "daemon/agency.h"
#include "daemon/canonical.h"
#include "daemon/map.h"

struct wanted_key {
    uint16_t agency; /* id */
    uint16_t type;   /* of its block */
    struct text block, key;
};
struct wanted_identifier {
    uint16_t type, unit;
    const struct value *values; /* of the unit's fields */
};
struct wanted_record {
    uint16_t type;
    uint64_t number;
};
/* Records of a type that an agency must be filled up with after its load: existing ones that it has no link to. */
struct wanted_fill {
    uint16_t agency, type;
    uint64_t after; /* record number */
    uint32_t limit; /* 0: none wanted */
};

/* Records of a type that an agency had when it asked for a load itself, and that the load, which had all rows of their
 * block, did not have. */
struct wanted_had {
    uint16_t agency, type;
    uint64_t after; /* record number */
    uint32_t limit; /* 0: none wanted */
    bool count;     /* how many they are in all, too */
};

/* What is still held under a hold whose decision is being carried out, and stood there when it was made. */
struct wanted_settle {
    uint32_t hold; /* 0: none wanted */
    feed_position before;
    const char *selection; /* a multirange of record numbers; "": all */
    uint64_t after;        /* record number */
    uint32_t limit;
};
/* Observed rows of a block, in the order of their keys. */
struct wanted_page {
    uint16_t agency;
    struct text block, after; /* this key */
    uint32_t limit;           /* 0: none wanted */
};
enum { REFERERS_MOST = 1000 }; /* that one decision may change */
/* How many records of a type an agency holds. */
struct wanted_count {
    uint16_t agency; /* 0: none wanted */
    uint16_t type;
    const char *blocks; /* of it: "{one,other}" */
};

/* What is observed of a row. */
struct observed_row {
    uint16_t agency; /* id */
    struct text block, key;
    struct text body; /* its fields, as effect_pack() writes an insert; length 0: there is no such row any more */
};

struct wanted {
    struct wanted_key *keys;
    uint32_t key_count;
    struct wanted_identifier *identifiers;
    uint32_t identifier_count;
    struct wanted_record *records;
    uint32_t record_count;
    struct wanted_key *observed; /* observed rows that the agency has changed */
    uint32_t observed_count;
    struct wanted_fill fill;
    struct wanted_had had;
    struct wanted_page page; /* they are found.observed */
    struct wanted_settle settle;
    struct wanted_count count;
    uint64_t *referred; /* what refers to these, whether it exists or not */
    uint32_t referred_count;
    feed_position leaf; /* of this entry; 0: none wanted */
};

struct link {
    uint16_t agency;
    struct text block, key;
    uint64_t record;
    feed_position since, until; /* until 0: still good */
};

/* A row that an agency had, as what record, and what it had seen. */
struct had_row {
    uint64_t record;
    struct text block, key;
    feed_position base, since; /* as the agency's row said when it asked for the load */
    bool empty;                /* the load had no row of the block at all */
};

struct found {
    struct canonical **records; /* under the wanted keys, numbers and identifiers, and those of the fill */
    uint32_t record_count;
    struct link *links; /* all links of the records, but for the fill's */
    uint32_t link_count;
    uint32_t fill_rows;  /* of the wanted fill; they are among the records */
    uint64_t fill_last;  /* the last one's number */
    struct had_row *had; /* by record number, rising; the records are there with all their links */
    uint32_t had_count;
    uint64_t had_total;
    struct observed_row *observed;
    uint32_t observed_count;
    uint64_t *settles; /* record numbers, rising */
    uint32_t settle_count;
    uint64_t count;                 /* the wanted one */
    struct wanted_record *referers; /* of the wanted ones; one more than REFERERS_MOST: there are too many */
    uint32_t referer_count;
    bool leaf_known;
    uint8_t leaf[HASH_BYTES]; /* hash of the wanted leaf */
};

struct entry_row {
    struct entry entry;
    bool boundary;
    bool committed; /* salt and body are there */
    uint8_t salt[32];
    struct text leaf, body, effect, reply;
    /* Ids of agencies that the effect does not go to: an insertion or deletion of theirs of this record is held. */
    const uint16_t *withheld;
    uint16_t withheld_count;
};

enum debt_kind { DEBT_SKIPPED, DEBT_PARKED, DEBT_KIND_COUNT };
struct debt {
    uint16_t agency;
    uint64_t record;
    enum debt_kind kind;
    feed_position position; /* of the item that did not take effect */
    feed_position entry;    /* the answer to a skip: changes on a base from here on have seen it */
    struct text block, reason;
};
/* A parked record whose item refers to one that has no row there. */
struct awaiting {
    uint64_t record, awaited;
    char block[64], type[64]; /* of the parked one; of the awaited one */
};
struct settled_debt {
    uint16_t agency;
    feed_position entry; /* as the debt has it */
    const char *how;     /* "answered", "released", "closed" */
};

/* The answer to a skip turns out to be one to an earlier item too. */
struct lowered_debt {
    uint16_t agency;
    feed_position entry; /* as the debt has it */
    feed_position position;
};

/* What an agency's trigger made other than it was fed; or that this is no more known. */
struct altered_write {
    uint16_t agency;
    const char *type, *field;
    uint64_t record;
    feed_position position; /* up to which it had applied then; 0: it is known no more */
};

/* Why changes are held. */
enum hold_cause {
    HOLD_LIMIT,     /* they were more than the catalog's limit */
    HOLD_DEFECT,    /* values of a new record that break what the catalog demands */
    HOLD_UNKNOWN,   /* which record they are about cannot be told */
    HOLD_COLLISION, /* what a record is to be found by is another one's */
    HOLD_CAUSE_COUNT,
};
enum hold_decision { DECISION_NONE, DECISION_RELEASE, DECISION_REJECT, DECISION_COUNT };
/* Changes of one agency that wait together for a person. */
struct hold_row {
    uint32_t number;
    uint16_t agency; /* id */
    const char *type, *unit;
    enum hold_cause cause;
    const char *reason;  /* the limit as the catalog says it, or what is wrong */
    feed_position entry; /* that opened it */
    uint32_t changes;    /* still held */
    /* A decision that is being carried out. */
    enum hold_decision decision;
    feed_position decided; /* the entry that says so */
    const char *by, *ground, *selection;
    bool closed; /* nothing is held any more */
};
/* Something of a record was held, or is no more. */
struct held_write {
    uint32_t hold;
    uint64_t record;
    const char *unit;
    enum operation operation;
    uint64_t others[2];  /* records that it is about too; 0: none */
    feed_position entry; /* the change; what settled it */
    const char *how;     /* NULL: it is held; else "released", "rejected", "corrected", "withdrawn", "same" */
};
/* What an agency has done of what is limited, in one part of the limit's time. */
struct use_row {
    uint16_t agency;
    const char *type, *unit, *rule;
    int64_t part;
    uint64_t changes;
    int64_t until_us; /* it counts until then */
};

enum link_write { LINK_ADD, LINK_END, LINK_REMOVE };
struct link_change {
    enum link_write write;
    struct link link; /* agency, block, key and since find the row */
};

/* What it has as rows: noted for the load that it asks for; forgotten, because nothing follows from it any more. */
enum had_write { HAD_KEPT, HAD_NOTED, HAD_FORGOTTEN };

/* The agency's row as it will be; `old_*` is what must still be there (compare-and-set). */
struct agency_write {
    struct agency_row row;
    uint64_t old_session, old_lsn;
    uint32_t old_incarnation, old_load_number;
    bool create;
    bool blocks;    /* row.blocks has changed */
    bool reset;     /* a new load: its links and debts are of the past, and what was observed of it */
    bool unobserve; /* what was observed is */
    enum had_write had;
    feed_position had_base, had_since;
    const char *complete, *empty; /* blocks of the load that runs, of which it had all rows, or found none: "{a,b}" */
};

struct applied_write {
    uint16_t agency;
    feed_position position;
};

struct writes {
    struct entry_row *entries;
    uint32_t entry_count;
    struct canonical **records; /* dirty ones */
    uint32_t record_count;
    struct link_change *links;
    uint32_t link_count;
    struct observed_row *observed;
    uint32_t observed_count;
    struct debt *debts;
    uint32_t debt_count;
    struct settled_debt *settled;
    uint32_t settled_count;
    struct lowered_debt *lowered;
    uint32_t lowered_count;
    struct altered_write *altered; /* in the order in which it was found */
    uint32_t altered_count;
    struct agency_write *agencies;
    uint32_t agency_count;
    struct applied_write *applied;
    uint32_t applied_count;
    struct hold_row *holds; /* as they will be */
    uint32_t hold_count;
    struct held_write *helds;
    uint32_t held_count;
    struct use_row *uses;
    uint32_t use_count;
    feed_position old_head, head;
    int64_t head_time_us;
    uint64_t next_record;
    uint32_t catalog_version;
    const struct catalog *activated; /* a catalog to keep with its text; NULL: none */
    struct text activated_text;
};

struct batch {
    struct arena *arena;
    uint64_t number; /* since the core was made */
    const struct catalog *catalog;
    const struct agency_ids *ids;
    const struct hash_key *hash_key;
    struct wanted wanted; /* of the store: what the core knows is taken out */
    struct found known;   /* what it knows */
    struct found found;
    struct writes writes;
    bool begins, ends; /* the first and the last part of what is written in one transaction; mostly it is both */
    int64_t now_us;
};

/* What the broker starts from. */
struct ledger_state {
    bool opened; /* false: an empty schema; entry 0 must be written */
    feed_position head;
    int64_t head_time_us;
    uint64_t next_record;
    uint32_t catalog_version;
    uint8_t catalog_hash[HASH_BYTES];
    struct agency_row *agencies;
    uint32_t agency_count;
    struct debt *debts; /* open ones, and answered skips whose answer may not have arrived */
    uint32_t debt_count;
    struct altered_write *altered;
    uint32_t altered_count;
    uint32_t next_hold;
    struct hold_row *holds; /* open ones */
    uint32_t hold_count;
    struct use_row *uses;
    uint32_t use_count;
};

/* A stretch of the feed for one agency. */
struct scan {
    struct arena *arena;
    uint16_t agency; /* id */
    char agency_name[33];
    feed_position after;
    uint32_t limit;      /* items; more when the last one's source transaction goes on ... */
    uint32_t most;       /* ... up to these bounds, at which a larger one is cut; but one item there always is */
    uint64_t most_bytes; /* of what is stored of the items */
    struct scan_row {
        feed_position position;
        struct text type;
        uint64_t record;
        struct text block, key; /* of its link before this entry; empty when it has none */
        struct text sending;    /* effect, or reply when it is the writer's own */
    } * rows;
    uint32_t row_count;
    const struct catalog *catalog;
    struct link *links; /* of the records that the items refer to, at this agency */
    uint32_t link_count;
    feed_position end; /* everything up to here has been seen; a boundary, unless a transaction is cut */
    uint8_t leaf[HASH_BYTES];
};

#endif
