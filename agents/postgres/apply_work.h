/* apply_work.h: what the pieces of apply share: the session, and how each of its transactions begins and ends.
 *
 * Every transaction carries the agency's replication origin with the feed position as its LSN, set anew each time: what
 * an aborted one had set would otherwise stick to the next. Every transaction says in the stream what it applied. */
#ifndef SELARAS_APPLY_WORK_H
#define SELARAS_APPLY_WORK_H

#include "agents/postgres/absent.h"
#include "agents/postgres/applied.h"
#include "agents/postgres/apply_sql.h"
#include "agents/postgres/parked.h"

/* Which key this database made for a record's row. */
struct made_key {
    uint16_t block;
    uint64_t record;
    uint32_t row;    /* number of what wrote it, in its pass: the last one is right */
    struct text key; /* length 0: the row is gone */
};

typedef void session_done(void *context, const struct error *err);

struct apply_work {
    struct loop *loop;
    struct pg *pg;
    const struct driver_options *options;
    const struct mapping *mapping;
    const struct inspection *inspection;
    struct apply_sql *sql;
    struct parked_set parked;
    const struct absents *absents; /* deletions that wait; NULL: not known now */
    int64_t wait_us;               /* until when the first parked record waits for its row; 0: none */
    feed_position applied;         /* committed here */
    int64_t planned_ms;            /* when all plans were last thrown away */
    session_done *session_done;
    void *session_context;
};

/* Takes the origin for a connection that has come up, sets the session, and reads what is parked (apply_session.c).
 * `done` gets code 0; ERR_RETRY also when another session has applied more meanwhile. Not called when the connection is
 * lost. */
void session_start(struct apply_work *work, session_done *done, void *context);

/* Queues BEGIN and the origin's position. Statements queued by it: WORK_BEGIN_STATEMENTS. */
enum { WORK_BEGIN_STATEMENTS = 2 };
void work_begin(struct apply_work *work, feed_position position);
/* Queues the logical message, which says this, and COMMIT, and ends the unit. */
void work_commit(struct apply_work *work, const struct applied *applied, pg_done *done, void *context);
/* Adds to what the message says the rows that were written, in the order of writing (wrote.c). */
void work_wrote(struct arena *arena, const struct apply_work *work, struct apply_row *const *rows, uint32_t count,
                struct applied *applied);
/* Queues what selaras.link is told of these, `count` > 0, of each record once: one statement. A key that the database
 * has given again is no other record's any more. */
void work_link(struct apply_work *work, const struct made_key *keys, uint32_t count);
/* Queues, as a unit of its own, what clears the origin's position after a transaction that failed. */
void work_reset(struct apply_work *work);

/* Whether the rows themselves are to blame, not the moment and not the schema. */
bool work_refused(const struct pg_outcome *outcome);
/* Why an item was refused, without any value: in `arena`. */
const char *work_reason(struct arena *arena, const struct pg_outcome *outcome);

/* Reads one row of selaras.parked (block, record, position, key, effect) as a net effect. A sixth column may say the
 * key that our own links have for it. */
must_check int work_parked_read(struct arena *arena, const struct apply_work *work, const PGresult *result, int row,
                                struct net **ret, struct error *err);

/* ---- references (apply_references.c) ---- */

/* Adds to the lists the rows that references among `fields` (in the block's order) are to, of which only the record is
 * said and whose keys this database makes: block and record. How many. */
uint32_t references_ask(const struct mapping *mapping, const struct mapping_block *block, const struct value *fields,
                        struct pg_array *blocks, struct pg_array *records);
/* Puts keys in the place of records, as far as `key_of` knows them. */
typedef const struct text *reference_key(void *context, uint16_t block, uint64_t record);
void references_give(struct arena *arena, const struct mapping *mapping, struct net *net, reference_key *key_of,
                     void *context);
/* What our own links have of these: block, record, key. */
extern const char sql_link_keys[];

/* ---- one batch (apply_batch.c) ---- */

struct apply_batch;
/* Applies `count` items in one transaction that also remembers position and leaf. Borrows all of it until `done`, which
 * gets code 0 when committed; ERR_RETRY when rolled back and worth another try; ERR_STOP. Not called when the
 * connection is closed meanwhile. */
typedef void apply_batch_done(void *context, const struct error *err);
struct apply_batch *apply_batch_start(struct apply_work *work, const struct item *const *items, uint32_t count,
                                      feed_position position, const uint8_t leaf[HASH_BYTES], apply_batch_done *done,
                                      void *context);
/* Allowed inside `done`, and once the connection is closed. */
void apply_batch_free(struct apply_batch **batch);

/* ---- parked records (settle.c) ---- */

struct settle;
struct settle_result {
    uint32_t released, closed, refused, busy;
};
typedef void settle_done(void *context, const struct settle_result *result, const struct error *err);
/* Retries or closes, one transaction each, all parked records with this number (0: all). `user` and `why` are for
 * closing. */
struct settle *settle_start(struct apply_work *work, uint64_t record, bool close, const char *user, const char *why,
                            settle_done *done, void *context);
void settle_free(struct settle **settle);

#endif
