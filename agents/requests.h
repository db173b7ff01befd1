/* requests.h: what an operator may ask an agent over its control socket. */
#ifndef SELARAS_REQUESTS_H
#define SELARAS_REQUESTS_H

#include "agents/agent.h"
#include "agents/driver.h"
#include "shell/control.h"

struct requests {
    const char *agency;
    const struct agent *agent;
    struct driver *driver;
};

/* A control_handler whose context is a struct requests, which outlives every question: status, parked-list,
 * parked-retry RECORD|all, parked-close RECORD WHY. */
void requests_handle(void *context, struct control_request *request, const struct text *arguments, int count,
                     const char *user);

#endif
