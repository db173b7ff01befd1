/* catalog_limit.h: reads the catalog's `limit`. For catalog.c alone. */
#ifndef SELARAS_CATALOG_LIMIT_H
#define SELARAS_CATALOG_LIMIT_H

#include "proto/catalog.h"

struct limit_place {
    struct arena *arena;
    const struct tree *tree;           /* the key */
    const struct catalog_field *field; /* NULL for a group, and for existence */
    bool existence;
    struct error *err;
};

must_check int limits_build(const struct limit_place *place, const struct catalog_limit **ret, uint8_t *ret_count);

#endif
