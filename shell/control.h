/* control.h: the Unix SEQPACKET socket by which `selaras` talks to a daemon on the same host.
 *
 * A request is one packet, MessagePack [ "verb" "argument" ... ] (str only, at most 16 of them, 64 KiB); the answer one
 * or more packets of [ ok more text ]: `text` is JSON, or the reason when ok is false. Only root, the daemon's own user
 * and members of group `selaras` are heard (SO_PEERCRED). */
#ifndef SELARAS_CONTROL_H
#define SELARAS_CONTROL_H

#include "proto/record.h"
#include "shell/loop.h"

#include <sys/types.h>

enum { CONTROL_ARGUMENTS_MAX = 16, CONTROL_BYTES_MAX = 64 * 1024 };

struct control;
struct control_request; /* one open question; answered exactly once, then gone */

typedef void control_handler(void *context, struct control_request *request, const struct text *arguments, int count,
                             const char *user);

/* Listens on `path` (an old socket of ours is replaced), mode 0660. `user` is the login name of whoever asks: the audit
 * user
 * (/proc/PID/loginuid) when set, else the peer's. */
must_check int control_open(struct loop *loop, const char *path, control_handler *handler, void *context,
                            struct control **ret, struct error *err);
void control_close(struct control **control);
/* Answers and consumes `request`; long text goes out in several packets. A peer that has gone is fine. */
void control_answer(struct control_request **request, bool ok, const char *text);

/* The asking side, blocking, with a time limit: returns the whole answer in `arena`. ERR_REJECT with the daemon's
 * reason, ERR_RETRY when nobody listens there (says which service to start). */
must_check int control_ask(struct arena *arena, const char *path, const char *const *arguments, int count,
                           int timeout_ms, const char **ret, struct error *err);

#endif
