#include "agents/csv/corrections.h"

#include "agents/csv/sheet.h"
#include "agents/why.h"

#include <string.h>

enum { DIGITS_SHOWN = 11 }; /* of a number, by a spreadsheet */

/* What a spreadsheet that opens the file would not leave as it is: formulas, and numbers that it rounds, turns into
 * 6,40206E+15 or robs of their leading 0. */
static bool is_in_danger(struct value cell)
{
    uint32_t digits = 0;

    if (cell.state != VALUE_SET)
        return false;
    if (strchr("=+-@", cell.bytes[0]))
        return true;
    while (digits < cell.length && cell.bytes[digits] >= '0' && cell.bytes[digits] <= '9')
        digits++;
    return digits == cell.length && (digits > DIGITS_SHOWN || (digits > 1 && cell.bytes[0] == '0'));
}

/* Always in quotes: then no separator and no line feed matters. The apostrophe does no harm when it is typed in. */
static void add_cell(struct buffer *out, char separator, struct value cell)
{
    bool danger;

    cell = sheet_cell(cell);
    danger = is_in_danger(cell);
    if (separator)
        buffer_add(out, &separator, 1);
    buffer_add(out, danger ? "\"'" : "\"", danger ? 2 : 1);
    for (uint32_t i = 0; cell.state == VALUE_SET && i < cell.length; i++) {
        if (cell.bytes[i] == '"')
            buffer_add(out, "\"", 1);
        buffer_add(out, cell.bytes + i, 1);
    }
    buffer_add(out, "\"", 1);
}

/* `part` NULL: the list has one block. */
static void add_line(struct buffer *out, char separator, const struct value cells[7], const char *part)
{
    for (int i = 0; i < 7; i++)
        add_cell(out, i > 0 ? separator : 0, cells[i]);
    if (part)
        add_cell(out, separator, value_text(part));
    buffer_add(out, "\r\n", 2);
}

void corrections_begin(char separator, bool parts, struct buffer *out)
{
    static const char *const titles[7] = { "kunci / key", "kolom / column", "tertulis / yours", "seharusnya / now",
                                           "alasan",      "reason",         "sejak / since" };
    struct value cells[7];

    for (int i = 0; i < 7; i++)
        cells[i] = value_text(titles[i]);
    buffer_add(out, "\xef\xbb\xbf", 3);
    add_line(out, separator, cells, parts ? "bagian / part" : NULL);
}

/* ---- lines ---- */

/* "6402..." or, of several parts, with a blank between. */
static struct value key_cell(struct arena *arena, struct text key)
{
    char *text = arena_copy(arena, key.bytes, key.length);

    for (uint32_t i = 0; i < key.length; i++)
        if (text[i] == '\x1f')
            text[i] = ' ';
    return value_text(text);
}

/* What the lines of a row have in common. */
struct lines {
    const struct correction *correction;
    struct arena *arena;
    struct value key;
    char separator;
    struct buffer *out;
};

static void add_reasoned(const struct lines *lines, struct value column, struct value yours, struct value now,
                         const struct correction_reason *why)
{
    add_line(lines->out, lines->separator,
             (struct value[7]){ lines->key, column, yours, now,
                                value_text(why_text(lines->arena, &why->reason, WHY_INDONESIAN)),
                                value_text(why_text(lines->arena, &why->reason, WHY_ENGLISH)),
                                value_text(why->since ? why->since : "") },
             lines->correction->part);
}

static void add_column(const struct lines *lines, uint16_t column, struct value yours, struct value now,
                       const struct correction_reason *why)
{
    const struct spelling spelling = lines->correction->spellings[column];

    if (!cell_same(yours, now))
        add_reasoned(lines, value_text(lines->correction->block->columns[column]),
                     spelling_write(lines->arena, spelling, yours), spelling_write(lines->arena, spelling, now), why);
}

static bool is_key_column(const struct mapping_block *block, uint16_t column)
{
    for (uint8_t i = 0; i < block->key_column_count; i++)
        if (block->key_columns[i] == column)
            return true;
    return false;
}

/* One line for each column that differs. A row that comes in also gets what makes it one of the block. */
static int add_columns(const struct lines *lines, struct error *err)
{
    const struct correction *correction = lines->correction;
    const struct mapping_block *block = correction->block;
    struct value *yours = arena_array(lines->arena, block->column_count, sizeof *yours);
    struct value *now = arena_array(lines->arena, block->column_count, sizeof *now);
    bool comes = !correction->sides.said;
    struct error ignored;

    if (row_write(lines->arena, block, correction->sides.should, now, err) < 0 ||
        (comes && row_enter(block, now, err) < 0))
        return err->code;
    if (!comes && row_write(lines->arena, block, correction->sides.said, yours, &ignored) < 0)
        memset(yours, 0, block->column_count * sizeof *yours); /* of an older mapping: then all is told */
    for (uint16_t i = 0; i < block->field_count; i++) {
        const struct mapping_field *field = &block->fields[i];

        for (uint8_t part = 0; part < field->column_count; part++) {
            uint16_t column = field->columns[part];

            if (!comes || !block->shared || !is_key_column(block, column))
                add_column(lines, column, yours[column], now[column], &correction->fields[i]);
            now[column] = yours[column]; /* said once */
        }
    }
    for (uint16_t i = 0; comes && i < block->where_count; i++) {
        uint16_t column = block->where[i].column;

        add_column(lines, column, yours[column], now[column], &correction->row);
        now[column] = yours[column];
    }
    return 0;
}

/* What a row that is gone says in the column of `delete = set`, where only one thing is possible. */
static struct value value_there(const struct mapping_block *block)
{
    for (uint16_t i = 0; i < block->where_count; i++)
        if (block->where[i].value_count == 1 &&
            strcmp(block->columns[block->where[i].column], block->delete_column) == 0)
            return value_text(block->where[i].values[0]);
    return value_null();
}

/* The row is to be gone: it goes, or a column says so. */
static void add_removal(const struct lines *lines)
{
    const struct mapping_block *block = lines->correction->block;
    struct value none = value_null();

    if (block->delete == DELETE_SET)
        add_reasoned(lines, value_text(block->delete_column), value_there(block), value_text(block->delete_value),
                     &lines->correction->row);
    else
        add_reasoned(lines, value_text("(hapus baris ini / remove this row)"), none, none, &lines->correction->row);
}

int corrections_add(const struct correction *correction, char separator, struct buffer *out, struct error *err)
{
    struct arena *arena = arena_new();
    struct lines lines = {
        .correction = correction,
        .arena = arena,
        .key = key_cell(arena, correction->was.length > 0 ? correction->was : correction->key),
        .separator = separator,
        .out = out,
    };
    struct value none = value_null();
    int code = 0;

    if (!correction->sides.should)
        add_removal(&lines);
    else if (!correction->sides.said && !correction->block->shared)
        add_reasoned(&lines, value_text("(tambah baris ini / add this row)"), none, none, &correction->row);
    if (correction->sides.should)
        code = add_columns(&lines, err);
    arena_free(&arena);
    return code;
}
