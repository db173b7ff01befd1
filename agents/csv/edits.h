/* edits.h: what a list that is staged changes: its rows against those of the list before, in the transaction that took
 * it. In steps that never keep the loop for long.
 *
 * Each row is compared with what the list before said, not with what it should say: see compare.h. */
#ifndef SELARAS_CSV_EDITS_H
#define SELARAS_CSV_EDITS_H

#include "agents/csv/refusal.h"
#include "agents/csv/state.h"

struct edits_options {
    const struct mapping_block *block;
    bool complete;    /* who is not staged is gone */
    bool outbox;      /* changes travel; else the first load will bring them */
    uint32_t first;   /* so many changes of this list are from its other blocks */
    int64_t saved_us; /* when the list was saved: what others changed after that its maker did not know */
    /* Of a row that does not say by whom and why it changed: who saved the list, NULL: not known, and its name, NULL:
     * it is no text. */
    const char *actor, *ground;
    uint32_t key_column; /* place in the file of the first key column */
};

struct edits_count {
    uint32_t inserts, updates, deletes;
};

struct edits;

struct edits *edits_new(struct state *state, const struct edits_options *options, struct refusals *refusals);
void edits_free(struct edits **edits);
/* Does some of it; *ret_more is false when all is done, or the list is refused. */
must_check int edits_step(struct edits *edits, int64_t now_us, bool *ret_more, struct error *err);
const struct edits_count *edits_count(const struct edits *edits);

#endif
