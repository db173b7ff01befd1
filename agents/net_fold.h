/* net_fold.h: what the items of a batch do to each record, net, in the order in which it must be done.
 *
 * Set-based statements want each row once. Items of one record are folded to their net effect, but never past a change
 * of a local key: keys then are free and taken in the order in which they were at the source. A row whose key the
 * database is yet to make is one net effect in any case. Pure. */
#ifndef SELARAS_NET_FOLD_H
#define SELARAS_NET_FOLD_H

#include "proto/mapping.h"

/* What is to be done to one row. */
struct net {
    enum operation operation;
    uint16_t block;
    uint64_t record;
    feed_position position; /* of the first item in it */
    struct text key;        /* of the row as it is now; length 0 when only its own fields can tell */
    bool key_of_ours;       /* the key is what our own links say, not the broker: the row may be another one by now */
    struct value *fields;   /* in the block's order; absent ones are left alone */
    struct reason *reasons; /* the same; verdict of length 0: none to give. NULL when no field has one */
    struct reason reason;   /* why the row as a whole comes or goes */
    bool moves;             /* the row gets another local key */
    bool waited;            /* its row has been waited for long enough (`absence`) */
};

/* What may be done together: no row twice, deletions first, then what is referred to before
 * what refers to it, of each record type updates before insertions. */
struct net_run {
    struct net **list;
    uint32_t count;
};

/* A new net effect, of one item. ERR_STOP when the block or a field is not in the mapping. Text is borrowed. */
must_check int net_new(struct arena *arena, const struct mapping *mapping, const struct item *item, struct net **ret,
                       struct error *err);
/* `item` happens to the row after what is in `net` already: both are of one record. */
must_check int net_add(struct arena *arena, const struct mapping *mapping, struct net *net, const struct item *item,
                       struct error *err);
/* The local key that the row has afterwards, from its fields; length 0 when it cannot be told. */
struct text net_key(struct arena *arena, const struct mapping *mapping, const struct net *net);
/* How net.operation, fields and reason are kept: as effect_pack() does. */
void net_pack(const struct mapping *mapping, const struct net *net, struct buffer *out);

/* Folds `count` items, in order, into runs that must be done one after another. */
must_check int net_fold(struct arena *arena, const struct mapping *mapping, const struct item *const *items,
                        uint32_t count, struct net_run **ret, uint32_t *ret_count, struct error *err);

#endif
