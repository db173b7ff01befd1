/* intake.h: from a file in the folder to a list that was taken or refused, one at a time. */
#ifndef SELARAS_CSV_INTAKE_H
#define SELARAS_CSV_INTAKE_H

#include "agents/csv/folder.h"
#include "agents/csv/import.h"
#include "agents/driver.h"

struct intake;

/* `wake` is called from the loop when a step can be done again after intake_step said that it waits. */
struct intake *intake_new(struct loop *loop, const struct driver_options *options, const struct mapping *mapping,
                          struct state *state, struct folder *folder, loop_ready *wake, void *context);
void intake_free(struct intake **intake);

/* Whether a list is in its transaction: nothing else may be done to the state. */
bool intake_begun(const struct intake *intake);
/* Whether a list is on its way or lies ready, or something may turn out to be one. What people saved before a feed was
 * applied is taken before it is: its base is what they had. */
bool intake_waits(const struct intake *intake);
/* Does some of it; *ret_more is false when there is nothing to do now. `outbox`: see import.h. */
must_check int intake_step(struct intake *intake, int64_t now_us, bool outbox, bool *ret_more, struct error *err);
/* Gives up the list that is on its way; it is begun anew. */
void intake_restart(struct intake *intake);
/* Why the last list was refused, and when; NULL when the last one was taken. */
const char *intake_refused(const struct intake *intake);

#endif
