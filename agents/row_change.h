/* row_change.h: the change that travels, made of what a row was and what it is.
 *
 * What says which fields are part of a change, which groups go whole, and how a change is sealed for the ledger. Pure.
 */
#ifndef SELARAS_ROW_CHANGE_H
#define SELARAS_ROW_CHANGE_H

#include "proto/mapping.h"

/* Messages have a limit, and credit may come back a quarter of the least window late: neither may be in the way of one
 * change. What a row holds beyond this does not travel. */
enum {
    ROW_BYTES_MAX = 512 * 1024,                  /* of a row's values together */
    CHANGE_BYTES_MAX = ROW_BYTES_MAX + 64 * 1024 /* with names and key */
};

/* A field is part of an update when its value now is known and not what it was. */
bool field_changed(struct value before, struct value now);

/* Leaves out the longest values of a row that has more than ROW_BYTES_MAX: returns how many, and says in `err` where
 * the first was. */
int row_bound(const struct mapping_block *block, struct value *fields, struct error *err);

/* The local key of these fields; length 0 when there is none that can travel: `change_no_key` then says so. */
struct text change_key(struct arena *arena, const struct mapping_block *block, const struct value *fields);
extern const char change_no_key[];

/* Fills block and fields: what is different between `before` and `now` (in the block's order; NULL: there was, or is,
 * no row). Of rows that are large the old values are left out. Values are borrowed. */
void change_make(struct arena *arena, const struct mapping_block *block, const struct value *before,
                 const struct value *now, struct change *change);

/* Fills content, salt (HMAC-SHA256 of seed and counter, so that no salt comes twice) and commitment. */
void change_seal(struct arena *arena, struct change *change, const uint8_t seed[32], uint64_t counter);

/* Translates one row read by SELECT (columns in the block's order) to a change of operation load; false when it has no
 * key. `ret_problems` counts what could not be translated. */
bool change_load(struct arena *arena, const struct mapping_block *block, const struct value *columns,
                 struct change *ret, uint32_t *ret_problems, struct error *ret_first);

#endif
