#include "agents/csv/titles.h"

#include <csv.h>
#include <stdlib.h>
#include <string.h>

bool text_white(char letter)
{
    return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

int titles_space(unsigned char letter)
{
    return letter == ' ' || letter == '\t';
}

/* Lower case, one blank for any white space: "NIK\n(16 angka)" is "nik (16 angka)". */
static const char *title_plain(struct arena *arena, const char *bytes, size_t length)
{
    char *plain = arena_alloc(arena, length + 1), *to = plain;

    for (size_t i = 0; i < length; i++) {
        char letter = bytes[i];

        if (text_white(letter)) {
            if (to > plain && to[-1] != ' ')
                *to++ = ' ';
        } else {
            *to++ = letter >= 'A' && letter <= 'Z' ? (char)(letter + 32) : letter;
        }
    }
    if (to > plain && to[-1] == ' ')
        to--;
    *to = '\0';
    return plain;
}

/* Titles with one separator. */
struct reading {
    struct arena *arena;
    const char **plain;
    struct titles titles;
};

static void on_title(void *bytes, size_t length, void *context)
{
    struct reading *reading = context;
    struct titles *titles = &reading->titles;

    if (titles->count == TITLES_MAX) {
        titles->many = true;
        return;
    }
    reading->plain[titles->count] = title_plain(reading->arena, bytes, length);
    titles->written[titles->count++] = arena_copy(reading->arena, bytes, length);
}

static void on_title_row(int end, void *context)
{
    (void)end;
    (void)context;
}

/* The titles as they are with this separator; none when it cannot be read so. */
static struct reading read_with(struct arena *arena, const struct buffer *header, char separator)
{
    struct reading reading = {
        .arena = arena,
        .plain = arena_array(arena, TITLES_MAX, sizeof *reading.plain),
        .titles = { .written = arena_array(arena, TITLES_MAX, sizeof *reading.titles.written),
                    .wanted = arena_array(arena, TITLES_MAX, sizeof *reading.titles.wanted),
                    .separator = separator },
    };
    struct csv_parser parser;

    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
        abort();
    csv_set_delim(&parser, (unsigned char)separator);
    csv_set_space_func(&parser, titles_space);
    if (csv_parse(&parser, header->bytes, header->length, on_title, on_title_row, &reading) != header->length ||
        csv_fini(&parser, on_title, on_title_row, &reading) != 0)
        reading.titles.count = 0;
    csv_free(&parser);
    while (reading.titles.count > 0 && !*reading.plain[reading.titles.count - 1])
        reading.titles.count--; /* columns without anything */
    return reading;
}

static int index_of(const char *plain, const char *const *wanted, uint16_t wanted_count)
{
    for (uint16_t i = 0; i < wanted_count; i++)
        if (strcmp(plain, wanted[i]) == 0)
            return i;
    return -1;
}

struct titles titles_read(struct arena *arena, const struct buffer *header, const char *const *wanted,
                          uint16_t wanted_count)
{
    static const char separators[] = ";,\t";
    const char **plain = arena_array(arena, wanted_count, sizeof *plain);
    struct titles best = { .separator = separators[0] };
    uint32_t best_found = 0;

    for (uint16_t i = 0; i < wanted_count; i++)
        plain[i] = title_plain(arena, wanted[i], strlen(wanted[i]));
    for (const char *try = separators; *try; try++) {
        struct reading reading = read_with(arena, header, *try);
        uint32_t found = 0;

        for (uint32_t i = 0; i < reading.titles.count; i++) {
            reading.titles.wanted[i] = index_of(reading.plain[i], plain, wanted_count);
            found += reading.titles.wanted[i] >= 0;
        }
        if (found > best_found || (found == best_found && reading.titles.count > best.count)) {
            best = reading.titles;
            best_found = found;
        }
    }
    return best;
}
