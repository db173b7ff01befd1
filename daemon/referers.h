/* referers.h: what refers to a record that is said to be another one, refers to that one from then on; and again to the
 * first when they are said to be different. For the core's own files alone. */
#ifndef SELARAS_REFERERS_H
#define SELARAS_REFERERS_H

#include "daemon/work.h"

/* Says what must be looked up for a decision; then, once that is known, for what was found. False: nothing more. */
bool referers_want(struct work *work, const struct admin *admin);
bool referers_want_more(struct work *work);

/* From which record to which, and how the entries say it. */
struct pointing {
    struct broker *broker;
    struct work *work;
    const struct admin *admin;
    enum entry_kind kind;
    const char *rule;
    const struct canonical *from, *to;
    feed_position undone;     /* only what a decision before it has pointed away is pointed back; 0: all */
    const uint16_t *withheld; /* ids of agencies that are not told */
    uint16_t withheld_count;
};

/* Why they cannot be pointed there, or NULL. */
const char *referers_against(const struct pointing *pointing);
/* Each is an entry of its own. */
void referers_point(const struct pointing *pointing);
/* Sends what refers there by now, and exists, to this agency whole. */
void referers_send(const struct pointing *pointing, struct peer *peer);

#endif
