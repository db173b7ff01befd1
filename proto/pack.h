/* pack.h: msgpack-c's packer into a buffer, and the pieces of PROTOCOL.md that several messages share.
 *
 * Every integer and text comes out in its shortest form. Nothing here fails: what is packed is ours. */
#ifndef SELARAS_PACK_H
#define SELARAS_PACK_H

#include "proto/message.h"

#include <msgpack/pack.h>

/* Makes room for `more` bytes behind what `buffer` holds. */
void buffer_reserve(struct buffer *buffer, size_t more);

void pack_start(msgpack_packer *packer, struct buffer *out);
void pack_bool(msgpack_packer *packer, bool yes);
void pack_text(msgpack_packer *packer, struct text text);
/* nil when its length is 0. */
void pack_text_or_nil(msgpack_packer *packer, struct text text);
void pack_bin(msgpack_packer *packer, const void *bytes, size_t length);
/* nil when it is all zeros. */
void pack_hash_or_nil(msgpack_packer *packer, const uint8_t hash[HASH_BYTES]);
/* The value is not absent. */
void pack_value(msgpack_packer *packer, struct value value);
/* { [ "field" value ] } */
void pack_item_fields(msgpack_packer *packer, const struct item_field *fields, uint16_t count);
/* nil when it has no verdict. */
void pack_reason(msgpack_packer *packer, const struct reason *reason);
void pack_blocks(msgpack_packer *packer, const struct block *blocks, uint16_t count);

#endif
