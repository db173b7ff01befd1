#include "shell/json.h"

#include "proto/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put(struct buffer *out, const char *bytes, size_t length)
{
    buffer_reserve(out, length);
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static void put_text(struct buffer *out, const char *text)
{
    put(out, text, strlen(text));
}

/* JSON demands an escape for quotes, backslashes and control characters, and for nothing else. */
static void put_escaped(struct buffer *out, unsigned char letter)
{
    char escape[8];

    if (letter == '"' || letter == '\\')
        snprintf(escape, sizeof escape, "\\%c", letter);
    else if (letter == '\n')
        snprintf(escape, sizeof escape, "\\n");
    else
        snprintf(escape, sizeof escape, "\\u%04x", letter);
    put_text(out, escape);
}

static void put_string(struct buffer *out, const char *bytes, size_t length)
{
    size_t start = 0;

    put_text(out, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char letter = (unsigned char)bytes[i];

        if (letter >= ' ' && letter != '"' && letter != '\\')
            continue;
        if (i > start)
            put(out, bytes + start, i - start);
        put_escaped(out, letter);
        start = i + 1;
    }
    if (length > start)
        put(out, bytes + start, length - start);
    put_text(out, "\"");
}

/* The byte before says whether a comma is due: no value ends in an opening bracket or a colon. */
static void begin(struct buffer *out, const char *name)
{
    if (out->length > 0 && !strchr("{[:", out->bytes[out->length - 1]))
        put_text(out, ",");
    if (!name)
        return;
    put_string(out, name, strlen(name));
    put_text(out, ":");
}

void json_begin_object(struct buffer *out, const char *name)
{
    begin(out, name);
    put_text(out, "{");
}

void json_end_object(struct buffer *out)
{
    put_text(out, "}");
}

void json_begin_array(struct buffer *out, const char *name)
{
    begin(out, name);
    put_text(out, "[");
}

void json_end_array(struct buffer *out)
{
    put_text(out, "]");
}

void json_write_text(struct buffer *out, const char *name, const char *text)
{
    if (text)
        json_write_bytes(out, name, text, strlen(text));
    else
        json_write_null(out, name);
}

void json_write_bytes(struct buffer *out, const char *name, const char *bytes, size_t length)
{
    begin(out, name);
    put_string(out, bytes, length);
}

void json_write_int(struct buffer *out, const char *name, int64_t value)
{
    char digits[32];

    snprintf(digits, sizeof digits, "%" PRId64, value);
    json_write_json(out, name, digits);
}

void json_write_uint(struct buffer *out, const char *name, uint64_t value)
{
    char digits[32];

    snprintf(digits, sizeof digits, "%" PRIu64, value);
    json_write_json(out, name, digits);
}

void json_write_bool(struct buffer *out, const char *name, bool value)
{
    json_write_json(out, name, value ? "true" : "false");
}

void json_write_null(struct buffer *out, const char *name)
{
    json_write_json(out, name, "null");
}

void json_write_json(struct buffer *out, const char *name, const char *json)
{
    begin(out, name);
    put_text(out, json);
}

const char *json_text(struct buffer *out)
{
    buffer_reserve(out, 1);
    out->bytes[out->length] = '\0';
    return out->bytes;
}
