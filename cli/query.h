/* query.h: what the command reads of the broker's PostgreSQL, with the caller's own role, read-only.
 *
 * Each statement stands beside the one function that runs it. Results are in the caller's arena; every query has a
 * limit, but the ledger's entries, which come one by one. */
#ifndef SELARAS_QUERY_H
#define SELARAS_QUERY_H

#include "proto/catalog.h"
#include "proto/entry.h"

struct db;

/* Connects. ERR_STOP with the remedy when it cannot, or when the database holds no ledger of ours. */
must_check int db_open(const char *dsn, struct db **ret, struct error *err);
void db_close(struct db **db);

/* The catalog in force. */
must_check int db_catalog(struct db *db, struct arena *arena, const struct catalog **ret, struct error *err);

/* One ledger entry as auditors see it. */
struct ledger_field {
    const char *name, *verdict, *rule;
};
struct ledger_entry {
    feed_position position;
    int64_t time_us;
    const char *kind, *agency, *type, *operation;
    uint64_t record, other;
    struct ledger_field *fields;
    int field_count;
    bool has_body; /* false when redacted, or when it never had one */
    struct text body;
};
struct ledger_filter {
    uint64_t record;     /* 0: any */
    const char *agency;  /* NULL: any; likewise below */
    const char *verdict; /* entries in which some field has it */
    const char *kind;
    bool since, until; /* whether these are set: from since_us on, before until_us */
    int64_t since_us, until_us;
    int limit; /* the newest so many; 0: all */
};

/* Where the wanted entries lie: a range that stays the same while the ledger grows. */
struct ledger_range {
    feed_position after, last; /* entries behind `after`, up to `last` */
    bool more;                 /* older ones match too */
};
/* May take as long as it must: what a filter lets through is found by reading. */
must_check int db_range(struct db *db, struct arena *arena, const struct ledger_filter *filter,
                        struct ledger_range *ret, struct error *err);
/* What lies there: how much, from where to where. */
struct ledger_count {
    uint64_t entries;
    feed_position first, last;
    const char *type; /* of the record, when the filter names one; else NULL */
};
must_check int db_count(struct db *db, struct arena *arena, const struct ledger_filter *filter,
                        const struct ledger_range *range, struct ledger_count *ret, struct error *err);

/* Reads the entries of a range one by one, in the order of the ledger. Nothing but the entry at hand is in memory, and
 * between two pages no statement is open at the server, however slowly they are read. Nothing else may be asked of `db`
 * meanwhile. `db`, `filter` and `range` stay the caller's. */
struct ledger_reader;
struct ledger_reader *ledger_reader_new(struct db *db, const struct ledger_filter *filter,
                                        const struct ledger_range *range);
/* NULL inside is fine. */
void ledger_reader_free(struct ledger_reader **reader);
/* The next entry, in `arena`; *ret_found is false behind the last. */
must_check int ledger_next(struct ledger_reader *reader, struct arena *arena, struct ledger_entry *ret, bool *ret_found,
                           struct error *err);

/* The record with this identifier, a field's or a group's with the values in the unit's order: its number, or 0. */
must_check int db_record_find(struct db *db, struct arena *arena, const struct catalog_type *type,
                              const struct catalog_unit *unit, const struct value *values, uint64_t *ret,
                              struct error *err);
/* Its values, by field of the type, canonical. *ret_found is false when there is no such record. */
must_check int db_record(struct db *db, struct arena *arena, const struct catalog_type *type, uint64_t number,
                         struct value *values, bool *ret_found, bool *ret_exists, struct error *err);

/* What a person has said last of a record and another one. */
struct said_of {
    uint64_t other;
    bool same; /* else they are different */
    bool goes; /* the record itself is the one that went, or came back */
    feed_position position;
    const char *operation;
    bool has_body;
    struct text body;
};
must_check int db_said_of(struct db *db, struct arena *arena, uint64_t record, struct said_of **ret, int *ret_count,
                          struct error *err);

/* The last entry that gave each field of a record the value it has. */
struct last_write {
    const char *field; /* "existence" for the record itself */
    feed_position position;
    int64_t time_us;
    const char *agency, *operation, *verdict, *rule;
    uint32_t catalog; /* version by which it was decided */
    bool has_body;
    struct text body;
};
must_check int db_last_writes(struct db *db, struct arena *arena, uint64_t record, struct last_write **ret,
                              int *ret_count, struct error *err);
/* Every entry that says something of the field, the newest first, at most `limit`. */
must_check int db_field_entries(struct db *db, struct arena *arena, uint64_t record, const char *field, int limit,
                                struct last_write **ret, int *ret_count, struct error *err);

struct agency_row {
    const char *name, *mode, *state, *reason;
    feed_position applied, load, since;
    struct text blocks; /* length 0: it has not said hello */
    int64_t seen_us;    /* 0: never */
};
must_check int db_agencies(struct db *db, struct arena *arena, struct agency_row **ret, int *ret_count,
                           struct error *err);

/* What a record's entries hold for one agency alone (echo, correction, whole record), as effect_read() takes it; the
 * newest first. */
struct reply_row {
    const char *agency;
    feed_position position;
    struct text reply;
};
must_check int db_replies(struct db *db, struct arena *arena, uint64_t record, struct reply_row **ret, int *ret_count,
                          struct error *err);
/* When the agency said that it had applied `position`; 0 when that is not known. */
must_check int db_applied_at(struct db *db, const char *agency, feed_position position, int64_t *ret_us,
                             struct error *err);

struct debt_row {
    uint64_t number, record;
    const char *agency, *block, *kind, *reason;
    feed_position position;
    int64_t since_us;
};
/* Open ones, of one record (0: all) and one agency (NULL: all), the oldest first. */
must_check int db_debts(struct db *db, struct arena *arena, uint64_t record, const char *agency, int limit,
                        struct debt_row **ret, int *ret_count, struct error *err);

/* What the agency's own triggers made other than it was fed. */
struct altered_row {
    const char *agency, *field; /* "existence": the row as a whole */
    int64_t since_us;
};
must_check int db_altered(struct db *db, struct arena *arena, uint64_t record, struct altered_row **ret, int *ret_count,
                          struct error *err);
/* Changes of the record that wait for a decision. */
struct held_row {
    const char *agency, *unit;
    uint64_t hold;
    feed_position position; /* the agency's latest change of it */
};
must_check int db_helds(struct db *db, struct arena *arena, uint64_t record, struct held_row **ret, int *ret_count,
                        struct error *err);

/* Changes that wait together. */
struct hold_view {
    uint64_t number, held;
    const char *agency, *type, *unit, *cause, *reason;
    const char *decision, *decided_by, *ground; /* decision NULL: none is being carried out */
    feed_position position;                     /* the entry that opened it */
    int64_t opened_us, closed_us;               /* closed_us 0: it is open */
};
/* Open ones of one agency (NULL: all), or the one of this number (0: any) whether open or not. */
must_check int db_holds(struct db *db, struct arena *arena, uint64_t number, const char *agency, struct hold_view **ret,
                        int *ret_count, struct error *err);
/* How much of one is what, and what has become of it. */
struct hold_count {
    const char *unit, *operation, *state; /* "held", "released", ... */
    uint64_t count;
};
must_check int db_hold_counts(struct db *db, struct arena *arena, uint64_t number, struct hold_count **ret,
                              int *ret_count, struct error *err);
/* What is held of a record: the agency's latest change of it. */
struct hold_sample {
    uint64_t record;
    const char *others; /* records that it collides with, or may be about: "7, 9"; "" for none */
    const char *unit, *operation;
    feed_position position;
    int64_t time_us; /* when it was committed there */
    bool has_body;
    struct text body;
};
must_check int db_hold_samples(struct db *db, struct arena *arena, uint64_t number, int limit, struct hold_sample **ret,
                               int *ret_count, struct error *err);

/* What `selaras check` asks of a database that need not have our schema yet. */
struct db_rights {
    int version; /* 150020 */
    const char *role, *encoding;
    bool schema;    /* selaras.entry is there */
    bool may_write; /* ... and the role may add to it */
    bool may_create;
};
must_check int db_rights(const char *dsn, struct arena *arena, struct db_rights *ret, struct error *err);

#endif
