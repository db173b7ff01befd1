/* observe.h: changes of an agency's tables in mode observe: kept as rows beside the canonical world, by local key, and
 * nothing else. For the core's own files alone. */
#ifndef SELARAS_OBSERVE_H
#define SELARAS_OBSERVE_H

#include "daemon/work.h"

/* What such a row holds, by field of the type; what the catalog has lost is left out. In `arena`, borrows from the row.
 */
struct value *observed_values(struct arena *arena, const struct catalog_type *type, const struct observed_row *row);
void observe_want(struct work *work, const struct peer *peer, const struct change *change, uint32_t *capacity);
/* Another transaction begins: from here on a key means what it means now. */
void observe_begin(struct work *work);
void observe_change(struct work *work, const struct peer *peer, const struct agency_block *block,
                    const struct change *change);
/* What observed rows have become goes among what the batch writes. */
void observe_write(struct work *work);

#endif
