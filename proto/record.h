/* record.h: changes and items: what travels between an agency and the broker.
 *
 * Open data: plain structs that anyone may read. Text is borrowed from the frame or arena it was decoded in. */
#ifndef SELARAS_RECORD_H
#define SELARAS_RECORD_H

#include "proto/value.h"

/* A feed position: ledger epoch << 48 | sequence, compared as one number. 0 is nothing seen. */
typedef uint64_t feed_position;
#define FEED_EPOCH(position) ((position) >> 48)
#define FEED_SEQUENCE(position) ((position) & ((UINT64_C(1) << 48) - 1))

/* Where a change stands in its source. While an agency loads, lsn is 0 and number counts the pieces. */
struct position {
    uint32_t incarnation;
    uint32_t number;
    uint64_t lsn; /* end LSN of the commit */
};

struct text {
    const char *bytes;
    uint32_t length;
};

enum operation {
    OPERATION_NONE,
    OPERATION_INSERT,
    OPERATION_UPDATE,
    OPERATION_DELETE,
    OPERATION_LOAD, /* an insert read by a first load; never in an item */
    OPERATION_COUNT,
};
const char *operation_name(enum operation operation);

/* One field of a change. `old` is absent on an insert; on a delete `value` is absent and `old` is what was there. */
struct change_field {
    struct text name;
    struct value value;
    struct value old;
};

/* What one source transaction did to one record, net. */
struct change {
    enum operation operation;
    struct text block;   /* of the agency's mapping */
    struct text key;     /* the local key after the change (before it, for a delete), components joined by U+001F */
    struct text old_key; /* the local key before it, when the change moved it; else length 0 */
    struct change_field *fields;
    uint16_t field_count;
    struct value actor; /* null where the agency records none */
    struct value ground;
    struct text content; /* the exact bytes that the commitment covers (PROTOCOL 5.2) */
    uint8_t salt[32];
    uint8_t commitment[32];
};

/* What the agency's stream says became of an item: see PROTOCOL 5.1. */
enum report_kind {
    REPORT_NONE,
    REPORT_SKIPPED,
    REPORT_PARKED,
    REPORT_RELEASED,
    REPORT_CLOSED,
    REPORT_LINKED,
    REPORT_LATE,
    REPORT_ALTERED,
    REPORT_COMPLETE, /* of a load alone: all rows of the block were in it */
    REPORT_COUNT
};
const char *report_name(enum report_kind kind);
struct report {
    enum report_kind kind;
    uint64_t record;
    feed_position position; /* of the item */
    struct text block;
    struct text
        text; /* why it was parked or by whom closed; the local key of a link; "empty" of a block without rows */
};

/* The fence row that the stream showed: proof that this database has gone on from where it was (PROTOCOL 4.3). */
struct fence {
    uint64_t seq; /* 0: none */
    uint8_t token[16];
};

/* One source transaction, or a part of a large one. */
struct piece {
    uint64_t lsn;      /* end LSN; 0 while loading */
    uint32_t first;    /* number of its first change; while loading, of the piece */
    bool final;        /* nothing more of this transaction follows */
    bool nothing_seen; /* base is nothing seen (while loading) */
    feed_position base;
    int64_t commit_time_us; /* the source's clock, UTC, since 1970 */
    struct fence fence;
    struct report *reports;
    struct change *changes;
    uint32_t report_count;
    uint32_t change_count;
};

/* Why an agency is sent something it did not write, or back what it did. */
struct reason {
    struct text verdict; /* "put back", "lost", "held", ...; length 0 when there is no reason to give */
    struct text by;      /* agency that wrote what stands, or who decided */
    struct text rule;
    struct text ground; /* when a person decided */
};

struct item_field {
    struct text name;
    struct value value;
};

/* One record as a reader must now have it. */
struct item {
    feed_position position;
    uint64_t record;
    enum operation operation; /* insert carries the whole record and is an update where the row exists */
    struct text block;        /* of the reader's mapping */
    struct text key;          /* the reader's local key; length 0 when the broker knows none */
    struct item_field *fields;
    uint16_t field_count;
    struct reason reason;
};

#endif
