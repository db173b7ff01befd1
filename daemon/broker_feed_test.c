/* The core of the broker: what each agency is sent, and what it reports of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

static void an_insert_reaches_the_others_and_not_its_writer(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_INSERT);
    assert_int_equal(last_item(&b, 1)->key.length, 0);
    assert_int_equal(last_item(&a, 1)->record, 0);
    apply(&b);
    say_report(&b, REPORT_LINKED, 1, b.base, "77");
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "Siti Aminah", NULL));
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_UPDATE);
    assert_true(same_text(last_item(&b, 1)->key, said("77")));
    say_change(&b, change_of(&b, OPERATION_UPDATE, "77", "name", "Aminah", NULL));
    assert_string_equal(item_value(last_item(&a, 1), "name"), "(absent)"); /* b is below a, and had not seen its name */
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_LOST);
    world_free(&world);
}

static void a_write_that_is_not_allowed_is_put_back(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "eligible", "true", NULL));
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "eligible", "false", NULL));
    assert_string_equal(item_value(last_item(&b, 1), "eligible"), "true");
    assert_true(same_text(last_item(&b, 1)->reason.verdict, said("put back")));
    assert_true(same_text(last_item(&b, 1)->reason.by, said("a")));
    assert_string_equal(canonical_value(world, 1, ELIGIBLE), "true");
    assert_int_equal(last_item(&a, 1)->record, 0);
    world_free(&world);
}

static void an_accepted_write_is_echoed_over_an_older_item(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "y", NULL)); /* on its way to a ... */
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "z", NULL)); /* which wins as owner */
    assert_string_equal(canonical_value(world, 1, NAME), "z");
    assert_string_equal(item_value(last_item(&a, 1), "name"), "z");
    assert_string_equal(item_value(last_item(&b, 1), "name"), "z");
    world_free(&world);
}

static void feed_waits_for_credit(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");
    struct message credit = { .kind = MESSAGE_CREDIT };

    (void)state;
    b.credit = 100;
    greet(&b);
    say_load_end(&b);
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    assert_int_equal(last_item(&b, 1)->record, 0);
    credit.credit.total = 100000;
    say(&b, credit);
    assert_int_equal(last_item(&b, 1)->record, 1);
    world_free(&world);
}

static void feed_that_was_not_applied_comes_again(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int feeds;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    feeds = count_sent(&b, MESSAGE_FEED);
    greet(&b);
    assert_int_equal(count_sent(&b, MESSAGE_FEED), feeds + 1);
    apply(&b);
    greet(&b); /* with the leaf of the batch that it has applied */
    assert_int_equal(count_sent(&b, MESSAGE_FEED), feeds + 1);
    world_free(&world);
}

static void an_idle_agency_is_told_how_far_the_ledger_is(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_int_equal(last_sent(&a, MESSAGE_FEED)->kind, MESSAGE_NONE);
    pass(world, 3000);
    assert_int_equal(last_sent(&a, MESSAGE_FEED)->kind, MESSAGE_FEED);
    assert_int_equal(last_sent(&a, MESSAGE_FEED)->feed.position, world->state.head);
    assert_int_equal(last_sent(&a, MESSAGE_FEED)->feed.item_count, 0);
    world_free(&world);
}

static void applied_positions_are_stored(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct message applied = { .kind = MESSAGE_APPLIED };

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    apply(&b);
    applied.applied.position = b.applied;
    say(&b, applied);
    pass(world, 1000);
    assert_int_equal(row_of(&b)->applied, b.applied);
    applied.applied.position = world->state.head + 5;
    say(&b, applied);
    assert_error(&b, "base");
    world_free(&world);
}

static void a_skip_is_answered_with_the_whole_record(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    apply(&b);
    say_report(&b, REPORT_SKIPPED, 1, b.base, "");
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_INSERT);
    assert_string_equal(item_value(last_item(&b, 1), "name"), "y");
    assert_int_equal(world->debt_count, 1);
    assert_false(world->debts[0].settled);
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "size", "3", NULL)); /* on a base that has seen the answer */
    assert_true(world->debts[0].settled);
    world_free(&world);
}

/* Its clerks gave the row another key while an item looked for the old one. */
static void a_row_that_moved_before_it_was_skipped_is_known_by_its_new_key(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", NULL);
    struct text key;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    say_report(&b, REPORT_LINKED, 1, b.base, "id7");
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    say_change(&b, moved(&b, "id7", "id8", false, NULL));
    apply(&b);
    say_report(&b, REPORT_SKIPPED, 1, b.base, "id7");
    key = last_item(&b, 1)->key;
    assert_int_equal(key.length, 3);
    assert_memory_equal(key.bytes, "id8", 3);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "id8", "size", "3", NULL));
    assert_string_equal(canonical_value(world, 1, SIZE), "3");
    world_free(&world);
}

static void a_late_change_is_decided_as_before_the_item_and_answered(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    apply(&b);
    say_report(&b, REPORT_LATE, 1, b.base, "");
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "w", NULL));
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_LOST);
    assert_string_equal(item_value(last_item(&b, 1), "name"), "y");
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "v", NULL)); /* found by its key as before */
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_APPLIED);
    assert_true(world->debts[0].settled);
    world_free(&world);
}

static void a_skip_that_is_said_again_is_answered_once(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    feed_position first;
    uint32_t entries;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    first = world->state.head - 1;
    apply(&b);
    entries = world->entry_count;
    say_report(&b, REPORT_SKIPPED, 1, b.base, "");
    for (int i = 0; i < 100; i++)
        say_report(&b, REPORT_SKIPPED, 1, i % 2 ? b.base : first, "");
    assert_int_equal(world->entry_count, entries + 1);
    assert_int_equal(world->debt_count, 1);
    apply(&b); /* the answer, which is skipped too */
    say_report(&b, REPORT_SKIPPED, 1, b.base, "");
    assert_int_equal(world->entry_count, entries + 2);
    world_free(&world);
}

/* A list that was saved before an item is read after a list that met no row: what it says counts as made before that
 * item, though the answer to the later one is on its way. */
static void what_was_made_before_an_earlier_item_counts_so_while_an_answer_comes(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    feed_position first;
    uint32_t entries;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    first = world->state.head;
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "size", "4", NULL));
    apply(&b);
    say_report(&b, REPORT_LATE, 1, b.base, "");
    entries = world->entry_count;
    for (int i = 0; i < 3; i++)
        say_report(&b, REPORT_LATE, 1, first, "");
    assert_int_equal(world->entry_count, entries);
    assert_int_equal(world->debt_count, 1);
    assert_int_equal(world->debts[0].debt.position, first);
    world_drop(world);
    world_start(world);
    greet(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "w", NULL));
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_LOST);
    assert_string_equal(canonical_value(world, 1, NAME), "y");
    world_free(&world);
}

static void a_skip_of_a_deleted_record_is_answered_with_its_deletion(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    feed_position skipped;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    apply(&b);
    skipped = b.base;
    say_change(&a, change_of(&a, OPERATION_DELETE, "1", "nik", "1", NULL));
    say_report(&b, REPORT_SKIPPED, 1, skipped, "");
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_DELETE);
    world_free(&world);
}

static void changes_of_a_parked_record_count_as_made_before_the_item(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    apply(&b);
    say_report(&b, REPORT_PARKED, 1, b.base, "too long");
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_PARKED);
    assert_string_equal(world->said_type, "person");
    assert_int_equal(world->said_position, last_entry(world)->entry.position);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "w", NULL)); /* it has not seen y */
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_LOST);
    say_report(&b, REPORT_RELEASED, 1, b.base, "");
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_RELEASED);
    assert_true(world->debts[0].settled);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "v", NULL));
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_APPLIED);
    world_free(&world);
}

static void a_debt_is_remembered_by_the_next_broker(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct peer_view view;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    say_report(&b, REPORT_PARKED, 1, b.base, "too long");
    world_drop(world);
    world_start(world);
    assert_true(broker_peer(world->broker, 1, &view));
    assert_int_equal(view.parked, 1);
    greet(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "name", "w", NULL));
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_LOST);
    world_free(&world);
}

static void a_fill_leaves_no_record_out(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b;

    (void)state;
    insert_many(&a, 2500); /* three fills */
    b = agent_new(world, "b", "nik");
    greet(&b);
    world->held = true;
    say_load_end(&b);
    answer_batch(world);
    answer_batch(world);
    /* While the first fill is looked up, a changes a record far behind it: the second fill's batch finds that one too.
     */
    say_change(&a, change_of(&a, OPERATION_UPDATE, "2400", "name", "x", NULL));
    world->held = false;
    settle(world);
    assert_int_equal(row_of(&b)->state, STATE_ACTIVE);
    for (uint32_t i = 0; i < world->record_count; i++)
        assert_true(has_link(world, world->records[i].number, b.id));
    world_free(&world);
}

static void a_catalog_that_no_longer_fits_a_mapping_does_not_end_the_fill(void **state)
{
    struct world *world = world_new(wide_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");
    char *text = arena_copy(world->arena, wide_catalog, strlen(wide_catalog));
    struct error err;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    greet(&b);
    world->held = true;
    say_load_end(&b);
    answer_batch(world);
    answer_batch(world);
    assert_int_equal(row_of(&b)->state, STATE_FILLING);
    world_drop(world);
    strstr(text, "version = 1")[10] = '2';
    strstr(text, "f4")[1] = '9'; /* the mapping of b names a field that is gone */
    world->catalog_text = said(text);
    assert_int_equal(
        catalog_build(world->arena, tree_fixture(world->arena, text), text, strlen(text), &world->catalog, &err), 0);
    world->records[0].type = &world->catalog->types[0];
    world->held = false;
    world_start(world);
    assert_int_equal(row_of(&b)->state, STATE_FILLING);
    world_free(&world);
}

static void an_agency_that_inserts_nothing_is_fed_only_what_it_holds(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");

    (void)state;
    b.blocks[0].insert = false;
    greet(&b);
    say_load_end(&b);
    say_change(&a, numbered(&a, 1, "Siti"));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "Siti Aminah", NULL));
    assert_int_equal(last_item(&b, 1)->record, 0);
    world_free(&world);
}

static void every_record_fits_a_frame(void **state)
{
    static const char *const fields[] = { "f1", "f2", "f3", "f4" };
    struct world *world = world_new(wide_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");
    const char *text = long_text(world, 250000);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        say_change(&a, change_of(&a, OPERATION_UPDATE, "1", fields[i], text, NULL));
    assert_int_equal(verdict_in(last_entry(world), "f4"), VERDICT_PUT_BACK);
    b.credit = 16 << 20;
    greet(&b);
    say_load_end(&b); /* the whole record goes to b: the fixture stops at a frame that no agent can read */
    assert_string_equal(item_value(last_item(&b, 1), "nik"), "1");
    world_free(&world);
}

static void a_scan_for_the_broker_before_does_no_harm(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct scan *scan;

    (void)state;
    (void)agent_join(world, "b", "nik");
    world->held = true;
    say_change(&a, numbered(&a, 1, NULL));
    answer_batch(world);
    answer_batch(world);
    assert_true(world->scan_count > 0);
    scan = world->scans[--world->scan_count];
    world_drop(world); /* the connection that writes was lost, the one that reads was not */
    world->held = false;
    world_start(world);
    world->frame_count = 0;
    store_scan_entries(world, scan);
    step(world, &(struct broker_event){ .kind = BROKER_EVENT_SCANNED, .scan = scan });
    assert_int_equal(world->frame_count, 0);
    world_free(&world);
}

static void a_report_of_what_was_not_sent_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, numbered(&a, 1, "x"));
    apply(&b);
    say_report(&b, REPORT_PARKED, 1, 0, "because"); /* it would lift the base of the record's changes above all */
    assert_errors(&b, 1, "malformed");
    greet(&b);
    say_report(&b, REPORT_PARKED, 1, b.base + 1, "because");
    assert_errors(&b, 2, "malformed");
    assert_int_equal(world->debt_count, 0);
    world_free(&world);
}

/* As many as a batch has items: they do not all fit into one message. */
static void reports_of_one_transaction_may_come_in_parts(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct report reports[2];

    (void)state;
    insert_many(&a, 2);
    apply(&b);
    for (uint32_t i = 0; i < 2; i++)
        reports[i] = (struct report){
            .kind = REPORT_PARKED, .record = i + 1, .position = b.base, .block = said("people"), .text = said("x")
        };
    b.lsn += 10;
    say_piece(&b, (struct piece){ .lsn = b.lsn, .base = b.base, .reports = reports, .report_count = 1 });
    say_piece(&b,
              (struct piece){ .lsn = b.lsn, .final = true, .base = b.base, .reports = reports + 1, .report_count = 1 });
    assert_int_equal(world->debt_count, 2);
    assert_int_equal(last_sent(&b, MESSAGE_ACK)->ack.lsn, b.lsn);
    world_free(&world);
}

static void an_answered_skip_settles_itself_alone(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct peer_view view;

    (void)state;
    say_change(&a, numbered(&a, 1, "x"));
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "y", NULL));
    apply(&b);
    say_report(&b, REPORT_SKIPPED, 1, b.base, "");
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "name", "z", NULL));
    apply(&b);
    say_report(&b, REPORT_SKIPPED, 1, b.base, ""); /* its base has seen the first answer: one settled, one opened */
    assert_true(broker_peer(world->broker, 1, &view));
    assert_int_equal(view.skipped, 1);
    assert_int_equal(world->debt_count, 2);
    assert_true(world->debts[0].settled);
    assert_false(world->debts[1].settled);
    world_drop(world);
    world_start(world);
    assert_true(broker_peer(world->broker, 1, &view));
    assert_int_equal(view.skipped, 1);
    world_free(&world);
}

/* How many batches and items the agent was fed since `from`, and the most items of one batch. */
struct fed {
    int batches, items, most;
};
static struct fed fed_since(const struct agent *agent, int from)
{
    struct fed fed = { 0 };
    int items = 0;

    for (int i = from; i < agent->world->frame_count; i++) {
        const struct message *message = &agent->world->frames[i].message;

        if (message->kind != MESSAGE_FEED || !goes_to(&agent->world->frames[i], agent))
            continue;
        items += (int)message->feed.item_count;
        if (!message->feed.final)
            continue;
        fed.batches++;
        fed.items += items;
        fed.most = items > fed.most ? items : fed.most;
        items = 0;
    }
    return fed;
}

static void a_transaction_too_large_for_a_batch_is_fed_in_several(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int from = world->frame_count;
    struct fed fed;

    (void)state;
    world->scan_most = 70;
    b.credit = 1 << 20;
    insert_many(&a, 200);
    fed = fed_since(&b, from);
    assert_int_equal(fed.items, 200);
    assert_int_equal(fed.most, 70);
    assert_int_equal(fed.batches, 3);
    world_free(&world);
}

static void an_agency_goes_on_from_the_middle_of_a_transaction(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    const struct message *feed = NULL;
    int from = world->frame_count;
    struct fed fed;

    (void)state;
    world->scan_most = 70;
    insert_many(&a, 200);
    for (int i = from; i < world->frame_count && !feed; i++)
        if (world->frames[i].message.kind == MESSAGE_FEED && goes_to(&world->frames[i], &b))
            feed = &world->frames[i].message;
    assert_non_null(feed);
    b.applied = b.base = feed->feed.position; /* it has applied the first of three, and is started anew */
    memcpy(b.leaf, feed->feed.leaf, sizeof b.leaf);
    from = world->frame_count;
    greet(&b);
    fed = fed_since(&b, from);
    assert_int_equal(fed.items, 130);
    assert_int_equal(fed.batches, 2);
    /* What it changes there counts as made with a part of the transaction seen: of record 150 nothing yet. */
    say_change(&b, change_of(&b, OPERATION_UPDATE, "3", "name", "seen", NULL));
    assert_int_equal(verdict_in(last_entry(world), "name"), VERDICT_APPLIED);
    b.leaf[0] ^= 1;
    say_hello(&b); /* and a leaf that is not the one there is still another history */
    assert_error(&b, "history");
    world_free(&world);
}

static void what_fits_is_fed_whole_before_what_does_not(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int from;

    (void)state;
    world->scan_most = 70;
    world->options.feed_items = 50;
    world_drop(world);
    world_start(world);
    greet(&a); /* b is away meanwhile */
    say_change(&a, numbered(&a, 1000, NULL));
    say_change(&a, numbered(&a, 1001, NULL));
    insert_many(&a, 100);
    from = world->frame_count;
    greet(&b);
    assert_int_equal(fed_since(&b, from).batches, 3); /* 2, 70, 30 */
    assert_int_equal(fed_since(&b, from).most, 70);
    assert_int_equal(fed_since(&b, from).items, 102);
    world_free(&world);
}

static void records_too_large_for_one_batch_come_in_several(void **state)
{
    struct world *world = world_new(wide_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_new(world, "b", "nik");
    const char *half = long_text(world, 250 * 1024);
    int from;

    (void)state;
    b.credit = 64 << 20;
    greet(&b);
    say_load_end(&b);
    world_drop(world); /* b's feed is read when all of it is there */
    world_start(world);
    greet(&a);
    for (uint32_t i = 1; i <= 40; i++) {
        const char *key = arena_printf(world->arena, "%u", i);

        say_change(&a, change_of(&a, OPERATION_INSERT, key, "nik", key, "f1", half, NULL));
    }
    from = world->frame_count;
    greet(&b);
    assert_int_equal(fed_since(&b, from).items, 40); /* 10 MB */
    assert_int_equal(fed_since(&b, from).batches, 2);
    world_free(&world);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_insert_reaches_the_others_and_not_its_writer),
        T(a_write_that_is_not_allowed_is_put_back),
        T(an_accepted_write_is_echoed_over_an_older_item),
        T(feed_waits_for_credit),
        T(feed_that_was_not_applied_comes_again),
        T(an_idle_agency_is_told_how_far_the_ledger_is),
        T(applied_positions_are_stored),
        T(a_skip_is_answered_with_the_whole_record),
        T(a_late_change_is_decided_as_before_the_item_and_answered),
        T(a_row_that_moved_before_it_was_skipped_is_known_by_its_new_key),
        T(a_skip_that_is_said_again_is_answered_once),
        T(what_was_made_before_an_earlier_item_counts_so_while_an_answer_comes),
        T(a_skip_of_a_deleted_record_is_answered_with_its_deletion),
        T(changes_of_a_parked_record_count_as_made_before_the_item),
        T(a_debt_is_remembered_by_the_next_broker),
        T(a_fill_leaves_no_record_out),
        T(a_catalog_that_no_longer_fits_a_mapping_does_not_end_the_fill),
        T(an_agency_that_inserts_nothing_is_fed_only_what_it_holds),
        T(every_record_fits_a_frame),
        T(a_scan_for_the_broker_before_does_no_harm),
        T(a_report_of_what_was_not_sent_is_refused),
        T(reports_of_one_transaction_may_come_in_parts),
        T(an_answered_skip_settles_itself_alone),
        T(a_transaction_too_large_for_a_batch_is_fed_in_several),
        T(an_agency_goes_on_from_the_middle_of_a_transaction),
        T(what_fits_is_fed_whole_before_what_does_not),
        T(records_too_large_for_one_batch_come_in_several),
    };

    return cmocka_run_group_tests_name("broker_feed", tests, NULL, NULL);
}
