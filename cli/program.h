/* program.h: asks selaras-agent what only it can know: what its database is like. */
#ifndef SELARAS_PROGRAM_H
#define SELARAS_PROGRAM_H

#include "proto/arena.h"
#include "proto/error.h"

/* Runs selaras-agent with `arguments` (ends in NULL) to its end, at most a minute. *ret is what it wrote, in `arena`;
 * when its status is not 0, that is the error. */
must_check int agent_program(struct arena *arena, const char *const *arguments, const char **ret, struct error *err);

#endif
