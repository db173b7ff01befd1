/* What an agency that observes would do, and what would be done to it. */
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "shell/text.h"

#include <inttypes.h>
#include <string.h>

enum { SAMPLES_USUAL = 3, SAMPLES_MOST = 20 };

enum { ROW_TYPE, ROW_WHAT, ROW_MEANING, ROW_ROWS };
static const struct column row_columns[] = {
    [ROW_TYPE] = { "type", N_("TYPE"), 0 },
    [ROW_WHAT] = { "what", NULL, 0 },
    [ROW_MEANING] = { NULL, N_("ROWS THAT"), 0 },
    [ROW_ROWS] = { "rows", N_("COUNT"), LOOK_RIGHT },
    { 0 },
};

enum { AT_TYPE, AT_FIELD, AT_EQUAL, AT_FILLED, AT_OVERRULED, AT_FILLS, AT_CHANGES, AT_NEW, AT_HELD };
static const struct column field_columns[] = {
    [AT_TYPE] = { "type", N_("TYPE"), 0 },
    [AT_FIELD] = { "field", N_("FIELD"), 0 },
    [AT_EQUAL] = { "equal", N_("EQUAL"), LOOK_RIGHT },
    [AT_FILLED] = { "filled", N_("FILLED THERE"), LOOK_RIGHT },
    [AT_OVERRULED] = { "overruled", N_("OVERRULED THERE"), LOOK_RIGHT },
    [AT_FILLS] = { "fills", N_("FILLS OTHERS"), LOOK_RIGHT },
    [AT_CHANGES] = { "changes", N_("CHANGES OTHERS"), LOOK_RIGHT },
    [AT_NEW] = { "new", N_("OF NEW RECORDS"), LOOK_RIGHT },
    [AT_HELD] = { "held", N_("HELD"), LOOK_RIGHT },
    { 0 },
};

enum { SAMPLE_TYPE, SAMPLE_FIELD, SAMPLE_WHAT, SAMPLE_RECORD, SAMPLE_THEIRS, SAMPLE_AGREED, SAMPLE_MASKED };
static const struct column sample_columns[] = {
    [SAMPLE_TYPE] = { "type", N_("TYPE"), 0 },
    [SAMPLE_FIELD] = { "field", N_("FIELD"), LOOK_OPTIONAL },
    [SAMPLE_WHAT] = { "what", N_("WHAT"), 0 },
    [SAMPLE_RECORD] = { "record", N_("RECORD"), LOOK_RIGHT },
    [SAMPLE_THEIRS] = { "theirs", N_("THERE"), LOOK_OPTIONAL },
    [SAMPLE_AGREED] = { "agreed", N_("AGREED"), LOOK_OPTIONAL },
    [SAMPLE_MASKED] = { "masked", NULL, 0 },
    { 0 },
};

static const struct {
    const char *what, *meaning;
} meanings[] = {
    { "matched", N_("are a record already") },
    { "created", N_("would be new records for everyone") },
    { "held", N_("cannot be told apart: held for a person") },
    { "deleted", N_("would be deleted there") },
    { "stays", N_("are of records that were deleted, and stay there as they are") },
    { "inserted", N_("are not there, and would be inserted") },
};

static const char *meaning_of(const char *what)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (!strcmp(meanings[i].what, what))
            return _(meanings[i].meaning);
    return what;
}

static void rows_print(struct output *output, const struct json_object *rows)
{
    const struct json_object *row;

    output_table(output, "rows", row_columns);
    for (size_t i = 0; (row = answer_element(rows, i)); i++) {
        output_row(output, false);
        output_text(output, ROW_TYPE, answer_text(row, "type"));
        output_text(output, ROW_WHAT, answer_text(row, "what"));
        output_text(output, ROW_MEANING, meaning_of(answer_text(row, "what")));
        output_number(output, ROW_ROWS, answer_number(row, "rows"));
    }
    output_table_end(output);
}

static void fields_print(struct output *output, const struct json_object *fields)
{
    const struct json_object *field;

    output_table(output, "fields", field_columns);
    for (size_t i = 0; (field = answer_element(fields, i)); i++) {
        output_row(output, false);
        output_text(output, AT_TYPE, answer_text(field, "type"));
        output_text(output, AT_FIELD, answer_text(field, "field"));
        for (int at = AT_EQUAL; at <= AT_HELD; at++)
            output_number(output, at, answer_number(field, field_columns[at].key));
    }
    output_table_end(output);
}

static void sample_value(struct output *output, int column, const struct json_object *sample, const char *name,
                         bool masked)
{
    struct json_object *value = json_object_object_get(sample, name);

    if (masked && !output_is_json(output))
        output_text(output, column, "***");
    else if (value)
        output_text(output, column, json_object_get_string(value));
}

static void samples_print(struct output *output, const struct json_object *samples)
{
    const struct json_object *sample;

    output_table(output, "samples", sample_columns);
    for (size_t i = 0; (sample = answer_element(samples, i)); i++) {
        bool masked = json_object_get_boolean(json_object_object_get(sample, "masked"));

        output_row(output, false);
        output_text(output, SAMPLE_TYPE, answer_text(sample, "type"));
        if (*answer_text(sample, "field"))
            output_text(output, SAMPLE_FIELD, answer_text(sample, "field"));
        output_text(output, SAMPLE_WHAT, answer_text(sample, "what"));
        if (answer_number(sample, "record"))
            output_id(output, SAMPLE_RECORD, answer_number(sample, "record"));
        sample_value(output, SAMPLE_THEIRS, sample, "theirs", masked);
        sample_value(output, SAMPLE_AGREED, sample, "agreed", masked);
        output_flag(output, SAMPLE_MASKED, masked);
    }
    output_table_end(output);
}

static int preview_print(const struct call *call, const struct json_object *preview)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    const char *agency = answer_text(preview, "agency"), *table = answer_text(preview, "table");

    output_fact(
        output,
        arena_printf(call->arena, _("If %s%s%s took part, as things stand now:"), agency, *table ? ": " : "", table),
        "agency", agency);
    if (*table)
        output_fact(output, NULL, "table", table);
    rows_print(output, json_object_object_get(preview, "rows"));
    output_heading(output, _("Field by field, of the rows that it has:"));
    fields_print(output, json_object_object_get(preview, "fields"));
    if (answer_element(json_object_object_get(preview, "samples"), 0)) {
        output_heading(output, _("Some of it:"));
        samples_print(output, json_object_object_get(preview, "samples"));
    }
    output_say(output,
               _("Nothing of this has happened. One record: selaras record TYPE NUMBER. When it is to take part: "
                 "selaras agency mode %s full --ground TEXT"),
               agency);
    output_end(output);
    return STATUS_OK;
}

int preview_run(struct call *call)
{
    const char *table = call->options[OPTION_TABLE];
    const char *arguments[] = { "preview", call->arguments[0], table ? table : "", NULL };
    scoped(answer_free) struct json_object *preview = NULL;
    uint64_t samples;
    struct error err;

    if (agency_name_check(call->arguments[0], &err) < 0)
        return call_misused(call, "%s", err.text);
    if (call_number(call, OPTION_SAMPLES, 0, SAMPLES_MOST, SAMPLES_USUAL, &samples, &err) < 0)
        return call_misused(call, "%s", err.text);
    arguments[3] = arena_printf(call->arena, "%" PRIu64, samples);
    if (answer_ask(call, arguments, 4, &preview, &err) < 0)
        return call_fail(call, &err);
    return preview_print(call, preview);
}
