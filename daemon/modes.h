/* modes.h: what an agency's mode means for each of its tables: one mode for all of them, and exceptions by the name of
 * a block. The exceptions are one text, "people=observe,children=full": names of a mapping hold neither of its signs.
 */
#ifndef SELARAS_MODES_H
#define SELARAS_MODES_H

#include "daemon/agency.h"

/* The mode of this block. */
enum agency_mode modes_of(const struct agency_row *row, struct text block);
/* The exceptions, when this block has that mode from now on; as they were, when it has it already. In `arena`. */
struct text modes_with(struct arena *arena, const struct agency_row *row, struct text block, enum agency_mode mode);
/* The next exception behind *at, which begins at 0. False: no more. */
bool modes_next(struct text modes, uint32_t *at, struct text *ret_block, enum agency_mode *ret_mode);
/* Gives blocks their modes: only one in mode full is fed anything. */
void modes_bind(const struct agency_row *row, const struct catalog *catalog, struct agency_block *blocks,
                uint16_t count);

#endif
