/* pgoutput.h: the messages of PostgreSQL's output plugin pgoutput, protocol version 1 (PostgreSQL 15, chapter 55.9).
 *
 * A bounded reader without libpq: every length is held against the bytes that remain, and a message is exactly what the
 * chapter says or it is an error. Values are in text format. */
#ifndef SELARAS_PGOUTPUT_H
#define SELARAS_PGOUTPUT_H

#include "proto/record.h"

enum pgoutput_kind {
    PGOUTPUT_BEGIN,
    PGOUTPUT_COMMIT,
    PGOUTPUT_ORIGIN,
    PGOUTPUT_RELATION,
    PGOUTPUT_TYPE,
    PGOUTPUT_INSERT,
    PGOUTPUT_UPDATE,
    PGOUTPUT_DELETE,
    PGOUTPUT_TRUNCATE,
    PGOUTPUT_MESSAGE,
    PGOUTPUT_KIND_COUNT,
};

struct pgoutput_column {
    struct text name;
    uint32_t type; /* OID */
    bool key;      /* part of the replica identity; each column under REPLICA IDENTITY FULL */
};

struct pgoutput_relation {
    uint32_t id;
    struct text schema; /* "" is pg_catalog */
    struct text name;
    char identity; /* pg_class.relreplident: d, n, f or i */
    uint16_t column_count;
    struct pgoutput_column *columns;
};

/* Which old row came with an update or a deletion. */
enum pgoutput_old { PGOUTPUT_OLD_NONE, PGOUTPUT_OLD_KEY, PGOUTPUT_OLD_FULL };

/* A row's values in the order of the relation's columns; absent is a TOASTed value that did not change. */
struct pgoutput_row {
    uint16_t count;
    struct value *values;
};

struct pgoutput_message {
    enum pgoutput_kind kind;
    union {
        struct {
            uint64_t final_lsn;
            int64_t commit_time_us;
            uint32_t xid;
        } begin;
        struct {
            uint64_t lsn, end_lsn;
            int64_t commit_time_us;
        } commit;
        struct {
            uint64_t lsn;
            struct text name;
        } origin;
        struct pgoutput_relation relation;
        struct {
            uint32_t relation;
            enum pgoutput_old identity;
            struct pgoutput_row old, row;
        } change; /* insert, update, delete */
        struct {
            uint32_t count;
            const uint32_t *relations;
            bool cascade, restart;
        } truncate;
        struct {
            bool transactional;
            uint64_t lsn;
            struct text prefix, content;
        } message;
    };
};

/* Reads one message; arrays go to `arena`, text borrows from `bytes`. Times are microseconds since 1970. ERR_STOP when
 * it is not a message of version 1 in text format; the error names the kind and the place, never a value. An update's
 * unchanged TOASTed values are taken from its full old row when there is one, so they are absent only without it. */
must_check int pgoutput_read(struct arena *arena, const void *bytes, size_t length, struct pgoutput_message *ret,
                             struct error *err);

#endif
