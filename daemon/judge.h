/* judge.h: the verdict on one unit (a field, a group, existence) of a change to a canonical record: RULES.md 3.
 * Pure: nothing is changed here; reconcile.h carries the verdicts out. */
#ifndef SELARAS_JUDGE_H
#define SELARAS_JUDGE_H

#include "daemon/canonical.h"

enum { RECORD_BYTES_MAX = 768 * 1024 }; /* of all values together; a write that exceeds it is put back */

/* Who made the change, and what they had seen. */
struct writer {
    agency_index agency;
    feed_position base;  /* the feed position it had applied */
    feed_position since; /* the entry that closed its last load */
    bool nothing_seen;   /* a load: concurrent with everything; `base` still says what was sent */
    bool restored;       /* a load from an older copy: what the agency wrote itself stands, and is sent back to it */
    const bool *fed;     /* by unit: it is sent items on this unit */
    /* Its row was found by what this one has, which is the same record: that is not said anew. NULL: it was not. */
    const struct canonical *alias;
    bool takes_none;       /* no new records: of one that it did not have it was sent nothing */
    bool shares_key;       /* its row is the one by which it has the record that this one collides with */
    const uint32_t *holds; /* by unit: the hold that this change of it goes to, beyond its limit; 0, NULL: none */
    int64_t commit_time_us;
    bool clock_known;
    int64_t clock_offset_us, clock_uncertainty_us;
};

/* The number of the record, another one than `record`, that an identifier belongs to: a unit, with its fields' values
 * in their order, all of them set. 0: nobody's. */
typedef uint64_t identifier_taken(void *context, const struct canonical *record, uint16_t unit,
                                  const struct value *values);

/* A catalog made ready to decide by: its patterns are compiled. The catalog must outlive it. */
struct reconciler;

/* ERR_STOP naming unit and rule when the catalog uses a rule that this version cannot decide by. */
must_check int reconciler_new(const struct catalog *catalog, struct reconciler **ret, struct error *err);
void reconciler_free(struct reconciler **reconciler);
const struct catalog *reconciler_catalog(const struct reconciler *reconciler);

/* What is asked: this writer's values against this record. Borrowed, all of it. */
struct question {
    const struct reconciler *reconciler;
    const struct writer *writer;
    const struct canonical *record;
    const struct value *fields; /* new values by field of the type, absent where the change has none */
    feed_position base;         /* what counts as seen: the writer's, or 0 when nothing does */
    identifier_taken *taken;
    void *context; /* of `taken` */
};

/* The rule of a value that refers to a record which the broker does not know. */
extern const char unknown_reference[];

/* What one unit comes to, and by which rule. */
struct judgement {
    enum verdict verdict;
    const char *rule;
};

/* A unit of the question's fields and record. Existence, which has no fields, is for judge_deletion and may_revive. */
struct judgement judge_unit(const struct question *question, uint16_t index);
/* The rule of a value that may stand but for another record's having it. */
extern const char identifier_taken_rule[];
/* The number of the record that has what this identifier of the question's record would become; 0: none. */
uint64_t judge_collision(const struct question *question, uint16_t index);
bool verdict_accepts(enum verdict verdict);
/* A deletion of a record that exists: nothing that the agency did not know of may stand against it, or it must stand
 * above all who wrote that. */
struct judgement judge_deletion(const struct question *question);
/* Who stands against a deletion that was not accepted. */
agency_index deletion_defender(const struct question *question);
/* A change to a deleted record by someone who knew, or who stands below whoever deleted it, never revives it. */
bool may_revive(const struct question *question, bool insert);

/* Whether the change says something about this unit at all. */
bool unit_is_touched(const struct question *question, uint16_t index);
/* NULLs of an insert are no statement: they leave fields unwritten. */
bool unit_has_values(const struct question *question, uint16_t index);
/* Whether what it says is what the record has, as far as `compare` looks. */
bool unit_is_unchanged(const struct question *question, uint16_t index);
/* Whether the last canonical write of this unit is one that the writer of this change did not know of. */
bool unit_is_concurrent(const struct question *question, uint16_t index);
/* sent(A): the last position at which an item on this unit was sent to the writer, 0 if none since it is fed it. */
feed_position sent_to_writer(const struct question *question, uint16_t index);

#endif
