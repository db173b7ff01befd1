/* The core of the broker, with a store in memory: who takes part: hellos, loads, sessions, keys, quarantines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/agent_fixture.h"

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

static void a_hello_that_waited_while_its_key_was_revoked_is_not_welcomed(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int welcomes = count_sent(&b, MESSAGE_WELCOME);

    (void)state;
    world->held = true;
    revoke(world, "b");
    say_hello(&b); /* while the revocation is being stored ... */
    say_hello(&b); /* ... from one connection or another */
    world->held = false;
    settle(world);
    assert_false(row_of(&b)->enrolled);
    assert_errors(&b, 2, "revoked");
    assert_int_equal(count_sent(&b, MESSAGE_WELCOME), welcomes);
    say_change(&a, numbered(&a, 1, "Siti"));
    assert_int_equal(last_item(&b, 1)->record, 0);
    world_free(&world);
}

static void the_connection_of_a_replaced_key_is_not_fed(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    enrol(world, "b", 77); /* the old key was stolen, and its holder is connected */
    assert_true(world->answer_ok);
    assert_errors(&b, 1, "revoked");
    say_change(&a, numbered(&a, 1, "Siti"));
    assert_int_equal(last_item(&b, 1)->record, 0);
    world_free(&world);
}

static void requests_of_operators_are_done_in_their_order(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->held = true;
    say_change(&a, numbered(&a, 1, NULL)); /* both requests wait for the batch after this one */
    enrol(world, "b", 88);
    revoke(world, "b");
    world->held = false;
    settle(world);
    assert_false(row_of(&b)->enrolled);
    world_free(&world);
}

static void a_new_agency_need_not_ask_again_because_a_batch_is_in_flight(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b, c;
    int answers = world->answer_count;

    (void)state;
    world->held = true;
    say_change(&a, numbered(&a, 1, NULL));
    b = agent_new(world, "b", "nik");
    c = agent_new(world, "c", "nik");
    assert_int_equal(world->answer_count, answers); /* neither yet */
    world->held = false;
    settle(world);
    assert_int_equal(world->answer_count, answers + 4);
    assert_true(world->answer_ok);
    assert_int_equal(world->state.agency_count, 3);
    c.id = 3;
    c.route.bytes[0] = 3;
    greet(&b);
    greet(&c);
    assert_string_equal(row_of(&b)->name, "b");
    assert_string_equal(row_of(&c)->name, "c");
    world_free(&world);
}

static void who_says_hello_all_the_time_is_told_to_wait(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    uint32_t entries = world->entry_count;
    int batches;

    (void)state;
    for (int i = 0; i < 500; i++) {
        a.blocks[0].insert = i % 2; /* another mapping each time: an entry */
        say_hello(&a);
    }
    assert_error(&a, "busy");
    assert_true(world->entry_count - entries <= 30);
    assert_true(count_sent(&a, MESSAGE_WELCOME) <= 1 + 30);
    batches = world->batch_count;
    say_hello(&a);
    assert_int_equal(world->batch_count, batches); /* that costs no transaction */
    say_change(&b, numbered(&b, 1, NULL));         /* and nobody else anything */
    assert_int_equal(world->record_count, 1);
    pass(world, 10000);
    greet(&a);
    world_free(&world);
}

static void one_key_is_one_agency_within_a_batch_too(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik"),
                 c = agent_join(world, "c", "nik");

    (void)state;
    world->held = true;
    say_change(&a, numbered(&a, 1, NULL));
    enrol(world, "b", 88);
    enrol(world, "c", 88);
    world->held = false;
    settle(world);
    assert_memory_not_equal(row_of(&b)->key, row_of(&c)->key, sizeof row_of(&b)->key);
    world_free(&world);
}

static void a_quarantine_holds_against_a_quick_hello(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int welcomes = count_sent(&b, MESSAGE_WELCOME);

    (void)state;
    say_piece(&b, (struct piece){ .lsn = 110, .final = true, .base = b.base, .fence = { 5, { 1 } } });
    world->held = true;
    say_change(&a, numbered(&a, 1, NULL)); /* so that the quarantine must wait for its batch */
    say_piece(&b, (struct piece){ .lsn = 120, .final = true, .base = b.base, .fence = { 5, { 2 } } });
    say_hello(&b);
    world->held = false;
    settle(world);
    assert_int_equal(row_of(&b)->state, STATE_QUARANTINED);
    assert_error(&b, "history");
    assert_int_equal(count_sent(&b, MESSAGE_WELCOME), welcomes);
    world_free(&world);
}

static void a_settled_quarantine_refuses_every_hello(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    uint32_t entries;

    (void)state;
    say_piece(&a, (struct piece){ .lsn = 110, .final = true, .base = a.base, .fence = { 5, { 1 } } });
    say_piece(&a, (struct piece){ .lsn = 120, .final = true, .base = a.base, .fence = { 5, { 2 } } });
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    entries = world->entry_count;
    world->frame_count = 0;
    say_hello(&a);
    assert_errors(&a, 1, "history");
    a.incarnation = 0; /* a database that says it was never loaded is no way out */
    say_hello(&a);
    assert_errors(&a, 2, "history");
    world_drop(world);
    world_start(world);
    say_hello(&a);
    assert_errors(&a, 3, "history");
    assert_int_equal(count_sent(&a, MESSAGE_WELCOME), 0);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_int_equal(world->entry_count, entries);
    world_free(&world);
}

static void a_version_that_would_have_to_be_cut_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct message message = { .kind = MESSAGE_HELLO };
    char software[66];

    (void)state;
    memset(software, 'x', 63);
    strcpy(software + 63, "\xc3\xa9"); /* there is room for one byte of it, and the store takes whole characters */
    message.hello = (struct hello){ .version = PROTOCOL_VERSION,
                                    .software = said(software),
                                    .incarnation = a.incarnation,
                                    .source = { .system = said("7301"), .timeline = 1 },
                                    .blocks = a.blocks,
                                    .block_count = 1,
                                    .applied = a.applied,
                                    .credit = a.credit };
    deliver(&a, &message);
    assert_errors(&a, 1, "malformed");
    assert_string_equal(row_of(&a)->software, "test");
    world_free(&world);
}

static void a_reason_that_is_stored_ends_with_a_whole_character(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct message message = { .kind = MESSAGE_ERROR };
    char text[300];

    (void)state;
    memset(text, 'x', 254);
    strcpy(text + 254, "\xc3\xa9 and more"); /* there is room for one byte of it */
    message.error.code = said("history");
    message.error.text = said(text);
    say(&a, message);
    assert_int_equal(row_of(&a)->state, STATE_QUARANTINED);
    assert_true(strlen(row_of(&a)->reason) > 0);
    assert_true(text_is_utf8(row_of(&a)->reason, strlen(row_of(&a)->reason)));
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
        T(a_number_that_skips_ends_the_session),
        T(another_connection_or_session_is_not_heard),
        T(a_fence_with_another_token_quarantines),
        T(a_hello_of_another_history_quarantines),
        T(a_revoked_agency_hears_so_and_is_not_heard),
        T(one_key_is_one_agency),
        T(a_silent_session_ends),
        T(a_hello_that_waited_while_its_key_was_revoked_is_not_welcomed),
        T(the_connection_of_a_replaced_key_is_not_fed),
        T(requests_of_operators_are_done_in_their_order),
        T(one_key_is_one_agency_within_a_batch_too),
        T(a_new_agency_need_not_ask_again_because_a_batch_is_in_flight),
        T(who_says_hello_all_the_time_is_told_to_wait),
        T(a_quarantine_holds_against_a_quick_hello),
        T(a_settled_quarantine_refuses_every_hello),
        T(a_version_that_would_have_to_be_cut_is_refused),
        T(a_reason_that_is_stored_ends_with_a_whole_character),
    };

    return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
