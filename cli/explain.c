/* `selaras explain`: why a field is what it is: who wrote it, by which rule that stands, whose values it overruled, and
 * whom it has reached. */
#include "cli/commands.h"
#include "cli/history.h"
#include "cli/reveal.h"
#include "cli/show.h"
#include "cli/subject.h"
#include "shell/text.h"

#include <inttypes.h>
#include <string.h>

enum { ENTRIES_MAX = 200, OVERRULED_MAX = 10 };

/* One field, and all there is to say of it. */
struct explained {
    const char *field;
    const struct policy *policy;
    struct value value;
    bool masked;
    const struct last_write *write; /* NULL: nobody has written it */
    struct change change;           /* that gave it, when it can be read */
    bool told;
    struct last_write overruled[OVERRULED_MAX]; /* refused, or replaced by a decision: the newest first */
    int overruled_count;
    struct arrival *arrivals;
    int arrival_count;
    int64_t *applied_us; /* by arrival */
};

/* ---- what there is to say ---- */

static bool refused(const struct last_write *entry)
{
    return !strcmp(entry->verdict, verdict_name(VERDICT_LOST)) ||
           !strcmp(entry->verdict, verdict_name(VERDICT_PUT_BACK));
}

/* What was refused while the value stood; and what stood before it, when two agencies did not know of each other and
 * this one won. */
static void overruled_find(struct explained *explained, const struct last_write *entries, int count)
{
    const struct last_write *write = explained->write;
    bool won = write && !strcmp(write->verdict, verdict_name(VERDICT_WON));

    for (int i = 0; write && i < count && explained->overruled_count < OVERRULED_MAX; i++) {
        const struct last_write *entry = &entries[i];
        bool before = entry->position < write->position;
        bool accepted = !strcmp(entry->verdict, verdict_name(VERDICT_APPLIED)) ||
                        !strcmp(entry->verdict, verdict_name(VERDICT_WON));

        if (before && !(won && accepted))
            continue;
        if (before)
            won = false; /* the one that it won against */
        else if (!refused(entry))
            continue;
        if (strcmp(entry->agency, write->agency) != 0 || !before)
            explained->overruled[explained->overruled_count++] = *entry;
    }
}

static int explain_field(const struct call *call, struct db *db, const struct subject *subject, int field,
                         struct explained *ret, struct error *err)
{
    const struct catalog_type *type = subject->type;
    struct arena *arena = call->arena;
    const char *name = field < 0 ? "existence" : type->fields[field].name;
    struct last_write *entries;
    int count;

    *ret = (struct explained){
        .field = name,
        .policy = &type->units[field < 0 ? UNIT_EXISTENCE : type->fields[field].unit].policy,
        .value = field < 0 ? value_text(subject->exists ? "true" : "false") : subject->values[field],
        .masked = field_masked(type, name, call_has(call, OPTION_REVEAL)),
        .write = subject_write(subject, name),
    };
    if (!ret->write)
        return 0;
    ret->told = change_told(arena, ret->write->operation, ret->write->has_body, ret->write->body, &ret->change) == TOLD;
    if (db_field_entries(db, arena, subject->number, name, ENTRIES_MAX, &entries, &count, err) < 0 ||
        subject_arrivals(arena, subject, name, &ret->arrivals, &ret->arrival_count, err) < 0)
        return err->code;
    overruled_find(ret, entries, count);
    ret->applied_us = arena_array(arena, (size_t)ret->arrival_count + 1, sizeof *ret->applied_us);
    for (int i = 0; i < ret->arrival_count; i++)
        if (ret->arrivals[i].state == ARRIVAL_APPLIED &&
            db_applied_at(db, ret->arrivals[i].agency, ret->arrivals[i].position, &ret->applied_us[i], err) < 0)
            return err->code;
    return 0;
}

/* The value that an entry gives the field: absent when it cannot be read. */
static struct value value_in(struct arena *arena, const struct last_write *entry)
{
    struct change change;

    if (change_told(arena, entry->operation, entry->has_body, entry->body, &change) != TOLD)
        return (struct value){ 0 };
    if (!strcmp(entry->field, "existence"))
        return value_text(change.operation == OPERATION_DELETE ? "false" : "true");
    for (int i = 0; i < change.field_count; i++)
        if (change.fields[i].name.length == strlen(entry->field) &&
            !memcmp(change.fields[i].name.bytes, entry->field, change.fields[i].name.length))
            return change.fields[i].value;
    return (struct value){ 0 };
}

static const char *basis_of(const struct subject *subject, const struct explained *explained, const char *agency)
{
    int index = catalog_agency(subject->catalog, agency, strlen(agency));
    const char *basis = index < 0 ? NULL : explained->policy->basis[index];

    return basis ? basis : "-";
}

/* ---- for people ---- */

/* The label stands before the first line of what it names. */
static void line(struct output *output, const char *label, const char *text)
{
    output_line(output, "  %-11s  %s", label, text);
}

static const char *witness(struct arena *arena, struct value value)
{
    return show_clean(arena, value.bytes, value.length);
}

static const char *written_by(struct arena *arena, const struct explained *explained)
{
    const struct change *change = &explained->change;
    const char *by = explained->write->agency;

    if (!explained->told)
        return arena_printf(arena, _("%s; the entry's values were redacted, or cannot be read"), by);
    if (change->actor.state == VALUE_SET)
        by = arena_printf(arena, "%s, %s", by, witness(arena, change->actor));
    if (change->ground.state == VALUE_SET)
        return arena_printf(arena, _("%s, on ground %s"), by, witness(arena, change->ground));
    if (change->operation == OPERATION_LOAD)
        return arena_printf(arena, _("%s; it stood there when the agency was loaded"), by);
    return change_unrecorded(change) ? arena_printf(arena, _("%s; by whom and why is not recorded"), by) : by;
}

static const char *writers(struct arena *arena, const struct subject *subject, const struct policy *policy)
{
    const char *names = "";

    for (int i = 0; i < policy->write_count; i++)
        names = arena_printf(arena, "%s%s%s", names, i ? ", " : "", subject->catalog->agencies[policy->write[i]]);
    return names;
}

static const char *stands_by(struct arena *arena, const struct subject *subject, const struct explained *explained)
{
    const struct last_write *write = explained->write;
    const char *rule = *write->rule ? write->rule : write->verdict;
    const char *who = arena_printf(arena,
                                   explained->policy->otherwise == OTHERWISE_PROPOSE
                                       ? _("%s may write, others propose")
                                       : _("%s may write, what others write is put back"),
                                   writers(arena, subject, explained->policy));

    if (write->catalog == subject->catalog->version)
        return arena_printf(arena, _("%s (catalog %" PRIu32 ": %s)"), rule, write->catalog, who);
    return arena_printf(arena, _("%s, of catalog %" PRIu32 " (now catalog %" PRIu32 ": %s)"), rule, write->catalog,
                        subject->catalog->version, who);
}

static void overruled_lines(struct output *output, struct arena *arena, const struct explained *explained)
{
    for (int i = 0; i < explained->overruled_count; i++) {
        const struct last_write *entry = &explained->overruled[i];
        const char *value = show_value(arena, value_in(arena, entry), explained->masked);

        line(output, i ? "" : _("overruled"),
             arena_printf(arena, _("%s, by %s in entry %s: %s (%s)"), value ? value : "-", entry->agency,
                          show_position(arena, entry->position), entry->verdict, entry->rule));
    }
}

static void reached_lines(struct output *output, struct arena *arena, const struct subject *subject,
                          const struct explained *explained)
{
    for (int i = 0; i < explained->arrival_count; i++) {
        const struct arrival *arrival = &explained->arrivals[i];
        int64_t at_us = arrival->since_us ? arrival->since_us : explained->applied_us[i];
        const char *why = arrival_why(arena, arrival);

        line(output, i ? "" : _("reached"),
             arena_printf(arena, "%s (%s) %s%s%s%s%s", arrival->agency, basis_of(subject, explained, arrival->agency),
                          arrival_state_name(arrival->state), at_us ? arrival->since_us ? _(" since ") : " " : "",
                          at_us ? show_time(arena, at_us) : "", why ? ": " : "", why ? why : ""));
    }
}

static void lines_print(struct output *output, struct arena *arena, const struct subject *subject,
                        const struct explained *explained)
{
    const char *value = show_value(arena, explained->value, explained->masked);

    if (!explained->write) {
        output_line(output, _("%s: nobody has written it"), explained->field);
        return;
    }
    output_line(output, _("%s: %s since %s, entry %s"), explained->field, value ? value : "-",
                show_time(arena, explained->write->time_us), show_position(arena, explained->write->position));
    line(output, _("written by"), written_by(arena, explained));
    line(output, _("stands by"), stands_by(arena, subject, explained));
    overruled_lines(output, arena, explained);
    reached_lines(output, arena, subject, explained);
}

/* ---- for programs ---- */

enum {
    AT_FIELD,
    AT_VALUE,
    AT_MASKED,
    AT_SINCE,
    AT_ENTRY,
    AT_AGENCY,
    AT_ACTOR,
    AT_GROUND,
    AT_RECORDED,
    AT_VERDICT,
    AT_RULE,
    AT_CATALOG,
    AT_WRITE,
    AT_OTHERWISE
};
static const struct column field_columns[] = {
    [AT_FIELD] = { "field", NULL, 0 },
    [AT_VALUE] = { "value", NULL, 0 },
    [AT_MASKED] = { "masked", NULL, 0 },
    [AT_SINCE] = { "since", NULL, 0 },
    [AT_ENTRY] = { "entry", NULL, 0 },
    [AT_AGENCY] = { "agency", NULL, 0 },
    [AT_ACTOR] = { "actor", NULL, 0 },
    [AT_GROUND] = { "ground", NULL, 0 },
    [AT_RECORDED] = { "recorded", NULL, 0 },
    [AT_VERDICT] = { "verdict", NULL, 0 },
    [AT_RULE] = { "rule", NULL, 0 },
    [AT_CATALOG] = { "catalog", NULL, 0 },
    [AT_WRITE] = { "write", NULL, 0 },
    [AT_OTHERWISE] = { "otherwise", NULL, 0 },
    { 0 },
};
enum { OVER_FIELD, OVER_AGENCY, OVER_VALUE, OVER_MASKED, OVER_ENTRY, OVER_TIME, OVER_VERDICT, OVER_RULE };
static const struct column overruled_columns[] = {
    [OVER_FIELD] = { "field", NULL, 0 },     [OVER_AGENCY] = { "agency", NULL, 0 }, [OVER_VALUE] = { "value", NULL, 0 },
    [OVER_MASKED] = { "masked", NULL, 0 },   [OVER_ENTRY] = { "entry", NULL, 0 },   [OVER_TIME] = { "time", NULL, 0 },
    [OVER_VERDICT] = { "verdict", NULL, 0 }, [OVER_RULE] = { "rule", NULL, 0 },     { 0 },
};
enum {
    REACHED_FIELD,
    REACHED_AGENCY,
    REACHED_BASIS,
    REACHED_STATE,
    REACHED_APPLIED,
    REACHED_SINCE,
    REACHED_ENTRY,
    REACHED_WHY
};
static const struct column reached_columns[] = {
    [REACHED_FIELD] = { "field", NULL, 0 },
    [REACHED_AGENCY] = { "agency", NULL, 0 },
    [REACHED_BASIS] = { "basis", NULL, 0 },
    [REACHED_STATE] = { "state", NULL, 0 },
    [REACHED_APPLIED] = { "applied", NULL, 0 },
    [REACHED_SINCE] = { "since", NULL, 0 },
    [REACHED_ENTRY] = { "entry", NULL, 0 },
    [REACHED_WHY] = { "why", NULL, 0 },
    { 0 },
};

static void field_row(struct output *output, const struct subject *subject, const struct explained *explained)
{
    const struct policy *policy = explained->policy;
    const char *names[CATALOG_AGENCIES_MAX];

    output_row(output, false);
    output_text(output, AT_FIELD, explained->field);
    output_value(output, AT_VALUE, explained->value, explained->masked);
    output_flag(output, AT_MASKED, explained->masked);
    for (int i = 0; i < policy->write_count; i++)
        names[i] = subject->catalog->agencies[policy->write[i]];
    output_list(output, AT_WRITE, NULL, names, policy->write_count);
    output_text(output, AT_OTHERWISE, policy->otherwise == OTHERWISE_PROPOSE ? "propose" : "put-back");
    if (!explained->write)
        return;
    output_time(output, AT_SINCE, explained->write->time_us);
    output_position(output, AT_ENTRY, explained->write->position);
    output_text(output, AT_AGENCY, explained->write->agency);
    output_text(output, AT_VERDICT, explained->write->verdict);
    output_text(output, AT_RULE, explained->write->rule);
    output_number(output, AT_CATALOG, explained->write->catalog);
    if (!explained->told)
        return;
    output_value(output, AT_ACTOR, explained->change.actor, false);
    output_value(output, AT_GROUND, explained->change.ground, false);
    output_flag(output, AT_RECORDED, !change_unrecorded(&explained->change));
}

static void overruled_row(struct output *output, struct arena *arena, const struct explained *explained,
                          const struct last_write *entry)
{
    output_row(output, false);
    output_text(output, OVER_FIELD, explained->field);
    output_text(output, OVER_AGENCY, entry->agency);
    output_value(output, OVER_VALUE, value_in(arena, entry), explained->masked);
    output_flag(output, OVER_MASKED, explained->masked);
    output_position(output, OVER_ENTRY, entry->position);
    output_time(output, OVER_TIME, entry->time_us);
    output_text(output, OVER_VERDICT, entry->verdict);
    output_text(output, OVER_RULE, entry->rule);
}

static void reached_row(struct output *output, struct arena *arena, const struct subject *subject,
                        const struct explained *explained, int at)
{
    const struct arrival *arrival = &explained->arrivals[at];

    output_row(output, false);
    output_text(output, REACHED_FIELD, explained->field);
    output_text(output, REACHED_AGENCY, arrival->agency);
    output_text(output, REACHED_BASIS, basis_of(subject, explained, arrival->agency));
    output_text(output, REACHED_STATE, arrival_state_name(arrival->state));
    if (explained->applied_us[at])
        output_time(output, REACHED_APPLIED, explained->applied_us[at]);
    if (arrival->since_us)
        output_time(output, REACHED_SINCE, arrival->since_us);
    if (arrival->position)
        output_position(output, REACHED_ENTRY, arrival->position);
    output_text(output, REACHED_WHY, arrival_why(arena, arrival));
}

static void json_print(struct output *output, struct arena *arena, const struct subject *subject,
                       const struct explained *explained, int count)
{
    output_fact(output, NULL, "type", subject->type->name);
    output_fact_number(output, NULL, "record", subject->number);
    output_table(output, "explained", field_columns);
    for (int i = 0; i < count; i++)
        field_row(output, subject, &explained[i]);
    output_table_end(output);
    output_table(output, "overruled", overruled_columns);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < explained[i].overruled_count; j++)
            overruled_row(output, arena, &explained[i], &explained[i].overruled[j]);
    output_table_end(output);
    output_table(output, "reached", reached_columns);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < explained[i].arrival_count; j++)
            reached_row(output, arena, subject, &explained[i], j);
    output_table_end(output);
}

/* ---- the command ---- */

/* The field that the call names: *ret is -1 for existence, *ret_all when it names none. */
static int field_named(const struct call *call, const struct catalog_type *type, int *ret, bool *ret_all,
                       struct error *err)
{
    const char *name = call->argument_count > 2 ? call->arguments[2] : NULL;
    const char *words[CATALOG_FIELDS_MAX + 2] = { "existence" };

    *ret_all = !name;
    *ret = name ? catalog_field(type, name, strlen(name)) : -1;
    if (!name || *ret >= 0 || !strcmp(name, words[0]))
        return 0;
    for (int i = 0; i < type->field_count; i++)
        words[i + 1] = type->fields[i].name;
    words[type->field_count + 1] = NULL;
    return word_error(err, ERR_REJECT, name, words, _("%s has no field \"%.40s\""), type->name, name);
}

static int explain(const struct call *call, struct db *db, const struct subject *subject, struct error *err)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    struct explained *explained = arena_array(call->arena, subject->type->field_count + 1u, sizeof *explained);
    int only, count = 0;
    bool all;

    if (field_named(call, subject->type, &only, &all, err) < 0)
        return err->code;
    for (int field = -1; field < subject->type->field_count; field++)
        if ((all || field == only) && explain_field(call, db, subject, field, &explained[count++], err) < 0)
            return err->code;
    if (output_is_json(output))
        json_print(output, call->arena, subject, explained, count);
    for (int i = 0; i < count && !output_is_json(output); i++)
        lines_print(output, call->arena, subject, &explained[i]);
    output_end(output);
    return 0;
}

int explain_run(struct call *call)
{
    scoped(db_close) struct db *db = NULL;
    struct subject subject;
    struct error err;

    if (db_open(call_database(call), &db, &err) < 0 || subject_read(call, db, &subject, &err) < 0 ||
        (call_has(call, OPTION_REVEAL) &&
         reveal_record(call, subject.type->name, subject.number, "explain, values", &err) < 0) ||
        explain(call, db, &subject, &err) < 0)
        return call_fail(call, &err);
    return STATUS_OK;
}
