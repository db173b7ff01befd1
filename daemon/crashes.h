/* crashes.h: which agency's input made the broker crash, from one process to the next.
 *
 * systemd starts a broker that has crashed again, and the agency sends the same again. What the core works on is noted
 * in a small file in /run, mapped into memory: it costs a few stores, a process that crashes leaves it as it was, and a
 * machine that loses its power does not. A crash counts only when the process itself died of it (a signal such as
 * SIGSEGV or SIGABRT, not SIGKILL) within a step of the core, on input of one agency. The third one at the same place
 * of the same agency names it. */
#ifndef SELARAS_CRASHES_H
#define SELARAS_CRASHES_H

#include "daemon/broker.h"

enum { CRASHES_MOST = 3 };

struct crashes;

/* Opens or makes the file, takes the last process's crash into account, and watches over this one. ERR_RETRY: it cannot
 * be; the broker runs without. */
must_check int crashes_open(const char *path, struct crashes **ret, struct error *err);
void crashes_close(struct crashes **crashes);
/* Where the core notes what it works on. */
struct working *crashes_working(struct crashes *crashes);
/* What has made it crash often enough, and is forgotten with this; false: nothing more. */
bool crashes_take(struct crashes *crashes, struct working *ret);

#endif
