/* The ledger's entries: where those lie that are wanted, and then one by one.
 *
 * A year of them fits into no memory, and a person may read them for an hour: so they are asked for by pages, each a
 * statement of its own that goes on behind the last position of the one before. The ledger is append-only, so nothing
 * is missed or comes twice between two pages, and no open transaction keeps the server from cleaning up. */
#include "cli/query_run.h"
#include "shell/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { PAGE_ENTRIES = 1000 };

/* What a filter and a range let through; $1 to $6 as parameters_of() sets them. */
#define WANTED                                                                                                         \
    " WHERE position > $1 AND position <= $2"                                                                          \
    " AND ($3::bigint IS NULL OR record = $3) AND ($4::text IS NULL OR agency = $4)"                                   \
    " AND ($5::text IS NULL OR $5 = ANY (verdicts)) AND ($6::text IS NULL OR kind = $6)"
enum { WANTED_PARAMETERS = 6 };

static void parameters_of(struct arena *arena, const struct ledger_filter *filter, feed_position after,
                          feed_position last, const char **parameters)
{
    parameters[0] = arena_printf(arena, "%" PRIu64, after);
    parameters[1] = arena_printf(arena, "%" PRIu64, last);
    parameters[2] = filter->record ? arena_printf(arena, "%" PRIu64, filter->record) : NULL;
    parameters[3] = filter->agency;
    parameters[4] = filter->verdict;
    parameters[5] = filter->kind;
}

/* ---- Where they lie ---- */

/* The statements of a whole ledger take their time; the server looks itself whether we are still there. */
static int be_patient(struct db *db, struct error *err)
{
    static const char sql[] = "SELECT set_config('statement_timeout', '0', false),"
                              "       set_config('client_connection_check_interval', '2s', false)";
    scoped(result_clear) PGresult *result = NULL;

    return query_run(db->connection, sql, NULL, 0, &result, err);
}

static int head_read(struct db *db, feed_position *ret, struct error *err)
{
    static const char sql[] = "SELECT head FROM selaras.state";
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, NULL, 0, &result, err) < 0)
        return err->code;
    *ret = PQntuples(result) ? (feed_position)cell_number(result, 0, 0) : 0;
    return 0;
}

/* Whether an entry stands at `position` or behind it that is older than `time_us`; if so, *ret_next is the position
 * behind the first that stands there. */
static int is_older(struct db *db, struct arena *arena, feed_position position, int64_t time_us, bool *ret,
                    feed_position *ret_next, struct error *err)
{
    static const char sql[] = "SELECT position + 1, time < timestamptz 'epoch' + $2::bigint * interval '1 microsecond'"
                              "  FROM selaras.entry WHERE position >= $1 ORDER BY position LIMIT 1";
    const char *parameters[] = { arena_printf(arena, "%" PRIu64, position), arena_printf(arena, "%" PRId64, time_us) };
    scoped(result_clear) PGresult *result = NULL;

    if (query_run(db->connection, sql, parameters, 2, &result, err) < 0)
        return err->code;
    *ret = PQntuples(result) && cell_true(result, 0, 1);
    if (*ret)
        *ret_next = (feed_position)cell_number(result, 0, 0);
    return 0;
}

/* The position from which on no entry is older than `time_us`. No entry is older than the one before it: so a few
 * looks find it, in a ledger of any length. */
static int position_at(struct db *db, struct arena *arena, int64_t time_us, feed_position head, feed_position *ret,
                       struct error *err)
{
    feed_position from = UINT64_C(1) << 48, until = head + 1;

    while (from < until) {
        feed_position middle = from + (until - from) / 2, next = 0;
        bool older = false;

        if (is_older(db, arena, middle, time_us, &older, &next, err) < 0)
            return err->code;
        if (older)
            from = next;
        else
            until = middle;
    }
    *ret = until;
    return 0;
}

/* The newest entry that is one too many for the limit, if there is one. */
static int limit_find(struct db *db, struct arena *arena, const struct ledger_filter *filter,
                      struct ledger_range *range, struct error *err)
{
    static const char sql[] =
        "SELECT position FROM selaras.entry" WANTED " ORDER BY position DESC OFFSET $7::bigint LIMIT 1";
    const char *parameters[WANTED_PARAMETERS + 1];
    scoped(result_clear) PGresult *result = NULL;

    parameters_of(arena, filter, range->after, range->last, parameters);
    parameters[WANTED_PARAMETERS] = arena_printf(arena, "%d", filter->limit);
    if (query_run(db->connection, sql, parameters, WANTED_PARAMETERS + 1, &result, err) < 0)
        return err->code;
    if (PQntuples(result)) {
        range->more = true;
        range->after = (feed_position)cell_number(result, 0, 0);
    }
    return 0;
}

int db_range(struct db *db, struct arena *arena, const struct ledger_filter *filter, struct ledger_range *ret,
             struct error *err)
{
    struct ledger_range range = { 0 };
    feed_position at;

    if (be_patient(db, err) < 0 || head_read(db, &range.last, err) < 0)
        return err->code;
    if (filter->since) {
        if (position_at(db, arena, filter->since_us, range.last, &at, err) < 0)
            return err->code;
        range.after = at - 1;
    }
    if (filter->until) {
        if (position_at(db, arena, filter->until_us, range.last, &at, err) < 0)
            return err->code;
        range.last = at - 1;
    }
    if (filter->limit && limit_find(db, arena, filter, &range, err) < 0)
        return err->code;
    *ret = range;
    return 0;
}

int db_count(struct db *db, struct arena *arena, const struct ledger_filter *filter, const struct ledger_range *range,
             struct ledger_count *ret, struct error *err)
{
    static const char sql[] =
        "SELECT count(*), min(position), max(position), CASE WHEN $3::bigint IS NOT NULL THEN max(type) END"
        "  FROM selaras.entry" WANTED;
    const char *parameters[WANTED_PARAMETERS];
    scoped(result_clear) PGresult *result = NULL;

    parameters_of(arena, filter, range->after, range->last, parameters);
    if (query_run(db->connection, sql, parameters, WANTED_PARAMETERS, &result, err) < 0)
        return err->code;
    *ret = (struct ledger_count){
        .entries = (uint64_t)cell_number(result, 0, 0),
        .first = (feed_position)cell_number(result, 0, 1),
        .last = (feed_position)cell_number(result, 0, 2),
        .type = cell_text(arena, result, 0, 3),
    };
    return 0;
}

/* ---- One by one ---- */

struct ledger_reader {
    struct db *db;
    const struct ledger_filter *filter;
    feed_position after, last;
    PGresult *row;    /* the next one, read and not taken */
    int page_entries; /* of this page, as far as it is read */
    bool busy;        /* a page's rows are coming */
    bool ended;
};

struct ledger_reader *ledger_reader_new(struct db *db, const struct ledger_filter *filter,
                                        const struct ledger_range *range)
{
    struct ledger_reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        abort();
    *reader = (struct ledger_reader){ .db = db, .filter = filter, .after = range->after, .last = range->last };
    return reader;
}

void ledger_reader_free(struct ledger_reader **reader)
{
    if (!*reader)
        return;
    PQclear((*reader)->row);
    while ((*reader)->busy) {
        scoped(result_clear) PGresult *result = PQgetResult((*reader)->db->connection);

        (*reader)->busy = result;
    }
    free(*reader);
    *reader = NULL;
}

static int page_start(struct ledger_reader *reader, struct error *err)
{
    /* As many rows as fields, or one for an entry without any. Bytes come only with the first row of an entry. */
    static const char sql[] =
        "SELECT e.position, (extract(epoch FROM e.time) * 1000000)::bigint, e.kind, e.agency, e.type, e.record, "
        "e.other,"
        "       e.operation, CASE WHEN f.place IS NULL OR f.place = 1 THEN e.body END,"
        "       cardinality(e.fields), f.name, f.verdict, f.rule"
        "  FROM (SELECT * FROM selaras.entry" WANTED " ORDER BY position LIMIT $7) e"
        "  LEFT JOIN LATERAL unnest(e.fields, e.verdicts, e.rules) WITH ORDINALITY AS f(name, verdict, rule, place) ON "
        "true"
        " ORDER BY e.position, f.place";
    scoped(arena_free) struct arena *arena = arena_new();
    const char *parameters[WANTED_PARAMETERS + 1];

    parameters_of(arena, reader->filter, reader->after, reader->last, parameters);
    parameters[WANTED_PARAMETERS] = arena_printf(arena, "%d", PAGE_ENTRIES);
    reader->page_entries = 0;
    if (!PQsendQueryParams(reader->db->connection, sql, WANTED_PARAMETERS + 1, NULL, parameters, NULL, NULL, 0))
        return query_failed(reader->db->connection, NULL, err);
    reader->busy = true;
    PQsetSingleRowMode(reader->db->connection);
    return 0;
}

/* Behind the last row of a page comes a result without one, and then none. */
static int row_read(struct ledger_reader *reader, struct error *err)
{
    scoped(result_clear) PGresult *result = PQgetResult(reader->db->connection);

    reader->busy = result;
    if (!result || PQresultStatus(result) == PGRES_TUPLES_OK)
        return 0;
    if (PQresultStatus(result) != PGRES_SINGLE_TUPLE)
        return query_failed(reader->db->connection, result, err);
    reader->row = result;
    result = NULL;
    return 0;
}

/* Makes `row` the next one, from the next page where one ends; NULL behind the last. */
static int row_peek(struct ledger_reader *reader, struct error *err)
{
    while (!reader->row && !reader->ended) {
        if (!reader->busy && page_start(reader, err) < 0)
            return err->code;
        while (reader->busy && !reader->row)
            if (row_read(reader, err) < 0)
                return err->code;
        if (!reader->row && reader->page_entries < PAGE_ENTRIES)
            reader->ended = true;
    }
    return 0;
}

static void row_entry(struct arena *arena, const PGresult *row, struct ledger_entry *ret)
{
    *ret = (struct ledger_entry){
        .position = (feed_position)cell_number(row, 0, 0),
        .time_us = cell_number(row, 0, 1),
        .kind = cell_text(arena, row, 0, 2),
        .agency = cell_text(arena, row, 0, 3),
        .type = cell_text(arena, row, 0, 4),
        .record = (uint64_t)cell_number(row, 0, 5),
        .other = (uint64_t)cell_number(row, 0, 6),
        .operation = cell_text(arena, row, 0, 7),
    };
    ret->has_body = cell_bytes(arena, row, 0, 8, &ret->body);
    ret->fields = arena_array(arena, (size_t)cell_number(row, 0, 9) + 1, sizeof *ret->fields);
}

static void row_field(struct arena *arena, const PGresult *row, struct ledger_entry *entry)
{
    if (!PQgetisnull(row, 0, 10))
        entry->fields[entry->field_count++] =
            (struct ledger_field){ cell_text(arena, row, 0, 10), cell_text(arena, row, 0, 11),
                                   cell_text(arena, row, 0, 12) };
}

int ledger_next(struct ledger_reader *reader, struct arena *arena, struct ledger_entry *ret, bool *ret_found,
                struct error *err)
{
    *ret_found = false;
    if (row_peek(reader, err) < 0)
        return err->code;
    if (!reader->row)
        return 0;
    row_entry(arena, reader->row, ret);
    assert(ret->position > reader->after);
    reader->after = ret->position;
    reader->page_entries++;
    *ret_found = true;
    while (reader->row && (feed_position)cell_number(reader->row, 0, 0) == ret->position) {
        row_field(arena, reader->row, ret);
        result_clear(&reader->row);
        if (row_peek(reader, err) < 0)
            return err->code;
    }
    return 0;
}
