/* identity.h: what a record is found by: the values of a unit that is an identifier, one field's or a group's, in the
 * order of the unit's fields. One that lacks a value finds nothing. Pure. */
#ifndef SELARAS_IDENTITY_H
#define SELARAS_IDENTITY_H

#include "daemon/agency.h"
#include "daemon/canonical.h"

/* Whether a reference is still as the agency says it: which record it is to is not known. It finds nothing. */
bool reference_is_local(const struct catalog_field *field, struct value value);
/* The values of this identifier among `fields` (by field of the type), into ret[KEY_FIELDS_MAX]. False: the unit is
 * none, or one of them is not set. */
bool identity_values(const struct catalog_type *type, uint16_t unit, const struct value *fields, struct value *ret);
/* Names identifier and values in one text, unambiguously. */
struct text identity_name(struct arena *arena, const struct catalog_type *type, uint16_t unit,
                          const struct value *values);
/* Whether what the record is found by may become another one's: it was deleted, or its insertion was held and came to
 * nothing. One whose insertion is held still only waits. */
bool identity_is_free(const struct canonical *record);
/* Whether the record has exactly these values. */
bool identity_is(const struct canonical *record, uint16_t unit, const struct value *values);

/* The next identifier, from *unit on, that a natural local key says, the block's constants included: moves *unit to it.
 * False: no more. Values are borrowed from key and block, or live in `arena`. */
bool identity_of_key(struct arena *arena, const struct catalog_type *type, const struct agency_block *block,
                     struct text key, uint16_t *unit, struct value *ret);
/* Whether the block's key fields, with its constants, hold some identifier of the type whole. */
bool identity_in_key(const struct catalog_type *type, const struct agency_block *block);

#endif
