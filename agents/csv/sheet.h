/* sheet.h: a list as a spreadsheet writes it: a row of titles, then a row a record. Pure; libcsv parses.
 *
 * Lines go in one by one, rows come out with their cells in the order of the wanted titles. Whatever is not exactly a
 * table is refused with line and column. Cells lose the white space around them, and the apostrophe that keeps a
 * spreadsheet from calculating; an empty cell is NULL. */
#ifndef SELARAS_CSV_SHEET_H
#define SELARAS_CSV_SHEET_H

#include "agents/csv/refusal.h"

struct sheet_row {
    uint32_t line;             /* where it begins, from 1 */
    const struct value *cells; /* in the order of the wanted titles; borrowed for the call */
};
typedef void sheet_sink(void *context, const struct sheet_row *row);

struct sheet_options {
    const char *const *titles; /* wanted; compared without regard to case and white space */
    uint16_t title_count;
    uint32_t rows_most;
    bool short_rows; /* cells that are missing at the end of a row are empty */
};

struct sheet;

/* All arguments outlive it. */
struct sheet *sheet_new(const struct sheet_options *options, struct refusals *refusals, sheet_sink *sink,
                        void *context);
void sheet_free(struct sheet **sheet);
/* The next line, in UTF-8, with its end. */
void sheet_line(struct sheet *sheet, struct text line);
/* No more lines. */
void sheet_end(struct sheet *sheet);

/* What was found. A line "# lengkap 120 baris" says that the list is complete, and of how many rows. */
uint32_t sheet_rows(const struct sheet *sheet);
bool sheet_complete(const struct sheet *sheet);
/* It says that it is complete, and of no rows. */
bool sheet_claims_none(const struct sheet *sheet);
char sheet_separator(const struct sheet *sheet);
/* Where title `index` of the wanted ones stands, from 1. */
uint32_t sheet_column(const struct sheet *sheet, uint16_t index);
/* Titles that nobody wants, with ", " between; "" when there are none. */
const char *sheet_ignored(const struct sheet *sheet);

/* A cell as it counts: what is around it taken away. What an agency is sent is compared after the same. */
struct value sheet_cell(struct value cell);

#endif
