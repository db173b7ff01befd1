/* apply_batch.h: what the two ways of applying a batch share: a set at a time (apply_batch.c), row by row
 * (apply_rows.c). */
#ifndef SELARAS_APPLY_BATCH_H
#define SELARAS_APPLY_BATCH_H

#include "agents/postgres/apply_work.h"

/* An item that is not applied but parked, or joins what is. */
struct park {
    struct net *net;
    const char *reason;
    bool collided; /* with another row, by a unique index */
};

struct apply_batch {
    struct apply_work *work;
    const struct item *const *items;
    uint32_t count;
    feed_position position;
    const uint8_t *leaf;
    apply_batch_done *done;
    void *context;
    struct arena *arena; /* of the present pass */

    const struct item **normal, **joining; /* items by whether their record is parked already */
    uint32_t normal_count, joining_count;

    struct apply_row **rows; /* by number */
    uint32_t row_count;
    int *updates; /* results, within the unit, that name the rows which updates met */
    uint32_t update_count;
    int statements; /* queued in the present unit */

    bool by_row;
    bool lock_each;   /* in row mode: a key is to blame, so that rows cannot be locked together */
    uint32_t next;    /* of `normal`, in row mode */
    uint32_t waiting; /* rows of the present wave without result */
    struct error trouble;

    struct arena *keys_arena; /* of all passes */
    struct made_key *keys;    /* of records whose items name none: as selaras.link has them, by block and record */
    uint32_t key_count;
    struct made_key *made; /* in this pass: for selaras.link */
    uint32_t made_count;

    struct park *parks;
    uint32_t park_count, new_park_count; /* the new ones come first */
    struct report *reports;
    uint32_t report_count;
};

/* Begins anew: which items join what is parked, and nothing done yet. */
void batch_pass_start(struct apply_batch *batch, bool by_row);
/* Takes the locks of all rows before the first is written, block by block in key order, and waits for none. */
void batch_queue_locks(struct apply_batch *batch, struct apply_row **rows, uint32_t count);
/* Marks the rows that an update returned. */
void batch_note_met(struct apply_batch *batch, const PGresult *result);
struct park *batch_park_find(struct apply_batch *batch, uint16_t block, uint64_t record);
void batch_park_new(struct apply_batch *batch, struct net *net, const char *reason);
/* Tells the owner. */
void batch_finish(struct apply_batch *batch, const struct error *err);

/* ---- apply_keys.c ---- */

/* Asks, before the transaction begins, for the keys of items that name none though this database makes them, and then
 * goes on. False: there are none such. */
bool batch_keys_ask(struct apply_batch *batch, void (*then)(struct apply_batch *batch));
/* Gives a net effect whose item names no key the one that our own links say, or that this pass has made. */
void batch_key_find(const struct apply_batch *batch, struct net *net);
/* The key of the row here that is this record: as our own links say, or as this pass has made it. NULL: not known. */
const struct text *batch_key_of(const struct apply_batch *batch, uint16_t block, uint64_t record);
/* Takes over what a row of APPLY_MAKE or APPLY_JOIN has become; false: it must be parked. */
bool batch_made(struct apply_batch *batch, const PGresult *result, struct apply_row *row);
/* Leaves in `made` what selaras.link is to be told: of each record once, what became of it last. A row that we delete
 * here leaves no link behind: its key may be another row's one day. */
void batch_keys_settle(struct apply_batch *batch);

/* ---- apply_references.c ---- */

/* Gives references of a net effect that are numbers of records the keys of their rows here, as far as they are known.
 */
void batch_references_find(struct apply_batch *batch, struct net *net);
/* Whether the item refers to that record. */
bool item_refers_to(const struct mapping *mapping, const struct item *item, const struct net *net);

/* apply_exchange.c: tries what has collided again, together, and then goes on: with code 0 whatever became of it, as
 * long as the transaction stands. False: nothing has, or it cannot be tried. */
bool batch_exchange(struct apply_batch *batch, void (*then)(struct apply_batch *batch, const struct error *err));

/* All rows are written: ends the transaction. */
void batch_conclude(struct apply_batch *batch);
/* The transaction was rolled back: tells the owner. */
void batch_give_up(struct apply_batch *batch, const struct error *err);

/* Does the whole batch again, row by row (apply_rows.c). */
void batch_rows_start(struct apply_batch *batch);

#endif
