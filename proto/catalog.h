/* catalog.h: what the agencies agreed on: record types, fields, who may write and read them, and who wins.
 *
 * One reviewed file on the broker, sent to every agent. The engine knows no field by name: it works on units. A unit
 * is what a rule decides as one: a field by itself, a group of fields that only make sense together, or (unit 0 of
 * every type) the existence of the record. */
#ifndef SELARAS_CATALOG_H
#define SELARAS_CATALOG_H

#include "proto/tree.h"
#include "proto/value.h"

enum {
    CATALOG_AGENCIES_MAX = 128,
    CATALOG_FIELDS_MAX = 128, /* fields of one type */
    CATALOG_TYPES_MAX = 64,
    CATALOG_LIMITS_MAX = 8, /* of one unit */
    CATALOG_BYTES_MAX = 256 * 1024,
    UNIT_EXISTENCE = 0,
};

enum otherwise { OTHERWISE_PUT_BACK, OTHERWISE_PROPOSE };
enum conflict { CONFLICT_OWNER, CONFLICT_LATEST, CONFLICT_LARGEST, CONFLICT_SMALLEST, CONFLICT_REVIEW, CONFLICT_COUNT };
enum compare { COMPARE_EXACT, COMPARE_LETTERS, COMPARE_DIGITS };

/* An agency as the catalog numbers it: its place in catalog.agencies. */
typedef uint8_t agency_index;
#define AGENCY_NOBODY ((agency_index)0xff) /* the writer of a decision */
#define AGENCY_GONE ((agency_index)0xfe)   /* one that the catalog no longer names */

/* What an agency may do so many times within a time; what exceeds it is held until a person has looked at it. */
enum limit_kind { LIMIT_CHANGES, LIMIT_DELETIONS, LIMIT_INSERTIONS };
struct catalog_limit {
    const char *text; /* as the catalog says it: "true to false 1 % 1 h" */
    enum limit_kind kind;
    struct value from, to; /* of a single field's changes; absent: any */
    bool share;            /* `most` is a share of the records that the agency holds, in millionths; at least one */
    uint64_t most;
    uint32_t window_s;
};

struct policy {
    agency_index write[CATALOG_AGENCIES_MAX]; /* who may write it, in order of authority; the first is the owner */
    uint8_t write_count;
    enum otherwise otherwise;
    enum conflict conflict;
    const char *basis[CATALOG_AGENCIES_MAX]; /* by agency: NULL, or it reads this, on this legal basis */
    bool stale_given;                        /* the catalog says so */
    uint32_t stale_s;                        /* how long a stale form is looked for, in seconds */
    const struct catalog_limit *limits;
    uint8_t limit_count;
};

struct catalog_field {
    const char *name;
    enum value_type type;
    unsigned scale;  /* digits behind the point, decimals only */
    bool identifier; /* by itself; see catalog_unit for those of several fields */
    bool required;
    bool personal;
    enum compare compare;
    int refers;          /* index of the record type that a reference is to, in catalog.types; -1: it is none */
    const char *pattern; /* POSIX extended regular expression over the whole value, or NULL */
    uint16_t unit;
};

struct catalog_unit {
    const char *name; /* the field's or the group's; "existence" for unit 0 */
    bool group;
    bool identifier; /* its values, all together, find a record: no two have the same, unless one of them is missing */
    uint16_t field_count;
    const uint16_t *fields; /* indexes into catalog_type.fields; none for existence */
    struct policy policy;
};

struct catalog_type {
    const char *name;
    uint16_t field_count;
    uint16_t unit_count;
    const struct catalog_field *fields;
    const struct catalog_unit *units;
    bool refers;   /* a field of it is a reference */
    bool referred; /* a field of another type refers to it */
};

struct catalog {
    uint32_t version;
    uint8_t hash[32]; /* SHA-256 of the file's bytes */
    uint8_t agency_count;
    const char *const *agencies;
    uint16_t type_count; /* in reference order: a type refers only to earlier ones, wherever the file has them */
    const struct catalog_type *types;
};

/* Builds a catalog from a parsed file, in `arena`; `text` is the file itself, for its hash. Unknown or duplicate keys,
 * agencies, types and values, an owner who cannot read, an identifier in a group (a whole group may be one), a pattern
 * that does not compile, a reference to no type or round a circle: each is ERR_REJECT with the path in the file and,
 * for an unknown word, the nearest known one.
 */
must_check int catalog_build(struct arena *arena, const struct tree *tree, const char *text, size_t length,
                             const struct catalog **ret, struct error *err);

/* The agency, type or field of this name, or -1. Names borrowed, `length` bytes. */
int catalog_agency(const struct catalog *catalog, const char *name, size_t length);
int catalog_type(const struct catalog *catalog, const char *name, size_t length);
int catalog_field(const struct catalog_type *type, const char *name, size_t length);

/* Whether `agency` may write, is the first writer of, or receives this unit. */
bool policy_writes(const struct policy *policy, agency_index agency);
/* Place in the order of authority, 0 the owner; INT_MAX for an agency that may not write. */
int policy_rank(const struct policy *policy, agency_index agency);
bool policy_reads(const struct policy *policy, agency_index agency);

const char *conflict_name(enum conflict conflict);

#endif
