#include "cli/subject.h"

#include "cli/find.h"
#include "cli/show.h"
#include "shell/text.h"

#include <inttypes.h>
#include <string.h>

enum { DEBTS_MAX = 1000 };

int subject_read(const struct call *call, struct db *db, struct subject *ret, struct error *err)
{
    struct arena *arena = call->arena;
    bool found;

    memset(ret, 0, sizeof *ret);
    if (db_catalog(db, arena, &ret->catalog, err) < 0 ||
        record_find(db, arena, ret->catalog, call->arguments[0], call->arguments[1], &ret->type, &ret->number, err) < 0)
        return err->code;
    ret->values = arena_array(arena, ret->type->field_count + 1u, sizeof *ret->values);
    if (db_record(db, arena, ret->type, ret->number, ret->values, &found, &ret->exists, err) < 0)
        return err->code;
    if (!found)
        return error_set(err, ERR_REJECT, _("there is no %s with record number %" PRIu64), ret->type->name,
                         ret->number);
    if (db_last_writes(db, arena, ret->number, &ret->writes, &ret->write_count, err) < 0 ||
        db_agencies(db, arena, &ret->agencies, &ret->agency_count, err) < 0 ||
        db_replies(db, arena, ret->number, &ret->replies, &ret->reply_count, err) < 0 ||
        db_debts(db, arena, ret->number, NULL, DEBTS_MAX, &ret->debts, &ret->debt_count, err) < 0 ||
        db_altered(db, arena, ret->number, &ret->altered, &ret->altered_count, err) < 0 ||
        db_said_of(db, arena, ret->number, &ret->said, &ret->said_count, err) < 0 ||
        db_helds(db, arena, ret->number, &ret->helds, &ret->held_count, err) < 0)
        return err->code;
    return 0;
}

const struct last_write *subject_write(const struct subject *subject, const char *field)
{
    for (int i = 0; i < subject->write_count; i++)
        if (!strcmp(subject->writes[i].field, field))
            return &subject->writes[i];
    return NULL;
}

int subject_arrivals(struct arena *arena, const struct subject *subject, const char *field, struct arrival **ret,
                     int *ret_count, struct error *err)
{
    const struct last_write *one = field ? subject_write(subject, field) : NULL;
    const struct arrival_facts facts = {
        .catalog = subject->catalog,
        .type = subject->type,
        .writes = one ? one : subject->writes,
        .write_count = one     ? 1
                       : field ? 0
                               : subject->write_count,
        .agencies = subject->agencies,
        .agency_count = subject->agency_count,
        .replies = subject->replies,
        .reply_count = subject->reply_count,
        .debts = subject->debts,
        .debt_count = subject->debt_count,
        .altered = subject->altered,
        .altered_count = subject->altered_count,
        .helds = subject->helds,
        .held_count = subject->held_count,
    };

    return arrival_find(arena, &facts, ret, ret_count, err);
}

const char *arrival_why(struct arena *arena, const struct arrival *arrival)
{
    const struct agency_row *row = arrival->row;

    switch (arrival->state) {
    case ARRIVAL_PARKED:
        return arena_printf(arena, _("%s (selaras parked list --agency %s)"), arrival->debt->reason, arrival->agency);
    case ARRIVAL_SKIPPED:
        return _("the row was not there; the whole record follows");
    case ARRIVAL_NOT_FED:
        return arena_printf(arena, _("its mode is %s"), row->mode);
    case ARRIVAL_WAITING:
        if (!strcmp(row->state, "quarantined"))
            return arena_printf(arena, _("quarantined: %s"), row->reason ? row->reason : "-");
        if (strcmp(row->state, "active"))
            return arena_printf(arena, _("its state is %s"), row->state);
        return row->seen_us ? arena_printf(arena, _("last heard of %s"), show_time(arena, row->seen_us)) : NULL;
    case ARRIVAL_HELD:
        return arena_printf(arena, _("its own change waits for a decision (selaras hold show %" PRIu64 ")"),
                            arrival->held->hold);
    case ARRIVAL_ALTERED:
        return _("by a trigger of its own, after it was applied");
    case ARRIVAL_APPLIED:
    case ARRIVAL_WROTE:
    case ARRIVAL_LOADED:
    case ARRIVAL_NOT_MAPPED:
    case ARRIVAL_NOT_ENROLLED:
    case ARRIVAL_REVOKED:
    case ARRIVAL_STATE_COUNT:
        break;
    }
    return NULL;
}
