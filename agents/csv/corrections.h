/* corrections.h: what a clerk must change in the list so that it says what it should: a file to open beside it. Pure.
 *
 * Each line names the row's key and one column, what stands there, what should, and why, in Indonesian and English.
 * What a spreadsheet would take for a formula, or for a number that it may round, has an apostrophe before it. */
#ifndef SELARAS_CSV_CORRECTIONS_H
#define SELARAS_CSV_CORRECTIONS_H

#include "agents/csv/compare.h"
#include "agents/csv/form.h"

/* Why something stands as it does; of a field, or of the row as a whole. */
struct correction_reason {
    struct reason reason;
    const char *since; /* as people write a time; "" when not known */
};

struct correction {
    const struct mapping_block *block;
    const struct spelling *spellings;
    const char *part; /* of a list with several blocks: which one; else NULL */
    struct text key;
    struct sides sides;               /* sides.said of a row that got another key is what stands under `was` */
    struct text was;                  /* the key that it has in the list; length 0: the same */
    struct correction_reason *fields; /* in the block's order */
    struct correction_reason row;
};

/* The mark of UTF-8 and the titles. `parts`: the list has several blocks, and lines say of which they are. */
void corrections_begin(char separator, bool parts, struct buffer *out);
/* The lines of one row. ERR_REJECT when a value has no spelling in this list. */
must_check int corrections_add(const struct correction *correction, char separator, struct buffer *out,
                               struct error *err);

#endif
