/* inspect_tables.h: the part of the inspection that is about the mapped tables, one by one. */
#ifndef SELARAS_INSPECT_TABLES_H
#define SELARAS_INSPECT_TABLES_H

#include "agents/postgres/inspect.h"

#define INSPECT_PREPARE                                                                                                \
    "run as its DBA: selaras-agent --prepare --dsn DSN FILE (shows the SQL; with --apply it runs it)"

/* Their parameters are the blocks' schemas and tables, as arrays; so are those of inspect_sql_indexes. */
extern const char inspect_sql_tables[], inspect_sql_columns[];
/* Whether a block's table can be followed exactly, from the three answers; fills found->tables[index]. ERR_STOP with
 * the remedy. */
must_check int inspect_table(const struct mapping *mapping, struct inspection *found, uint16_t index,
                             const PGresult *tables, const PGresult *columns, const PGresult *indexes,
                             struct error *err);

static inline bool inspect_yes(const PGresult *result, int row, int column)
{
    return !PQgetisnull(result, row, column) && PQgetvalue(result, row, column)[0] == 't';
}

#endif
