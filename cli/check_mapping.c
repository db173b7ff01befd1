/* Whether a mapping does what its writer means, before a service starts: names against the catalog, then tables, types
 * and keys as the agent finds them, and one row of each table both ways. */
#include "agents/settings.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/show.h"
#include "shell/text.h"
#include "shell/zpl.h"

#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#define USUAL_CATALOG "/etc/selaras/catalog.zpl"

struct subject {
    const struct call *call;
    struct arena *arena;
    const char *path;
    const struct catalog *catalog;
    struct agent_settings settings; /* its mapping is bound */
    bool reveal;
};

static int subject_read(struct subject *subject, const char *catalog, struct error *err)
{
    const char *agency;

    if (catalog_read(subject->arena, catalog, &subject->catalog, err) < 0 ||
        agent_settings_read(subject->arena, subject->path, &subject->settings, err) < 0)
        return err->code;
    agency = subject->settings.agency;
    if (catalog_agency(subject->catalog, agency, strlen(agency)) < 0)
        return word_error(err, ERR_REJECT, agency, subject->catalog->agencies,
                          _("%s: the catalog has no agency \"%.40s\""), subject->path, agency);
    if (mapping_bind(subject->arena, &subject->settings.mapping, subject->catalog, agency, err) < 0)
        return error_wrap(err, "%s", subject->path);
    return 0;
}

/* ---- A row both ways ---- */

enum { AT_BLOCK, AT_COLUMN, AT_HERE, AT_FIELD, AT_VALUE, AT_BACK, AT_MASKED };
static const struct column columns[] = {
    [AT_BLOCK] = { "block", N_("BLOCK"), LOOK_ONCE },
    [AT_COLUMN] = { "column", N_("COLUMN"), 0 },
    [AT_HERE] = { "here", N_("HERE"), 0 },
    [AT_FIELD] = { "field", N_("FIELD"), 0 },
    [AT_VALUE] = { "value", N_("READS AS"), 0 },
    [AT_BACK] = { "back", N_("WRITTEN BACK"), 0 },
    [AT_MASKED] = { "masked", NULL, 0 },
    { 0 },
};

struct example {
    const struct mapping_block *block;
    struct value *here, *back; /* by column of the block */
    struct value *fields;      /* by field of the block */
};

/* Finds a person, or says something of one. */
static bool is_private(const struct mapping_block *block, const struct mapping_field *field)
{
    const struct catalog_field *known = &block->type->fields[field->field];

    return known->personal || block->type->units[known->unit].identifier ||
           (field->refers && !field->refers->generated); /* it is a key of somebody */
}

static bool has_column(const struct mapping_field *field, uint16_t column)
{
    for (uint8_t i = 0; i < field->column_count; i++)
        if (field->columns[i] == column)
            return true;
    return false;
}

/* A reference as block and key. */
static struct value shown(struct arena *arena, const struct mapping_field *field, struct value value)
{
    struct value block, key;

    if (!field->refers || !reference_cut(value, &block, &key))
        return value;
    return value_text(arena_printf(arena, "%s %.*s", field->refers->name, (int)key.length, key.bytes));
}

static void row_print(const struct subject *subject, struct output *output, const struct example *example, int column,
                      int field, bool more)
{
    const struct mapping_block *block = example->block;
    bool masked = column >= 0; /* of who did it, and why */

    for (uint16_t i = 0; i < block->where_count; i++)
        masked = masked && block->where[i].column != column;
    if (field >= 0)
        masked = is_private(block, &block->fields[field]);
    masked = masked && !subject->reveal;
    output_row(output, more);
    output_text(output, AT_BLOCK, block->name);
    output_flag(output, AT_MASKED, masked);
    if (column >= 0) {
        output_text(output, AT_COLUMN, block->columns[column]);
        output_value(output, AT_HERE, example->here[column], masked);
        output_value(output, AT_BACK, example->back[column], masked);
    }
    if (field >= 0) {
        output_text(output, AT_FIELD, block->fields[field].name);
        output_value(output, AT_VALUE, shown(subject->arena, &block->fields[field], example->fields[field]), masked);
    }
}

/* Each column with the field it is of; then the constants. */
static void example_print(const struct subject *subject, struct output *output, const struct example *example)
{
    const struct mapping_block *block = example->block;
    bool more = false;

    for (uint16_t column = 0; column < block->column_count; column++) {
        int of = -1;

        for (uint16_t i = 0; i < block->field_count; i++)
            if (has_column(&block->fields[i], column))
                of = i;
        row_print(subject, output, example, column, of, more);
        more = true;
    }
    for (uint16_t i = 0; i < block->field_count; i++)
        if (block->fields[i].column_count == 0)
            row_print(subject, output, example, -1, i, more);
}

/* What is written must read as what it was written from. */
static int example_translate(const struct subject *subject, struct example *example, struct error *err)
{
    const struct mapping_block *block = example->block;
    struct value *again = arena_array(subject->arena, block->field_count, sizeof *again);
    struct value *whole = arena_array(subject->arena, block->column_count, sizeof *whole);

    example->fields = arena_array(subject->arena, block->field_count, sizeof *example->fields);
    example->back = arena_array(subject->arena, block->column_count, sizeof *example->back);
    if (row_read(subject->arena, block, example->here, example->fields, err) > 0)
        return ERR_REJECT;
    if (row_write(subject->arena, block, example->fields, example->back, err) < 0)
        return err->code;
    for (uint16_t i = 0; i < block->column_count; i++)
        whole[i] = example->back[i].state == VALUE_ABSENT ? example->here[i] : example->back[i];
    if (row_read(subject->arena, block, whole, again, err) > 0)
        return ERR_REJECT;
    for (uint16_t i = 0; i < block->field_count; i++)
        if (!value_equal(example->fields[i], again[i]))
            return error_set(err, ERR_REJECT,
                             _("mapping/%s/fields/%s: what is written back does not read as what it was"), block->name,
                             block->fields[i].name);
    return 0;
}

static const struct mapping_block *block_named(const struct subject *subject, const char *name)
{
    const struct mapping *mapping = &subject->settings.mapping;
    int index = mapping_block_named(mapping, (struct text){ name, (uint32_t)strlen(name) });

    return index >= 0 ? &mapping->blocks[index] : NULL;
}

/* One line of selaras-agent --check --example. */
static bool example_parse(const struct subject *subject, const char *line, struct example *ret)
{
    struct json_object *root = json_tokener_parse(line);
    struct json_object *name, *values;
    bool good = json_object_object_get_ex(root, "block", &name) &&
                json_object_object_get_ex(root, "columns", &values) &&
                (ret->block = block_named(subject, json_object_get_string(name))) &&
                json_object_array_length(values) == ret->block->column_count;

    if (good)
        ret->here = arena_array(subject->arena, ret->block->column_count, sizeof *ret->here);
    for (uint16_t i = 0; good && i < ret->block->column_count; i++) {
        struct json_object *value = json_object_array_get_idx(values, i);
        uint32_t length = value ? (uint32_t)json_object_get_string_len(value) : 0;

        ret->here[i] = value_null();
        if (value)
            ret->here[i] =
                (struct value){ arena_copy(subject->arena, json_object_get_string(value), length), length, VALUE_SET };
    }
    json_object_put(root);
    return good;
}

/* ---- What else there is to say ---- */

/* A record that is added here needs a value in each required field. */
static void required_say(const struct subject *subject, struct output *output, const struct mapping_block *block)
{
    int agency = catalog_agency(subject->catalog, subject->settings.agency, strlen(subject->settings.agency));

    if (!policy_writes(&block->type->units[UNIT_EXISTENCE].policy, (agency_index)agency))
        return;
    for (uint16_t i = 0; i < block->type->field_count; i++) {
        const struct catalog_field *field = &block->type->fields[i];

        if (field->required &&
            mapping_field_named(block, (struct text){ field->name, (uint32_t)strlen(field->name) }) < 0)
            output_say(output,
                       _("mapping/%s: the catalog requires %s, which no column here says: rows that are added here are "
                         "held until another agency has the record"),
                       block->name, field->name);
    }
}

static bool live_print(const struct subject *subject, struct output *output, const char *answer)
{
    struct error err;
    bool all = true;
    int count = 0;

    output_table(output, "examples", columns);
    for (const char *line = answer; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *text = arena_copy(subject->arena, line, strcspn(line, "\n"));
        struct example example = { 0 };

        if (!strncmp(text, "warning: ", strlen("warning: ")))
            output_say(output, "%s", text);
        if (*text != '{' || !example_parse(subject, text, &example))
            continue;
        count++;
        if (example_translate(subject, &example, &err) < 0) {
            output_say(output, _("%s: the example: %s"), subject->path, err.text);
            all = false;
        }
        example_print(subject, output, &example);
    }
    output_table_end(output);
    if (count < subject->settings.mapping.block_count)
        output_say(output, _("%d of %d blocks have a row to show."), count, subject->settings.mapping.block_count);
    return all;
}

static int print(const struct subject *subject, const char *answer)
{
    scoped(output_free) struct output *output = output_new(subject->arena, call_has(subject->call, OPTION_JSON));
    const struct mapping *mapping = &subject->settings.mapping;
    bool good = !answer || live_print(subject, output, answer);
    int fields = 0;

    for (int i = 0; i < mapping->block_count; i++) {
        fields += mapping->blocks[i].field_count;
        required_say(subject, output, &mapping->blocks[i]);
    }
    output_fact(output, NULL, "result", good ? "ok" : "failed");
    if (good && answer)
        output_say(output,
                   _("%s: ok. %s maps %d fields in %d blocks, and its tables, types and keys are as they must be."),
                   subject->path, subject->settings.agency, fields, mapping->block_count);
    else if (good)
        output_say(output, _("%s: ok. %s maps %d fields in %d blocks; its tables were not looked at."), subject->path,
                   subject->settings.agency, fields, mapping->block_count);
    output_end(output);
    return good ? STATUS_OK : STATUS_WRONG;
}

int check_mapping_run(struct call *call)
{
    const char *catalog = call->options[OPTION_CATALOG_FILE];
    struct subject subject = {
        .call = call, .arena = call->arena, .path = call->arguments[0], .reveal = call_has(call, OPTION_REVEAL)
    };
    const char *answer = NULL;
    struct error err;

    if (!catalog && access(USUAL_CATALOG, R_OK) == 0)
        catalog = USUAL_CATALOG;
    if (!catalog)
        return call_misused(call,
                            _("say which catalog: --catalog FILE, a copy of the broker's /etc/selaras/catalog.zpl"));
    if (subject_read(&subject, catalog, &err) < 0)
        return call_fail(call, &err);
    if (!call_has(call, OPTION_OFFLINE)) {
        const char *const arguments[] = { "--check", "--catalog", catalog, "--example", subject.path, NULL };

        if (agent_program(call->arena, arguments, &answer, &err) < 0)
            return call_fail(call, &err);
    }
    return print(&subject, answer);
}
