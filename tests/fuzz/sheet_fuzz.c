/* Any bytes as a list: taken row by row or refused with a reason, never crashed on. A cell that comes out is UTF-8 with
 * nothing around it, and what it is read as is written so that it is read as the same again: else a list that nobody
 * touched would be an edit. */
#include "agents/csv/encoding.h"
#include "agents/csv/form.h"
#include "agents/csv/sheet.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const char *const titles[] = { "NIK", "Lahir", "Iuran", "Berhak" };
static const struct spelling spellings[][4] = {
    { { SPELLING_DIGITS, true, ',' },
      { SPELLING_DATE, true, ',' },
      { SPELLING_NUMBER, true, ',' },
      { SPELLING_FLAG, true, ',' } },
    { { SPELLING_DIGITS, false, '.' },
      { SPELLING_DATE, false, '.' },
      { SPELLING_NUMBER, false, '.' },
      { SPELLING_CODE, false, '.' } },
};

void fuzz_seeds(void)
{
    static const char *const lists[] = {
        "NIK;Lahir;Iuran;Berhak\r\n6402061505780003;15/05/1978;1.250.000,50;YA\r\n# lengkap 1 baris\r\n",
        "\xef\xbb\xbfnik,lahir,iuran,berhak,lain\n\"6402061505780003\",1978-05-15,-42000.5,ya,\"a \"\"b\"\"\nc\"\n",
        "sep=\t\nNIK\tLahir\tIuran\tBerhak\n6.40206E+15\t15.5.1978\t1.250\t\n'0812\t15-5-1978 00:00:00\t0,0\tTIDAK\n",
        "NIK;Lahir;Iuran;Berhak\nN\xe9;\x80\xa0 1;2;3\n",
    };

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        fuzz_seed(lists[i], strlen(lists[i]));
}

static bool same(struct value one, struct value other)
{
    return one.state == other.state &&
           (one.state != VALUE_SET || (one.length == other.length && memcmp(one.bytes, other.bytes, one.length) == 0));
}

static void on_row(void *context, const struct sheet_row *row)
{
    struct arena *arena = context;

    for (size_t form = 0; form < 2; form++)
        for (size_t i = 0; i < 4; i++) {
            struct value cell = row->cells[i], column, again;

            if (!same(sheet_cell(cell), cell) || (cell.state == VALUE_SET && !text_is_utf8(cell.bytes, cell.length)))
                abort();
            if (spelling_read(arena, spellings[form][i], cell, &column) != REFUSAL_KIND_COUNT)
                continue;
            if (spelling_read(arena, spellings[form][i], spelling_write(arena, spellings[form][i], column), &again) !=
                    REFUSAL_KIND_COUNT ||
                !same(again, column))
                abort();
        }
}

typedef void line_taker(void *context, const char *line, size_t length);

static void each_line(const char *text, size_t length, line_taker *take, void *context)
{
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t size = end ? (size_t)(end - text) + 1 : length;

        take(context, text, size);
        text += size;
        length -= size;
    }
}

struct reading {
    struct arena *arena;
    struct refusals refusals;
    struct encoding_scan scan;
    enum encoding encoding;
    struct sheet *sheet;
    uint32_t line;
};

static void scan_line(void *context, const char *line, size_t length)
{
    struct reading *reading = context;

    encoding_scan(&reading->scan, line, length, &reading->refusals);
}

static void read_line(void *context, const char *line, size_t length)
{
    struct reading *reading = context;

    sheet_line(reading->sheet,
               encoding_line(reading->arena, reading->encoding, ++reading->line, line, length, &reading->refusals));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct reading reading = { .arena = arena, .refusals.arena = arena };
    const struct sheet_options options = { titles, 4, 20, length % 2 == 0 };

    reading.sheet = sheet_new(&options, &reading.refusals, on_row, arena);
    each_line((const char *)bytes, length, scan_line, &reading);
    reading.encoding = encoding_decide(&reading.scan, &reading.refusals);
    each_line((const char *)bytes, length, read_line, &reading);
    sheet_end(reading.sheet);
    if (reading.refusals.count > 0 && refusals_first(arena, &reading.refusals)[0] == '\0')
        abort();
    sheet_free(&reading.sheet);
    return 0;
}
