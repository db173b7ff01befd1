/* entry.h: a ledger entry, format 1: what the Merkle tree's leaf is made of.
 *
 * The bytes are versioned and deterministic (PROTOCOL 8): they hold no personal value, only a salted commitment to
 * them, so that a value can be redacted and the tree still verifies. Stored as bytes, never rebuilt from columns. */
#ifndef SELARAS_ENTRY_H
#define SELARAS_ENTRY_H

#include "proto/message.h"

enum { ENTRY_FORMAT = 1 };

enum entry_kind {
    ENTRY_NONE,
    ENTRY_OPENING, /* entry 0 of every ledger epoch */
    ENTRY_CHANGE,  /* what an agency did, and what became of it */
    ENTRY_ITEM,    /* something sent to one agency that it did not ask for: answer to a skip, fill after a load */
    ENTRY_LOAD_START,
    ENTRY_LOAD_END,
    ENTRY_ENROLMENT,
    ENTRY_REVOCATION,
    ENTRY_CATALOG,
    ENTRY_MAPPING,
    ENTRY_RESERVED,
    ENTRY_MODE,
    ENTRY_QUARANTINE,
    ENTRY_PARKED,
    ENTRY_RELEASED,
    ENTRY_CLOSED,
    ENTRY_REVEAL,        /* somebody was shown personal values whole: who, and of what */
    ENTRY_RESUMED,       /* an operator has lifted a quarantine */
    ENTRY_HOLD,          /* changes of an agency begin to wait for a person */
    ENTRY_HOLD_RELEASED, /* what a person has decided about them, or about one of them */
    ENTRY_HOLD_REJECTED,
    ENTRY_SAME,       /* a person has said that two records are one; */
    ENTRY_DIFFERENT,  /* ... that they are not, after all or at all */
    ENTRY_GIVEN_UP,   /* what a deleted record was found by is another one's now */
    ENTRY_KIND_COUNT, /* reviews, findings, redactions, gaps and recoveries follow */
};
const char *entry_kind_name(enum entry_kind kind);

enum verdict {
    VERDICT_NONE,
    VERDICT_APPLIED,
    VERDICT_UNCHANGED,
    VERDICT_WON,
    VERDICT_LOST,
    VERDICT_PUT_BACK,
    VERDICT_PROPOSED,
    VERDICT_HELD,
    VERDICT_COUNT,
};
const char *verdict_name(enum verdict verdict);

struct entry_field {
    struct text name;
    enum verdict verdict;
    struct text rule; /* "owner", "largest", "not allowed", ...: why this verdict */
};

struct entry {
    feed_position position;
    int64_t time_us; /* never earlier than the entry before */
    enum entry_kind kind;
    struct text agency; /* "" for the broker itself */
    bool sourced;       /* it came from an agency's stream: source, base and commit time are set */
    struct position source;
    bool nothing_seen;
    feed_position base;
    int64_t commit_time_us;
    bool clock_known;
    int64_t clock_offset_us;
    int64_t clock_uncertainty_us;
    struct text type; /* record type, or "" */
    uint64_t record;  /* 0: none */
    uint64_t other_record;
    feed_position refers; /* the entry it settles; 0: none */
    enum operation operation;
    struct entry_field *fields;
    uint16_t field_count;
    uint32_t catalog_version;
    uint8_t commitment[32]; /* zeros: nothing is committed to */
};

/* Appends the leaf's bytes to `out`. */
void entry_pack(const struct entry *entry, struct buffer *out);
must_check int entry_read(struct arena *arena, const void *leaf, size_t length, struct entry *ret, struct error *err);
/* SHA-256(00 || leaf), RFC 6962 section 2.1. */
void leaf_hash(const void *leaf, size_t length, uint8_t ret[32]);

#endif
