/* compare.h: what a list says of a record against what it said before and what it should say. Pure.
 *
 * An edit is what differs from the list before, not what differs from what should stand there: a correction that the
 * clerk has not typed in yet is no edit, and one that was typed in is none either. */
#ifndef SELARAS_CSV_COMPARE_H
#define SELARAS_CSV_COMPARE_H

#include "agents/row_change.h"

/* A row of the state: fields in the block's order, then its witnesses (row_change.h); NULL: there is no such row. */
struct sides {
    struct value *should; /* what the list should say */
    struct value *said;   /* what the last list that had this row said */
};

/* What comes of one row of a new list (`now` NULL: it is not in a complete one). `*ret` is what the state then holds.
 * The operation is OPERATION_NONE when it is no edit; else the change is from before->should to ret->should, and has
 * the witnesses of `now`. */
enum operation compare_row(struct arena *arena, const struct mapping_block *block, const struct sides *before,
                           struct value *now, struct sides *ret);
/* Whether the list must be corrected. */
bool sides_differ(const struct mapping_block *block, const struct sides *sides);
/* As a list can tell: without the white space around it, and nothing is the same as empty. */
bool cell_same(struct value left, struct value right);

/* What a row says but for its key, packed: the same bytes for the same values. Nothing when that is too little to know
 * a row again by. */
enum { REST_FIELDS_LEAST = 3 };
void fields_rest(const struct mapping_block *block, const struct value *fields, struct buffer *out);

/* Fields and witnesses as the state keeps them, by name; absent ones are left out. */
void fields_pack(const struct mapping_block *block, const struct value *fields, struct buffer *out);
/* Back into an array in the block's order with its witnesses, in `arena`; fields that are no longer mapped are left
 * out. ERR_STOP. */
must_check int fields_unpack(struct arena *arena, const struct mapping_block *block, const void *bytes, size_t length,
                             struct value **ret, struct error *err);

#endif
