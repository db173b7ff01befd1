/* apply_text.h: the texts of the statements that apply_sql.h prepares: one for a block, kind and set of columns. */
#ifndef SELARAS_APPLY_TEXT_H
#define SELARAS_APPLY_TEXT_H

#include "agents/postgres/apply_sql.h"

#include <stdio.h>

/* What a statement is about. */
struct subject {
    const struct mapping_block *block;
    const struct inspect_table *table;
    const struct column_set *set;
    bool sure; /* whether each row's key is the broker's own word is told, too */
};

/* Writes the statement. Its parameters: the numbers of the rows, the columns of the key, the columns of the set where
 * it writes any, and `sure`. */
void apply_text(FILE *file, const struct subject *subject, enum apply_kind kind, bool hard);

bool column_set_has(const struct column_set *set, uint16_t column);
bool column_is_key(const struct mapping_block *block, uint16_t column);

#endif
