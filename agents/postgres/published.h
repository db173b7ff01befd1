/* published.h: is each mapped name still the table, and the columns, that this agency was loaded with?
 *
 * What is done to a table, not to its rows, leaves no trace in the stream: it is renamed, taken out of the publication,
 * one of its columns made anew or all values of a column rewritten; or the replication origin is dropped. So what was
 * there at the load is remembered in selaras.published and looked at again before streaming and with each fence row. */
#ifndef SELARAS_PUBLISHED_H
#define SELARAS_PUBLISHED_H

#include "agents/postgres/inspect.h"

struct published;
struct published *published_new(const char *agency, const struct inspection *inspection, const struct mapping *mapping);
void published_free(struct published **published);

/* Queues what remembers everything as it is now: a load is about to begin. */
void published_remember(struct published *published, struct pg *pg);
/* Queues the look, one statement, and then what remembers benign changes (statements queued: PUBLISHED_STATEMENTS). */
enum { PUBLISHED_STATEMENTS = 2 };
void published_look(struct published *published, struct pg *pg);
/* Its answer. ERR_LOST: changes were missed, which ones cannot be known; ERR_RELOAD: of a table of which the mapping
 * says `reload`. */
must_check int published_check(const struct published *published, const PGresult *look, struct error *err);
/* From the same answer: what is mapped and was never loaded, as "public.people.phone, ...", "" for nothing; borrowed.
 */
const char *published_unloaded(const PGresult *look);
/* And whether the tables' columns, triggers and foreign keys are not what the inspection found. */
bool published_differs(const struct published *published, const PGresult *look);

#endif
