#include "agents/csv/import.h"

#include "agents/csv/encoding.h"
#include "agents/csv/sheet.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEP_LINES = 500,
    STEP_ROWS = 300,
    ROUNDED_SEVERAL = 4, /* so many numbers that all end in 0 are no accident */
    DIGITS_OF_NUMBER = 16,
};

enum phase { PHASE_SCAN, PHASE_PARSE, PHASE_GONE, PHASE_COMPARE, PHASE_END };

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
    uint32_t key_column;     /* place in the file of the first key column */
    struct text after;       /* key of the last row compared */
    uint32_t place;          /* changes so far */
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

/* Of a number that ends in 0: the spreadsheet has rounded it when one is known that differs in its last digit alone. */
static int check_known(struct import *import, struct text key, uint32_t line, struct error *err)
{
    uint16_t column = import->block->key_columns[0];
    bool sibling;

    if (import->block->key_column_count != 1 || key.length != DIGITS_OF_NUMBER || key.bytes[key.length - 1] != '0' ||
        import->spellings[column].kind != SPELLING_DIGITS)
        return 0;
    if (state_sibling(import->state, import->block->name, key, &sibling, err) < 0)
        return err->code;
    if (sibling)
        refuse_cell(import, REFUSAL_ROUNDED_KNOWN, line, column);
    return 0;
}

static int stage_row(struct import *import, const struct sheet_row *row, struct error *err)
{
    struct value *columns = arena_array(import->scratch, import->block->column_count, sizeof *columns);
    struct value *fields = arena_array(import->scratch, import->block->field_count, sizeof *fields);
    struct buffer packed = { 0 };
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
    key = change_key(import->scratch, import->block, columns, fields);
    if (key.length == 0) {
        if (import->result.keyless++ == 0)
            import->result.keyless_line = row->line;
        return 0;
    }
    if (check_known(import, key, row->line, err) < 0)
        return err->code;
    fields_pack(import->block, fields, &packed);
    code = state_stage(import->state, key, row->line, &packed, &there, err);
    buffer_free(&packed);
    if (code == 0 && there > 0)
        refuse(import->refusals, REFUSAL_KEY_TWICE, row->line,
               sheet_column(import->sheet, import->block->key_columns[0]),
               import->block->columns[import->block->key_columns[0]], there, 0);
    return code;
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
    if (more)
        return 0;
    sheet_end(import->sheet);
    check_rounded(import);
    import->result.rows = sheet_rows(import->sheet);
    import->result.complete = import->options.complete || sheet_complete(import->sheet);
    import->result.ignored =
        arena_copy(import->arena, sheet_ignored(import->sheet), strlen(sheet_ignored(import->sheet)));
    import->phase = import->result.complete ? PHASE_GONE : PHASE_COMPARE;
    return 0;
}

/* ---- the comparison ---- */

static int number_once(struct import *import, int64_t now_us, struct error *err)
{
    return import->place == 0 && import->options.outbox ? state_number(import->state, now_us, err) : 0;
}

static void count_change(struct import *import, enum operation operation)
{
    import->result.inserts += operation == OPERATION_INSERT;
    import->result.updates += operation == OPERATION_UPDATE;
    import->result.deletes += operation == OPERATION_DELETE;
}

static bool says_the_same(const struct mapping_block *block, const struct value *now, const struct value *said)
{
    for (uint16_t i = 0; i < block->field_count; i++)
        if (!value_equal(now[i], said[i]))
            return false;
    return true;
}

/* What says the same as the list before is no edit, and nothing is written for it. */
static int compare_one(struct import *import, struct text key, struct value *now, int64_t now_us, struct error *err)
{
    struct state_row row;
    struct sides after;
    enum operation operation;
    bool differed;

    if (state_row(import->state, import->scratch, import->block, key, &row, err) < 0)
        return err->code;
    if (now && row.sides.said && says_the_same(import->block, now, row.sides.said))
        return 0;
    differed = sides_differ(import->block, &row.sides);
    operation = compare_row(import->scratch, import->block, &row.sides, now, &after);
    if (operation != OPERATION_NONE) {
        struct change change = { .operation = operation, .key = key };

        change_make(import->scratch, import->block, row.sides.should, after.should, &change);
        if (number_once(import, now_us, err) < 0 ||
            (import->options.outbox && state_change(import->state, import->scratch, import->place, &change, err) < 0))
            return err->code;
        import->place++;
        count_change(import, operation);
        row.since_us = now_us;
    }
    row.sides = after;
    row.was = (struct text){ 0 };
    return state_row_put(import->state, import->block, key, &row, differed, err);
}

/* Rows of the list before that a complete one no longer has. */
static int gone_step(struct import *import, int64_t now_us, struct error *err)
{
    for (int i = 0; i < STEP_ROWS; i++) {
        struct text key;
        int found;

        arena_reset(import->scratch);
        found = state_next(import->state, import->scratch, import->block->name, STATE_GONE, import->after, &key, err);
        if (found < 0)
            return found;
        if (found == 0) {
            import->after = (struct text){ 0 };
            import->phase = PHASE_COMPARE;
            return 0;
        }
        import->after = (struct text){ arena_copy(import->arena, key.bytes, key.length), key.length };
        if (compare_one(import, key, NULL, now_us, err) < 0)
            return err->code;
    }
    return 0;
}

static int compare_step(struct import *import, int64_t now_us, struct error *err)
{
    for (int i = 0; i < STEP_ROWS; i++) {
        struct value *fields = NULL;
        struct text key;
        int found;

        arena_reset(import->scratch);
        found = state_staged(import->state, import->scratch, import->block, import->after, &key, &fields, err);
        if (found < 0)
            return found;
        if (found == 0) {
            import->phase = PHASE_END;
            return 0;
        }
        import->after = (struct text){ arena_copy(import->arena, key.bytes, key.length), key.length };
        if (compare_one(import, key, fields, now_us, err) < 0)
            return err->code;
    }
    return 0;
}

static int end(struct import *import, int64_t now_us, struct error *err)
{
    struct state_list list = { .name = import->options.name,
                               .bytes = import->options.bytes,
                               .rows = import->result.rows,
                               .complete = import->result.complete,
                               .separator = sheet_separator(import->sheet),
                               .saved_us = import->options.saved_us,
                               .taken_us = now_us };

    memcpy(list.digest, import->options.digest, HASH_BYTES);
    if (state_list_put(import->state, import->block->name, &list, err) < 0)
        return err->code;
    return state_commit(import->state, err);
}

int import_step(struct import *import, int64_t now_us, enum import_end *ret, struct error *err)
{
    int code = 0;

    *ret = IMPORT_GOES_ON;
    switch (import->phase) {
    case PHASE_SCAN:
        scan_step(import);
        break;
    case PHASE_PARSE:
        code = parse_step(import, err);
        break;
    case PHASE_GONE:
        code = gone_step(import, now_us, err);
        break;
    case PHASE_COMPARE:
        code = compare_step(import, now_us, err);
        break;
    case PHASE_END:
        code = end(import, now_us, err);
        if (code == 0)
            *ret = IMPORT_TAKEN;
        return code;
    }
    if (code == 0 && import->refusals->count > 0 && (import->phase != PHASE_SCAN && import->phase != PHASE_PARSE)) {
        state_rollback(import->state);
        *ret = IMPORT_REFUSED;
    } else if (code == 0 && import->refusals->count > 0 && import->phase == PHASE_PARSE && !import->sheet) {
        *ret = IMPORT_REFUSED; /* its letters are no text: there is nothing to parse */
    }
    return code;
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
    sheet_free(&(*import)->sheet);
    arena_free(&(*import)->arena);
    arena_free(&(*import)->scratch);
    free((*import)->text);
    free(*import);
    *import = NULL;
}
