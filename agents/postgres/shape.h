/* shape.h: what of the agency's tables decides how they are captured and applied, beside their rows. */
#ifndef SELARAS_SHAPE_H
#define SELARAS_SHAPE_H

#include "shell/pg.h"

/* Whether triggers, rules or cascades of the agency's own may write into our transactions. Its parameter is the OIDs of
 * the mapped tables, as int8[]. */
extern const char shape_meddled_sql[];

#endif
