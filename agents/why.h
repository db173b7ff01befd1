/* why.h: why something of an agency's was put back, in the words of its people: for a notice, or a list of corrections.
 */
#ifndef SELARAS_WHY_H
#define SELARAS_WHY_H

#include "proto/arena.h"
#include "proto/record.h"

enum why_language { WHY_INDONESIAN, WHY_ENGLISH };

/* A sentence without values, in `arena` or for ever. */
const char *why_text(struct arena *arena, const struct reason *reason, enum why_language language);

#endif
