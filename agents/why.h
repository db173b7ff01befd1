/* why.h: why something of an agency's was put back, in the words of its people: for a notice, or a list of corrections.
 */
#ifndef SELARAS_WHY_H
#define SELARAS_WHY_H

#include "proto/arena.h"
#include "proto/record.h"

enum why_language { WHY_INDONESIAN, WHY_ENGLISH };

/* "id" or "en"; false: another. */
bool why_language_named(const char *name, enum why_language *ret);

/* A sentence without values, but for the ground that a person gave; in `arena` or for ever. */
const char *why_text(struct arena *arena, const struct reason *reason, enum why_language language);

/* What people did to a row (`was`), or what has become of it: one that `comes` they had deleted, another one they had
 * added. */
const char *why_row(bool comes, bool was, enum why_language language);

#endif
