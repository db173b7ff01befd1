/* catalog_order.h: the record types of a catalog's file in reference order: a type behind all that it refers to. */
#ifndef SELARAS_CATALOG_ORDER_H
#define SELARAS_CATALOG_ORDER_H

#include "proto/tree.h"

/* The children of `record`, as many as there are. ERR_REJECT when a field refers to no type of the file, to its own, or
 * round a circle. */
must_check int catalog_order(struct arena *arena, const struct tree *record, const struct tree ***ret,
                             struct error *err);

#endif
