/* The core of the broker, with a store in memory: sessions, loads, changes and their acks, the feed, reports, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/broker_fixture.h"

static void an_empty_ledger_is_opened_with_its_catalog(void **state)
{
    struct world *world = world_new(fixture_catalog);

    (void)state;
    assert_int_equal(world->entry_count, 2);
    assert_int_equal(world->entries[0].entry.kind, ENTRY_OPENING);
    assert_int_equal(world->entries[0].entry.position, UINT64_C(1) << 48);
    assert_int_equal(world->entries[1].entry.kind, ENTRY_CATALOG);
    world_drop(world);
    world_start(world); /* once is enough */
    assert_int_equal(world->entry_count, 2);
    world_free(&world);
}

static void a_first_hello_starts_a_load(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_new(world, "a", "nik");

    (void)state;
    greet(&a);
    assert_int_equal(a.incarnation, 1);
    assert_int_equal(row_of(&a)->state, STATE_LOADING);
    assert_int_equal(a.base, row_of(&a)->load);
    assert_int_equal(last_sent(&a, MESSAGE_WELCOME)->welcome.catalog.length, strlen(fixture_catalog));
    world_free(&world);
}

static void a_load_is_acknowledged_piece_by_piece_and_closed(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_new(world, "a", "nik");
    struct change change;

    (void)state;
    greet(&a);
    change = change_of(&a, OPERATION_LOAD, "1", "nik", "1", "name", "Siti", NULL);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &change, .change_count = 1 });
    assert_int_equal(last_sent(&a, MESSAGE_ACK)->ack.load_number, 1);
    say_load_end(&a);
    assert_int_equal(last_sent(&a, MESSAGE_ACK)->ack.lsn, 100);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    assert_int_equal(row_of(&a)->since > row_of(&a)->load, true);
    assert_string_equal(canonical_value(world, 1, NAME), "Siti");
    world_free(&world);
}

static void a_load_that_breaks_starts_over(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_new(world, "a", "nik");
    struct change change;

    (void)state;
    greet(&a);
    change = change_of(&a, OPERATION_LOAD, "1", "nik", "1", "name", "Siti", NULL);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &change, .change_count = 1 });
    a.incarnation = 0;
    a.applied = 0;
    greet(&a);
    assert_int_equal(a.incarnation, 2);
    assert_int_equal(last_sent(&a, MESSAGE_WELCOME)->welcome.load_number, 0);
    say_piece(&a,
              (struct piece){ .first = 1, .final = true, .nothing_seen = true, .changes = &change, .change_count = 1 });
    say_load_end(&a);
    assert_int_equal(row_of(&a)->state, STATE_ACTIVE);
    assert_int_equal(world->record_count, 1);
    assert_int_equal(world->link_count, 1);
    world_free(&world);
}

static void a_load_is_answered_with_what_the_agency_lacks(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    b = agent_join(world, "b", "nik");
    assert_int_equal(last_item(&b, 1)->operation, OPERATION_INSERT);
    assert_string_equal(item_value(last_item(&b, 1), "name"), "Siti");
    world_free(&world);
}

static void a_change_is_stored_before_it_is_acknowledged(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    int acks = count_sent(&a, MESSAGE_ACK);

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    answer_batch(world); /* found */
    assert_true(world->storing);
    assert_int_equal(count_sent(&a, MESSAGE_ACK), acks);
    answer_batch(world); /* stored */
    assert_int_equal(count_sent(&a, MESSAGE_ACK), acks + 1);
    assert_int_equal(last_sent(&a, MESSAGE_ACK)->ack.lsn, a.lsn);
    world->held = false;
    settle(world);
    world_free(&world);
}

static void what_was_not_stored_is_sent_again_and_takes_effect_once(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    answer_batch(world);
    world_drop(world); /* the result of COMMIT is lost, and it was not */
    world->held = false;
    world_start(world);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_error(&a, "no-session");
    assert_int_equal(world->record_count, 0);
    greet(&a);
    assert_int_equal(a.lsn, 100);
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_int_equal(world->record_count, 1);
    world_free(&world);
}

static void a_duplicate_is_only_acknowledged_again(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    uint32_t entries;
    int acks;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    greet(&a);
    entries = world->entry_count;
    acks = count_sent(&a, MESSAGE_ACK);
    a.lsn -= 10;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_int_equal(world->entry_count, entries);
    assert_int_equal(count_sent(&a, MESSAGE_ACK), acks + 1);
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

static void a_number_that_skips_ends_the_session(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    a.number++;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_error(&a, "gap");
    assert_int_equal(world->record_count, 0);
    world_free(&world);
}

static void another_connection_or_session_is_not_heard(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), other = a;

    (void)state;
    other.route.bytes[0] = 99;
    say_change(&other, change_of(&other, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_error(&other, "no-session");
    other = a;
    other.session--;
    say_change(&other, change_of(&other, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_error(&other, "no-session");
    assert_int_equal(world->record_count, 0);
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL)); /* the session itself goes on */
    assert_int_equal(world->record_count, 1);
    world_free(&world);
}

static void a_base_above_what_was_sent_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    a.base = world->state.head + 1;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_error(&a, "base");
    assert_int_equal(world->record_count, 0);
    world_free(&world);
}

static void a_base_below_an_earlier_one_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    a.base--;
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_error(&a, "base");
    world_free(&world);
}

static void more_than_the_credit_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    char *name = arena_alloc(world->arena, 200001);

    (void)state;
    memset(name, 'x', 200000);
    world->held = true; /* nothing is stored, so no credit comes back */
    for (int i = 0; i < 6 && count_sent(&a, MESSAGE_ERROR) == 0; i++)
        say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", name, NULL));
    assert_error(&a, "credit");
    world->held = false;
    settle(world);
    world_free(&world);
}

static void credit_comes_back_for_what_is_stored(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    char *name = arena_alloc(world->arena, 200001);
    uint64_t sent = 0, credit = world->options.window_bytes;

    (void)state;
    memset(name, 'x', 200000);
    for (int i = 0; i < 20; i++, sent += 200000) {
        assert_true(sent + 201000 <= credit);
        name[0] = (char)('a' + i);
        say_change(&a, change_of(&a, i ? OPERATION_UPDATE : OPERATION_INSERT, "1", "nik", "1", "name", name, NULL));
        if (last_sent(&a, MESSAGE_CREDIT)->kind)
            credit = last_sent(&a, MESSAGE_CREDIT)->credit.total;
    }
    assert_int_equal(count_sent(&a, MESSAGE_ERROR), 0);
    world_free(&world);
}

static void a_transaction_in_parts_is_decided_whole(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change one = change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL);
    struct change two = change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL);

    (void)state;
    say_piece(&a, (struct piece){ .lsn = 110, .base = a.base, .changes = &one, .change_count = 1 });
    assert_int_equal(world->record_count, 0);
    say_piece(&a, (struct piece){
                      .lsn = 110, .first = 1, .final = true, .base = a.base, .changes = &two, .change_count = 1 });
    assert_int_equal(world->record_count, 2);
    assert_false(world->entries[world->entry_count - 2].boundary);
    assert_true(last_entry(world)->boundary);
    assert_int_equal(last_sent(&a, MESSAGE_ACK)->ack.lsn, 110);
    world_free(&world);
}

static void half_a_transaction_is_forgotten_with_its_session(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change one = change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL);

    (void)state;
    say_piece(&a, (struct piece){ .lsn = 110, .base = a.base, .changes = &one, .change_count = 1 });
    greet(&a);
    assert_int_equal(a.lsn, 100);
    say_piece(&a, (struct piece){ .lsn = 110, .final = true, .base = a.base, .changes = &one, .change_count = 1 });
    assert_int_equal(world->record_count, 1);
    world_free(&world);
}

static void a_fence_with_another_token_quarantines(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change one = change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL);

    (void)state;
    say_piece(&a, (struct piece){ .lsn = 110, .final = true, .base = a.base, .fence = { 5, { 1 } } });
    say_piece(
        &a, (struct piece){
                .lsn = 120, .final = true, .base = a.base, .fence = { 5, { 2 } }, .changes = &one, .change_count = 1 });
    assert_error(&a, "history");
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_QUARANTINE);
    assert_int_equal(world->record_count, 0);
    say_hello(&a); /* and so it stays */
    assert_error(&a, "history");
    world_drop(world);
    world_start(world);
    say_hello(&a);
    assert_error(&a, "history");
    world_free(&world);
}

static void a_hello_of_another_history_quarantines(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    a.applied = world->state.head;
    a.leaf[0] = 1;
    say_hello(&a);
    assert_error(&a, "history");
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    world_free(&world);
}

static void a_revoked_agency_hears_so_and_is_not_heard(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    uint8_t key[32];

    (void)state;
    memset(key, 'a', sizeof key);
    assert_int_equal(broker_agency_of_key(world->broker, key), a.id);
    revoke(world, "a");
    assert_error(&a, "revoked");
    assert_true(world->answer_ok);
    assert_int_equal(broker_agency_of_key(world->broker, key), 0);
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_int_equal(world->record_count, 0);
    assert_int_equal(last_entry(world)->entry.kind, ENTRY_REVOCATION);
    world_free(&world);
}

static void one_key_is_one_agency(void **state)
{
    struct world *world = world_new(fixture_catalog);

    (void)state;
    enrol(world, "a", 1);
    assert_true(world->answer_ok);
    enrol(world, "b", 1);
    assert_false(world->answer_ok);
    enrol(world, "z", 2); /* the catalog does not name it */
    assert_false(world->answer_ok);
    assert_int_equal(world->state.agency_count, 1);
    world_free(&world);
}

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

static void a_session_that_ends_within_a_batch_loses_nothing(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL)); /* waits for the next batch */
    answer_batch(world);
    say_hello(&a); /* a new connection: what waited is dropped, what the batch borrows is not */
    say_hello(&a);
    world->held = false;
    settle(world);
    take_welcome(&a);
    assert_int_equal(a.lsn, 110);
    assert_int_equal(world->record_count, 1);
    assert_string_equal(item_value(last_item(&b, 1), "name"), "Siti");
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    assert_int_equal(world->record_count, 2);
    world_free(&world);
}

static void a_broker_dropped_within_a_batch_leaks_nothing(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->held = true;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "2", NULL));
    say_hello(&b);
    world_drop(world); /* before the lookup is answered; the address sanitizer looks for leaks */
    world_start(world);
    world_free(&world);
}

static void a_key_that_changes_moves_its_link(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    struct change move;

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "name", "x", NULL));
    apply(&b);
    move = change_new(&a, OPERATION_UPDATE, "people", "9");
    move.old_key = said("1");
    set_field(&move, "nik", "9");
    seal(&a, &move);
    say_change(&a, move);
    assert_true(same_text(last_item(&b, 1)->key, said("1")));
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "size", "4", NULL)); /* b has not applied it yet */
    assert_string_equal(canonical_value(world, 1, SIZE), "4");
    apply(&b);
    say_change(&b, change_of(&b, OPERATION_UPDATE, "9", "size", "5", NULL));
    assert_string_equal(canonical_value(world, 1, SIZE), "5");
    say_change(&b, change_of(&b, OPERATION_UPDATE, "1", "size", "6", NULL)); /* nobody's any more */
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "9", "name", "y", NULL));
    assert_true(same_text(last_item(&b, 1)->key, said("9")));
    assert_int_equal(world->record_count, 1);
    world_free(&world);
}

static void a_silent_session_ends(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct peer_view view;

    (void)state;
    pass(world, 61000);
    assert_true(broker_peer(world->broker, 0, &view));
    assert_false(view.up);
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", NULL));
    assert_error(&a, "no-session");
    world_free(&world);
}

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_empty_ledger_is_opened_with_its_catalog),
        T(a_first_hello_starts_a_load),
        T(a_load_is_acknowledged_piece_by_piece_and_closed),
        T(a_load_that_breaks_starts_over),
        T(a_load_is_answered_with_what_the_agency_lacks),
        T(a_change_is_stored_before_it_is_acknowledged),
        T(what_was_not_stored_is_sent_again_and_takes_effect_once),
        T(a_duplicate_is_only_acknowledged_again),
        T(a_number_that_skips_ends_the_session),
        T(another_connection_or_session_is_not_heard),
        T(a_base_above_what_was_sent_is_refused),
        T(a_base_below_an_earlier_one_is_refused),
        T(more_than_the_credit_is_refused),
        T(credit_comes_back_for_what_is_stored),
        T(a_transaction_in_parts_is_decided_whole),
        T(half_a_transaction_is_forgotten_with_its_session),
        T(a_fence_with_another_token_quarantines),
        T(a_hello_of_another_history_quarantines),
        T(a_revoked_agency_hears_so_and_is_not_heard),
        T(one_key_is_one_agency),
        T(an_insert_reaches_the_others_and_not_its_writer),
        T(a_write_that_is_not_allowed_is_put_back),
        T(an_accepted_write_is_echoed_over_an_older_item),
        T(feed_waits_for_credit),
        T(feed_that_was_not_applied_comes_again),
        T(an_idle_agency_is_told_how_far_the_ledger_is),
        T(applied_positions_are_stored),
        T(a_skip_is_answered_with_the_whole_record),
        T(a_skip_of_a_deleted_record_is_answered_with_its_deletion),
        T(changes_of_a_parked_record_count_as_made_before_the_item),
        T(a_debt_is_remembered_by_the_next_broker),
        T(a_session_that_ends_within_a_batch_loses_nothing),
        T(a_broker_dropped_within_a_batch_leaks_nothing),
        T(a_key_that_changes_moves_its_link),
        T(a_silent_session_ends),
    };

    return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
