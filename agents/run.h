/* run.h: the agent as a process: turns what happens at the agency's database and on the link into events of the core,
 * and does what the core asks for. */
#ifndef SELARAS_RUN_H
#define SELARAS_RUN_H

#include "agents/settings.h"

#define SOFTWARE "selaras-agent 0.1.0"

enum { EXIT_PERSON = 3 }; /* it makes no sense to start again before somebody has looked */

/* Runs until told to stop, or until a person is needed. Returns the exit status. */
int agent_run(struct agent_settings *settings);

#endif
