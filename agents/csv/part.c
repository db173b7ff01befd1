#include "agents/csv/part.h"

#include <string.h>

enum {
    ROUNDED_SEVERAL = 4, /* so many numbers that all end in 0 are no accident */
    DIGITS_OF_NUMBER = 16,
};

/* ---- what is wrong with a row ---- */

static uint32_t title_column(const struct part *part, const struct part_place *place, uint16_t column)
{
    return sheet_column(place->sheet, part->titles[column]);
}

static void refuse_cell(const struct part *part, const struct part_place *place, enum refusal_kind kind, uint32_t line,
                        uint16_t column)
{
    refuse(place->refusals, kind, line, title_column(part, place, column), part->block->columns[column], 0, 0);
}

static void note_number(const struct part *part, uint16_t column, struct value cell, uint32_t line)
{
    struct numbers *numbers = &part->numbers[column];

    if (part->spellings[column].kind != SPELLING_DIGITS || cell.state != VALUE_SET || cell.length != DIGITS_OF_NUMBER ||
        memchr(cell.bytes, '\x1f', cell.length))
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
static bool read_columns(const struct part *part, const struct part_place *place, const struct sheet_row *row,
                         struct value *columns)
{
    bool good = true;

    for (uint16_t i = 0; i < part->block->column_count; i++) {
        int why = spelling_read(place->scratch, part->spellings[i], row->cells[part->titles[i]], &columns[i]);

        note_number(part, i, row->cells[part->titles[i]], row->line);
        if (why == REFUSAL_KIND_COUNT)
            continue;
        refuse_cell(part, place, (enum refusal_kind)why, row->line, i);
        columns[i] = (struct value){ 0 }; /* the others are looked at all the same */
        good = false;
    }
    return good;
}

/* row_read() left out what it could not translate: those are the cells to blame, but for those that were before. */
static void refuse_fields(const struct part *part, const struct part_place *place, const struct value *columns,
                          const struct value *fields, uint32_t line)
{
    for (uint16_t i = 0; i < part->block->field_count; i++)
        if (fields[i].state == VALUE_ABSENT && part->block->fields[i].column_count > 0 &&
            columns[part->block->fields[i].columns[0]].state != VALUE_ABSENT)
            refuse_cell(part, place, part->block->fields[i].code_count > 0 ? REFUSAL_CODE : REFUSAL_VALUE, line,
                        part->block->fields[i].columns[0]);
}

/* Who changed a row, and why, is no place for a text of pages. */
static void refuse_witnesses(const struct part *part, const struct part_place *place, const struct value *columns,
                             uint32_t line)
{
    const int places[ROW_WITNESSES] = { part->block->actor_column, part->block->ground_column };

    for (int i = 0; i < ROW_WITNESSES; i++)
        if (places[i] != COLUMN_NONE && columns[places[i]].length > WITNESS_BYTES_MAX)
            refuse_cell(part, place, REFUSAL_VALUE, line, (uint16_t)places[i]);
}

/* What stands in the fields of an identifier, with U+001F between; length 0 unless all of them say something. */
static struct text identifier_value(const struct part *part, const struct part_place *place,
                                    const struct catalog_unit *unit, const struct value *fields, int *ret_column)
{
    struct buffer value = { 0 };
    struct text text = { 0 };
    uint16_t found = 0;

    *ret_column = COLUMN_NONE;
    for (uint16_t i = 0; i < part->block->field_count; i++) {
        const struct mapping_field *field = &part->block->fields[i];

        if (part->block->type->fields[field->field].unit != unit - part->block->type->units ||
            fields[i].state != VALUE_SET)
            continue;
        if (found++ > 0)
            buffer_add(&value, "\x1f", 1);
        buffer_add(&value, fields[i].bytes, fields[i].length);
        if (*ret_column == COLUMN_NONE && field->column_count > 0)
            *ret_column = field->columns[0];
    }
    if (found == unit->field_count)
        text = (struct text){ arena_copy(place->scratch, value.bytes, value.length), (uint32_t)value.length };
    buffer_free(&value);
    return text;
}

/* Two rows of one list with one identifier are two records or one, and nobody but its maker can say which. Whoever has
 * its key twice is told of that alone. */
static int stage_identifiers(const struct part *part, const struct part_place *place, const struct value *fields,
                             uint32_t line, struct error *err)
{
    const struct catalog_type *type = part->block->type;

    for (uint16_t i = 0; i < type->unit_count; i++) {
        const char *name = arena_printf(place->scratch, "%s.%s", type->name, type->units[i].name);
        uint32_t there = 0;
        struct text value;
        int column;

        if (!type->units[i].identifier)
            continue;
        value = identifier_value(part, place, &type->units[i], fields, &column);
        if (value.length == 0 || column == COLUMN_NONE)
            continue;
        if (state_stage_identifier(place->state, name, value, line, &there, err) < 0)
            return err->code;
        if (there > 0)
            refuse(place->refusals, REFUSAL_KEY_TWICE, line, title_column(part, place, (uint16_t)column),
                   part->block->columns[column], there, 0);
    }
    return 0;
}

static int stage_own(const struct part *part, const struct part_place *place, uint32_t line,
                     const struct value *columns, const struct value *fields, enum part_row *ret, struct error *err)
{
    struct text key = change_key(place->scratch, part->block, columns, fields);
    struct buffer packed = { 0 }, rest = { 0 };
    uint16_t column = part->block->key_columns[0];
    uint32_t there = 0;
    int code;

    fields_rest(part->block, fields, &rest);
    fields_pack(part->block, fields, &packed);
    if (key.length == 0) {
        *ret = PART_KEYLESS;
        code = state_stage_keyless(place->state, part->block->name, line, &rest, err);
    } else {
        code = state_stage(place->state, part->block->name, key, line, &packed, &rest, &there, err);
    }
    buffer_free(&packed);
    buffer_free(&rest);
    if (code < 0 || key.length == 0)
        return code;
    if (there == 0)
        return stage_identifiers(part, place, fields, line, err);
    refuse(place->refusals, REFUSAL_KEY_TWICE, line, title_column(part, place, column), part->block->columns[column],
           there, 0);
    return 0;
}

/* ---- which rows ---- */

/* Whether only conditions on the column that says so keep the row out of the block. */
static bool is_set_gone(const struct part *part, struct arena *scratch, const struct value *columns)
{
    const struct mapping_block *block = part->block;
    struct mapping_block others = *block;

    if (block->delete != DELETE_SET)
        return false;
    others.where = arena_array(scratch, block->where_count, sizeof *others.where);
    others.where_count = 0;
    for (uint16_t i = 0; i < block->where_count; i++)
        if (strcmp(block->columns[block->where[i].column], block->delete_column) != 0)
            others.where[others.where_count++] = block->where[i];
    return row_in(&others, columns);
}

/* A row of none of the block's: its other cells are not looked at. But a code that is not known in a column that the
 * conditions are on may be one of theirs, misspelt: who has it is not to be removed for that. */
static int stage_outside(const struct part *part, const struct part_place *place, uint32_t line,
                         const struct value *columns, const struct value *fields, struct error *err)
{
    const struct mapping_block *block = part->block;
    bool codes_known = true;
    struct text key;

    for (uint16_t i = 0; i < block->where_count; i++)
        for (uint16_t f = 0; f < block->field_count; f++) {
            const struct mapping_field *field = &block->fields[f];

            if (field->code_count == 0 || field->columns[0] != block->where[i].column ||
                fields[f].state != VALUE_ABSENT)
                continue;
            refuse_cell(part, place, REFUSAL_CODE, line, field->columns[0]);
            codes_known = false;
        }
    if (!codes_known || !is_set_gone(part, place->scratch, columns))
        return 0;
    key = change_key(place->scratch, block, columns, fields);
    return key.length > 0 ? state_stage_gone(place->state, block->name, key, line, err) : 0;
}

/* Reads what the conditions are on; the other columns as far as they can be. */
static bool is_own(const struct part *part, const struct part_place *place, const struct sheet_row *row,
                   struct value *columns)
{
    for (uint16_t i = 0; i < part->block->column_count; i++)
        if (spelling_read(place->scratch, part->spellings[i], row->cells[part->titles[i]], &columns[i]) !=
            REFUSAL_KIND_COUNT)
            columns[i] = (struct value){ 0 };
    return row_in(part->block, columns);
}

int part_stage(const struct part *part, const struct part_place *place, const struct sheet_row *row, enum part_row *ret,
               struct error *err)
{
    const struct mapping_block *block = part->block;
    struct value *columns = arena_array(place->scratch, block->column_count, sizeof *columns);
    struct value *fields = arena_array(place->scratch, block->field_count + ROW_WITNESSES, sizeof *fields);
    struct error why;
    bool good;
    int wrong;

    *ret = PART_ROW;
    if (!is_own(part, place, row, columns)) {
        *ret = PART_OUTSIDE;
        row_read(place->scratch, block, columns, fields, &why);
        return stage_outside(part, place, row->line, columns, fields, err);
    }
    good = read_columns(part, place, row, columns);
    wrong = row_read(place->scratch, block, columns, fields, &why);
    if (!good || wrong > 0) {
        refuse_fields(part, place, columns, fields, row->line);
    } else if (row_bound(block, fields, &why) > 0) {
        refuse(place->refusals, REFUSAL_LINE_LONG, row->line, 0, "", ROW_BYTES_MAX / 1024, 0);
    } else if (row_witnesses(block, columns, fields, &why) > 0) {
        refuse_witnesses(part, place, columns, row->line);
    } else {
        return stage_own(part, place, row->line, columns, fields, ret, err);
    }
    return 0;
}

/* ---- all rows ---- */

void part_check_rounded(const struct part *part, const struct part_place *place)
{
    for (uint16_t i = 0; i < part->block->column_count; i++) {
        const struct numbers *numbers = &part->numbers[i];

        if (numbers->sixteen >= ROUNDED_SEVERAL && numbers->zeros == numbers->sixteen)
            refuse(place->refusals, REFUSAL_ROUNDED, numbers->first_line, title_column(part, place, i),
                   part->block->columns[i], numbers->sixteen, 0);
    }
}

/* Of numbers that end in 0 and that nobody knows: the spreadsheet has rounded them when one is known, and no longer in
 * the list, that differs in its last digit alone. */
int part_check_known(const struct part *part, const struct part_place *place, struct error *err)
{
    uint16_t column = part->block->key_columns[0];
    struct text key = { 0 };
    uint32_t line;
    int found = 1;

    if (part->block->key_column_count != 1 || part->spellings[column].kind != SPELLING_DIGITS)
        return 0;
    for (int i = 0; i < REFUSAL_LINES && found == 1; i++) {
        found = state_rounded(place->state, place->scratch, part->block->name, key, &key, &line, err);
        if (found == 1)
            refuse_cell(part, place, REFUSAL_ROUNDED_KNOWN, line, column);
    }
    arena_reset(place->scratch);
    return found < 0 ? found : 0;
}

/* ---- the parts ---- */

/* The place of a title among the wanted ones, which get it when they do not have it. */
static uint16_t title_place(const char **titles, uint16_t *count, const char *title)
{
    for (uint16_t i = 0; i < *count; i++)
        if (strcmp(titles[i], title) == 0)
            return i;
    titles[*count] = title;
    return (*count)++;
}

struct part *parts_new(struct arena *arena, const struct mapping *mapping, uint16_t first, const struct form *form,
                       uint16_t *ret_count, const char *const **ret_titles, uint16_t *ret_title_count)
{
    struct part *parts = arena_array(arena, mapping->block_count, sizeof *parts);
    const char **titles;
    size_t most = 0;

    *ret_count = *ret_title_count = 0;
    for (uint16_t i = 0; i < mapping->block_count; i++)
        most += mapping->blocks[i].column_count;
    titles = arena_array(arena, most, sizeof *titles);
    for (uint16_t i = 0; i < mapping->block_count; i++) {
        const struct mapping_block *block = &mapping->blocks[i];
        struct part *part = &parts[*ret_count];

        if (list_of(mapping, i) != first)
            continue;
        (*ret_count)++;
        part->block = block;
        part->spellings = spellings_of(arena, block, form);
        part->titles = arena_array(arena, block->column_count, sizeof *part->titles);
        part->numbers = arena_array(arena, block->column_count, sizeof *part->numbers);
        for (uint16_t column = 0; column < block->column_count; column++)
            part->titles[column] = title_place(titles, ret_title_count, block->columns[column]);
    }
    *ret_titles = titles;
    return parts;
}
