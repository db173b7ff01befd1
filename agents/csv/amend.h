/* amend.h: what the broker feeds, put into what the lists should say: one batch a transaction, in steps that never keep
 * the loop for long. */
#ifndef SELARAS_CSV_AMEND_H
#define SELARAS_CSV_AMEND_H

#include "agents/csv/state.h"

enum {
    AMEND_STEP_ITEMS = 200,
    AMEND_WAITING_BYTES = 16 * 1024 * 1024, /* whole batches that may wait */
    AMEND_BATCH_BYTES = 64 * 1024 * 1024,   /* one batch: more is an error */
};

struct amend;

struct amend *amend_new(struct state *state, const struct mapping *mapping);
void amend_free(struct amend **apply);

/* See driver_ops.apply. ERR_STOP when a batch is too large. */
must_check int amend_take(struct amend *apply, const struct feed *feed, bool *ret_taken, struct error *err);
/* A batch that has not ended is forgotten. */
void amend_forget(struct amend *apply);
/* Whether a batch waits or is in its transaction; amend_begun: the latter. */
bool amend_waits(const struct amend *apply);
bool amend_begun(const struct amend *apply);
/* Does some of it. *ret_applied is the position when the batch is committed, else 0. */
must_check int amend_step(struct amend *apply, int64_t now_us, feed_position *ret_applied, struct error *err);

struct settled {
    uint32_t released, closed, refused;
};
/* Tries again, or closes with `note`, all parked records with this number (0: all), in one transaction. */
must_check int amend_settle(struct amend *apply, uint64_t record, bool close, const char *note, int64_t now_us,
                            struct settled *ret, struct error *err);

#endif
