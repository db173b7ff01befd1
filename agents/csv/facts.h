/* facts.h: what `selaras status` says of the lists: how old each is, and what waits for the people who make it. */
#ifndef SELARAS_CSV_FACTS_H
#define SELARAS_CSV_FACTS_H

#include "agents/csv/give.h"
#include "agents/csv/intake.h"

/* Adds members to the JSON object that is open in `out`. What cannot be read now is left out. */
void facts_write(struct state *state, const struct mapping *mapping, const struct give *give,
                 const struct intake *intake, struct buffer *out);

#endif
