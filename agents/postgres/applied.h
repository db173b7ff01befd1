/* applied.h: what an apply transaction says of itself in the agency's own stream.
 *
 * Each apply transaction emits one transactional logical message (pg_logical_emit_message(true, 'selaras', content)).
 * The decoded stream shows it in commit order even when the transaction changed no row, so the capture side reads from
 * it exactly which feed position the agency had applied (the base), what became of items that were not, and which rows
 * it wrote: any other row in the transaction is the work of the agency's own triggers and cascades. Pure. */
#ifndef SELARAS_APPLIED_H
#define SELARAS_APPLIED_H

#include "proto/message.h"

#define APPLIED_PREFIX "selaras"

/* A block of the mapping, as rows name its fields. */
struct wrote_block {
    struct text name;
    struct text *fields;
    uint16_t field_count;
};

/* One row that was written, in the order of writing: a later one of the same key adds to it. */
struct wrote_row {
    uint16_t block; /* index into the blocks */
    struct text key;
    uint64_t record;
    bool gone;               /* deleted, or taken out of the block */
    const uint32_t *digests; /* of the block's fields; 0: left alone. NULL when it is gone */
};

struct applied {
    feed_position position; /* the highest this database has applied, the transaction included; it never falls */
    struct report *reports; /* as in PROTOCOL 5.1 */
    uint32_t report_count;
    bool whole; /* every row that was written is listed; else only those that are gone */
    struct wrote_block *blocks;
    uint16_t block_count;
    struct wrote_row *rows;
    uint32_t row_count;
};

/* content = [ position { report } whole { [ "block" { "field" } ] } { [ block "key" record digests / nil ] } ], digests
 * bin of four bytes a field; nil: it is gone. Appends to `out`. */
void applied_pack(const struct applied *applied, struct buffer *out);

/* Reads it back; arrays go to `arena`, text borrows from `bytes`. ERR_DOUBT when it is not what applied_pack wrote. */
must_check int applied_read(struct arena *arena, const void *bytes, size_t length, struct applied *ret,
                            struct error *err);

/* What a field's value is compared by; never 0. Absent values have none: 0. */
uint32_t value_digest(struct value value);

#endif
