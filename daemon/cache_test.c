/* What the core knows without asking. The store of the fixture compares every answer of the cache with what it has
 * (check_known), so each history here is also a test of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static void what_has_changed_lately_is_neither_looked_up_nor_scanned(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int lookups, scans;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    lookups = world->lookup_count;
    scans = world->scan_total;
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "z", NULL));
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "village", "v", "street", "s", NULL)); /* another key of it */
    assert_int_equal(world->lookup_count, lookups + 1);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "village", "w", "street", "s", NULL));
    assert_int_equal(world->lookup_count, lookups + 1);
    assert_int_equal(world->scan_total, scans);
    assert_canonical(world, 1, NAME, "z");
    assert_string_equal(item_value(last_item(&b, 1), "name"), "z");
    assert_string_equal(item_value(last_item(&a, 1), "village"), "w");
    world_free(&world);
}

static void a_key_that_has_changed_hands_is_asked_for_again(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    say_change(&a, moved(&a, "1", "2", true, NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "other", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "another", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "2", "name", "z", NULL));
    assert_canonical(world, 1, NAME, "z");
    assert_canonical(world, 2, NAME, "another");
    assert_true(same_text(last_item(&b, 1)->key, said("2")));
    assert_true(same_text(last_item(&b, 2)->key, said("1")));
    world_free(&world);
}

static void a_new_load_forgets_all_keys(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_new(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change change = change_of(&a, OPERATION_LOAD, "1", "nik", "1", "name", "x", NULL);

    (void)state;
    say_change(&b, change_of(&b, OPERATION_INSERT, "1", "nik", "1", NULL));
    greet(&a);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &change, .change_count = 1 });
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "y", NULL));
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "z", NULL));
    assert_int_equal(world->known_count, 1);
    a.incarnation = 0;
    a.applied = 0;
    greet(&a); /* its links are gone */
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "zz", NULL));
    assert_int_equal(world->known_count, 1);
    world_free(&world);
}

static void a_store_that_failed_leaves_nothing_behind(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "never stored", NULL));
    assert_true(world->storing);
    world_drop(world);
    world->held = false;
    world_start(world);
    greet(&a);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "village", "v", "street", "s", NULL));
    assert_canonical(world, 1, NAME, "y");
    world_free(&world);
}

/* Of those fed in its present session. */
static int count_items(const struct agent *agent, uint64_t record, enum operation operation, const char *key)
{
    const struct world *world = agent->world;
    int count = 0;

    for (int i = 0; i < world->frame_count; i++) {
        const struct message *message = &world->frames[i].message;

        if (message->kind != MESSAGE_FEED || message->session != agent->session || !goes_to(&world->frames[i], agent))
            continue;
        for (uint32_t at = 0; at < message->feed.item_count; at++)
            count += message->feed.items[at].record == record && message->feed.items[at].operation == operation &&
                     same_text(message->feed.items[at].key, said(key));
    }
    return count;
}

/* b's key 1 is record 1 up to where it has applied, and record 2 behind that. Both are known afterwards. */
static void give_key_one_to_another(struct agent *a, struct agent *b)
{
    say_change(a, change_of(a, OPERATION_INSERT, "1", "nik", "1", NULL));
    apply(b);
    say_change(a, moved(a, "1", "2", true, NULL));
    say_change(a, change_of(a, OPERATION_INSERT, "1", "nik", "1", NULL));
}

static void half_of_a_key_is_not_taken_for_all_of_it(void **state)
{
    for (int together = 0; together < 2; together++) {
        struct world *world = world_new(fixture_catalog);
        struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik"),
                     c = agent_join(world, "c", NULL);

        give_key_one_to_another(&a, &b);
        apply(&c);
        if (!together)
            say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "x", NULL));
        world->held = together; /* what is found and what changes it are in one batch then */
        say_change(&a, change_of(&a, OPERATION_UPDATE, "2", "size", "1", NULL));
        say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "y", NULL));
        say_report(&c, REPORT_LINKED, 1, c.base, "77"); /* record 1 has another link: it is forgotten */
        world->held = false;
        settle(world);
        say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "z", NULL));
        assert_canonical(world, 1, NAME, "z");
        assert_canonical(world, 2, NAME, "(null)");
        world_free(&world);
    }
    (void)state;
}

static void records_of_a_fill_are_not_taken_for_records_without_links(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik"), c;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    c = agent_join(world, "c", NULL);
    assert_int_equal(last_item(&c, 1)->operation, OPERATION_INSERT);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "x", NULL));
    assert_true(same_text(last_item(&b, 1)->key, said("1")));
    world_free(&world);
}

static void an_evicted_record_takes_its_keys_with_it(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a, b;

    (void)state;
    world->options.cache_bytes = 3000; /* a few records */
    world_drop(world);
    world_start(world);
    a = agent_join(world, "a", "nik");
    b = agent_join(world, "b", "nik");
    give_key_one_to_another(&a, &b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "x", NULL));
    for (int i = 0; i < 8; i++) {
        const char *key = arena_printf(world->arena, "%d", 10 + i);

        say_change(&a, change_of(&a, OPERATION_INSERT, key, "nik", key, NULL));
        say_change(&a, change_of(&a, OPERATION_UPDATE, key, "name", "x", NULL));
        say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "size", i % 2 ? "5" : "6", NULL)); /* record 2 stays */
    }
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "z", NULL));
    assert_canonical(world, 1, NAME, "z");
    assert_canonical(world, 2, NAME, "(null)");
    world_free(&world);
}

static void a_reader_that_was_away_gets_each_item_by_its_own_key(void **state)
{
    for (int restarted = 0; restarted < 2; restarted++) {
        struct world *world = world_new(fixture_catalog);
        struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

        apply(&b);
        say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
        if (restarted) { /* the insert is not among the recent entries any more */
            world_drop(world);
            world_start(world);
            greet(&a);
        }
        say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "x", NULL));
        say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
        greet(&b);
        assert_int_equal(count_items(&b, 1, OPERATION_INSERT, ""), 1);
        assert_int_equal(count_items(&b, 1, OPERATION_UPDATE, "1"), 2);
        world_free(&world);
    }
    (void)state;
}

/* ---- random histories ---- */

enum { STEPS = 600, KEYS = 12 };

struct history {
    struct world *world;
    struct agent agents[AGENCIES];
    uint64_t random;
    bool alone; /* each change has a batch of its own */
};

static unsigned roll(struct history *history, unsigned sides)
{
    history->random = history->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(history->random >> 33) % sides;
}

static void restart(struct history *history)
{
    world_drop(history->world);
    history->world->held = false;
    world_start(history->world);
    for (int i = 0; i < AGENCIES; i++)
        greet(&history->agents[i]);
}

static void report(struct history *history, struct agent *agent, const char *key)
{
    uint64_t record = 1 + roll(history, history->world->record_count + 1);

    if (agent->base == 0)
        return;
    if (roll(history, 2))
        say_report(agent, REPORT_LINKED, record, agent->base, key);
    else
        say_report(agent, REPORT_SKIPPED, record, agent->base, "");
}

/* One thing that an agency does; what is nonsense of it is held, and must be so however it was found. */
static void do_something(struct history *history)
{
    struct agent *agent = &history->agents[roll(history, AGENCIES)];
    struct arena *arena = history->world->arena;
    const char *key = arena_printf(arena, "%u", 1 + roll(history, KEYS));
    const char *other = arena_printf(arena, "%u", 1 + roll(history, KEYS));
    const char *word = arena_printf(arena, "w%u", roll(history, 1000));

    switch (roll(history, 16)) {
    case 0:
    case 1:
        say_change(agent, change_of(agent, OPERATION_INSERT, key, "nik", key, "name", word, NULL));
        break;
    case 2:
        say_change(agent, moved(agent, key, other, roll(history, 2), word));
        break;
    case 3:
        say_change(agent, change_of(agent, OPERATION_DELETE, key, "nik", key, NULL));
        break;
    case 4:
        report(history, agent, key);
        break;
    case 5:
    case 6:
        apply(agent);
        break;
    case 7:
        history->world->held = !history->alone; /* what comes now is one batch */
        break;
    case 8:
        history->world->held = false;
        settle(history->world);
        break;
    case 9:
        if (roll(history, 10) == 0)
            restart(history);
        break;
    default:
        say_change(agent, change_of(agent, OPERATION_UPDATE, key, "name", word, NULL));
    }
}

static struct world *history_run(uint64_t seed, uint64_t cache_bytes, bool alone)
{
    struct history history = { .world = world_new(fixture_catalog), .random = seed, .alone = alone };
    struct world *world = history.world;

    world->options.cache_bytes = cache_bytes;
    world_drop(world);
    world_start(world);
    history.agents[A] = agent_join(world, "a", "nik");
    history.agents[B] = agent_join(world, "b", "nik");
    history.agents[C] = agent_join(world, "c", NULL);
    for (int step = 0; step < STEPS; step++)
        do_something(&history);
    world->held = false;
    settle(world);
    for (int i = 0; i < AGENCIES; i++)
        assert_int_equal(count_sent(&history.agents[i], MESSAGE_ERROR), 0);
    return world;
}

static void what_is_known_is_what_is_stored(void **state)
{
    enum { SEEDS = 60 };
    int known[3] = { 0 };

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (unsigned size = 0; size < 3; size++) {
            struct world *world = history_run(seed, (const uint64_t[]){ 0, 3000, 1 << 20 }[size], false);

            known[size] += world->known_count;
            world_free(&world);
        }
    assert_int_equal(known[0], 0);
    assert_true(known[1] > 0 && known[1] < known[2]);
}

/* The next item that was sent on this route. */
static const struct item *next_item(const struct world *world, uint8_t route, int *frame, uint32_t *item)
{
    for (; *frame < world->frame_count; (*frame)++, *item = 0) {
        const struct message *message = &world->frames[*frame].message;

        if (message->kind == MESSAGE_FEED && world->frames[*frame].route.bytes[0] == route &&
            *item < message->feed.item_count)
            return &message->feed.items[(*item)++];
    }
    return NULL;
}

static void assert_same_feed(const struct world *left, const struct world *right, uint8_t route)
{
    int left_frame = 0, right_frame = 0;
    uint32_t left_item = 0, right_item = 0;
    const struct item *item, *other;

    while ((item = next_item(left, route, &left_frame, &left_item))) {
        other = next_item(right, route, &right_frame, &right_item);
        assert_non_null(other);
        assert_int_equal(item->position, other->position);
        assert_int_equal(item->record, other->record);
        assert_true(same_text(item->key, other->key));
    }
    assert_null(next_item(right, route, &right_frame, &right_item));
}

static void assert_same_ledger(const struct world *left, const struct world *right)
{
    assert_int_equal(left->entry_count, right->entry_count);
    for (uint32_t i = 0; i < left->entry_count; i++) {
        assert_true(same_text(left->entries[i].leaf, right->entries[i].leaf));
        assert_true(same_text(left->entries[i].effect, right->entries[i].effect));
        assert_true(same_text(left->entries[i].reply, right->entries[i].reply));
    }
}

static void a_cache_changes_no_decision(void **state)
{
    enum { SEEDS = 40 };

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *with = history_run(seed, 1 << 20, true), *without = history_run(seed, 0, true);

        assert_same_ledger(with, without);
        for (uint8_t route = 1; route <= AGENCIES; route++)
            assert_same_feed(with, without, route);
        assert_true(with->scan_total < without->scan_total);
        world_free(&with);
        world_free(&without);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_changed_lately_is_neither_looked_up_nor_scanned),
        cmocka_unit_test(a_key_that_has_changed_hands_is_asked_for_again),
        cmocka_unit_test(a_new_load_forgets_all_keys),
        cmocka_unit_test(a_store_that_failed_leaves_nothing_behind),
        cmocka_unit_test(half_of_a_key_is_not_taken_for_all_of_it),
        cmocka_unit_test(an_evicted_record_takes_its_keys_with_it),
        cmocka_unit_test(records_of_a_fill_are_not_taken_for_records_without_links),
        cmocka_unit_test(a_reader_that_was_away_gets_each_item_by_its_own_key),
        cmocka_unit_test(what_is_known_is_what_is_stored),
        cmocka_unit_test(a_cache_changes_no_decision),
    };

    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
