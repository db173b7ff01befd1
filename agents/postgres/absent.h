/* absent.h: deletions that wait for their row to come back (`absence` of a block).
 *
 * A nightly reload deletes everything and inserts it anew, often in many transactions. A deletion of such a block is
 * kept here and not sent; an insertion in time of the same row, by its key or, where the database makes keys, by what
 * identifies the record (rejoin.h), is an update of what differs. What is due leaves with a heartbeat's transaction.
 *
 * What happened here is durable (absent_store.h) before the position of the transaction that did it is given to
 * anybody: absents_changed() until absents_kept(). Pure. */
#ifndef SELARAS_ABSENT_H
#define SELARAS_ABSENT_H

#include "agents/postgres/touched.h"

struct absent {
    struct absent *previous, *next; /* by age; of those that are settled, only next */
    struct local_key *key;
    struct packed_row *row;
    struct local_key **names; /* of a block with generated keys, as rejoin_names() has them */
    uint16_t name_count;
    uint64_t lsn; /* of the transaction that deleted it */
    int64_t since_us;
    bool fresh;     /* not durable yet */
    bool overtaken; /* the feed has put a row there */
    uint64_t settled;
};

struct absents {
    const struct mapping *mapping; /* bound */
    size_t bytes, bytes_max;
    uint32_t count; /* that wait */
    struct absent *oldest, *newest;
    struct absent *settled; /* since absents_kept() */
    struct key_index keys, names;
    bool overtaken;  /* some are */
    int64_t time_us; /* commit time of the last transaction that was gone through */
};

struct absents *absents_new(const struct mapping *mapping, size_t bytes_max);
void absents_free(struct absents **absents);

/* One that was durable already: `fields` in the block's order, then actor and ground. */
void absents_restore(struct absents *absents, uint16_t block, struct text key, const struct value *fields, uint64_t lsn,
                     int64_t since_us);
/* Whether a deletion of this row waits. */
bool absents_wait(const struct absents *absents, uint16_t block, struct text key);
/* An apply of ours has put a row there: the deletion travels with that transaction, as of before it (touched.h,
 * earlier). Counts when absents_pass() ends the transaction. */
void absents_overtake(struct absents *absents, uint16_t block, struct text key);

/* A source transaction has ended. */
struct absent_moment {
    uint64_t lsn;
    int64_t time_us; /* its commit */
    bool beat;       /* it is a heartbeat: what is due leaves with it */
};
/* Goes through what the transaction has done: its deletions begin to wait, rows that came back are updates, what is due
 * is added. ERR_STOP when more waits than fits into memory. */
must_check int absents_pass(struct absents *absents, struct touched_set *set, const struct absent_moment *moment,
                            struct error *err);

/* Whether something happened that is not durable yet: those that are fresh, and those settled. */
bool absents_changed(const struct absents *absents);
void absents_kept(struct absents *absents);

#endif
