/* brake.h: how much of what is limited each agency has done lately, and what waits for a person because of that or
 * because it cannot be decided.
 *
 * Small whatever is held: a hold is its number and a count; what is held of a record is in that record. A batch works
 * on a copy, which takes the old one's place when the batch is committed. Time comes with the events. */
#ifndef SELARAS_BRAKE_H
#define SELARAS_BRAKE_H

#include "daemon/batch.h"

struct brake;

/* One limit of the catalog. */
struct limited {
    uint16_t type, unit;
    const struct catalog_limit *limit;
};

/* An open hold. */
struct hold {
    struct hold_row row;
    uint16_t type, unit; /* by the catalog; UINT16_MAX: it no longer has them */
    uint64_t after;      /* the decision is carried out up to this record */
    uint32_t stuck;      /* of those, so many could not be released */
    bool refused;        /* the broker's database does not take it: not before the next start, or another decision */
    bool changed;        /* the row must be written */
    /* Of one that waits for what is referred to: see references.h. Not stored. */
    bool looked_at;         /* nothing has come since that was tried */
    uint32_t tried_changes; /* how many were held then */
    int64_t tried_ms, pause_ms;
};

struct brake *brake_new(const struct catalog *catalog, const struct ledger_state *state);
struct brake *brake_copy(const struct brake *brake);
void brake_free(struct brake **brake);

/* The limits of the catalog, numbered from 0 by type; NULL behind the last. Those of a type begin at the one returned.
 */
const struct limited *brake_limit(const struct brake *brake, uint32_t limit);
uint32_t brake_limit_count(const struct brake *brake);
uint32_t brake_limits_of(const struct brake *brake, uint16_t type, uint32_t *ret_count);

/* How many changes the agency has made within the limit's time before now. */
uint64_t brake_used(const struct brake *brake, uint16_t agency, uint32_t limit, int64_t now_us);
void brake_use(struct brake *brake, uint16_t agency, uint32_t limit, int64_t now_us, uint64_t changes);

/* Open holds, in the order of their numbers; NULL behind the last. */
struct hold *brake_hold(const struct brake *brake, uint32_t at);
struct hold *brake_hold_numbered(const struct brake *brake, uint32_t number);
/* The open one of these changes, or NULL. */
struct hold *brake_hold_of(const struct brake *brake, uint16_t agency, uint16_t type, uint16_t unit,
                           const char *reason);
struct hold *brake_hold_open(struct brake *brake, uint16_t agency, uint16_t type, uint16_t unit, enum hold_cause cause,
                             const char *reason, feed_position entry);
/* Whether a decision is being carried out. One that the broker's database refuses stands until the next one. */
bool brake_is_decided(const struct hold *hold);
/* Keeps the texts of a decision. */
void brake_decide(struct brake *brake, struct hold *hold, enum hold_decision decision, feed_position entry,
                  const char *by, const char *ground, const char *selection);
/* How much is held for an agency. */
uint32_t brake_held(const struct brake *brake, uint16_t agency);

/* What has changed since the copy was made, as rows in `arena`. `ends`: no part of the batch follows, and holds of
 * which nothing is held are closed and gone. */
void brake_write(struct brake *brake, struct arena *arena, bool ends, struct writes *writes);

/* "17,19,200-400" as a multirange, "{[17,17],[19,19],[200,400]}"; "" stays "". False: it is no such list. */
bool selection_make(struct arena *arena, const char *text, const char **ret);

#endif
