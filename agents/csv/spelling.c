/* How cells are spelt: what a clerk types against what the mapping reads. */
#include "agents/csv/form.h"
#include "agents/csv/refusal.h"

#include <string.h>

/* A pattern over digits alone, like "[0-9]{16}". */
static bool digits_only(const char *pattern)
{
    return pattern && strstr(pattern, "0-9") && strspn(pattern, "0123456789-[]{}(),|.?*+^$") == strlen(pattern);
}

static enum spelling_kind kind_of(const struct mapping_block *block, const struct mapping_field *mapped)
{
    const struct catalog_field *field = &block->type->fields[mapped->field];

    if (mapped->code_count > 0)
        return SPELLING_CODE;
    if (mapped->column_count > 1)
        return SPELLING_TEXT;
    switch (field->type) {
    case VALUE_DATE:
        return SPELLING_DATE;
    case VALUE_INTEGER:
    case VALUE_DECIMAL:
        return SPELLING_NUMBER;
    case VALUE_BOOLEAN:
        return SPELLING_FLAG;
    default:
        return field->identifier || digits_only(field->pattern) ? SPELLING_DIGITS : SPELLING_TEXT;
    }
}

struct spelling *spellings_of(struct arena *arena, const struct mapping_block *block, const struct form *form)
{
    struct spelling *spellings = arena_array(arena, block->column_count, sizeof *spellings);

    for (uint16_t i = 0; i < block->field_count; i++)
        for (uint8_t part = 0; part < block->fields[i].column_count; part++)
            spellings[block->fields[i].columns[part]] =
                (struct spelling){ kind_of(block, &block->fields[i]), form->day_first, form->decimal };
    return spellings;
}

/* ---- reading ---- */

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* A number of at most `most` digits at *at; -1: none. */
static int digits(const char **at, const char *end, int most, int *ret_count)
{
    int number = 0, count = 0;

    while (*at < end && is_digit(**at) && count < most) {
        number = number * 10 + (*(*at)++ - '0');
        count++;
    }
    *ret_count = count;
    return count > 0 ? number : -1;
}

/* Three numbers with one and the same of "/-." between; "1945-08-17" is read in either form. */
static int date_read(struct arena *arena, bool day_first, struct value cell, struct value *ret)
{
    const char *at = cell.bytes, *end = cell.bytes + cell.length;
    int number[3], count[3], day, year;
    char between = 0;

    for (int i = 0; i < 3; i++) {
        if (i > 0 && (at == end || !strchr("/-.", *at) || (between && *at != between)))
            return REFUSAL_DATE;
        if (i > 0)
            between = *at++;
        number[i] = digits(&at, end, 4, &count[i]);
        if (number[i] < 0)
            return REFUSAL_DATE;
    }
    if (at < end && !(end - at == 9 && memcmp(at, " 00:00:00", 9) == 0))
        return REFUSAL_DATE;
    if (count[0] == 4)
        year = 0, day = 2;
    else if (day_first)
        year = 2, day = 0;
    else
        return REFUSAL_DATE;
    if (count[year] != 4 || count[1] > 2 || count[day] > 2)
        return REFUSAL_DATE;
    *ret = value_text(arena_printf(arena, "%04d-%02d-%02d", number[year], number[1], number[day]));
    return REFUSAL_KIND_COUNT;
}

/* "1.250.000,50" with a decimal comma is "1250000.50". Thousands stand in threes or not at all. */
static int number_read(struct arena *arena, char decimal, struct value cell, struct value *ret)
{
    char thousands = decimal == ',' ? '.' : ',', *to = arena_alloc(arena, cell.length + 1u);
    const char *at = cell.bytes, *end = cell.bytes + cell.length;
    int group = 0;
    bool grouped = false;

    *ret = (struct value){ .bytes = to, .state = VALUE_SET };
    if (*at == '-')
        *to++ = *at++;
    if (at == end || !is_digit(*at))
        return REFUSAL_NUMBER;
    for (; at < end && *at != decimal; at++) {
        if (is_digit(*at)) {
            *to++ = *at;
            if (++group > 3 && grouped)
                return REFUSAL_NUMBER;
        } else if (*at == thousands && (grouped ? group == 3 : group > 0 && group <= 3)) {
            grouped = true;
            group = 0;
        } else {
            return REFUSAL_NUMBER;
        }
    }
    if (grouped && group != 3)
        return REFUSAL_NUMBER;
    if (at < end) {
        *to++ = '.';
        if (++at == end)
            return REFUSAL_NUMBER;
        for (; at < end; at++) {
            if (!is_digit(*at))
                return REFUSAL_NUMBER;
            *to++ = *at;
        }
    }
    ret->length = (uint32_t)(to - ret->bytes);
    return REFUSAL_KIND_COUNT;
}

/* "6.40206E+15", "6,40206e15": what a spreadsheet makes of a number that it takes for a quantity. */
static bool is_scientific(struct value cell)
{
    const char *at = cell.bytes, *end = cell.bytes + cell.length;

    if (at == end || !is_digit(*at++))
        return false;
    if (at < end && (*at == '.' || *at == ','))
        while (++at < end && is_digit(*at))
            ;
    if (at == end || (*at != 'E' && *at != 'e'))
        return false;
    if (++at < end && (*at == '+' || *at == '-'))
        at++;
    if (at == end)
        return false;
    while (at < end && is_digit(*at))
        at++;
    return at == end;
}

static struct value lower(struct arena *arena, struct value cell)
{
    char *bytes = arena_copy(arena, cell.bytes, cell.length);

    for (uint32_t i = 0; i < cell.length; i++)
        if (bytes[i] >= 'A' && bytes[i] <= 'Z')
            bytes[i] = (char)(bytes[i] + 32);
    cell.bytes = bytes;
    return cell;
}

int spelling_read(struct arena *arena, struct spelling spelling, struct value cell, struct value *ret)
{
    *ret = cell;
    if (cell.state != VALUE_SET)
        return REFUSAL_KIND_COUNT;
    switch (spelling.kind) {
    case SPELLING_DATE:
        return date_read(arena, spelling.day_first, cell, ret);
    case SPELLING_NUMBER:
        return number_read(arena, spelling.decimal, cell, ret);
    case SPELLING_FLAG:
        *ret = lower(arena, cell);
        return REFUSAL_KIND_COUNT;
    case SPELLING_DIGITS:
    case SPELLING_TEXT:
        return is_scientific(cell) ? REFUSAL_SCIENTIFIC : REFUSAL_KIND_COUNT;
    case SPELLING_CODE:
        break;
    }
    return REFUSAL_KIND_COUNT;
}

/* ---- writing ---- */

struct value spelling_write(struct arena *arena, struct spelling spelling, struct value column)
{
    char *bytes;

    if (column.state != VALUE_SET)
        return column;
    if (spelling.kind == SPELLING_DATE && spelling.day_first && column.length == 10)
        return value_text(arena_printf(arena, "%.2s/%.2s/%.4s", column.bytes + 8, column.bytes + 5, column.bytes));
    if (spelling.kind != SPELLING_NUMBER)
        return column;
    bytes = arena_copy(arena, column.bytes, column.length);
    for (uint32_t i = 0; i < column.length; i++)
        if (bytes[i] == '.')
            bytes[i] = spelling.decimal;
    column.bytes = bytes;
    return column;
}
