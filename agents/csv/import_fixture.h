/* import_fixture.h: lists taken into a real state file and batches applied to it, for tests. */
#ifndef SELARAS_CSV_IMPORT_FIXTURE_H
#define SELARAS_CSV_IMPORT_FIXTURE_H

#include "agents/csv/amend.h"
#include "agents/csv/import.h"
#include "agents/csv/list_fixture.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct list_fixture fixture;
static char folder[64];
static struct state *state_now;
static struct refusals refusals;

enum { BEFORE_US = 1500, FED_US = 2000, AFTER_US = 2500, NOW_US = 4000 };
static int64_t saved_us;  /* when the next list was saved */
static const char *owner; /* by whom */

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail_msg("%s", err.text);                                                                                  \
    } while (0)

static inline int begin(void)
{
    struct error err;

    refusals.arena = fixture.arena;
    refusals.count = 0;
    saved_us = AFTER_US;
    owner = NULL;
    snprintf(folder, sizeof folder, "/tmp/selaras-state-XXXXXX");
    assert_non_null(mkdtemp(folder));
    MUST(state_open(folder, &state_now, &err));
    MUST(state_begin(state_now, &err));
    MUST(state_loaded(state_now, 1, 100, &err));
    MUST(state_commit(state_now, &err));
    return 0;
}

static inline int setup(void **state)
{
    (void)state;
    if (sodium_init() < 0)
        return -1;
    list_fixture_new(&fixture);
    return begin();
}

static inline int teardown(void **state);

/* The same with another catalog or mapping. */
static inline void setup_with(const char *catalog, const char *mapping)
{
    assert_int_equal(teardown(NULL), 0);
    list_fixture_of(&fixture, catalog, mapping);
    assert_int_equal(begin(), 0);
}

static inline int teardown(void **state)
{
    (void)state;
    state_close(&state_now);
    for (int i = 0; i < 3; i++)
        unlink(arena_printf(fixture.arena, "%s/state.sqlite%s", folder, i == 0 ? "" : i == 1 ? "-wal" : "-shm"));
    rmdir(folder);
    arena_free(&fixture.arena);
    return 0;
}

#define COLUMNS "NIK;Nama;Lahir;Iuran;Berhak"
#define HEADER COLUMNS "\n"

static inline struct import *import_begin(const char *text, bool complete)
{
    struct import_options options = { .mapping = &fixture.mapping,
                                      .form = &fixture.forms[0],
                                      .name = "warga.csv",
                                      .owner = owner,
                                      .saved_us = saved_us,
                                      .complete = complete,
                                      .outbox = true,
                                      .rows_most = 1000 };

    refusals.count = 0;
    return import_new(state_now, &options, strdup(text), strlen(text), &refusals);
}

static inline enum import_end import_all(const char *text, bool complete)
{
    struct import *import = import_begin(text, complete);
    enum import_end end = IMPORT_GOES_ON;
    struct error err;

    while (end == IMPORT_GOES_ON)
        MUST(import_step(import, NOW_US, &end, &err));
    import_free(&import);
    return end;
}

/* What waits for the broker behind transaction `number`, as "insert 1 base;..." */
static inline const char *waiting(uint64_t number)
{
    const char *text = "";
    struct piece piece;
    struct error err;
    bool found = true;

    for (;;) {
        MUST(state_piece(state_now, fixture.arena, number, 0, 1 << 20, &piece, &found, &err));
        if (!found)
            return text;
        assert_true(piece.final);
        assert_true(piece.fence.seq > 0);
        for (uint32_t i = 0; i < piece.change_count; i++) {
            struct change change = piece.changes[i];

            assert_true(change_committed(&change));
            MUST(change_decode(fixture.arena, &change, &err));
            text =
                arena_printf(fixture.arena, "%s%s %.*s (%u fields, base %d);", text, operation_name(change.operation),
                             (int)change.key.length, change.key.bytes, change.field_count, (int)piece.base);
        }
        for (uint32_t i = 0; i < piece.report_count; i++)
            text = arena_printf(fixture.arena, "%s%s %d;", text, report_name(piece.reports[i].kind),
                                (int)piece.reports[i].record);
        number = piece.lsn;
    }
}

static inline const char *should(const char *key)
{
    struct state_row row;
    struct error err;

    MUST(state_row(state_now, fixture.arena, fixture.block, (struct text){ key, (uint32_t)strlen(key) }, &row, &err));
    return list_text(&fixture, row.sides.should);
}

static inline uint64_t to_correct(void)
{
    struct error err;
    uint64_t count;

    MUST(state_count(state_now, "warga", STATE_DIFFERS, &count, &err));
    return count;
}

/* One item as the broker feeds it: fields as "name=value,name=value". */
static inline struct item item_of(enum operation operation, uint64_t record, const char *key, const char *fields)
{
    struct item item = { .position = 200 + record,
                         .record = record,
                         .operation = operation,
                         .block = { "warga", 5 },
                         .key = { key, (uint32_t)strlen(key) },
                         .fields = arena_array(fixture.arena, F_COUNT, sizeof *item.fields) };

    while (*fields) {
        size_t name = strcspn(fields, "="), value = strcspn(fields + name + 1, ",");

        item.fields[item.field_count++] =
            (struct item_field){ { arena_copy(fixture.arena, fields, name), (uint32_t)name },
                                 value_text(arena_copy(fixture.arena, fields + name + 1, value)) };
        fields += name + 1 + value;
        fields += *fields == ',';
    }
    return item;
}

static inline void feed_all(struct amend *amend, struct item *items, uint32_t count, feed_position position)
{
    struct feed feed = { .final = true, .position = position, .leaf = { 7 }, .items = items, .item_count = count };
    feed_position applied = 0;
    struct error err;
    bool taken;

    MUST(amend_take(amend, &feed, &taken, &err));
    assert_true(taken);
    while (amend_waits(amend))
        MUST(amend_step(amend, FED_US, &applied, &err));
    assert_int_equal(applied, position);
}

#endif
