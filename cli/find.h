/* find.h: a record as people name it: by an identifier or by its number. */
#ifndef SELARAS_FIND_H
#define SELARAS_FIND_H

#include "cli/query.h"

/* Sets *ret to the number of the record of type `type_name` that `key` ("nik=6402...", or a number) names, and
 * *ret_type (unless NULL) to its type. ERR_REJECT, with the nearest known word, when type or field does not exist, when
 * the field is no identifier, or when there is no such record. The error never holds the value. */
must_check int record_find(struct db *db, struct arena *arena, const struct catalog *catalog, const char *type_name,
                           const char *key, const struct catalog_type **ret_type, uint64_t *ret, struct error *err);

#endif
