/* give.h: what the broker is told: the rows of a first load, then what waits in the outbox, in order, as pieces. */
#ifndef SELARAS_CSV_GIVE_H
#define SELARAS_CSV_GIVE_H

#include "agents/csv/state.h"
#include "agents/driver.h"

struct give;

struct give *give_new(struct state *state, const struct mapping *mapping, const struct driver_sink *sink);
void give_free(struct give **give);

/* Everything behind transaction `number`. */
void give_from(struct give *give, uint64_t number);
/* Every row, once every block has had a list; then sink->loaded(). */
void give_load(struct give *give);
/* Nothing until one of these is called again. */
void give_stop(struct give *give);
void give_pause(struct give *give, bool pause);
/* Whether rows of a load are being read: no list may be taken meanwhile. */
bool give_reads(const struct give *give);
/* Whether changes must go to the outbox although the load is not at the broker: they come after its snapshot. */
bool give_loaded(const struct give *give);
/* The block whose first list is waited for, or NULL. */
const char *give_waits_for(const struct give *give);
/* Gives the next piece; *ret_more is false when there is nothing to do now. */
must_check int give_step(struct give *give, int64_t now_us, bool *ret_more, struct error *err);

#endif
