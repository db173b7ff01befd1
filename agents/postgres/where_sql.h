/* where_sql.h: which rows of a table belong to a block, said to PostgreSQL as row_in() judges it. */
#ifndef SELARAS_WHERE_SQL_H
#define SELARAS_WHERE_SQL_H

#include "agents/postgres/inspect.h"

/* " AND t.a = ... AND ..." for a table called t, or "". In `arena`. */
const char *where_sql(struct arena *arena, const struct mapping_block *block, const struct inspect_table *table);
/* What asks PostgreSQL how it spells the conditions' values, one column each, or NULL when there are none but texts;
 * and whether the mapping spells them so, as row_in() needs it: ERR_STOP with the right spelling. */
const char *where_spellings_sql(struct arena *arena, const struct mapping *mapping,
                                const struct inspection *inspection);
must_check int where_check(const struct mapping *mapping, const struct inspection *inspection,
                           const PGresult *spellings, struct error *err);
/* A text in single quotes, its own doubled. */
const char *literal_sql(struct arena *arena, const char *text, size_t length);

#endif
