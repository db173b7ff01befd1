/* answer.h: what a daemon on this host answers over its control socket: JSON, read by json-c. */
#ifndef SELARAS_ANSWER_H
#define SELARAS_ANSWER_H

#include "cli/call.h"

#include <json-c/json.h>

/* Asks the daemon that the call's options name; waits at most 30 s. *ret is the parsed answer, to be given to
 * answer_free(). */
must_check int answer_ask(const struct call *call, const char *const *arguments, int count, struct json_object **ret,
                          struct error *err);
/* The same of the socket at `path`. */
must_check int answer_ask_at(const struct call *call, const char *path, const char *const *arguments, int count,
                             struct json_object **ret, struct error *err);
/* Sends a request that changes something, and says `done` when it is. Returns the exit status. */
int answer_request(const struct call *call, const char *const *arguments, int count, const char *done);
void answer_free(struct json_object **answer);

/* Members; "" or 0 when there is none of this name and kind. Text is borrowed from `object`. */
const char *answer_text(const struct json_object *object, const char *name);
uint64_t answer_number(const struct json_object *object, const char *name);
/* A time: a number (microseconds since 1970). 0: none. */
int64_t answer_time(const struct json_object *object, const char *name);
/* An array's element, NULL past its end or when `object` is none. */
const struct json_object *answer_element(const struct json_object *object, size_t index);

#endif
