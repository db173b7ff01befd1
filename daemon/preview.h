/* preview.h: what would happen if an agency that observes took part: its rows are decided as a load would decide them,
 * by the very same functions, page by page, and all that comes of it is counted and dropped. Open data: the core
 * counts, the shell writes it out. */
#ifndef SELARAS_PREVIEW_H
#define SELARAS_PREVIEW_H

#include "proto/catalog.h"

/* What becomes of one field of one row. */
enum preview_what {
    PREVIEW_EQUAL,
    PREVIEW_FILLED,    /* it is empty there, and gets the agreed value */
    PREVIEW_OVERRULED, /* its value gives way to the agreed one */
    PREVIEW_FILLS,     /* its value is taken where nobody had one */
    PREVIEW_CHANGES,   /* its value is taken in place of the agreed one */
    PREVIEW_NEW,       /* its value is a new record's */
    PREVIEW_HELD,      /* a person must look at it */
    PREVIEW_WHAT_COUNT,
};
/* What becomes of one row. */
enum preview_row {
    PREVIEW_MATCHED,  /* it is a record that there is */
    PREVIEW_CREATED,  /* the region gets a new record */
    PREVIEW_WAITS,    /* it cannot be told which record it is: it is held */
    PREVIEW_DELETED,  /* its record was deleted, or may not be added: it is deleted there */
    PREVIEW_STAYS,    /* the same, but it stays as it is: its mapping ignores deletions, or another row has been told */
    PREVIEW_INSERTED, /* not a row yet: a record that it lacks is inserted there */
    PREVIEW_ROW_COUNT,
};
const char *preview_what_name(enum preview_what what);
const char *preview_row_name(enum preview_row row);

/* One case of it. Values are absent where the field is personal. */
struct preview_sample {
    struct preview_sample *next;
    uint64_t record; /* 0: it has no number yet */
    struct value theirs, agreed;
};
struct preview_count {
    uint64_t count;
    uint32_t sample_count;
    struct preview_sample *samples; /* the last one first */
};
struct preview_type {
    const struct catalog_type *type;
    bool mapped; /* the agency has observed rows of it, or would be sent some */
    struct preview_count rows[PREVIEW_ROW_COUNT];
    struct preview_count (*fields)[PREVIEW_WHAT_COUNT]; /* by field of the type */
};
struct preview_result {
    const char *agency, *table; /* table "": all that observe */
    struct preview_type *types; /* by type of the catalog */
    uint16_t type_count;
};

#endif
