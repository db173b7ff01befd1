/* applied.h: what an apply transaction says of itself in the agency's own stream.
 *
 * Each apply transaction emits one transactional logical message (pg_logical_emit_message(true, 'selaras', content)).
 * The decoded stream shows it in commit order even when the transaction changed no row, so the capture side reads from
 * it exactly which feed position the agency had applied (the base) and what became of items that were not. Pure. */
#ifndef SELARAS_APPLIED_H
#define SELARAS_APPLIED_H

#include "proto/message.h"

#define APPLIED_PREFIX "selaras"

/* content = [ position { report } ], reports as in PROTOCOL 5.1. `position` is the highest feed position this database
 * has applied, the transaction itself included; it never falls. Appends to `out`. */
void applied_pack(feed_position position, const struct report *reports, uint32_t count, struct buffer *out);

/* Reads it back; arrays go to `arena`, text borrows from `bytes`. ERR_DOUBT when it is not what applied_pack wrote. */
must_check int applied_read(struct arena *arena, const void *bytes, size_t length, feed_position *ret_position,
                            struct report **ret_reports, uint32_t *ret_count, struct error *err);

#endif
