#include "cli/arrival.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/history.h"
#include "cli/reveal.h"
#include "cli/show.h"
#include "shell/text.h"

#include <inttypes.h>
#include <string.h>

enum { HISTORY_USUAL = 100, HISTORY_MOST = 100000, DEBTS_MAX = 1000 };

enum {
    VALUE_FIELD,
    VALUE_VALUE,
    VALUE_MASKED,
    VALUE_BY,
    VALUE_ACTOR,
    VALUE_SINCE,
    VALUE_VERDICT,
    VALUE_RULE,
    VALUE_GROUND,
    VALUE_ENTRY
};
static const struct column value_columns[] = {
    [VALUE_FIELD] = { "field", N_("FIELD"), 0 },
    [VALUE_VALUE] = { "value", N_("VALUE"), 0 },
    [VALUE_MASKED] = { "masked", NULL, 0 },
    [VALUE_BY] = { "agency", N_("AGENCY"), 0 },
    [VALUE_ACTOR] = { "actor", N_("BY"), LOOK_OPTIONAL },
    [VALUE_SINCE] = { "since", N_("SINCE"), 0 },
    [VALUE_VERDICT] = { "verdict", N_("VERDICT"), 0 },
    [VALUE_RULE] = { "rule", N_("RULE"), LOOK_OPTIONAL },
    [VALUE_GROUND] = { "ground", N_("GROUND"), LOOK_OPTIONAL },
    [VALUE_ENTRY] = { "entry", N_("ENTRY"), LOOK_RIGHT },
    { 0 },
};

enum { ARRIVED_AGENCY, ARRIVED_STATE, ARRIVED_TIME, ARRIVED_ENTRY, ARRIVED_FIELDS, ARRIVED_WHY };
static const struct column arrival_columns[] = {
    [ARRIVED_AGENCY] = { "agency", N_("AGENCY"), 0 },
    [ARRIVED_STATE] = { "state", N_("STATE"), 0 },
    [ARRIVED_TIME] = { "time", N_("TIME"), LOOK_OPTIONAL },
    [ARRIVED_ENTRY] = { "entry", N_("ENTRY"), LOOK_RIGHT },
    [ARRIVED_FIELDS] = { "fields", N_("FIELDS"), 0 },
    [ARRIVED_WHY] = { "why", N_("WHY"), LOOK_OPTIONAL },
    { 0 },
};

/* Everything that is asked of one record. */
struct subject {
    uint64_t number;
    const struct catalog *catalog;
    const struct catalog_type *type;
    struct value *values;
    bool exists;
    struct last_write *writes;
    int write_count;
    struct agency_row *agencies;
    int agency_count;
    struct reply_row *replies;
    int reply_count;
    struct debt_row *debts;
    int debt_count;
    struct said_of *said;
    int said_count;
    struct ledger_filter filter; /* of the history: */
    struct ledger_range range;
};

static int subject_read(const struct call *call, struct db *db, struct subject *ret, struct error *err)
{
    struct arena *arena = call->arena;
    uint64_t limit;
    bool found;

    memset(ret, 0, sizeof *ret);
    if (call_number(call, OPTION_LIMIT, 1, HISTORY_MOST, HISTORY_USUAL, &limit, err) < 0 ||
        db_catalog(db, arena, &ret->catalog, err) < 0 ||
        record_find(db, arena, ret->catalog, call->arguments[0], call->arguments[1], &ret->type, &ret->number, err) < 0)
        return err->code;
    ret->values = arena_array(arena, ret->type->field_count + 1u, sizeof *ret->values);
    if (db_record(db, arena, ret->type, ret->number, ret->values, &found, &ret->exists, err) < 0)
        return err->code;
    if (!found)
        return error_set(err, ERR_REJECT, _("there is no %s with record number %" PRIu64), ret->type->name,
                         ret->number);
    ret->filter = (struct ledger_filter){ .record = ret->number, .limit = (int)limit };
    if (db_last_writes(db, arena, ret->number, &ret->writes, &ret->write_count, err) < 0 ||
        db_agencies(db, arena, &ret->agencies, &ret->agency_count, err) < 0 ||
        db_replies(db, arena, ret->number, &ret->replies, &ret->reply_count, err) < 0 ||
        db_debts(db, arena, ret->number, NULL, DEBTS_MAX, &ret->debts, &ret->debt_count, err) < 0 ||
        db_said_of(db, arena, ret->number, &ret->said, &ret->said_count, err) < 0 ||
        db_range(db, arena, &ret->filter, &ret->range, err) < 0)
        return err->code;
    return 0;
}

static const struct last_write *write_of(const struct subject *subject, const char *field)
{
    for (int i = 0; i < subject->write_count; i++)
        if (!strcmp(subject->writes[i].field, field))
            return &subject->writes[i];
    return NULL;
}

/* Who gave the field its value, when, why and by which rule. */
static void write_cells(struct output *output, struct arena *arena, const struct last_write *write)
{
    struct change change;

    if (*write->agency)
        output_text(output, VALUE_BY, write->agency);
    output_time(output, VALUE_SINCE, write->time_us);
    output_text(output, VALUE_VERDICT, write->verdict);
    if (*write->rule)
        output_text(output, VALUE_RULE, write->rule);
    output_position(output, VALUE_ENTRY, write->position);
    if (change_told(arena, write->operation, write->has_body, write->body, &change) != TOLD)
        return;
    if (change.actor.state == VALUE_SET)
        output_value(output, VALUE_ACTOR, change.actor, false);
    if (change.ground.state == VALUE_SET)
        output_value(output, VALUE_GROUND, change.ground, false);
}

static void field_row(struct output *output, struct arena *arena, const struct subject *subject, const char *field,
                      struct value value, bool masked)
{
    const struct last_write *write = write_of(subject, field);

    output_row(output, false);
    output_text(output, VALUE_FIELD, field);
    output_value(output, VALUE_VALUE, value, masked);
    output_flag(output, VALUE_MASKED, masked);
    if (write)
        write_cells(output, arena, write);
}

static void values_print(struct output *output, struct arena *arena, const struct subject *subject, bool reveal)
{
    output_heading(output, _("Values now"));
    output_table(output, "values", value_columns);
    field_row(output, arena, subject, "existence", value_text(subject->exists ? "true" : "false"), false);
    for (int i = 0; i < subject->type->field_count; i++) {
        const char *field = subject->type->fields[i].name;

        field_row(output, arena, subject, field, subject->values[i], field_masked(subject->type, field, reveal));
    }
    output_table_end(output);
}

/* Fields as a list, or "all" when they are all that is known of the record. */
static const char *fields_shown(struct arena *arena, const struct arrival *arrival, int all)
{
    const char *shown = arrival->fields[0];

    if (arrival->field_count == all && all > 1)
        return _("all");
    for (int i = 1; i < arrival->field_count; i++)
        shown = arena_printf(arena, "%s, %s", shown, arrival->fields[i]);
    return shown;
}

static const char *why(struct arena *arena, const struct arrival *arrival)
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

static int arrival_row(struct output *output, struct arena *arena, struct db *db, const struct arrival *arrival,
                       int all, struct error *err)
{
    int64_t at_us = 0;

    if (arrival->state == ARRIVAL_APPLIED && db_applied_at(db, arrival->agency, arrival->position, &at_us, err) < 0)
        return err->code;
    output_row(output, false);
    output_text(output, ARRIVED_AGENCY, arrival->agency);
    output_text(output, ARRIVED_STATE, arrival_state_name(arrival->state));
    if (at_us)
        output_time(output, ARRIVED_TIME, at_us);
    if (arrival->position)
        output_position(output, ARRIVED_ENTRY, arrival->position);
    output_list(output, ARRIVED_FIELDS, fields_shown(arena, arrival, all), arrival->fields, arrival->field_count);
    output_text(output, ARRIVED_WHY, why(arena, arrival));
    return 0;
}

static int arrivals_print(struct output *output, struct arena *arena, struct db *db, const struct subject *subject,
                          struct error *err)
{
    struct arrival_facts facts = {
        .catalog = subject->catalog,
        .type = subject->type,
        .writes = subject->writes,
        .write_count = subject->write_count,
        .agencies = subject->agencies,
        .agency_count = subject->agency_count,
        .replies = subject->replies,
        .reply_count = subject->reply_count,
        .debts = subject->debts,
        .debt_count = subject->debt_count,
    };
    struct arrival *arrivals;
    int count;
    int failed = 0;

    if (arrival_find(arena, &facts, &arrivals, &count, err) < 0)
        return err->code;
    output_heading(output, _("Where it has arrived"));
    output_table(output, "arrived", arrival_columns);
    for (int i = 0; i < count && !failed; i++)
        failed = arrival_row(output, arena, db, &arrivals[i], subject->write_count, err);
    output_table_end(output);
    return failed;
}

static int history_of(struct output *output, struct arena *arena, struct db *db, const struct subject *subject,
                      const struct history_options *options, struct error *err)
{
    scoped(ledger_reader_free) struct ledger_reader *reader = ledger_reader_new(db, &subject->filter, &subject->range);
    struct ledger_entry entry;
    bool found = true;

    history_table(output, "history", false);
    while (found) {
        if (ledger_next(reader, arena, &entry, &found, err) < 0)
            return err->code;
        if (found)
            history_entry(output, arena, &entry, options);
    }
    output_table_end(output);
    return 0;
}

/* What a person has said of this record and another one. */
static void said_print(struct output *output, struct arena *arena, const struct said_of *said)
{
    const char *by, *ground, *decided;

    decision_told(arena, said->operation, said->has_body, said->body, &by, &ground);
    decided = *by ? arena_printf(arena, _("by %s: %s"), by, ground) : ground;
    if (!said->same)
        output_line(output, _("not the same as %" PRIu64 ", since entry %" PRIu64 " %s"), said->other,
                    FEED_SEQUENCE(said->position), decided);
    else if (said->goes)
        output_line(output, _("the same as %" PRIu64 ", since entry %" PRIu64 " %s"), said->other,
                    FEED_SEQUENCE(said->position), decided);
    else
        output_line(output, _("%" PRIu64 " is the same, since entry %" PRIu64 " %s"), said->other,
                    FEED_SEQUENCE(said->position), decided);
    if (said->same && said->goes)
        output_fact_number(output, NULL, "same_as", said->other);
}

static int print(const struct call *call, struct db *db, const struct subject *subject, struct error *err)
{
    struct arena *arena = call->arena;
    struct history_options options = { .catalog = subject->catalog,
                                       .reveal = call_has(call, OPTION_REVEAL),
                                       .one_record = true };
    scoped(output_free) struct output *output = output_new(arena, call_has(call, OPTION_JSON));

    output_fact(output,
                arena_printf(arena, "%s %" PRIu64 "%s", subject->type->name, subject->number,
                             subject->exists ? "" : _(" (deleted)")),
                "type", subject->type->name);
    output_fact_number(output, NULL, "record", subject->number);
    for (int i = 0; i < subject->said_count; i++)
        said_print(output, arena, &subject->said[i]);
    values_print(output, arena, subject, options.reveal);
    output_heading(output, _("History"));
    if (history_of(output, arena, db, subject, &options, err) < 0)
        return err->code;
    if (subject->range.more)
        output_say(output, _("These are the newest %d entries; there are older ones (--limit N)."),
                   subject->filter.limit);
    if (arrivals_print(output, arena, db, subject, err) < 0)
        return err->code;
    output_end(output);
    return 0;
}

int record_run(struct call *call)
{
    scoped(db_close) struct db *db = NULL;
    struct subject subject;
    struct error err;

    if (db_open(call_database(call), &db, &err) < 0 || subject_read(call, db, &subject, &err) < 0 ||
        (call_has(call, OPTION_REVEAL) &&
         reveal_record(call, subject.type->name, subject.number, "record, values and history", &err) < 0) ||
        print(call, db, &subject, &err) < 0)
        return call_fail(call, &err);
    return STATUS_OK;
}
