#include "cli/commands.h"
#include "cli/history.h"
#include "cli/reveal.h"
#include "cli/show.h"
#include "cli/subject.h"
#include "shell/text.h"

#include <inttypes.h>
#include <string.h>

enum { HISTORY_USUAL = 100, HISTORY_MOST = 100000 };

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

/* What is printed of one record. */
struct shown {
    struct subject subject;
    struct ledger_filter filter; /* of the history: */
    struct ledger_range range;
};

static int shown_read(const struct call *call, struct db *db, struct shown *ret, struct error *err)
{
    uint64_t limit;

    if (call_number(call, OPTION_LIMIT, 1, HISTORY_MOST, HISTORY_USUAL, &limit, err) < 0 ||
        subject_read(call, db, &ret->subject, err) < 0)
        return err->code;
    ret->filter = (struct ledger_filter){ .record = ret->subject.number, .limit = (int)limit };
    return db_range(db, call->arena, &ret->filter, &ret->range, err);
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
    else if (change_unrecorded(&change) && !output_is_json(output))
        output_text(output, VALUE_ACTOR, _("(not recorded)"));
    if (change.ground.state == VALUE_SET)
        output_value(output, VALUE_GROUND, change.ground, false);
}

static void field_row(struct output *output, struct arena *arena, const struct subject *subject, const char *field,
                      struct value value, bool masked)
{
    const struct last_write *write = subject_write(subject, field);

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

        field_row(output, arena, subject, field,
                  field_shown(arena, subject->catalog, subject->type, field, subject->values[i]),
                  field_masked(subject->type, field, reveal));
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

static int arrival_row(struct output *output, struct arena *arena, struct db *db, const struct arrival *arrival,
                       int all, struct error *err)
{
    int64_t at_us = arrival->since_us;

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
    output_text(output, ARRIVED_WHY, arrival_why(arena, arrival));
    return 0;
}

static int arrivals_print(struct output *output, struct arena *arena, struct db *db, const struct subject *subject,
                          struct error *err)
{
    struct arrival *arrivals;
    int count;
    int failed = 0;

    if (subject_arrivals(arena, subject, NULL, &arrivals, &count, err) < 0)
        return err->code;
    output_heading(output, _("Where it has arrived"));
    output_table(output, "arrived", arrival_columns);
    for (int i = 0; i < count && !failed; i++)
        failed = arrival_row(output, arena, db, &arrivals[i], subject->write_count, err);
    output_table_end(output);
    return failed;
}

static int history_of(struct output *output, struct arena *arena, struct db *db, const struct shown *shown,
                      const struct history_options *options, struct error *err)
{
    scoped(ledger_reader_free) struct ledger_reader *reader = ledger_reader_new(db, &shown->filter, &shown->range);
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

static int print(const struct call *call, struct db *db, const struct shown *shown, struct error *err)
{
    const struct subject *subject = &shown->subject;
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
    if (history_of(output, arena, db, shown, &options, err) < 0)
        return err->code;
    if (shown->range.more)
        output_say(output, _("These are the newest %d entries; there are older ones (--limit N)."),
                   shown->filter.limit);
    if (arrivals_print(output, arena, db, subject, err) < 0)
        return err->code;
    output_end(output);
    return 0;
}

int record_run(struct call *call)
{
    scoped(db_close) struct db *db = NULL;
    struct shown shown;
    struct error err;

    if (db_open(call_database(call), &db, &err) < 0 || shown_read(call, db, &shown, &err) < 0 ||
        (call_has(call, OPTION_REVEAL) &&
         reveal_record(call, shown.subject.type->name, shown.subject.number, "record, values and history", &err) < 0) ||
        print(call, db, &shown, &err) < 0)
        return call_fail(call, &err);
    return STATUS_OK;
}
