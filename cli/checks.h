/* checks.h: named checks, run in order, each with its result and what to do. */
#ifndef SELARAS_CHECKS_H
#define SELARAS_CHECKS_H

#include "cli/call.h"
#include "cli/output.h"

enum { CHECKS_MAX = 16, CHECK_NOTE_MAX = 1000 };

/* Looks at one thing. 0 is ok, and `note` may say what was found; otherwise `err` says what is wrong and what to do. */
typedef int check_function(void *subject, char note[CHECK_NOTE_MAX], struct error *err);

struct check {
    const char *name;  /* N_() */
    const char *after; /* the check without whose success this one means nothing, or NULL */
    check_function *run;
};

/* Runs `checks` (ends in a row without name) on `subject` and adds their rows to the open table of checks. Returns
 * whether all are ok. `about` is the file that they are about. */
bool checks_run(struct output *output, const char *about, const struct check *checks, void *subject);
void checks_table(struct output *output);

/* One file's checks: check_broker.c and check_agent.c. */
bool check_broker_file(const struct call *call, struct output *output, const char *path);
bool check_agent_file(const struct call *call, struct output *output, const char *path);

#endif
