/* outgoing.h: pieces that were captured and not yet sent, copied, in the order of the stream.
 *
 * A piece that carries nothing but its position is superseded by the next one: it is kept only while it is the last. */
#ifndef SELARAS_OUTGOING_H
#define SELARAS_OUTGOING_H

#include "proto/message.h"

struct outgoing;

struct outgoing *outgoing_new(void);
void outgoing_free(struct outgoing **outgoing);

/* Appends a copy. */
void outgoing_add(struct outgoing *outgoing, const struct piece *piece);
void outgoing_clear(struct outgoing *outgoing);
/* An upper bound of what is kept, as bytes of messages. */
size_t outgoing_bytes(const struct outgoing *outgoing);
bool outgoing_empty(const struct outgoing *outgoing);
/* Whether anything kept is more than a position. */
bool outgoing_urgent(const struct outgoing *outgoing);

/* As many of the first pieces as fit into about `wanted` bytes, at least one, but never more than `most` bytes: then
 * none (a count of 0). They stay the outgoing's and are gone with outgoing_sent(). */
uint32_t outgoing_peek(struct outgoing *outgoing, size_t wanted, size_t most, struct piece **ret);
/* Drops the first `count` pieces. */
void outgoing_sent(struct outgoing *outgoing, uint32_t count);

#endif
