/* encoding.h: which letters a list is written in: UTF-8, with or without its mark, or Windows-1252. Pure.
 *
 * A file is one or the other as a whole: every line is scanned before the first is read. */
#ifndef SELARAS_CSV_ENCODING_H
#define SELARAS_CSV_ENCODING_H

#include "agents/csv/refusal.h"

enum { LINE_BYTES_MAX = 1024 * 1024 };

enum encoding { ENCODING_UTF8, ENCODING_WINDOWS_1252 };

/* Zeroed: nothing scanned. */
struct encoding_scan {
    uint32_t line;                 /* lines so far */
    bool mark;                     /* it begins with the mark of UTF-8 */
    bool letters;                  /* some line has letters that are UTF-8 beyond ASCII */
    uint32_t bad_line, bad_column; /* first byte that is not UTF-8; 0: none */
    bool ended;                    /* the last line so far ends in a line feed */
};

/* `line` with its end, in the file's order. What can be in no list is refused. */
void encoding_scan(struct encoding_scan *scan, const char *line, size_t length, struct refusals *refusals);
/* After the last line. A file that does not end with its last line is refused: it may have been cut off. */
enum encoding encoding_decide(const struct encoding_scan *scan, struct refusals *refusals);
/* A line as UTF-8, in `arena` or borrowed. Refuses, and leaves out, bytes that the encoding does not have. */
struct text encoding_line(struct arena *arena, enum encoding encoding, uint32_t number, const char *line, size_t length,
                          struct refusals *refusals);

#endif
