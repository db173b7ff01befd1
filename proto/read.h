/* read.h: pieces of PROTOCOL.md that several readers share. */
#ifndef SELARAS_READ_H
#define SELARAS_READ_H

#include "proto/cursor.h"

/* Whether `text` equals one of `count` texts; each stands at the beginning of `stride` bytes. */
bool text_among(struct text text, const void *texts, size_t count, size_t stride);
/* { [ "field" value ] }, each field once: sets fields, in the cursor's arena, and field_count. */
void read_item_fields(struct cursor *cursor, struct item *item);
/* nil / [ verdict by rule ] */
void read_reason(struct cursor *cursor, struct reason *reason);

#endif
