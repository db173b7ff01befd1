/* link.h: the agent's end of the connection to the broker: a DEALER with CURVE.
 *
 * A message is one frame. Sending means only that it was queued; what did not arrive is known by what is not
 * acknowledged. A connection that was lost took what was on its way with it: the owner is told and starts a new
 * session. */
#ifndef SELARAS_LINK_H
#define SELARAS_LINK_H

#include "shell/key.h"
#include "shell/loop.h"

#include <stddef.h>

struct link;

/* Called from the loop. */
struct link_sink {
    void *context;
    void (*up)(void *context);
    /* Lost, or could not be made; it is tried again by itself. `text` says why and what to look at. */
    void (*down)(void *context, const char *text);
    /* One frame, borrowed for the call. */
    void (*frame)(void *context, const void *bytes, size_t length);
    /* What came is not one frame within the limit. */
    void (*malformed)(void *context, const char *text);
};

/* Starts connecting to `endpoint`, which must own `broker_key`. ERR_STOP when the endpoint cannot be understood. `key`
 * may be wiped afterwards. */
must_check int link_open(struct loop *loop, const char *endpoint, const struct key *key, const uint8_t broker_key[32],
                         const struct link_sink *sink, struct link **ret, struct error *err);
/* What is queued still goes out, for half a second. */
void link_close(struct link **link);

/* Queues one frame. False when there is no connection: then down() was or will be called. */
bool link_send(struct link *link, const void *frame, size_t length);

#endif
