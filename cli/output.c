#include "cli/output.h"

#include "cli/show.h"
#include "shell/text.h"

#include <assert.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 32, PAGE_ROWS = 1000 };
#define ROW_FORM (JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)
#define WHOLE_FORM (JSON_C_TO_STRING_PRETTY | ROW_FORM)

struct row {
    bool more;
    const char *cells[COLUMNS_MAX];
    struct row *next;
};

struct output {
    struct arena *arena;
    bool json, lines;
    bool begun; /* of the object in JSON, a part is printed already */
    struct json_object *root;
    struct json_object *notes;
    /* Of the open table: */
    const char *key;
    const struct column *columns;
    int column_count;
    struct row *rows;
    struct row **end;
    struct row *row;
    struct json_object *array;
    struct json_object *object;
    /* Of a streamed one: */
    bool streamed;
    struct arena *cells; /* what its rows hold; of the others `arena` does */
    uint64_t printed;    /* rows */
    int page_rows;
    size_t widths[COLUMNS_MAX];
};

/* Whether people see a column; the same for all pages of a streamed table. */
static bool column_shown(const struct output *output, int column)
{
    if (!output->columns[column].heading)
        return false;
    if (!(output->columns[column].look & LOOK_OPTIONAL) ||
        (output->streamed && (output->printed > 0 || output->page_rows == PAGE_ROWS)))
        return true; /* of a streamed table nobody knows what comes */
    for (const struct row *row = output->rows; row; row = row->next)
        if (row->cells[column])
            return true;
    return false;
}

static const char *cell_shown(const struct output *output, const struct row *row, int column)
{
    if (row->more && output->columns[column].look & LOOK_ONCE)
        return "";
    return row->cells[column] ? row->cells[column] : "-";
}

/* gettext("") is the translation's own header. */
static const char *heading_of(const struct column *column)
{
    return *column->heading ? _(column->heading) : "";
}

/* Columns are as wide as on the page before, or wider. */
static void table_print(struct output *output)
{
    struct libscols_table *table = scols_new_table();
    struct libscols_column *made[COLUMNS_MAX];
    int shown[COLUMNS_MAX];
    int count = 0;

    if (!table || scols_table_set_column_separator(table, "  "))
        abort();
    for (int i = 0; i < output->column_count; i++)
        if (column_shown(output, i)) {
            int flags = output->columns[i].look & LOOK_RIGHT ? SCOLS_FL_RIGHT : 0;

            made[count] =
                scols_table_new_column(table, heading_of(&output->columns[i]), (double)output->widths[i], flags);
            if (!made[count])
                abort();
            shown[count++] = i;
        }
    if (output->printed && scols_table_enable_noheadings(table, 1))
        abort();
    for (const struct row *row = output->rows; row; row = row->next) {
        struct libscols_line *line = scols_table_new_line(table, NULL);

        if (!line)
            abort();
        for (int i = 0; i < count; i++)
            if (scols_line_set_data(line, (size_t)i, cell_shown(output, row, shown[i])))
                abort();
    }
    if (scols_print_table(table))
        abort();
    for (int i = 0; i < count; i++)
        output->widths[shown[i]] = scols_column_get_width(made[i]);
    scols_unref_table(table);
}

/* What is known of the object beside its tables, as far as it is known. */
static void members_print(struct output *output)
{
    json_object_object_foreach(output->root, name, value)
    {
        printf("%s\n  \"%s\": %s", output->begun ? "," : "{", name, json_object_to_json_string_ext(value, ROW_FORM));
        output->begun = true;
    }
    json_object_put(output->root);
    output->root = json_object_new_object();
}

static void page_leave(struct output *output)
{
    table_print(output);
    output->printed += (uint64_t)output->page_rows;
    output->page_rows = 0;
    output->rows = output->row = NULL;
    output->end = &output->rows;
    arena_reset(output->cells);
}

/* The row that is complete, if there is one. */
static void row_leave(struct output *output)
{
    if (!output->json) {
        if (output->page_rows == PAGE_ROWS)
            page_leave(output);
        return;
    }
    if (!output->object)
        return;
    printf("%s%s",
           output->lines     ? ""
           : output->printed ? ",\n    "
                             : "\n    ",
           json_object_to_json_string_ext(output->object, ROW_FORM));
    if (output->lines)
        putchar('\n');
    json_object_put(output->object);
    output->object = NULL;
    output->printed++;
    arena_reset(output->cells);
}

static void stream_end(struct output *output)
{
    if (!output->streamed)
        return;
    json_object_put(output->object);
    output->object = NULL;
    arena_free(&output->cells);
    output->cells = output->arena;
    output->streamed = false;
}

struct output *output_new(struct arena *arena, enum output_form form)
{
    struct output *output = arena_alloc(arena, sizeof *output);

    output->arena = output->cells = arena;
    output->json = form != OUTPUT_TABLE;
    output->lines = form == OUTPUT_JSON_LINES;
    if (output->json) {
        output->root = json_object_new_object();
        output->notes = json_object_new_array();
    }
    return output;
}

void output_free(struct output **output)
{
    if (!*output)
        return;
    json_object_put((*output)->root);
    json_object_put((*output)->notes);
    stream_end(*output);
    *output = NULL;
}

bool output_is_json(const struct output *output)
{
    return output->json;
}

void output_merge(struct output *output, struct json_object *answer)
{
    if (!output->json)
        return;
    json_object_object_foreach(answer, name, value) json_object_object_add(output->root, name, json_object_get(value));
}

/* A fact, as what JSON has instead of a line. Takes over `value`. */
static void fact_set(struct output *output, const char *line, const char *key, struct json_object *value)
{
    if (output->json) {
        json_object_object_add(output->root, key, value);
        return;
    }
    json_object_put(value);
    if (line)
        puts(show_clean(output->arena, line, strlen(line)));
}

void output_fact(struct output *output, const char *line, const char *key, const char *value)
{
    fact_set(output, line, key, json_object_new_string(value));
}

void output_fact_number(struct output *output, const char *line, const char *key, uint64_t value)
{
    fact_set(output, line, key, json_object_new_uint64(value));
}

__attribute__((format(printf, 2, 0))) static const char *sentence(struct output *output, const char *fmt,
                                                                  va_list arguments)
{
    const char *clean;
    char *text;

    if (vasprintf(&text, fmt, arguments) < 0)
        abort();
    clean = show_clean(output->arena, text, strlen(text));
    free(text);
    return clean;
}

void output_line(struct output *output, const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    if (!output->json)
        puts(sentence(output, fmt, arguments));
    va_end(arguments);
}

void output_say(struct output *output, const char *fmt, ...)
{
    va_list arguments;
    const char *said;

    va_start(arguments, fmt);
    said = sentence(output, fmt, arguments);
    va_end(arguments);
    if (output->lines)
        fprintf(stderr, "%s\n", said);
    else if (output->json)
        json_object_array_add(output->notes, json_object_new_string(said));
    else
        puts(said);
}

void output_heading(struct output *output, const char *text)
{
    if (!output->json)
        printf("\n%s\n", text);
}

void output_table(struct output *output, const char *key, const struct column *columns)
{
    assert(!output->columns);
    output->key = key;
    output->columns = columns;
    output->column_count = 0;
    while (columns[output->column_count].key || columns[output->column_count].heading)
        output->column_count++;
    assert(output->column_count <= COLUMNS_MAX);
    output->rows = output->row = NULL;
    output->end = &output->rows;
    output->array = output->json ? json_object_new_array() : NULL;
}

void output_stream(struct output *output, const char *key, const struct column *columns)
{
    output_table(output, key, columns);
    json_object_put(output->array);
    output->array = NULL;
    output->streamed = true;
    output->cells = arena_new();
    output->printed = 0;
    output->page_rows = 0;
    memset(output->widths, 0, sizeof output->widths);
    if (output->json && !output->lines) {
        members_print(output);
        printf("%s\n  \"%s\": [", output->begun ? "," : "{", key);
        output->begun = true;
    }
}

bool output_wanted(const struct output *output)
{
    (void)output;
    return !ferror(stdout);
}

void output_row(struct output *output, bool more)
{
    assert(output->columns);
    if (output->streamed)
        row_leave(output);
    if (output->json) {
        output->object = json_object_new_object();
        for (int i = 0; i < output->column_count; i++)
            if (output->columns[i].key)
                json_object_object_add(output->object, output->columns[i].key, NULL);
        if (!output->streamed)
            json_object_array_add(output->array, output->object);
        return;
    }
    output->page_rows++;
    output->row = arena_alloc(output->cells, sizeof *output->row);
    output->row->more = more;
    *output->end = output->row;
    output->end = &output->row->next;
}

/* Sets one cell: `shown` to people, `value` (consumed) in JSON. */
static void cell_set(struct output *output, int column, const char *shown, struct json_object *value)
{
    assert(column < output->column_count);
    if (!output->json) {
        assert(!value);
        output->row->cells[column] = shown;
    } else if (output->columns[column].key) {
        json_object_object_add(output->object, output->columns[column].key, value);
    } else {
        json_object_put(value);
    }
}

void output_text(struct output *output, int column, const char *text)
{
    if (text)
        cell_set(output, column, arena_copy(output->cells, text, strlen(text)),
                 output->json ? json_object_new_string(text) : NULL);
}

void output_number(struct output *output, int column, uint64_t number)
{
    cell_set(output, column, output->json ? NULL : show_count(output->cells, number),
             output->json ? json_object_new_uint64(number) : NULL);
}

void output_id(struct output *output, int column, uint64_t number)
{
    cell_set(output, column, output->json ? NULL : arena_printf(output->cells, "%" PRIu64, number),
             output->json ? json_object_new_uint64(number) : NULL);
}

void output_flag(struct output *output, int column, bool flag)
{
    cell_set(output, column, flag ? _("yes") : _("no"), output->json ? json_object_new_boolean(flag) : NULL);
}

void output_time(struct output *output, int column, int64_t time_us)
{
    if (output->json)
        cell_set(output, column, NULL, json_object_new_string(show_time_utc(output->cells, time_us)));
    else
        cell_set(output, column, show_time(output->cells, time_us), NULL);
}

void output_position(struct output *output, int column, feed_position position)
{
    cell_set(output, column, show_position(output->cells, position),
             output->json ? json_object_new_uint64(position) : NULL);
}

void output_value(struct output *output, int column, struct value value, bool masked)
{
    const char *shown = show_value(output->cells, value, masked);

    if (!output->json)
        cell_set(output, column, shown, NULL);
    else if (value.state == VALUE_SET && masked)
        cell_set(output, column, NULL, json_object_new_string(shown));
    else if (value.state == VALUE_SET)
        cell_set(output, column, NULL, json_object_new_string_len(value.bytes, (int)value.length));
}

void output_list(struct output *output, int column, const char *shown, const char *const *texts, int count)
{
    struct json_object *array = output->json ? json_object_new_array() : NULL;

    for (int i = 0; array && i < count; i++)
        json_object_array_add(array, json_object_new_string(texts[i]));
    cell_set(output, column, shown, array);
}

void output_table_end(struct output *output)
{
    assert(output->columns);
    if (output->streamed) {
        row_leave(output);
        if (output->rows)
            page_leave(output);
        if (output->json && !output->lines)
            fputs(output->printed ? "\n  ]" : "]", stdout);
        stream_end(output);
    } else if (output->json) {
        json_object_object_add(output->root, output->key, output->array);
    } else if (output->rows) {
        table_print(output);
    }
    output->columns = NULL;
    output->array = output->object = NULL;
    output->page_rows = 0;
    output->printed = 0;
}

void output_end(struct output *output)
{
    assert(!output->columns);
    if (!output->json || output->lines)
        return;
    if (json_object_array_length(output->notes))
        json_object_object_add(output->root, "notes", json_object_get(output->notes));
    if (output->begun) {
        members_print(output);
        puts("\n}");
        return;
    }
    puts(json_object_to_json_string_ext(output->root, WHOLE_FORM));
}
