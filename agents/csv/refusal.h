/* refusal.h: why a list was not taken, for the people who made it: line and column, in Indonesian and English.
 *
 * A list is taken whole or not at all. The text names lines and column titles, never what stands in a cell: it lies in
 * a folder that others may see. Pure. */
#ifndef SELARAS_CSV_REFUSAL_H
#define SELARAS_CSV_REFUSAL_H

#include "proto/message.h"

enum refusal_kind {
    /* the file */
    REFUSAL_NAME,
    REFUSAL_LARGE,
    REFUSAL_OLDER,
    REFUSAL_WORKBOOK,
    REFUSAL_WORKBOOK_HEAVY,
    REFUSAL_NO_CONVERTER,
    /* its text */
    REFUSAL_UTF16,
    REFUSAL_MIXED,
    REFUSAL_BYTE,
    REFUSAL_NUL,
    REFUSAL_LINE_LONG,
    REFUSAL_CUT,
    REFUSAL_QUOTE,
    REFUSAL_QUOTE_OPEN,
    /* its table */
    REFUSAL_EMPTY,
    REFUSAL_TITLE_MISSING,
    REFUSAL_TITLE_TWICE,
    REFUSAL_CELLS_FEW,
    REFUSAL_CELLS_MANY,
    REFUSAL_ROWS_MANY,
    REFUSAL_ROWS_OTHER,
    /* its cells */
    REFUSAL_DATE,
    REFUSAL_NUMBER,
    REFUSAL_CODE,
    REFUSAL_VALUE,
    REFUSAL_SCIENTIFIC,
    REFUSAL_ROUNDED,
    REFUSAL_ROUNDED_KNOWN,
    REFUSAL_KEY_TWICE,
    REFUSAL_KEY_EMPTIED,
    REFUSAL_NOBODY,
    REFUSAL_KIND_COUNT,
};

enum { REFUSAL_LINES = 20, REFUSALS_MAX = 100 };

/* One reason; several lines of one column have it together. */
struct refusal {
    enum refusal_kind kind;
    const char *title; /* of the column, or another word that the text names; "" for none */
    uint32_t column;   /* from 1; 0: none */
    uint64_t number, other;
    uint32_t lines[REFUSAL_LINES]; /* the first ones */
    uint32_t count;                /* how many lines; 0: the file as a whole */
    uint32_t last;                 /* the last of them */
};

struct refusals {
    struct arena *arena; /* of the titles */
    struct refusal list[REFUSALS_MAX];
    uint32_t count;
};

/* Adds one; `title` is copied. `line` 0: the file as a whole. Beyond REFUSALS_MAX reasons it is left out: there is
 * enough to do. */
void refuse(struct refusals *refusals, enum refusal_kind kind, uint32_t line, uint32_t column, const char *title,
            uint64_t number, uint64_t other);
/* The file for the clerk, at the end of `out`. */
void refusals_write(const struct refusals *refusals, const char *name, struct buffer *out);
/* The first reason in English, for the log and `status`. */
const char *refusals_first(struct arena *arena, const struct refusals *refusals);

#endif
