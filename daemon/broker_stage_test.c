/* What agencies may send ahead, and how much of it a batch takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"
#include "daemon/peer.h"

enum { LONG_BYTES = 200 * 1000, FRAME_BYTES = LONG_BYTES + 500 };

/* An agent that sends one transaction, a change a frame, as its credit allows. */
struct sender {
    struct agent agent;
    uint64_t sent;
    uint32_t first, count, done;
};

static uint64_t credit_of(const struct sender *sender)
{
    const struct message *welcome = last_sent(&sender->agent, MESSAGE_WELCOME);
    const struct message *credit = last_sent(&sender->agent, MESSAGE_CREDIT);

    return credit->kind && credit->session == sender->agent.session ? credit->credit.total : welcome->welcome.credit;
}

/* False: it has no credit, or is done. */
static bool send_next(struct sender *sender)
{
    struct agent *agent = &sender->agent;
    struct change change;

    if (sender->done == sender->count || sender->sent + FRAME_BYTES > credit_of(sender))
        return false;
    change = numbered(agent, sender->first + sender->done, long_text(agent->world, LONG_BYTES));
    say_piece(agent, (struct piece){ .lsn = agent->lsn + 10,
                                     .first = sender->done,
                                     .final = sender->done + 1 == sender->count,
                                     .base = agent->base,
                                     .changes = &change,
                                     .change_count = 1 });
    sender->sent += FRAME_BYTES;
    sender->done++;
    return true;
}

static uint64_t staged_by(const struct sender *sender)
{
    return peer_by_id(sender->agent.world->broker, sender->agent.id)->staged_bytes;
}

static void one_large_transaction_at_a_time_may_exceed_its_share(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct sender a = { .agent = agent_join(world, "a", "nik"), .first = 1, .count = 20 };
    struct sender b = { .agent = agent_join(world, "b", "nik"), .first = 101, .count = 20 };

    (void)state;
    while (a.done < 10 && send_next(&a))
        ;
    while (send_next(&b))
        ;
    assert_int_equal(a.done, 10); /* two megabytes, of one that it may send ahead */
    assert_true(b.done < 20 && staged_by(&b) <= stage_share(world->broker));
    while (a.done < 19) {
        assert_true(send_next(&a));
        assert_false(send_next(&b));
    }
    assert_true(send_next(&a));
    while (send_next(&b))
        ;
    assert_int_equal(b.done, 20);
    assert_int_equal(world->record_count, 40);
    assert_int_equal(count_sent(&a.agent, MESSAGE_ERROR) + count_sent(&b.agent, MESSAGE_ERROR), 0);
    world_free(&world);
}

static void whoever_stalls_gives_way(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct sender a = { .agent = agent_join(world, "a", "nik"), .first = 1, .count = 20 };
    struct sender b = { .agent = agent_join(world, "b", "nik"), .first = 101, .count = 20 };

    (void)state;
    while (a.done < 10 && send_next(&a))
        ;
    pass(world, 31000);
    assert_int_equal(count_sent(&a.agent, MESSAGE_ERROR), 0); /* nobody waits */
    while (send_next(&b))
        ;
    assert_true(b.done < 20);
    pass(world, 1000);
    assert_error(&a.agent, "busy");
    while (send_next(&b))
        ;
    assert_int_equal(b.done, 20);
    assert_int_equal(world->record_count, 20);
    world_free(&world);
}

static void a_session_that_ends_gives_way(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct sender a = { .agent = agent_join(world, "a", "nik"), .first = 1, .count = 20 };
    struct sender b = { .agent = agent_join(world, "b", "nik"), .first = 101, .count = 20 };

    (void)state;
    while (a.done < 10 && send_next(&a))
        ;
    while (send_next(&b))
        ;
    assert_true(b.done < 20);
    greet(&a.agent); /* its connection was lost */
    a.sent = a.done = 0;
    while (send_next(&b))
        ;
    assert_int_equal(b.done, 20);
    while (send_next(&a))
        ;
    assert_int_equal(world->record_count, 40);
    world_free(&world);
}

static void all_agencies_share_what_may_be_staged(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct sender a = { .agent = agent_join(world, "a", "nik") };

    (void)state;
    assert_int_equal(credit_of(&a), world->options.window_bytes);
    world_drop(world);
    world->options.window_bytes = 8 << 20;
    world->options.total_bytes = 8 << 20;
    world_start(world);
    enrol(world, "b", 2);
    greet(&a.agent);
    assert_int_equal(credit_of(&a), 4 << 20);
    world_drop(world);
    world->options.total_bytes = 1 << 20;
    world_start(world);
    greet(&a.agent);
    assert_in_range(credit_of(&a), FRAME_BYTES_MAX, 2 * FRAME_BYTES_MAX); /* each can always send its largest frame */
    world_free(&world);
}

/* An agency can let many small changes name large records. */
static void batches_are_smaller_when_records_are_large(void **state)
{
    enum { RECORDS = 100 };
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    static struct change changes[RECORDS];
    const char *text = long_text(world, 200 * 1000);
    uint32_t most = world->broker->batch_changes;

    (void)state;
    for (uint32_t i = 0; i < RECORDS; i++) {
        const char *key = arena_printf(world->arena, "%u", i + 1);

        say_change(
            &a, change_of(&a, OPERATION_INSERT, key, "nik", key, "name", text, "village", text, "street", text, NULL));
    }
    assert_int_equal(world->record_count, RECORDS);
    assert_int_equal(world->broker->batch_changes, most);
    for (uint32_t i = 0; i < RECORDS; i++) {
        const char *key = arena_printf(world->arena, "%u", i + 1);

        changes[i] = change_of(&a, OPERATION_UPDATE, key, "name", "x", NULL);
    }
    say_changes(&a, changes, RECORDS);
    assert_in_range(world->broker->batch_changes, 1, 40);
    for (uint32_t i = 1; i < 20; i++)
        say_change(&a, numbered(&a, 1000 + i, "x"));
    assert_int_equal(world->broker->batch_changes, most);
    world_free(&world);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        T(one_large_transaction_at_a_time_may_exceed_its_share),
        T(whoever_stalls_gives_way),
        T(a_session_that_ends_gives_way),
        T(all_agencies_share_what_may_be_staged),
        T(batches_are_smaller_when_records_are_large),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
