#include "agents/csv/encoding.h"

#include "proto/value.h"

#include <string.h>

/* What 0x80 to 0x9f are in Windows-1252; 0: nothing. The rest is as in Unicode. */
static const uint16_t windows[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

static size_t sequence_length(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
}

static bool is_ascii(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)bytes[i] >= 0x80 || bytes[i] == '\0')
            return false;
    return true;
}

/* Goes through a line that is not plain ASCII, letter by letter. */
static void scan_letters(struct encoding_scan *scan, const char *line, size_t length, struct refusals *refusals)
{
    uint32_t column = 1;

    for (size_t at = 0; at < length; column++) {
        size_t size = sequence_length((unsigned char)line[at]);

        if (line[at] == '\0') {
            refuse(refusals, REFUSAL_NUL, scan->line, column, "", 0, 0);
            return;
        }
        if (size > 1 && (at + size > length || !text_is_utf8(line + at, size))) {
            if (scan->bad_line == 0) {
                scan->bad_line = scan->line;
                scan->bad_column = column;
            }
            size = 1;
        }
        scan->letters = scan->letters || size > 1;
        at += size;
    }
}

void encoding_scan(struct encoding_scan *scan, const char *line, size_t length, struct refusals *refusals)
{
    if (scan->line++ == 0 && length >= 2 && (!memcmp(line, "\xff\xfe", 2) || !memcmp(line, "\xfe\xff", 2)))
        refuse(refusals, REFUSAL_UTF16, 0, 0, "", 0, 0);
    if (scan->line == 1 && length >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
        scan->mark = true;
        line += 3;
        length -= 3;
    }
    scan->ended = length > 0 && line[length - 1] == '\n';
    if (length > LINE_BYTES_MAX)
        refuse(refusals, REFUSAL_LINE_LONG, scan->line, 0, "", LINE_BYTES_MAX / 1024, 0);
    if (!is_ascii(line, length))
        scan_letters(scan, line, length, refusals);
}

enum encoding encoding_decide(const struct encoding_scan *scan, struct refusals *refusals)
{
    if (scan->line > 0 && !scan->ended)
        refuse(refusals, REFUSAL_CUT, scan->line, 0, "", 0, 0);
    if (scan->bad_line == 0)
        return ENCODING_UTF8;
    if (scan->mark || scan->letters)
        refuse(refusals, REFUSAL_MIXED, scan->bad_line, scan->bad_column, "", 0, 0);
    return ENCODING_WINDOWS_1252;
}

static char *put_letter(char *to, uint32_t letter)
{
    if (letter < 0x80) {
        *to++ = (char)letter;
    } else if (letter < 0x800) {
        *to++ = (char)(0xc0 | letter >> 6);
        *to++ = (char)(0x80 | (letter & 0x3f));
    } else {
        *to++ = (char)(0xe0 | letter >> 12);
        *to++ = (char)(0x80 | (letter >> 6 & 0x3f));
        *to++ = (char)(0x80 | (letter & 0x3f));
    }
    return to;
}

struct text encoding_line(struct arena *arena, enum encoding encoding, uint32_t number, const char *line, size_t length,
                          struct refusals *refusals)
{
    char *text, *to;

    if (number == 1 && length >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
        line += 3;
        length -= 3;
    }
    if (encoding == ENCODING_UTF8 || is_ascii(line, length))
        return (struct text){ line, (uint32_t)length };
    text = to = arena_alloc(arena, 3 * length + 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)line[i];
        uint32_t letter = byte >= 0x80 && byte < 0xa0 ? windows[byte - 0x80] : byte;

        if (letter == 0)
            refuse(refusals, REFUSAL_BYTE, number, (uint32_t)i + 1, "", 0, 0);
        else
            to = put_letter(to, letter);
    }
    return (struct text){ text, (uint32_t)(to - text) };
}
