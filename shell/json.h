/* json.h: writes JSON into a buffer: status answers and `--json`.
 *
 * Commas come by themselves. `name` is the member's name inside an object, NULL for an element of an array and for the
 * whole. */
#ifndef SELARAS_JSON_H
#define SELARAS_JSON_H

#include "proto/message.h"

void json_begin_object(struct buffer *out, const char *name);
void json_end_object(struct buffer *out);
void json_begin_array(struct buffer *out, const char *name);
void json_end_array(struct buffer *out);

/* `text` is UTF-8; NULL writes null. */
void json_write_text(struct buffer *out, const char *name, const char *text);
void json_write_bytes(struct buffer *out, const char *name, const char *bytes, size_t length);
void json_write_int(struct buffer *out, const char *name, int64_t value);
void json_write_uint(struct buffer *out, const char *name, uint64_t value);
void json_write_bool(struct buffer *out, const char *name, bool value);
void json_write_null(struct buffer *out, const char *name);
/* A value that is JSON already. */
void json_write_json(struct buffer *out, const char *name, const char *json);

/* What was written, with NUL behind it; borrowed until the next call. */
const char *json_text(struct buffer *out);

#endif
