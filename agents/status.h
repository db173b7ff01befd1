/* status.h: what an agent answers to `selaras status`. */
#ifndef SELARAS_AGENT_STATUS_H
#define SELARAS_AGENT_STATUS_H

#include "agents/agent.h"
#include "agents/driver.h"

/* Writes the JSON object; `parked` is the JSON array of parked records, NULL when the database cannot tell now. The
 * driver adds what it knows. */
void status_write(const char *agency, const struct agent_status *status, const char *parked, struct driver *driver,
                  struct buffer *out);
/* One line for systemd: what it is doing. */
const char *status_line(const struct agent_status *status);

#endif
