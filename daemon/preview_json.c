#include "daemon/preview_json.h"

#include "shell/json.h"

static void write_value(struct buffer *out, const char *name, struct value value)
{
    if (value.state == VALUE_SET)
        json_write_bytes(out, name, value.bytes, value.length);
    else
        json_write_null(out, name);
}

static void write_samples(struct buffer *out, const struct preview_type *type, const char *field, const char *what,
                          const struct preview_count *count)
{
    for (const struct preview_sample *sample = count->samples; sample; sample = sample->next) {
        json_begin_object(out, NULL);
        json_write_text(out, "type", type->type->name);
        json_write_text(out, "field", field);
        json_write_text(out, "what", what);
        if (sample->record)
            json_write_uint(out, "record", sample->record);
        else
            json_write_null(out, "record");
        write_value(out, "theirs", sample->theirs);
        write_value(out, "agreed", sample->agreed);
        json_write_bool(out, "masked", sample->theirs.state == VALUE_ABSENT && *field);
        json_end_object(out);
    }
}

static void write_rows(struct buffer *out, const struct preview_result *result)
{
    json_begin_array(out, "rows");
    for (uint16_t t = 0; t < result->type_count; t++)
        for (int what = 0; what < PREVIEW_ROW_COUNT && result->types[t].mapped; what++) {
            json_begin_object(out, NULL);
            json_write_text(out, "type", result->types[t].type->name);
            json_write_text(out, "what", preview_row_name((enum preview_row)what));
            json_write_uint(out, "rows", result->types[t].rows[what].count);
            json_end_object(out);
        }
    json_end_array(out);
}

static bool any_counted(const struct preview_count *counts)
{
    uint64_t all = 0;

    for (int what = 0; what < PREVIEW_WHAT_COUNT; what++)
        all += counts[what].count;
    return all > 0;
}

static void write_fields(struct buffer *out, const struct preview_result *result)
{
    json_begin_array(out, "fields");
    for (uint16_t t = 0; t < result->type_count; t++)
        for (uint16_t f = 0; f < result->types[t].type->field_count; f++) {
            const struct preview_count *counts = result->types[t].fields[f];

            if (!any_counted(counts))
                continue;
            json_begin_object(out, NULL);
            json_write_text(out, "type", result->types[t].type->name);
            json_write_text(out, "field", result->types[t].type->fields[f].name);
            for (int what = 0; what < PREVIEW_WHAT_COUNT; what++)
                json_write_uint(out, preview_what_name((enum preview_what)what), counts[what].count);
            json_end_object(out);
        }
    json_end_array(out);
}

const char *preview_json(struct buffer *out, const struct preview_result *result)
{
    out->length = 0;
    json_begin_object(out, NULL);
    json_write_text(out, "agency", result->agency);
    json_write_text(out, "table", result->table);
    write_rows(out, result);
    write_fields(out, result);
    json_begin_array(out, "samples");
    for (uint16_t t = 0; t < result->type_count; t++) {
        const struct preview_type *type = &result->types[t];

        for (int what = 0; what < PREVIEW_ROW_COUNT; what++)
            if (what != PREVIEW_MATCHED && what != PREVIEW_CREATED)
                write_samples(out, type, "", preview_row_name((enum preview_row)what), &type->rows[what]);
        for (uint16_t f = 0; f < type->type->field_count; f++)
            for (int what = 0; what < PREVIEW_WHAT_COUNT; what++)
                if (what != PREVIEW_EQUAL && what != PREVIEW_NEW)
                    write_samples(out, type, type->type->fields[f].name, preview_what_name((enum preview_what)what),
                                  &type->fields[f][what]);
    }
    json_end_array(out);
    json_end_object(out);
    return json_text(out);
}
