/* Defects that the broker's core has had, one test for each: none may come back. What the core is for is in
 * broker_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/broker_fixture.h"

/* A record type with room for much text, and a second type. */
static const char wide_catalog[] = "catalog\n"
                                   "    version = 1\n"
                                   "    agencies = \"a b\"\n"
                                   "record\n"
                                   "    person\n"
                                   "        existence\n"
                                   "            write = \"a b\"\n"
                                   "        read\n"
                                   "            a = law\n"
                                   "            b = law\n"
                                   "        fields\n"
                                   "            nik\n"
                                   "                type = text\n"
                                   "                identifier = yes\n"
                                   "                write = \"a b\"\n"
                                   "            f1\n"
                                   "                type = text\n"
                                   "                write = \"a b\"\n"
                                   "            f2\n"
                                   "                type = text\n"
                                   "                write = \"a b\"\n"
                                   "            f3\n"
                                   "                type = text\n"
                                   "                write = \"a b\"\n"
                                   "            f4\n"
                                   "                type = text\n"
                                   "                write = \"a b\"\n"
                                   "    household\n"
                                   "        existence\n"
                                   "            write = \"a b\"\n"
                                   "        read\n"
                                   "            a = law\n"
                                   "            b = law\n"
                                   "        fields\n"
                                   "            kk\n"
                                   "                type = text\n"
                                   "                identifier = yes\n"
                                   "                write = \"a b\"\n";

static const char *long_text(struct world *world, size_t length)
{
    char *text = arena_alloc(world->arena, length + 1);

    memset(text, 'x', length);
    return text;
}

/* The insert of a row whose key and identifier are this number. */
static struct change numbered(struct agent *agent, uint32_t number, const char *name)
{
    const char *key = arena_printf(agent->world->arena, "%u", number);

    return name ? change_of(agent, OPERATION_INSERT, key, "nik", key, "name", name, NULL)
                : change_of(agent, OPERATION_INSERT, key, "nik", key, NULL);
}

/* The rows 1 to `count`, inserted in one transaction of several parts. */
static void insert_many(struct agent *agent, uint32_t count)
{
    enum { PART = 2000 }; /* so many fit into a frame */
    struct change *changes = arena_array(agent->world->arena, count, sizeof *changes);

    agent->lsn += 10;
    for (uint32_t i = 0; i < count; i++)
        changes[i] = numbered(agent, i + 1, NULL);
    for (uint32_t i = 0; i < count; i += PART)
        say_piece(agent, (struct piece){ .lsn = agent->lsn,
                                         .first = i,
                                         .final = i + PART >= count,
                                         .base = agent->base,
                                         .changes = changes + i,
                                         .change_count = count - i < PART ? count - i : PART });
}

static void say_changes(struct agent *agent, struct change *changes, uint32_t count)
{
    agent->lsn += 10;
    say_piece(agent,
              (struct piece){
                  .lsn = agent->lsn, .final = true, .base = agent->base, .changes = changes, .change_count = count });
}

/* An update that gives the row `from` the key `to`; `identifies`: the key is its identifier, which changes with it. */
static struct change moved(struct agent *agent, const char *from, const char *to, bool identifies, const char *name)
{
    struct change move = change_new(agent, OPERATION_UPDATE, "people", to);

    move.old_key = said(from);
    if (identifies)
        set_field(&move, "nik", to);
    if (name)
        set_field(&move, "name", name);
    seal(agent, &move);
    return move;
}

/* Fails when the last error is not this one, or when there have been more or fewer than `count`. */
static void assert_errors(const struct agent *agent, int count, const char *code)
{
    assert_int_equal(count_sent(agent, MESSAGE_ERROR), count);
    assert_error(agent, code);
}

static void assert_canonical(const struct world *world, uint64_t record, int field, const char *value)
{
    assert_string_equal(canonical_value(world, record, field), value);
}

/* ---- changes and their transactions ---- */

static void a_transaction_larger_than_the_window_is_given_credit(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    const char *name = long_text(world, 200000);
    uint64_t sent = 0, credit = world->options.window_bytes;

    (void)state;
    for (uint32_t i = 0; i < 12; i++, sent += 200300) {
        struct change change = numbered(&a, i + 1, name);

        if (last_sent(&a, MESSAGE_CREDIT)->kind)
            credit = last_sent(&a, MESSAGE_CREDIT)->credit.total;
        assert_true(sent + 201000 <= credit); /* else an honest agent waits for ever */
        say_piece(
            &a, (struct piece){
                    .lsn = 110, .first = i, .final = i == 11, .base = a.base, .changes = &change, .change_count = 1 });
    }
    assert_int_equal(world->record_count, 12);
    world_free(&world);
}

static void transactions_that_share_frames_do_not_add_up(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    const char *name = long_text(world, 100000);

    (void)state;
    for (uint32_t i = 0; i < 100; i++) { /* each frame ends one transaction and starts the next: 10 MB, of 8 for one */
        struct change end = numbered(&a, i + 1, name), start = numbered(&a, 1000 + i, NULL);
        struct piece pieces[2] = {
            { .lsn = 1000 + i * 10, .first = i > 0, .final = true, .base = a.base, .changes = &end, .change_count = 1 },
            { .lsn = 1010 + i * 10, .base = a.base, .changes = &start, .change_count = 1 },
        };
        struct message message = { .kind = MESSAGE_CHANGES, .changes = { pieces, 2 } };

        say(&a, message);
    }
    assert_int_equal(count_sent(&a, MESSAGE_ERROR), 0);
    assert_int_equal(world->record_count, 199);
    world_free(&world);
}

static void a_transaction_whose_last_part_is_empty_ends_in_a_boundary(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change changes[60];

    (void)state;
    for (uint32_t i = 0; i < 60; i++)
        changes[i] = numbered(&a, i + 1, NULL);
    say_piece(&a, (struct piece){ .lsn = 110, .base = a.base, .changes = changes, .change_count = 60 });
    say_piece(&a, (struct piece){ .lsn = 110, .first = 60, .final = true, .base = a.base });
    assert_int_equal(world->record_count, 60);
    assert_true(last_entry(world)->boundary);
    world_free(&world);
}

static void a_changes_message_without_a_piece_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say(&a, (struct message){ .kind = MESSAGE_CHANGES }); /* it would wait, and take memory, until the session ends */
    assert_errors(&a, 1, "malformed");
    world_free(&world);
}

static void a_part_of_a_group_is_refused(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "1", "village", "v", "street", "s", NULL));
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "village", "w", NULL));
    assert_errors(&a, 1, "malformed");
    assert_canonical(world, 1, VILLAGE, "v");
    assert_canonical(world, 1, STREET, "s");
    world_free(&world);
}

static void agencies_take_turns(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    world->held = true;
    for (uint32_t i = 0; i < 350; i++) /* the first is a batch of its own, the others fill more than three */
        say_change(&a, numbered(&a, i + 1, NULL));
    say_change(&b, numbered(&b, 1000, NULL));
    for (int batch = 0; batch < 3; batch++) {
        answer_batch(world); /* found */
        answer_batch(world); /* stored */
    }
    assert_int_equal(row_of(&b)->lsn, b.lsn);
    assert_true(row_of(&a)->lsn < a.lsn);
    world->held = false;
    settle(world);
    assert_int_equal(world->record_count, 351);
    world_free(&world);
}

/* ---- records, their keys and links ---- */

static void exchanged_keys_stay_with_their_records(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");
    struct change exchange[2];

    (void)state;
    say_change(&a, numbered(&a, 1, "Siti"));
    say_change(&a, numbered(&a, 2, "Budi"));
    exchange[0] = moved(&a, "1", "2", true, "Siti A");
    exchange[1] = moved(&a, "2", "1", true, "Budi B");
    say_changes(&a, exchange, 2);
    assert_int_equal(last_entry(world)[-1].entry.record, 1);
    assert_int_equal(last_entry(world)->entry.record, 2);
    assert_canonical(world, 1, NAME, "Siti A");
    assert_canonical(world, 2, NAME, "Budi B");
    world_free(&world);
}

static void a_chain_of_keys_stays_with_its_records(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL);
    struct change chain[2];

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "11", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "22", "name", "Budi", NULL));
    chain[0] = moved(&a, "1", "2", false, "Siti A");
    chain[1] = moved(&a, "2", "3", false, "Budi B");
    say_changes(&a, chain, 2);
    assert_canonical(world, 1, NAME, "Siti A");
    assert_canonical(world, 2, NAME, "Budi B");
    world_free(&world);
}

static void an_own_key_change_that_lost_keeps_the_item_on_its_way(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");

    (void)state;
    say_change(&a, numbered(&a, 1, NULL));
    apply(&b);
    say_change(&a, moved(&a, "1", "2", true, NULL)); /* on its way to b ... */
    say_change(&b, moved(&b, "1", "9", true, NULL)); /* which has changed it itself, and is below a */
    apply(&b);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "2", "size", "4", NULL));
    assert_true(same_text(last_item(&b, 1)->key, said("2")));
    world_free(&world);
}

static void a_second_row_with_an_identifier_takes_nothing_over(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", NULL);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "1", "nik", "5", "name", "Siti", NULL));
    say_change(&a, change_of(&a, OPERATION_INSERT, "2", "nik", "5", "name", "Budi", NULL));
    assert_int_equal(verdict_in(last_entry(world), "existence"), VERDICT_HELD);
    assert_canonical(world, 1, NAME, "Siti");
    say_change(&a, change_of(&a, OPERATION_UPDATE, "1", "size", "3", NULL));
    assert_int_equal(last_entry(world)->entry.record, 1); /* the first row is still the record's */
    assert_canonical(world, 1, SIZE, "3");
    world_free(&world);
}

static void a_key_too_long_for_an_index_is_not_linked(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik");

    (void)state;
    (void)agent_join(world, "b", "name");
    say_change(&a, numbered(&a, 1, long_text(world, 4000)));
    assert_int_equal(world->record_count, 1);
    for (uint32_t i = 0; i < world->link_count; i++)
        assert_true(world->links[i].key.length <= KEY_BYTES_MAX);
    world_free(&world);
}

static void a_block_that_changes_its_type_is_refused(void **state)
{
    struct world *world = world_new(wide_catalog);
    struct agent a = agent_join(world, "a", NULL);
    int welcomes = count_sent(&a, MESSAGE_WELCOME);

    (void)state;
    say_change(&a, change_of(&a, OPERATION_INSERT, "K", "nik", "1", NULL));
    a.blocks[0] = block_of(world, "people", "household", NULL); /* what is linked under this name is a person */
    a.blocks[1] = block_of(world, "other", "person", NULL);
    a.block_count = 2;
    say_hello(&a);
    assert_errors(&a, 1, "mapping");
    assert_int_equal(count_sent(&a, MESSAGE_WELCOME), welcomes);
    a.blocks[0] = block_of(world, "people", "person", NULL);
    a.blocks[1] = block_of(world, "homes", "household", NULL);
    greet(&a);
    say_change(&a, change_of(&a, OPERATION_UPDATE, "K", "f1", "x", NULL));
    assert_int_equal(last_entry(world)->entry.record, 1);
    world_free(&world);
}

/* ---- who takes part ---- */

static void a_hello_that_waited_while_its_key_was_revoked_is_not_welcomed(void **state)
{
    struct world *world = world_new(fixture_catalog);
    struct agent a = agent_join(world, "a", "nik"), b = agent_join(world, "b", "nik");
    int welcomes = count_sent(&b, MESSAGE_WELCOME);

    (void)state;
    world->held = true;
    revoke(world, "b");
    say_hello(&b); /* while the revocation is being stored */
    world->held = false;
    settle(world);
    assert_false(row_of(&b)->enrolled);
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

/* ---- the feed and what is reported of it ---- */

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
        assert_true(has_link(world, world->records[i].number, b.id, said("people")));
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

#define T(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_transaction_larger_than_the_window_is_given_credit),
        T(transactions_that_share_frames_do_not_add_up),
        T(a_transaction_whose_last_part_is_empty_ends_in_a_boundary),
        T(a_changes_message_without_a_piece_is_refused),
        T(a_part_of_a_group_is_refused),
        T(agencies_take_turns),
        T(exchanged_keys_stay_with_their_records),
        T(a_chain_of_keys_stays_with_its_records),
        T(an_own_key_change_that_lost_keeps_the_item_on_its_way),
        T(a_second_row_with_an_identifier_takes_nothing_over),
        T(a_key_too_long_for_an_index_is_not_linked),
        T(a_block_that_changes_its_type_is_refused),
        T(a_hello_that_waited_while_its_key_was_revoked_is_not_welcomed),
        T(the_connection_of_a_replaced_key_is_not_fed),
        T(requests_of_operators_are_done_in_their_order),
        T(one_key_is_one_agency_within_a_batch_too),
        T(a_quarantine_holds_against_a_quick_hello),
        T(a_settled_quarantine_refuses_every_hello),
        T(a_version_that_would_have_to_be_cut_is_refused),
        T(a_reason_that_is_stored_ends_with_a_whole_character),
        T(a_fill_leaves_no_record_out),
        T(a_catalog_that_no_longer_fits_a_mapping_does_not_end_the_fill),
        T(an_agency_that_inserts_nothing_is_fed_only_what_it_holds),
        T(every_record_fits_a_frame),
        T(a_scan_for_the_broker_before_does_no_harm),
        T(a_report_of_what_was_not_sent_is_refused),
        T(an_answered_skip_settles_itself_alone),
    };

    return cmocka_run_group_tests_name("broker regressions", tests, NULL, NULL);
}
