/* import.h: one list on its way in: scanned, parsed, staged, compared (edits.h), and all of it taken in one
 * transaction, or refused and nothing changed. In steps that never keep the loop for long. */
#ifndef SELARAS_CSV_IMPORT_H
#define SELARAS_CSV_IMPORT_H

#include "agents/csv/form.h"
#include "agents/csv/refusal.h"
#include "agents/csv/state.h"

struct import_options {
    const struct mapping *mapping;
    const struct form *form;
    uint16_t block;    /* the first of the list (list_of()): it has a part for each */
    const char *name;  /* of the file */
    const char *owner; /* user who saved it, NULL: not known; borrowed as the name is */
    int64_t saved_us;  /* when it was saved */
    uint64_t bytes;
    uint8_t digest[HASH_BYTES];
    bool complete; /* its name or the settings say so */
    bool workbook; /* it was a workbook: numbers have a decimal point, rows may be short */
    bool outbox;   /* changes travel; else the first load will bring them */
    uint32_t rows_most;
};

enum import_end { IMPORT_GOES_ON, IMPORT_TAKEN, IMPORT_REFUSED };

struct import_result {
    uint32_t rows, inserts, updates, deletes;
    uint32_t keyless, keyless_line; /* rows without a key, which are no records; where the first is */
    bool complete;
    const char *ignored; /* titles nobody wants */
};

struct import;

/* `text` is the list as it was read or converted; owned from here. `options` is copied, what it points to outlives the
 * import; `refusals` too. */
struct import *import_new(struct state *state, const struct import_options *options, char *text, size_t length,
                          struct refusals *refusals);
/* Rolls back what is not committed. */
void import_free(struct import **import);
/* Does some of it. */
must_check int import_step(struct import *import, int64_t now_us, enum import_end *ret, struct error *err);
/* Of one that has ended; borrowed. */
const struct import_result *import_result(const struct import *import);

#endif
