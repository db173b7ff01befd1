/* arrival.h: where what a record says now has arrived: for each reader and field, by the positions agencies reported.
 */
#ifndef SELARAS_ARRIVAL_H
#define SELARAS_ARRIVAL_H

#include "cli/query.h"

enum arrival_state {
    ARRIVAL_APPLIED,
    ARRIVAL_WROTE,  /* the agency wrote it itself, and nothing for it is on its way */
    ARRIVAL_LOADED, /* it was there already when the agency was first loaded */
    ARRIVAL_WAITING,
    ARRIVAL_HELD,    /* its own change of it waits for a decision */
    ARRIVAL_ALTERED, /* it was applied, and a trigger there has made another value */
    ARRIVAL_PARKED,
    ARRIVAL_SKIPPED,
    ARRIVAL_NOT_MAPPED,
    ARRIVAL_NOT_FED, /* by its mode */
    ARRIVAL_NOT_ENROLLED,
    ARRIVAL_REVOKED,
    ARRIVAL_STATE_COUNT,
};
const char *arrival_state_name(enum arrival_state state);

/* Everything that it is decided from. */
struct arrival_facts {
    const struct catalog *catalog;
    const struct catalog_type *type;
    const struct last_write *writes;
    int write_count;
    const struct agency_row *agencies;
    int agency_count;
    const struct reply_row *replies;
    int reply_count;
    const struct debt_row *debts; /* open ones of the record */
    int debt_count;
    const struct altered_row *altered;
    int altered_count;
    const struct held_row *helds;
    int held_count;
};

/* Fields of one agency that share their fate. */
struct arrival {
    const char *agency;
    enum arrival_state state;
    feed_position position;       /* what the agency must have applied; 0: nothing */
    const struct agency_row *row; /* NULL: not enrolled */
    const struct debt_row *debt;  /* when parked or skipped */
    const struct held_row *held;  /* when held */
    int64_t since_us;             /* when waiting or altered: since when, or 0 */
    const char **fields;
    int field_count;
};

/* In the order of the catalog's agencies; fields that nobody has written are left out. ERR_STOP when stored bytes
 * cannot be read. */
must_check int arrival_find(struct arena *arena, const struct arrival_facts *facts, struct arrival **ret,
                            int *ret_count, struct error *err);

#endif
