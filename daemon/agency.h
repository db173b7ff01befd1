/* agency.h: what the broker knows of one agency: the durable part is its row in selaras.agency. */
#ifndef SELARAS_AGENCY_H
#define SELARAS_AGENCY_H

#include "proto/catalog.h"
#include "proto/message.h"

enum agency_mode { MODE_OBSERVE, MODE_PUBLISH, MODE_FULL, MODE_COUNT };
enum agency_state { STATE_NEW, STATE_LOADING, STATE_FILLING, STATE_ACTIVE, STATE_QUARANTINED, STATE_COUNT };
/* Why an agency is quarantined decides how it comes back. */
enum quarantine {
    QUARANTINE_NONE,
    QUARANTINE_HISTORY, /* it is not the database it was: it must be loaded anew */
    QUARANTINE_LOST,    /* it is, but changes of it can never be known: the same */
    QUARANTINE_REFUSED, /* PostgreSQL refuses what it sent: it can, once an operator has seen to it */
    QUARANTINE_CRASHED, /* the broker crashes on what it sent: the same */
    QUARANTINE_RELOAD,  /* none: its agent asks for a load, after which nothing is in doubt; never stored */
    QUARANTINE_COUNT,
};
const char *agency_mode_name(enum agency_mode mode);
const char *agency_state_name(enum agency_state state);
const char *quarantine_name(enum quarantine quarantine);
/* The error's code (PROTOCOL 4.4) that tells its agent. */
const char *quarantine_code(enum quarantine quarantine);
/* Whether it can go on from where it is, once an operator has seen to it. */
bool quarantine_resumes(enum quarantine quarantine);
/* MODE_COUNT, STATE_COUNT, QUARANTINE_COUNT when there is no such word. */
enum agency_mode agency_mode_named(const char *name);
enum agency_state agency_state_named(const char *name);
enum quarantine quarantine_named(const char *name);

/* A block of its mapping, tied to the catalog. */
struct agency_block {
    struct text name;
    uint16_t type;
    enum agency_mode mode; /* modes_bind() */
    bool generated, insert;
    enum delete_mode delete;
    uint8_t key_count;
    uint16_t key_fields[KEY_FIELDS_MAX]; /* fields of the type */
    bool *fed;                           /* by unit: items on it are sent */
    bool *fields;                        /* by field of the type: it is mapped here */
    struct text *references;             /* by field of the type: the block that a reference is to; else empty */
    struct value *constants;             /* by field of the type: what it is in each of its records; absent: anything */
};

/* The durable part. */
struct agency_row {
    uint16_t id; /* in what is stored; never reused */
    char name[33];
    bool enrolled; /* it has a key; without one it was revoked */
    uint8_t key[32];
    enum agency_mode mode; /* of its tables ... */
    struct text modes;     /* ... but for these: modes.h */
    enum agency_state state;
    /* While it is quarantined. */
    enum quarantine quarantine;
    char reason[256];               /* why, without personal values */
    feed_position quarantine_entry; /* that says so */
    enum agency_state resumes;      /* its state before */
    uint64_t session;
    uint32_t incarnation;
    bool restored; /* the load that runs, or comes, is of an older copy: what it wrote itself since stands */
    uint64_t lsn;
    uint32_t load_number;
    feed_position base;
    feed_position load;  /* S of its last first load */
    uint64_t load_lsn;   /* where its snapshot was taken; 0 until it is closed */
    feed_position since; /* the entry that closed it */
    char system[33];
    uint32_t timeline;
    struct fence fence;
    feed_position applied;
    int64_t applied_at_us;
    uint64_t changes, fed; /* counted since enrolment */
    uint64_t unrecorded;   /* of the changes: neither who made them nor on what ground is known */
    struct text blocks;    /* as its last hello declared them: blocks_pack */
    char software[65];
    int64_t seen_at_us;
};

/* Ties packed blocks (blocks_pack) to the catalog. ERR_REJECT says which block names what the catalog does not have.
 * `agency` is its place in the catalog. */
must_check int blocks_bind(struct arena *arena, const struct catalog *catalog, agency_index agency, struct text packed,
                           struct agency_block **ret, uint16_t *ret_count, struct error *err);

/* Whether a record with these values (by field of the type; absent ones are not known) can be in the block: none of its
 * constants is another one. */
bool block_takes(const struct agency_block *block, const struct catalog_type *type, const struct value *values);

#endif
