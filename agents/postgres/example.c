#include "agents/postgres/example.h"

#include "agents/postgres/inspect.h"
#include "shell/pg_connect.h"

#include <string.h>

enum { ROWS_MAX = 1000 };

static void connection_finish(PGconn **connection)
{
    PQfinish(*connection);
    *connection = NULL;
}

static void result_clear(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

static const char *rows_sql(struct arena *arena, const struct mapping_block *block)
{
    const char *columns = "";

    for (uint16_t i = 0; i < block->column_count; i++)
        columns = arena_printf(arena, "%s%s%s", columns, i > 0 ? ", " : "", quoted(arena, block->columns[i]));
    return arena_printf(arena, "SELECT %s FROM %s LIMIT %d", columns, quoted_table(arena, block), ROWS_MAX);
}

static void row_take(struct arena *arena, const PGresult *result, int row, struct value *columns, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        size_t length = (size_t)PQgetlength(result, row, i);

        columns[i] = value_null();
        if (!PQgetisnull(result, row, i))
            columns[i] = (struct value){ .bytes = arena_copy(arena, PQgetvalue(result, row, i), length),
                                         .length = (uint32_t)length,
                                         .state = VALUE_SET };
    }
}

static int columns_set(const PGresult *result, int row)
{
    int set = 0;

    for (int i = 0; i < PQnfields(result); i++)
        set += !PQgetisnull(result, row, i);
    return set;
}

int example_read(const struct driver_options *options, const struct mapping *mapping, uint16_t index,
                 struct arena *arena, struct value *columns, bool *ret_found, struct error *err)
{
    const struct mapping_block *block = &mapping->blocks[index];
    scoped(connection_finish) PGconn *connection = pg_connect_start(options->database, "selaras-agent check");
    scoped(result_clear) PGresult *result = NULL;
    int most = -1;

    if (!connection || !pg_connect_wait(connection))
        return error_set(err, ERR_RETRY, "cannot connect to PostgreSQL again to read an example");
    result = PQexec(connection, rows_sql(arena, block));
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        pg_error_set(err, result);
        return error_wrap(err, "reading an example of table %s.%s", block->schema, block->table);
    }
    for (int row = 0; row < PQntuples(result); row++) {
        struct value *read = arena_array(arena, block->column_count, sizeof *read);

        if (columns_set(result, row) <= most)
            continue;
        row_take(arena, result, row, read, block->column_count);
        if (!row_in(block, read))
            continue;
        memcpy(columns, read, block->column_count * sizeof *read);
        most = columns_set(result, row);
    }
    *ret_found = most >= 0;
    return 0;
}
