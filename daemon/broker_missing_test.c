/* The core of the broker: what an agency had and has no more, after a load that it has asked for itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

#define CATALOG(limit)                                                                                                 \
    "catalog\n"                                                                                                        \
    "    version = 1\n"                                                                                                \
    "    agencies = \"a b\"\n"                                                                                         \
    "record\n"                                                                                                         \
    "    person\n"                                                                                                     \
    "        existence\n"                                                                                              \
    "            write = \"a b\"\n" limit "        read\n"                                                             \
    "            a = law\n"                                                                                            \
    "            b = law\n"                                                                                            \
    "        fields\n"                                                                                                 \
    "            nik\n"                                                                                                \
    "                type = text\n"                                                                                    \
    "                identifier = yes\n"                                                                               \
    "                write = \"a b\"\n"                                                                                \
    "            name\n"                                                                                               \
    "                type = text\n"                                                                                    \
    "                write = \"a b\"\n"

enum { ROWS = 5 };

static void ask(struct agent *agent)
{
    struct message error = { .kind = MESSAGE_ERROR };

    error.error.code = said("reload");
    error.error.text = said("table people was truncated");
    say(agent, error);
    assert_int_equal(row_of(agent)->state, STATE_NEW);
}

/* A load of the rows that `keys` has, of which "5x" has another name; `said_all`: that those are all. */
static void load(struct agent *agent, const char *keys, const char *said_all)
{
    struct report report = { .kind = REPORT_COMPLETE, .block = said("people") };
    uint32_t number = 0;

    greet(agent);
    for (const char *at = keys; *at; at++) {
        char key[2] = { *at, '\0' };
        struct change row =
            change_of(agent, OPERATION_LOAD, key, "nik", key, "name", at[1] == 'x' ? "other" : "same", NULL);

        at += at[1] == 'x';
        say_piece(agent,
                  (struct piece){
                      .first = ++number, .final = true, .nothing_seen = true, .changes = &row, .change_count = 1 });
    }
    if (said_all) {
        report.text = said(said_all);
        say_piece(agent,
                  (struct piece){
                      .first = ++number, .final = true, .nothing_seen = true, .reports = &report, .report_count = 1 });
    }
    say_load_end(agent);
}

/* Both have the rows 1 to 5, and have seen that. */
static void both(struct world *world, struct agent *a, struct agent *b)
{
    *a = agent_join(world, "a", "nik");
    *b = agent_join(world, "b", "nik");
    for (int i = 1; i <= ROWS; i++) {
        const char *key = arena_printf(world->arena, "%d", i);

        say_change(a, change_of(a, OPERATION_INSERT, key, "nik", key, "name", "same", NULL));
    }
    for (struct agent *agent = a; agent; agent = agent == a ? b : NULL) {
        apply(agent);
        agent->base = world->state.head;
        agent->lsn += 10;
        say_piece(agent, (struct piece){ .lsn = agent->lsn, .final = true, .base = agent->applied });
        agent->base = agent->applied;
    }
}

static int sent_since(const struct agent *agent, int frame, uint64_t record, enum operation operation)
{
    int count = 0;

    for (int i = frame; i < agent->world->frame_count; i++) {
        const struct feed *feed = &agent->world->frames[i].message.feed;

        if (agent->world->frames[i].message.kind == MESSAGE_FEED && goes_to(&agent->world->frames[i], agent))
            for (uint32_t at = 0; at < feed->item_count; at++)
                count += (record == 0 || feed->items[at].record == record) && feed->items[at].operation == operation;
    }
    return count;
}

static int sent_to(const struct agent *agent, int frame)
{
    return sent_since(agent, frame, 0, OPERATION_INSERT) + sent_since(agent, frame, 0, OPERATION_UPDATE) +
           sent_since(agent, frame, 0, OPERATION_DELETE);
}

static void exactly_what_is_different_is_told(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    int frame;

    (void)state;
    both(world, &a, &b);
    frame = world->frame_count;
    ask(&a);
    load(&a, "12x356", ""); /* 2 is another, 4 is gone, 6 is new */
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    assert_false(world->records[3].exists);
    assert_int_equal(sent_since(&b, frame, 2, OPERATION_UPDATE), 1);
    assert_int_equal(sent_since(&b, frame, 4, OPERATION_DELETE), 1);
    assert_int_equal(sent_since(&b, frame, 6, OPERATION_INSERT), 1);
    assert_int_equal(sent_to(&b, frame), 3);
    assert_int_equal(sent_to(&a, frame), 0);
    assert_int_equal(last_change(world)->entry.operation, OPERATION_DELETE);
    assert_int_equal(last_change(world)->entry.record, 4);
    assert_int_equal(verdict_in(last_change(world), "existence"), VERDICT_APPLIED);
    assert_int_equal(world->had_count, 0);
    assert_int_equal(world->told_count, 0);
    /* It stays gone, and the row of nobody else is found by what was noted. */
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_INSERT, "4", "nik", "4", "name", "again", NULL));
    assert_true(world->records[3].exists);
    world_free(&world);
}

/* Whatever is lost, whenever: what it had is written down. */
static void dies_in_the_end(int batches)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    struct report report = { .kind = REPORT_COMPLETE, .block = said("people") };
    struct change row;

    world_drop(world);
    world->options.batch_changes = 1;
    world_start(world);
    both(world, &a, &b);
    ask(&a);
    greet(&a);
    row = change_of(&a, OPERATION_LOAD, "3", "nik", "3", "name", "same", NULL);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &row, .change_count = 1 });
    report.text = said("");
    say_piece(&a,
              (struct piece){ .first = 2, .final = true, .nothing_seen = true, .reports = &report, .report_count = 1 });
    world->held = true;
    say_load_end(&a);
    while (batches-- > 0 && world->batch)
        answer_batch(world);
    world_drop(world);
    world->held = false;
    world_start(world);
    if (row_of(&a)->state == STATE_LOADING) { /* it goes on with what is not committed */
        greet(&a);
        say_load_end(&a);
    } else {
        greet(&a);
    }
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(world->records[i].exists, i == 2);
    world_free(&world);
}

static void a_broker_that_dies_at_the_end_goes_on(void **state)
{
    (void)state;
    for (int batches = 0; batches < 16; batches++)
        dies_in_the_end(batches);
}

/* The load is broken off, and begun anew. */
static void a_load_that_starts_over_knows_what_there_was(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    struct change row;

    (void)state;
    both(world, &a, &b);
    ask(&a);
    greet(&a);
    row = change_of(&a, OPERATION_LOAD, "4", "nik", "4", "name", "same", NULL);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &row, .change_count = 1 });
    a.incarnation = 0;
    load(&a, "1235", ""); /* 4 is gone by now */
    assert_false(world->records[3].exists);
    assert_true(world->records[4].exists);
    world_free(&world);
}

static void assert_sent_back(struct world *world, struct agent *a, int frame)
{
    assert_true(world->records[3].exists);
    assert_int_equal(sent_since(a, frame, 4, OPERATION_INSERT), 1);
    assert_int_equal(world->had_count, 0);
}

static void what_does_not_follow_is_sent_back(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    int frame;

    (void)state;
    both(world, &a, &b);
    frame = world->frame_count;
    reload(world, "a", "SK 1"); /* something was lost */
    load(&a, "1235", "");
    assert_sent_back(world, &a, frame);
    world_free(&world);

    world = world_new(CATALOG(""));
    both(world, &a, &b);
    frame = world->frame_count;
    ask(&a);
    load(&a, "1235", NULL); /* nobody says that these were all */
    assert_sent_back(world, &a, frame);
    world_free(&world);

    world = world_new(CATALOG(""));
    both(world, &a, &b);
    ask(&a);
    frame = world->frame_count;
    reload(world, "a", "SK 1"); /* a person says so */
    load(&a, "1235", "");
    assert_sent_back(world, &a, frame);
    world_free(&world);

    world = world_new(CATALOG(""));
    both(world, &a, &b);
    ask(&a);
    frame = world->frame_count;
    a.incarnation = 0; /* this database knows nothing of a load */
    load(&a, "1235", "");
    assert_sent_back(world, &a, frame);
    world_free(&world);
}

/* What it had seen when it asked counts, not that it has been loaded since. */
static void what_others_wrote_may_be_deleted_by_who_has_seen_it(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    int frame;

    (void)state;
    both(world, &a, &b);
    frame = world->frame_count;
    ask(&b);
    load(&b, "1235", "");
    assert_false(world->records[3].exists);
    assert_int_equal(verdict_in(last_change(world), "existence"), VERDICT_APPLIED);
    assert_int_equal(sent_since(&a, frame, 4, OPERATION_DELETE), 1);
    assert_int_equal(sent_to(&a, frame), 1);
    assert_int_equal(sent_to(&b, frame), 0);
    world_free(&world);
}

/* What others have written since it had seen the record counts as for any deletion. */
static void a_deletion_that_loses_is_put_back(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    int frame;

    (void)state;
    both(world, &a, &b);
    frame = world->frame_count;
    say_change(&a, change_of(&a, OPERATION_UPDATE, "4", "name", "new", NULL));
    ask(&b);
    load(&b, "1235", "");
    assert_true(world->records[3].exists);
    assert_int_equal(last_change(world)->entry.record, 4);
    assert_int_equal(verdict_in(last_change(world), "existence"), VERDICT_LOST);
    assert_int_equal(sent_since(&b, frame, 4, OPERATION_INSERT), 1);
    assert_string_equal(item_value(last_item(&b, 4), "name"), "new");
    assert_int_equal(row_of(&b)->state, STATE_ACTIVE);
    world_free(&world);
}

/* What it was sent and never had is none of its deletions. */
static void what_it_never_had_is_sent(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    int frame;

    (void)state;
    both(world, &a, &b);
    say_change(&a, change_of(&a, OPERATION_INSERT, "6", "nik", "6", "name", "late", NULL)); /* on its way to b */
    say_change(&a, change_of(&a, OPERATION_INSERT, "7", "nik", "7", "name", "bad", NULL));
    apply(&b);
    b.base = b.applied;
    say_report(&b, REPORT_PARKED, 7, b.base, "a constraint");
    say_change(&a, change_of(&a, OPERATION_INSERT, "8", "nik", "8", "name", "later", NULL));
    ask(&b);
    frame = world->frame_count;
    load(&b, "123456", "");
    assert_true(world->records[6].exists);
    assert_true(world->records[7].exists);
    assert_int_equal(sent_since(&b, frame, 7, OPERATION_INSERT), 1);
    assert_int_equal(sent_since(&b, frame, 8, OPERATION_INSERT), 1);
    assert_int_not_equal(last_change(world)->entry.operation, OPERATION_DELETE);
    world_free(&world);
}

/* All of them are one import, on however many pages they stand. */
static void too_many_are_held(void **state)
{
    struct world *world = world_new(CATALOG("            limit = \"deletions 2 1 h\"\n"));
    struct agent a, b;
    int frame;

    (void)state;
    world_drop(world);
    world->options.batch_changes = 1;
    world_start(world);
    both(world, &a, &b);
    frame = world->frame_count;
    ask(&a);
    load(&a, "12", "");
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(world->records[i].exists);
    assert_int_equal(world->hold_count, 1);
    assert_int_equal(world->held_count, 3);
    assert_int_equal(sent_to(&a, frame) + sent_to(&b, frame), 0);
    world_free(&world);
    world = world_new(CATALOG("            limit = \"deletions 3 1 h\"\n"));
    world_drop(world);
    world->options.batch_changes = 1;
    world_start(world);
    both(world, &a, &b);
    ask(&a);
    load(&a, "12", "");
    assert_int_equal(world->hold_count, 0);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(world->records[i].exists, i < 2);
    world_free(&world);
}

static void an_empty_table_is_not_believed(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;
    int frame;

    (void)state;
    both(world, &a, &b);
    ask(&a);
    frame = world->frame_count;
    load(&a, "", "empty");
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_int_equal(row_of(&a)->quarantine, QUARANTINE_LOST);
    assert_int_equal(sent_to(&a, frame) + sent_to(&b, frame), 0);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(world->records[i].exists);
    reload(world, "a", "SK 2");
    load(&a, "1235", "");
    assert_sent_back(world, &a, frame);
    world_free(&world);
}

static void a_report_has_its_place(void **state)
{
    struct world *world = world_new(CATALOG(""));
    struct agent a, b;

    (void)state;
    both(world, &a, &b);
    say_report(&a, REPORT_COMPLETE, 0, a.base, "");
    assert_error(&a, "malformed");
    ask(&b);
    greet(&b);
    say_piece(&b, (struct piece){ .first = 1,
                                  .final = true,
                                  .nothing_seen = true,
                                  .reports = &(struct report){ .kind = REPORT_COMPLETE, .block = said("others") },
                                  .report_count = 1 });
    assert_error(&b, "malformed");
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_what_is_different_is_told),
        cmocka_unit_test(a_broker_that_dies_at_the_end_goes_on),
        cmocka_unit_test(a_load_that_starts_over_knows_what_there_was),
        cmocka_unit_test(what_does_not_follow_is_sent_back),
        cmocka_unit_test(what_others_wrote_may_be_deleted_by_who_has_seen_it),
        cmocka_unit_test(a_deletion_that_loses_is_put_back),
        cmocka_unit_test(what_it_never_had_is_sent),
        cmocka_unit_test(too_many_are_held),
        cmocka_unit_test(an_empty_table_is_not_believed),
        cmocka_unit_test(a_report_has_its_place),
    };

    return cmocka_run_group_tests_name("broker_missing", tests, NULL, NULL);
}
