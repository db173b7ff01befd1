#include "agents/csv/import.h"

#include "agents/csv/edits.h"
#include "agents/csv/encoding.h"
#include "agents/csv/sheet.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEP_LINES = 500,
    ROUNDED_SEVERAL = 4, /* so many numbers that all end in 0 are no accident */
    DIGITS_OF_NUMBER = 16,
};

enum phase { PHASE_SCAN, PHASE_PARSE, PHASE_EDIT, PHASE_END };

/* What the numbers of a column look like. */
struct numbers {
    uint32_t sixteen, zeros, first_line;
};

struct import {
    struct state *state;
    struct import_options options;
    const struct mapping_block *block;
    struct spelling *spellings;
    struct refusals *refusals;
    char *text;
    size_t length, at; /* at: how far the present phase is */
    uint32_t line;
    enum phase phase;
    struct encoding_scan scan;
    enum encoding encoding;
    struct sheet_options sheet_options;
    struct sheet *sheet;
    struct numbers *numbers; /* by column */
    struct edits *edits;
    struct import_result result;
    struct error trouble; /* of the state, found while parsing */
    struct arena *arena;  /* of the import */
    struct arena *scratch;
};

/* ---- lines ---- */

static bool next_line(struct import *import, struct text *ret)
{
    const char *line = import->text + import->at, *end;

    if (import->at == import->length)
        return false;
    end = memchr(line, '\n', import->length - import->at);
    ret->bytes = line;
    ret->length = (uint32_t)(end ? end - line + 1 : import->text + import->length - line);
    import->at += ret->length;
    import->line++;
    return true;
}

static void rewind_lines(struct import *import)
{
    import->at = 0;
    import->line = 0;
}

static void scan_step(struct import *import)
{
    struct text line;

    for (int i = 0; i < STEP_LINES; i++) {
        if (!next_line(import, &line)) {
            import->encoding = encoding_decide(&import->scan, import->refusals);
            rewind_lines(import);
            import->phase = PHASE_PARSE;
            return;
        }
        encoding_scan(&import->scan, line.bytes, line.length, import->refusals);
    }
}

/* ---- rows ---- */

static void refuse_cell(struct import *import, enum refusal_kind kind, uint32_t line, uint16_t column)
{
    refuse(import->refusals, kind, line, sheet_column(import->sheet, column), import->block->columns[column], 0, 0);
}

static void note_number(struct import *import, uint16_t column, struct value cell, uint32_t line)
{
    struct numbers *numbers = &import->numbers[column];

    if (import->spellings[column].kind != SPELLING_DIGITS || cell.state != VALUE_SET ||
        cell.length != DIGITS_OF_NUMBER || memchr(cell.bytes, '\x1f', cell.length))
        return;
    for (uint32_t i = 0; i < cell.length; i++)
        if (cell.bytes[i] < '0' || cell.bytes[i] > '9')
            return;
    numbers->sixteen++;
    if (cell.bytes[cell.length - 1] != '0')
        return;
    if (numbers->zeros++ == 0)
        numbers->first_line = line;
}

/* The row's columns as the mapping reads them; false when a cell is refused. */
static bool read_columns(struct import *import, const struct sheet_row *row, struct value *columns)
{
    bool good = true;

    for (uint16_t i = 0; i < import->block->column_count; i++) {
        int why = spelling_read(import->scratch, import->spellings[i], row->cells[i], &columns[i]);

        note_number(import, i, row->cells[i], row->line);
        if (why == REFUSAL_KIND_COUNT)
            continue;
        refuse_cell(import, (enum refusal_kind)why, row->line, i);
        columns[i] = (struct value){ 0 }; /* the others are looked at all the same */
        good = false;
    }
    return good;
}

/* row_read() left out what it could not translate: those are the cells to blame, but for those that were before. */
static void refuse_fields(struct import *import, const struct value *columns, const struct value *fields, uint32_t line)
{
    for (uint16_t i = 0; i < import->block->field_count; i++)
        if (fields[i].state == VALUE_ABSENT && columns[import->block->fields[i].columns[0]].state != VALUE_ABSENT)
            refuse_cell(import, import->block->fields[i].code_count > 0 ? REFUSAL_CODE : REFUSAL_VALUE, line,
                        import->block->fields[i].columns[0]);
}

/* Who changed a row, and why, is no place for a text of pages. */
static void refuse_witnesses(struct import *import, const struct value *columns, uint32_t line)
{
    const int places[ROW_WITNESSES] = { import->block->actor_column, import->block->ground_column };

    for (int i = 0; i < ROW_WITNESSES; i++)
        if (places[i] != COLUMN_NONE && columns[places[i]].length > WITNESS_BYTES_MAX)
            refuse_cell(import, REFUSAL_VALUE, line, (uint16_t)places[i]);
}

/* What stands in the fields of an identifier, with U+001F between; length 0 unless all of them say something. */
static struct text identifier_value(const struct import *import, const struct catalog_unit *unit,
                                    const struct value *fields, int *ret_column)
{
    struct buffer value = { 0 };
    struct text text = { 0 };
    uint16_t found = 0;

    *ret_column = COLUMN_NONE;
    for (uint16_t i = 0; i < import->block->field_count; i++) {
        const struct mapping_field *field = &import->block->fields[i];

        if (import->block->type->fields[field->field].unit != unit - import->block->type->units ||
            fields[i].state != VALUE_SET)
            continue;
        if (found++ > 0)
            buffer_add(&value, "\x1f", 1);
        buffer_add(&value, fields[i].bytes, fields[i].length);
        if (*ret_column == COLUMN_NONE && field->column_count > 0)
            *ret_column = field->columns[0];
    }
    if (found == unit->field_count)
        text = (struct text){ arena_copy(import->scratch, value.bytes, value.length), (uint32_t)value.length };
    buffer_free(&value);
    return text;
}

/* Two rows of one list with one identifier are two records or one, and nobody but its maker can say which. Whoever has
 * its key twice is told of that alone. */
static int stage_identifiers(struct import *import, const struct value *fields, uint32_t line, struct error *err)
{
    const struct catalog_type *type = import->block->type;

    for (uint16_t i = 0; i < type->unit_count; i++) {
        const char *name = arena_printf(import->scratch, "%s.%s", type->name, type->units[i].name);
        uint32_t there = 0;
        struct text value;
        int column;

        if (!type->units[i].identifier)
            continue;
        value = identifier_value(import, &type->units[i], fields, &column);
        if (value.length == 0 || column == COLUMN_NONE)
            continue;
        if (state_stage_identifier(import->state, name, value, line, &there, err) < 0)
            return err->code;
        if (there > 0)
            refuse(import->refusals, REFUSAL_KEY_TWICE, line, sheet_column(import->sheet, (uint16_t)column),
                   import->block->columns[column], there, 0);
    }
    return 0;
}

static int stage_row(struct import *import, const struct sheet_row *row, struct error *err)
{
    struct value *columns = arena_array(import->scratch, import->block->column_count, sizeof *columns);
    struct value *fields = arena_array(import->scratch, import->block->field_count + ROW_WITNESSES, sizeof *fields);
    struct buffer packed = { 0 }, rest = { 0 };
    struct error why;
    struct text key;
    uint32_t there = 0;
    bool good;
    int code;

    good = read_columns(import, row, columns);
    if (row_read(import->scratch, import->block, columns, fields, &why) > 0 || !good) {
        refuse_fields(import, columns, fields, row->line);
        return 0;
    }
    if (row_bound(import->block, fields, &why) > 0) {
        refuse(import->refusals, REFUSAL_LINE_LONG, row->line, 0, "", ROW_BYTES_MAX / 1024, 0);
        return 0;
    }
    if (row_witnesses(import->block, columns, fields, &why) > 0) {
        refuse_witnesses(import, columns, row->line);
        return 0;
    }
    key = change_key(import->scratch, import->block, columns, fields);
    fields_rest(import->block, fields, &rest);
    if (key.length == 0) {
        if (import->result.keyless++ == 0)
            import->result.keyless_line = row->line;
        code = state_stage_keyless(import->state, row->line, &rest, err);
    } else {
        fields_pack(import->block, fields, &packed);
        code = state_stage(import->state, key, row->line, &packed, &rest, &there, err);
    }
    buffer_free(&packed);
    buffer_free(&rest);
    if (code == 0 && there > 0)
        refuse(import->refusals, REFUSAL_KEY_TWICE, row->line,
               sheet_column(import->sheet, import->block->key_columns[0]),
               import->block->columns[import->block->key_columns[0]], there, 0);
    return code < 0 || there > 0 ? code : stage_identifiers(import, fields, row->line, err);
}

static void on_row(void *context, const struct sheet_row *row)
{
    struct import *import = context;

    if (import->trouble.code != 0)
        return;
    if (stage_row(import, row, &import->trouble) == 0)
        import->trouble.code = 0;
    arena_reset(import->scratch);
}

static void check_rounded(struct import *import)
{
    for (uint16_t i = 0; i < import->block->column_count; i++) {
        const struct numbers *numbers = &import->numbers[i];

        if (numbers->sixteen >= ROUNDED_SEVERAL && numbers->zeros == numbers->sixteen)
            refuse(import->refusals, REFUSAL_ROUNDED, numbers->first_line, sheet_column(import->sheet, i),
                   import->block->columns[i], numbers->sixteen, 0);
    }
}

static int parse_begin(struct import *import, struct error *err)
{
    import->sheet_options = (struct sheet_options){ .titles = import->block->columns,
                                                    .title_count = import->block->column_count,
                                                    .rows_most = import->options.rows_most,
                                                    .short_rows = import->options.workbook };
    import->sheet = sheet_new(&import->sheet_options, import->refusals, on_row, import);
    return state_begin(import->state, err) < 0 ? err->code : state_stage_begin(import->state, err);
}

/* ---- the whole ---- */

/* Of numbers that end in 0 and that nobody knows: the spreadsheet has rounded them when one is known, and no longer in
 * the list, that differs in its last digit alone. */
static int check_known(struct import *import, struct error *err)
{
    uint16_t column = import->block->key_columns[0];
    struct text key = { 0 };
    uint32_t line;
    int found = 1;

    if (import->block->key_column_count != 1 || import->spellings[column].kind != SPELLING_DIGITS)
        return 0;
    for (int i = 0; i < REFUSAL_LINES && found == 1; i++) {
        found = state_rounded(import->state, import->scratch, import->block->name, key, &key, &line, err);
        if (found == 1)
            refuse_cell(import, REFUSAL_ROUNDED_KNOWN, line, column);
    }
    arena_reset(import->scratch);
    return found < 0 ? found : 0;
}

/* Whoever sends titles alone, or rows without keys, does not mean that everybody is gone, unless it says so. */
static int check_nobody(struct import *import, struct error *err)
{
    struct text key;
    int found;

    if (!import->result.complete || import->result.rows > import->result.keyless || sheet_claims_none(import->sheet))
        return 0;
    found = state_next(import->state, import->scratch, import->block->name, STATE_GONE, (struct text){ 0 }, &key, err);
    if (found > 0)
        refuse(import->refusals, REFUSAL_NOBODY, 0, 0, "", 0, 0);
    arena_reset(import->scratch);
    return found < 0 ? found : 0;
}

static int parse_end(struct import *import, struct error *err)
{
    struct edits_options options = { .block = import->block,
                                     .outbox = import->options.outbox,
                                     .saved_us = import->options.saved_us,
                                     .actor = import->options.owner,
                                     .ground = text_is_utf8(import->options.name, strlen(import->options.name))
                                                   ? import->options.name
                                                   : NULL,
                                     .key_column = sheet_column(import->sheet, import->block->key_columns[0]) };
    const char *ignored;

    sheet_end(import->sheet);
    check_rounded(import);
    ignored = sheet_ignored(import->sheet);
    import->result.rows = sheet_rows(import->sheet);
    import->result.complete = options.complete = import->options.complete || sheet_complete(import->sheet);
    import->result.ignored = arena_copy(import->arena, ignored, strlen(ignored));
    if (import->refusals->count == 0 && (check_known(import, err) < 0 || check_nobody(import, err) < 0))
        return err->code;
    import->edits = edits_new(import->state, &options, import->refusals);
    import->phase = PHASE_EDIT;
    return 0;
}

static int parse_step(struct import *import, struct error *err)
{
    struct arena *decoded = arena_new();
    struct text line;
    bool more = true;

    if (!import->sheet && parse_begin(import, err) < 0) {
        arena_free(&decoded);
        return err->code;
    }
    for (int i = 0; i < STEP_LINES && more; i++) {
        more = next_line(import, &line);
        if (more)
            sheet_line(import->sheet, encoding_line(decoded, import->encoding, import->line, line.bytes, line.length,
                                                    import->refusals));
        arena_reset(decoded);
    }
    arena_free(&decoded);
    if (import->trouble.code != 0) {
        *err = import->trouble;
        return err->code;
    }
    return more ? 0 : parse_end(import, err);
}

static int end(struct import *import, int64_t now_us, struct error *err)
{
    const struct edits_count *count = edits_count(import->edits);
    struct state_list list = { .name = import->options.name,
                               .bytes = import->options.bytes,
                               .rows = import->result.rows,
                               .complete = import->result.complete,
                               .separator = sheet_separator(import->sheet),
                               .saved_us = import->options.saved_us,
                               .taken_us = now_us };

    import->result.inserts = count->inserts;
    import->result.updates = count->updates;
    import->result.deletes = count->deletes;
    memcpy(list.digest, import->options.digest, HASH_BYTES);
    if (state_list_put(import->state, import->block->name, &list, err) < 0 ||
        state_fed_forget(import->state, import->block->name, list.saved_us, err) < 0)
        return err->code;
    return state_commit(import->state, err);
}

static int edit_step(struct import *import, int64_t now_us, enum import_end *ret, struct error *err)
{
    bool more = true;

    if (import->refusals->count == 0 && edits_step(import->edits, now_us, &more, err) < 0)
        return err->code;
    if (import->refusals->count > 0) {
        state_rollback(import->state);
        *ret = IMPORT_REFUSED;
    } else if (!more) {
        import->phase = PHASE_END;
    }
    return 0;
}

int import_step(struct import *import, int64_t now_us, enum import_end *ret, struct error *err)
{
    *ret = IMPORT_GOES_ON;
    switch (import->phase) {
    case PHASE_SCAN:
        scan_step(import);
        if (import->phase == PHASE_PARSE && import->refusals->count > 0)
            *ret = IMPORT_REFUSED; /* its letters are no text: there is nothing to parse */
        return 0;
    case PHASE_PARSE:
        return parse_step(import, err);
    case PHASE_EDIT:
        return edit_step(import, now_us, ret, err);
    case PHASE_END:
        if (end(import, now_us, err) < 0)
            return err->code;
        *ret = IMPORT_TAKEN;
        return 0;
    }
    return 0;
}

const struct import_result *import_result(const struct import *import)
{
    return &import->result;
}

/* ---- beginning and end ---- */

struct import *import_new(struct state *state, const struct import_options *options, char *text, size_t length,
                          struct refusals *refusals)
{
    struct import *import = calloc(1, sizeof *import);
    struct form form = *options->form;

    if (!import)
        abort();
    if (options->workbook)
        form.decimal = '.';
    *import = (struct import){ .state = state,
                               .options = *options,
                               .block = &options->mapping->blocks[options->block],
                               .refusals = refusals,
                               .text = text,
                               .length = length,
                               .result = { .ignored = "" },
                               .arena = arena_new(),
                               .scratch = arena_new() };
    import->spellings = spellings_of(import->arena, import->block, &form);
    import->numbers = arena_array(import->arena, import->block->column_count, sizeof *import->numbers);
    return import;
}

void import_free(struct import **import)
{
    if (!*import)
        return;
    state_rollback((*import)->state);
    edits_free(&(*import)->edits);
    sheet_free(&(*import)->sheet);
    arena_free(&(*import)->arena);
    arena_free(&(*import)->scratch);
    free((*import)->text);
    free(*import);
    *import = NULL;
}
