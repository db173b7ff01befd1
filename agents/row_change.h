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
    ROW_WITNESSES = 2,                           /* values behind a row's fields: actor and ground */
    ROW_BYTES_MAX = 512 * 1024,                  /* of a row's values together */
    WITNESS_BYTES_MAX = 4096,                    /* of who changed it, and of the ground */
    CHANGE_BYTES_MAX = ROW_BYTES_MAX + 64 * 1024 /* with names and key */
};

/* A field is part of an update when its value now is known and not what it was. */
bool field_changed(struct value before, struct value now);

/* Leaves out the longest values of a row that has more than ROW_BYTES_MAX: returns how many, and says in `err` where
 * the first was. */
int row_bound(const struct mapping_block *block, struct value *fields, struct error *err);

/* Puts actor and ground behind the fields, as columns of the row say; NULL where none does. Leaves out what is too
 * long, and returns and says so likewise. */
int row_witnesses(const struct mapping_block *block, const struct value *columns, struct value *fields,
                  struct error *err);

/* The local key of a row; length 0 when there is none that can travel: `change_no_key` then says so. */
struct text change_key(struct arena *arena, const struct mapping_block *block, const struct value *columns,
                       const struct value *fields);
extern const char change_no_key[];

/* Fills block, fields, actor and ground: what is different between `before` and `now` (in the block's order, then actor
 * and ground; NULL: there was, or is, no row). Who deleted a row, the row does not say. Of rows that are large the old
 * values are left out. Values are borrowed. */
void change_make(struct arena *arena, const struct mapping_block *block, const struct value *before,
                 const struct value *now, struct change *change);

/* Fills content, salt (HMAC-SHA256 of seed and counter, so that no salt comes twice) and commitment. */
void change_seal(struct arena *arena, struct change *change, const uint8_t seed[32], uint64_t counter);

/* Translates one row read by SELECT (columns in the block's order) to a change of operation load; false when it does
 * not belong to the block or has no key. `ret_problems` counts what could not be translated. */
bool change_load(struct arena *arena, const struct mapping_block *block, const struct value *columns,
                 struct change *ret, uint32_t *ret_problems, struct error *ret_first);

#endif
