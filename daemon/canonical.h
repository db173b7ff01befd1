/* canonical.h: one canonical record: the agreed state, the fold of its ledger entries, and what must be remembered of
 * each write to decide the next (RULES.md 1).
 *
 * The values stand in the typed table, everything else in one bytea beside them (canonical_meta_pack). */
#ifndef SELARAS_CANONICAL_H
#define SELARAS_CANONICAL_H

#include "proto/catalog.h"
#include "proto/entry.h"

/* The last position at which something was sent to one agency. */
struct sent {
    agency_index agency;
    feed_position position;
};
struct sent_list {
    struct sent *sent;
    uint16_t count;
};

struct unit_state {
    feed_position seq;   /* of the last canonical write; 0: nobody has written it */
    agency_index writer; /* AGENCY_NOBODY for a decision */
    bool echoed;         /* the writer was sent it too */
    bool clock_known;
    int64_t time_us; /* source commit time of that write, with the clock's measured offset and uncertainty */
    int64_t offset_us, uncertainty_us;
    struct sent_list corrections;
    struct value *before; /* what that write replaced, in the order of the unit's fields; one boolean for existence */
};

/* What an agency has changed of a record and nobody has decided yet: its row is not put back, and nobody else is told.
 * Its next change of the same takes its place. */
struct held {
    agency_index agency;
    uint16_t unit;            /* existence: the row was inserted or deleted, and whatever it does to it joins */
    uint32_t hold;            /* the hold that it is settled with; 0: it is yet to be given one */
    bool defect;              /* the value itself is wrong: a right one ends it */
    uint64_t others[2];       /* records that it collides with, or of which it cannot be told which it is; 0: none */
    enum operation operation; /* insert (of the row in `values`), update or delete: net, of all that joined */
    feed_position entry;      /* of its latest change */
    feed_position base;       /* and what the agency had seen then */
    bool nothing_seen;
    int64_t commit_time_us;
    bool clock_known;
    int64_t clock_offset_us, clock_uncertainty_us;
    struct value *values; /* by field of the type, absent where it says nothing */
};

struct canonical {
    const struct catalog_type *type;
    uint64_t number;
    bool exists;
    bool dirty;               /* differs from what the store has */
    bool queued;              /* is among what the batch writes already */
    struct value *values;     /* by field of the type */
    struct value *stored;     /* as the store has them; NULL: it has no row of this record yet */
    struct unit_state *units; /* by unit of the type */
    struct text meta;         /* canonical_meta_pack() of it: as read, and again when the batch is decided */
    struct sent_list wholes;  /* the whole record, or its deletion, sent: counts as an item on each field */
    struct held *helds;
    uint16_t held_count;
    /* A person has said that it is the same as another one: it does not exist, and whoever means it means that one. */
    uint64_t same_as;        /* 0: none */
    feed_position same_at;   /* the entry that says so; its values that went to the other one were written by it */
    struct sent_list passed; /* agencies whose row of it is the other one's since then */
};

/* A record that nobody has written: it does not exist, every field is NULL. */
struct canonical *canonical_new(struct arena *arena, const struct catalog_type *type, uint64_t number);

/* Its present values are the ones that the store has: what differs from them later is what must be written. */
void canonical_note_stored(struct arena *arena, struct canonical *record);

feed_position sent_find(const struct sent_list *list, agency_index agency);
/* Raises the agency's position; the list grows in `arena`. */
void sent_set(struct arena *arena, struct sent_list *list, agency_index agency, feed_position position);
/* Forgets the agency's position if it is at or below `seen`: it can decide nothing any more. */
void sent_prune(struct sent_list *list, agency_index agency, feed_position seen);

/* What is held of this unit for the agency, or NULL. */
struct held *held_find(const struct canonical *record, agency_index agency, uint16_t unit);
/* A place for it, which grows in `arena`: pointers to others are void. */
struct held *held_add(struct arena *arena, struct canonical *record, agency_index agency, uint16_t unit);
void held_remove(struct canonical *record, const struct held *held);

/* How agencies are called in what is stored: a number that the broker gave them for ever, not their place in the
 * catalog. */
struct agency_ids {
    uint16_t id[CATALOG_AGENCIES_MAX]; /* by index; 0: not enrolled yet */
    uint8_t count;
};

/* Packs everything but number, exists and values. */
void canonical_meta_pack(const struct canonical *record, const struct agency_ids *ids, struct buffer *out);
/* Reads it back. Fields that the type has gained since are unwritten; fields it has lost are left out. ERR_STOP when
 * the bytes are not what we wrote: the table was changed by someone else. */
must_check int canonical_meta_read(struct arena *arena, const void *bytes, size_t length, const struct agency_ids *ids,
                                   struct canonical *record, struct error *err);

#endif
