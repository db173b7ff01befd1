/* Changes that wait for a person: what they are, and what is decided about them. */
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/history.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/show.h"
#include "shell/text.h"

#include <inttypes.h>
#include <string.h>

enum { SAMPLES_USUAL = 10, SAMPLES_MOST = 100000 };

enum { LIST_HOLD, LIST_AGENCY, LIST_TYPE, LIST_FIELD, LIST_CAUSE, LIST_REASON, LIST_SINCE, LIST_HELD, LIST_DECISION };
static const struct column list_columns[] = {
    [LIST_HOLD] = { "hold", N_("HOLD"), LOOK_RIGHT },
    [LIST_AGENCY] = { "agency", N_("AGENCY"), 0 },
    [LIST_TYPE] = { "type", N_("TYPE"), 0 },
    [LIST_FIELD] = { "field", N_("FIELD"), 0 },
    [LIST_CAUSE] = { "cause", N_("CAUSE"), 0 },
    [LIST_REASON] = { "reason", N_("REASON"), 0 },
    [LIST_SINCE] = { "since", N_("SINCE"), 0 },
    [LIST_HELD] = { "held", N_("HELD"), LOOK_RIGHT },
    [LIST_DECISION] = { "decision", N_("DECISION"), LOOK_OPTIONAL },
    { 0 },
};

static enum output_form form_of(const struct call *call)
{
    return call_has(call, OPTION_JSON) ? OUTPUT_JSON : OUTPUT_TABLE;
}

static void list_row(struct output *output, const struct hold_view *hold)
{
    output_row(output, false);
    output_id(output, LIST_HOLD, hold->number);
    output_text(output, LIST_AGENCY, hold->agency);
    output_text(output, LIST_TYPE, hold->type);
    output_text(output, LIST_FIELD, hold->unit);
    output_text(output, LIST_CAUSE, hold->cause);
    output_text(output, LIST_REASON, hold->reason);
    output_time(output, LIST_SINCE, hold->opened_us);
    output_number(output, LIST_HELD, hold->held);
    output_text(output, LIST_DECISION, hold->decision);
}

static int list(const struct call *call, struct output *output, struct error *err)
{
    scoped(db_close) struct db *db = NULL;
    struct hold_view *holds;
    int count;

    if (db_open(call_database(call), &db, err) < 0 ||
        db_holds(db, call->arena, 0, call->options[OPTION_AGENCY], &holds, &count, err) < 0)
        return err->code;
    output_table(output, "holds", list_columns);
    for (int i = 0; i < count; i++)
        list_row(output, &holds[i]);
    output_table_end(output);
    if (count)
        output_say(output, _("What is in one, and what to do with it: selaras hold show NUMBER"));
    else
        output_say(output, _("Nothing is held."));
    return 0;
}

int hold_list_run(struct call *call)
{
    scoped(output_free) struct output *output = output_new(call->arena, form_of(call));
    struct error err;

    if (list(call, output, &err) < 0)
        return call_fail(call, &err);
    output_end(output);
    return STATUS_OK;
}

/* ---- one hold ---- */

enum { COUNT_FIELD, COUNT_OPERATION, COUNT_STATE, COUNT_CHANGES };
static const struct column count_columns[] = {
    [COUNT_FIELD] = { "field", N_("FIELD"), 0 },
    [COUNT_OPERATION] = { "operation", N_("KIND"), 0 },
    [COUNT_STATE] = { "state", N_("STATE"), 0 },
    [COUNT_CHANGES] = { "changes", N_("CHANGES"), LOOK_RIGHT },
    { 0 },
};

enum {
    AT_RECORD,
    AT_OTHERS,
    AT_WHAT,
    AT_FIELD,
    AT_CHANGE,
    AT_OLD,
    AT_NEW,
    AT_MASKED,
    AT_TIME,
    AT_ACTOR,
    AT_GROUND,
    AT_ENTRY
};
static const struct column sample_columns[] = {
    [AT_RECORD] = { "record", N_("RECORD"), LOOK_RIGHT | LOOK_ONCE },
    [AT_OTHERS] = { "others", N_("OTHER"), LOOK_ONCE | LOOK_OPTIONAL },
    [AT_WHAT] = { "operation", N_("WHAT"), LOOK_ONCE },
    [AT_FIELD] = { "field", N_("FIELD"), LOOK_OPTIONAL },
    [AT_CHANGE] = { NULL, N_("CHANGE"), LOOK_OPTIONAL },
    [AT_OLD] = { "old", NULL, 0 },
    [AT_NEW] = { "new", NULL, 0 },
    [AT_MASKED] = { "masked", NULL, 0 },
    [AT_TIME] = { "time", N_("TIME"), LOOK_ONCE },
    [AT_ACTOR] = { "actor", N_("BY"), LOOK_ONCE | LOOK_OPTIONAL },
    [AT_GROUND] = { "ground", N_("GROUND"), LOOK_ONCE | LOOK_OPTIONAL },
    [AT_ENTRY] = { "position", N_("ENTRY"), LOOK_RIGHT | LOOK_ONCE },
    { 0 },
};

/* Whether the field is of what is held: all of a row that was inserted, else the field or a member of the group. */
static bool is_of(const struct catalog_type *type, const char *unit, struct text name)
{
    int field = type ? catalog_field(type, name.bytes, name.length) : -1;

    return !strcmp(unit, "existence") || (field >= 0 && !strcmp(type->units[type->fields[field].unit].name, unit));
}

static void sample_cells(struct output *output, const struct hold_sample *sample, const struct change *change)
{
    output_id(output, AT_RECORD, sample->record);
    if (*sample->others)
        output_text(output, AT_OTHERS, sample->others);
    output_text(output, AT_WHAT, sample->operation);
    output_time(output, AT_TIME, sample->time_us);
    output_position(output, AT_ENTRY, sample->position);
    output_value(output, AT_ACTOR, change->actor.state == VALUE_SET ? change->actor : (struct value){ 0 }, false);
    output_value(output, AT_GROUND, change->ground.state == VALUE_SET ? change->ground : (struct value){ 0 }, false);
}

static void sample_rows(struct output *output, struct arena *arena, const struct catalog *catalog,
                        const struct catalog_type *type, const struct hold_sample *sample)
{
    struct change change;
    bool more = false;

    (void)change_told(arena, sample->operation, sample->has_body, sample->body, &change);
    for (uint16_t i = 0; i < change.field_count; i++) {
        const struct change_field *field = &change.fields[i];
        const char *name = arena_copy(arena, field->name.bytes, field->name.length);
        bool masked = field_masked(type, name, false);

        struct value old = field_shown(arena, catalog, type, name, field->old);
        struct value new = field_shown(arena, catalog, type, name, field->value);

        if (!is_of(type, sample->unit, field->name))
            continue;
        output_row(output, more);
        sample_cells(output, sample, &change);
        output_text(output, AT_FIELD, name);
        output_text(output, AT_CHANGE, show_change(arena, old, new, masked));
        output_value(output, AT_OLD, old, masked);
        output_value(output, AT_NEW, new, masked);
        output_flag(output, AT_MASKED, masked);
        more = true;
    }
    if (!more) {
        output_row(output, false);
        sample_cells(output, sample, &change);
    }
}

static void hold_facts(const struct call *call, struct output *output, const struct hold_view *hold)
{
    struct arena *arena = call->arena;

    output_fact_number(output, NULL, "hold", hold->number);
    output_fact(output, arena_printf(arena, _("agency   %s"), hold->agency), "agency", hold->agency);
    output_fact(output, arena_printf(arena, _("about    %s %s"), hold->type, hold->unit), "type", hold->type);
    output_fact(output, NULL, "field", hold->unit);
    output_fact(output, arena_printf(arena, _("because  %s: %s"), hold->cause, hold->reason), "reason", hold->reason);
    output_fact(output, NULL, "cause", hold->cause);
    output_fact(output, arena_printf(arena, _("since    %s"), show_time(arena, hold->opened_us)), "since",
                show_time_utc(arena, hold->opened_us));
    output_fact_number(output, arena_printf(arena, _("held     %s"), show_count(arena, hold->held)), "held",
                       hold->held);
}

static void hold_advise(struct output *output, const struct hold_view *hold)
{
    if (hold->decision)
        output_say(output, _("%s has decided (%s: %s); that is being carried out."), hold->decided_by, hold->decision,
                   hold->ground);
    else if (hold->closed_us)
        output_say(output, _("Nothing of it is held any more."));
    else if (hold->held && !strcmp(hold->cause, "collision"))
        output_say(output,
                   _("Another record has what this one is to be found by. The two are one: selaras record same %s KEEP "
                     "OTHER --ground TEXT. The other one has given it up: selaras hold release %" PRIu64
                     " --ground TEXT. It is wrong here: selaras hold reject %" PRIu64
                     " --ground TEXT, which puts it back at %s."),
                   hold->type, hold->number, hold->number, hold->agency);
    else if (hold->held)
        output_say(output,
                   _("Right: selaras hold release %" PRIu64 " --ground TEXT. Wrong: selaras hold reject %" PRIu64
                     " --ground TEXT, which puts it back at %s. A part of it: --records 17,19,200-400."),
                   hold->number, hold->number, hold->agency);
}

static void counts_print(struct output *output, const struct hold_count *counts, int count)
{
    output_table(output, "counts", count_columns);
    for (int i = 0; i < count; i++) {
        output_row(output, false);
        output_text(output, COUNT_FIELD, counts[i].unit);
        output_text(output, COUNT_OPERATION, counts[i].operation);
        output_text(output, COUNT_STATE, counts[i].state);
        output_number(output, COUNT_CHANGES, counts[i].count);
    }
    output_table_end(output);
}

static int show(const struct call *call, uint64_t number, struct output *output, struct error *err)
{
    scoped(db_close) struct db *db = NULL;
    const struct catalog *catalog;
    struct hold_view *hold;
    struct hold_count *counts;
    struct hold_sample *samples;
    uint64_t limit;
    int found, count, sample_count, type;

    if (call_number(call, OPTION_LIMIT, 1, SAMPLES_MOST, SAMPLES_USUAL, &limit, err) < 0 ||
        db_open(call_database(call), &db, err) < 0 || db_catalog(db, call->arena, &catalog, err) < 0 ||
        db_holds(db, call->arena, number, NULL, &hold, &found, err) < 0)
        return err->code;
    if (found == 0)
        return error_set(err, ERR_REJECT, _("there is no hold %" PRIu64 ": selaras hold list"), number);
    if (db_hold_counts(db, call->arena, number, &counts, &count, err) < 0 ||
        db_hold_samples(db, call->arena, number, (int)limit, &samples, &sample_count, err) < 0)
        return err->code;
    type = catalog_type(catalog, hold->type, strlen(hold->type));
    hold_facts(call, output, hold);
    output_line(output, "%s", "");
    counts_print(output, counts, count);
    output_heading(output, _("Some of it, as the agency wrote it:"));
    output_table(output, "samples", sample_columns);
    for (int i = 0; i < sample_count; i++)
        sample_rows(output, call->arena, catalog, type < 0 ? NULL : &catalog->types[type], &samples[i]);
    output_table_end(output);
    if (hold->held > (uint64_t)sample_count)
        output_say(output, _("These are %d of them; there are more (--limit N)."), sample_count);
    hold_advise(output, hold);
    return 0;
}

int hold_show_run(struct call *call)
{
    scoped(output_free) struct output *output = output_new(call->arena, form_of(call));
    uint64_t number;
    struct error err;

    if (!number_parse(call->arguments[0], &number))
        return call_misused(call, _("a hold is its number: selaras hold list"));
    if (show(call, number, output, &err) < 0)
        return call_fail(call, &err);
    output_end(output);
    return STATUS_OK;
}

/* ---- decisions ---- */

static int decide(struct call *call, const char *verb, const char *done)
{
    const char *records = call->options[OPTION_RECORDS];
    const char *const arguments[] = { verb, call->arguments[0], call->options[OPTION_GROUND], records ? records : "" };
    uint64_t number;

    if (!number_parse(call->arguments[0], &number))
        return call_misused(call, _("a hold is its number: selaras hold list"));
    if (!arguments[2] || !*arguments[2])
        return call_misused(call, _("--ground TEXT is wanted: why it is decided so stands in the ledger"));
    if (records && !*records)
        return call_misused(call, _("--records wants numbers or ranges with commas between, like 17,19,200-400"));
    return answer_request(call, arguments, 4, done);
}

int hold_release_run(struct call *call)
{
    return decide(call, "hold-release",
                  _("Released: the changes go through the rules and to the other agencies now. How far that is: "
                    "selaras hold show NUMBER"));
}

int hold_reject_run(struct call *call)
{
    return decide(call, "hold-reject",
                  _("Rejected: what stood before is put back at the agency now. How far that is: selaras hold show "
                    "NUMBER"));
}
