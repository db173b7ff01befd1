/* part.h: what one block of the mapping reads out of a list: which rows are its own, and what they say, staged. A list
 * has a part for each block that maps it. */
#ifndef SELARAS_CSV_PART_H
#define SELARAS_CSV_PART_H

#include "agents/csv/form.h"
#include "agents/csv/sheet.h"
#include "agents/csv/state.h"

/* What the numbers of a column look like. */
struct numbers {
    uint32_t sixteen, zeros, first_line;
};

struct part {
    const struct mapping_block *block;
    struct spelling *spellings;
    uint16_t *titles; /* of each of the block's columns, which of the list's wanted titles it is */
    struct numbers *numbers;
};

/* Where rows come from and go to. */
struct part_place {
    struct state *state;
    struct refusals *refusals;
    struct sheet *sheet;
    struct arena *scratch; /* of a row */
};

/* One part for each block of the list that block `first` is of, in the mapping's order; `ret_titles` are those that the
 * list must have. */
struct part *parts_new(struct arena *arena, const struct mapping *mapping, uint16_t first, const struct form *form,
                       uint16_t *ret_count, const char *const **ret_titles, uint16_t *ret_title_count);

/* Stages the row, or refuses the list for it. It is no row of the block when a condition of the mapping's `where` does
 * not hold: then it says nothing, but with `delete = set`, where all conditions but those on that column hold, that the
 * row is gone. PART_KEYLESS: it has no key, so it is no record. */
enum part_row { PART_ROW, PART_OUTSIDE, PART_KEYLESS };
must_check int part_stage(const struct part *part, const struct part_place *place, const struct sheet_row *row,
                          enum part_row *ret, struct error *err);

/* Of all rows: numbers that a spreadsheet has rounded. */
void part_check_rounded(const struct part *part, const struct part_place *place);
must_check int part_check_known(const struct part *part, const struct part_place *place, struct error *err);

#endif
