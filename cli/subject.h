/* subject.h: everything that is asked of one record: what it says, who wrote that, and where it has arrived. */
#ifndef SELARAS_SUBJECT_H
#define SELARAS_SUBJECT_H

#include "cli/arrival.h"
#include "cli/call.h"

struct subject {
    uint64_t number;
    const struct catalog *catalog;
    const struct catalog_type *type;
    struct value *values; /* by field of the type */
    bool exists;
    struct last_write *writes;
    int write_count;
    struct agency_row *agencies;
    int agency_count;
    struct reply_row *replies;
    int reply_count;
    struct debt_row *debts;
    int debt_count;
    struct altered_row *altered;
    int altered_count;
    struct held_row *helds;
    int held_count;
    struct said_of *said; /* by people, of this record and others */
    int said_count;
};

/* The record that the call's first two arguments name: type and key. ERR_REJECT as record_find, or when it is none. */
must_check int subject_read(const struct call *call, struct db *db, struct subject *ret, struct error *err);
/* Who gave the field the value it has, or NULL. */
const struct last_write *subject_write(const struct subject *subject, const char *field);
/* As arrival_find, of one field (NULL: of all). */
must_check int subject_arrivals(struct arena *arena, const struct subject *subject, const char *field,
                                struct arrival **ret, int *ret_count, struct error *err);
/* What more there is to say of it, or NULL. */
const char *arrival_why(struct arena *arena, const struct arrival *arrival);

#endif
