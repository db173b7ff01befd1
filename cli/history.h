/* history.h: ledger entries as people read them: who changed what, when, why, and what became of it.
 *
 * Personal values are masked unless they are to be revealed; a field that the catalog in force does not know counts as
 * personal. */
#ifndef SELARAS_HISTORY_H
#define SELARAS_HISTORY_H

#include "cli/output.h"
#include "cli/query.h"

/* What the body of an entry of kind change says beside its columns; `operation` is the column of this name. */
enum told { TOLD, TOLD_NOTHING, TOLD_REDACTED, TOLD_UNREADABLE };
/* Of a decision about two records: who, and on what ground; "" where it cannot be read. */
void decision_told(struct arena *arena, const char *operation, bool has_body, struct text body, const char **ret_by,
                   const char **ret_ground);
enum told change_told(struct arena *arena, const char *operation, bool has_body, struct text body, struct change *ret);

/* Whether a change that could be read says neither who made it nor on what ground. What a load found nobody made. */
bool change_unrecorded(const struct change *change);

/* Whether a field's values must be masked. `type` may be NULL: unknown. */
bool field_masked(const struct catalog_type *type, const char *field, bool reveal);

/* A value as it may be shown: of a reference the record, "resident 17"; or, as an agency said it, of which block a row,
 * never that row's key. `type` may be NULL: unknown. */
struct value field_shown(struct arena *arena, const struct catalog *catalog, const struct catalog_type *type,
                         const char *field, struct value value);

struct history_options {
    const struct catalog *catalog;
    bool reveal;
    const char *verdict; /* NULL: all; otherwise only fields with this verdict */
    bool one_record;     /* all is about one record: type and number need not be shown */
};
/* Opens table `key`, whole or streamed (output.h). */
void history_table(struct output *output, const char *key, bool streamed);
/* Adds a row for each field of the entry, one for an entry without fields. What is made on the way is in `arena`, which
 * may be reset when this returns. */
void history_entry(struct output *output, struct arena *arena, const struct ledger_entry *entry,
                   const struct history_options *options);

#endif
