/* output.h: what one command prints: named tables and sentences, for people (libsmartcols) or as one JSON object
 * (json-c).
 *
 * In JSON each table is an array of objects, what is said stands in "notes", and single facts are members beside them.
 * A cell that was not set is "-" on a terminal and null in JSON. */
#ifndef SELARAS_OUTPUT_H
#define SELARAS_OUTPUT_H

#include "proto/record.h"

struct json_object;
struct output;

enum look {
    LOOK_RIGHT = 1,    /* numbers */
    LOOK_OPTIONAL = 2, /* left out for people when no row has it */
    LOOK_ONCE = 4,     /* blank in rows that go on with the one above (output_row's `more`) */
};

struct column {
    const char *key;     /* in JSON; NULL: for people only */
    const char *heading; /* for people, N_(); NULL: in JSON only */
    unsigned look;
};

enum output_form {
    OUTPUT_TABLE,
    OUTPUT_JSON,
    OUTPUT_JSON_LINES, /* an object a line, of one streamed table alone; what is said goes to standard error */
};
struct output *output_new(struct arena *arena, enum output_form form);
void output_free(struct output **output);

/* A fact of its own: one line for people (NULL: none), a member in JSON. */
void output_fact(struct output *output, const char *line, const char *key, const char *value);
void output_fact_number(struct output *output, const char *line, const char *key, uint64_t value);
/* A daemon's own answer, member by member, in JSON; nothing for people. */
void output_merge(struct output *output, struct json_object *answer);
/* For people only. */
void output_line(struct output *output, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool output_is_json(const struct output *output);
/* A sentence: what is so, what to do. */
void output_say(struct output *output, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A heading above what follows, after an empty line, for people only. */
void output_heading(struct output *output, const char *text);

/* `columns` (ends in a row without key and heading) stays the caller's. Tables do not nest. */
void output_table(struct output *output, const char *key, const struct column *columns);
/* The same for one that may have any number of rows: they leave as they come, and nothing is kept of them. People get
 * it in pages under one heading; a page that is wider than those before widens its columns. In JSON it is the same
 * object, its rows one a line; one that breaks off is no JSON. */
void output_stream(struct output *output, const char *key, const struct column *columns);
/* Whether anybody still takes what is printed. */
bool output_wanted(const struct output *output);
void output_row(struct output *output, bool more);
/* Sets a cell of the current row. NULL leaves it unset. */
void output_text(struct output *output, int column, const char *text);
void output_number(struct output *output, int column, uint64_t number);
/* A number that is a name: without separators, so that it can be given back to us. */
void output_id(struct output *output, int column, uint64_t number);
void output_flag(struct output *output, int column, bool flag);
/* Local time for people, UTC in JSON. */
void output_time(struct output *output, int column, int64_t time_us);
/* As people write a position; the whole number in JSON. */
void output_position(struct output *output, int column, feed_position position);
/* A value of a record: text or "NULL" for people, text or null in JSON, absent leaves it unset. */
void output_value(struct output *output, int column, struct value value, bool masked);
/* `shown` for people, all of `texts` in JSON. */
void output_list(struct output *output, int column, const char *shown, const char *const *texts, int count);
/* Prints the table, or nothing when it has no row. */
void output_table_end(struct output *output);

/* Ends the output: prints the object in JSON. */
void output_end(struct output *output);

#endif
