/* status.h: what `selaras status` and `selaras key list` are told, as JSON. */
#ifndef SELARAS_STATUS_H
#define SELARAS_STATUS_H

#include "daemon/broker.h"

struct status_about {
    const char *endpoint;
    int64_t since_us;
    const char *waiting; /* why the broker is not at work, or NULL */
};

/* `broker` may be NULL while the database is away. Borrowed until the next call with `out`. */
const char *status_json(struct buffer *out, const struct status_about *about, const struct broker *broker);
const char *keys_json(struct buffer *out, const struct broker *broker);

#endif
