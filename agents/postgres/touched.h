/* touched.h: the records that one transaction has touched so far, with what they were before it and what they are now.
 *
 * Found by block and local key. A record whose key changes stays the same one; a deletion and an insert of one key are
 * one record; a record of which nothing comes in the end is forgotten at once, so that a nightly reload in many small
 * steps keeps little. Pure. */
#ifndef SELARAS_TOUCHED_H
#define SELARAS_TOUCHED_H

#include "agents/postgres/key_index.h"
#include "agents/row_change.h"
#include "proto/mapping.h"

/* A row's fields, then its actor and ground, in one piece of memory: per value its state or length, then the bytes. */
struct packed_row {
    uint32_t size;
    char bytes[];
};

/* `now` may be `before`, and `now_key` `before_key`, when they are equal. A record that did not exist before has no
 * before_key, one that was deleted no now_key. */
struct touched {
    struct touched *previous, *next; /* in the order of the first touch, or as touched_order left them */
    struct touched *chain;           /* while ordering */
    bool ordered;
    bool earlier; /* a deletion that waited until an apply of ours put another row there: older than that apply */
    bool left;    /* not to be waited for: its row was not deleted, or not by the agency, or has been waited for */
    uint16_t block;
    struct local_key *before_key, *now_key;
    struct packed_row *before, *now;
};

struct touched_set {
    const struct mapping *mapping;
    struct arena *scratch; /* reset by the caller between rows */
    size_t bytes;          /* what the records take, without the indexes */
    struct touched *oldest, *newest;
    struct key_index before; /* records that existed before, by their key then */
    struct key_index now;    /* records that exist now, by their key now */
};

/* A row as one block of the mapping sees it. */
struct seen {
    uint16_t block;
    struct value *fields; /* in the block's order, then actor and ground */
    bool *unsent;         /* fields that were not sent because they did not change; NULL: none */
    struct text key;
};

/* Each returns false, and changes nothing, when another row has the same key. `old` is the row before this step. */
must_check bool touched_insert(struct touched_set *set, const struct seen *row);
must_check bool touched_update(struct touched_set *set, const struct seen *old, const struct seen *row);
must_check bool touched_delete(struct touched_set *set, const struct seen *old, bool left);

/* `come`, which is new, is what became of `gone`, which was deleted: one record under another key. Frees `come`. */
void touched_join(struct touched_set *set, struct touched *gone, struct touched *come);
/* `come`, which is new, is what became of a row that an earlier transaction deleted. */
void touched_was(struct touched_set *set, struct touched *come, const struct local_key *key,
                 const struct packed_row *row);
/* A record whose row an earlier transaction deleted is gone from here on. */
void touched_gone(struct touched_set *set, const struct local_key *key, const struct packed_row *row, bool earlier);
void touched_forget(struct touched_set *set, struct touched *touched);
/* Forgets the records of which nothing comes, puts each behind the one whose key it takes, and those of a type behind
 * all that it refers to; what is earlier comes first. Nothing may be added after. */
void touched_order(struct touched_set *set);
void touched_clear(struct touched_set *set);

/* The caller's to free(). */
struct packed_row *row_pack(const struct value *fields, uint16_t count);
/* `values` borrow from the row. */
void row_unpack(const struct packed_row *row, struct value *values, uint16_t count);

#endif
