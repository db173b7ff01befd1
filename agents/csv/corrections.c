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

static void add_line(struct buffer *out, char separator, const struct value cells[7])
{
    for (int i = 0; i < 7; i++)
        add_cell(out, i > 0 ? separator : 0, cells[i]);
    buffer_add(out, "\r\n", 2);
}

void corrections_begin(char separator, struct buffer *out)
{
    static const char *const titles[7] = { "kunci / key", "kolom / column", "tertulis / yours", "seharusnya / now",
                                           "alasan",      "reason",         "sejak / since" };
    struct value cells[7];

    for (int i = 0; i < 7; i++)
        cells[i] = value_text(titles[i]);
    buffer_add(out, "\xef\xbb\xbf", 3);
    add_line(out, separator, cells);
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

static void add_reasoned(struct buffer *out, struct arena *arena, char separator, const struct value cells[4],
                         const struct correction_reason *why)
{
    add_line(out, separator,
             (struct value[7]){
                 cells[0], cells[1], cells[2], cells[3], value_text(why_text(arena, &why->reason, WHY_INDONESIAN)),
                 value_text(why_text(arena, &why->reason, WHY_ENGLISH)), value_text(why->since ? why->since : "") });
}

/* One line for each column that differs. */
static int add_columns(const struct correction *correction, struct arena *arena, struct value key, char separator,
                       struct buffer *out, struct error *err)
{
    const struct mapping_block *block = correction->block;
    struct value *yours = arena_array(arena, block->column_count, sizeof *yours);
    struct value *now = arena_array(arena, block->column_count, sizeof *now);
    struct error ignored;

    if (row_write(arena, block, correction->sides.should, now, err) < 0)
        return err->code;
    if (correction->sides.said && row_write(arena, block, correction->sides.said, yours, &ignored) < 0)
        memset(yours, 0, block->column_count * sizeof *yours); /* of an older mapping: then all is told */
    for (uint16_t i = 0; i < block->field_count; i++) {
        const struct mapping_field *field = &block->fields[i];

        for (uint8_t part = 0; part < field->column_count; part++) {
            uint16_t column = field->columns[part];
            struct value cells[4] = { key, value_text(block->columns[column]),
                                      spelling_write(arena, correction->spellings[column], yours[column]),
                                      spelling_write(arena, correction->spellings[column], now[column]) };

            if (!cell_same(yours[column], now[column]))
                add_reasoned(out, arena, separator, cells, &correction->fields[i]);
        }
    }
    return 0;
}

int corrections_add(const struct correction *correction, char separator, struct buffer *out, struct error *err)
{
    struct arena *arena = arena_new();
    struct value key = key_cell(arena, correction->was.length > 0 ? correction->was : correction->key);
    struct value none = value_null();
    int code = 0;

    if (!correction->sides.should)
        add_reasoned(out, arena, separator,
                     (struct value[4]){ key, value_text("(hapus baris ini / remove this row)"), none, none },
                     &correction->row);
    else if (!correction->sides.said)
        add_reasoned(out, arena, separator,
                     (struct value[4]){ key, value_text("(tambah baris ini / add this row)"), none, none },
                     &correction->row);
    if (correction->sides.should)
        code = add_columns(correction, arena, key, separator, out, err);
    arena_free(&arena);
    return code;
}
