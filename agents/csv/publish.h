/* publish.h: the files of corrections, one a block, written anew whenever they have changed; in steps. */
#ifndef SELARAS_CSV_PUBLISH_H
#define SELARAS_CSV_PUBLISH_H

#include "agents/csv/folder.h"
#include "agents/csv/form.h"
#include "agents/csv/state.h"

enum { PUBLISH_PAUSE_MS = 500 }; /* between two writings, so that a stream of batches does not write for each */

struct publish;

struct publish *publish_new(struct state *state, struct folder *folder, const struct mapping *mapping,
                            const struct form *forms);
void publish_free(struct publish **publish);
/* Whether there is something to write, or it is being written. */
bool publish_due(const struct publish *publish);
must_check int publish_step(struct publish *publish, struct error *err);
/* Begins anew with the next step: the mapping was bound anew. */
void publish_restart(struct publish *publish);

#endif
