/* altered.h: values that one agency's own triggers made other than what it was fed, by record and field.
 *
 * It stands there until a later item of that field goes to the agency, or the agency changes the field itself; what it
 * is now is known to nobody but the agency. Bounded: a trigger that alters every row would fill any memory. */
#ifndef SELARAS_ALTERED_H
#define SELARAS_ALTERED_H

#include "proto/catalog.h"

struct altered;

enum { ALTERED_MAX = 100000, FIELD_EXISTENCE = UINT16_MAX };

struct altered *altered_new(void);
void altered_free(struct altered **altered);

/* `field` is the place in its type; FIELD_EXISTENCE: the row as a whole. False when it is known already, or there are
 * ALTERED_MAX of them: altered_more then says so. */
bool altered_add(struct altered *altered, uint64_t record, uint16_t field);
/* Forgets it. False when it is not there. */
bool altered_remove(struct altered *altered, uint64_t record, uint16_t field);
void altered_clear(struct altered *altered);
uint32_t altered_count(const struct altered *altered);
/* Whether there were more of them than are kept. */
bool altered_more(const struct altered *altered);

/* A batch changes them while it is being decided: either it is committed and they are kept, or it was refused, and
 * they are again what they were at the last altered_keep. */
void altered_keep(struct altered *altered);
void altered_undo(struct altered *altered);

#endif
