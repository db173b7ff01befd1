#include "agents/agent.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

enum { START_MS = 1000000 };

struct world {
    struct arena *arena;
    struct agent *agent;
    struct agent_actions actions;
    int64_t now_ms;
    uint64_t number; /* of the broker's last message */
    uint64_t session;
    struct agent_progress progress;
    struct change changes[8];
    char content[64 * 1024];
    struct block block;
};

static const uint8_t catalog_hash[HASH_BYTES] = { 7, 7, 7 };

/* ---- stepping ---- */

static void step(struct world *world, struct agent_event event)
{
    event.now_ms = world->now_ms;
    event.time_us = world->now_ms * 1000;
    agent_actions_reset(&world->actions);
    agent_step(world->agent, &event, &world->actions);
}

/* The n-th action of a kind in the last step, or NULL. */
static const struct agent_action *action(const struct world *world, enum agent_action_kind kind, int n)
{
    for (uint32_t i = 0; i < world->actions.count; i++)
        if (world->actions.list[i].kind == kind && n-- == 0)
            return &world->actions.list[i];
    return NULL;
}

/* The first message of a kind that the last step sent; fails when there is none. */
static struct message sent(struct world *world, enum message_kind kind)
{
    struct message message = { 0 };
    struct error err;

    for (int i = 0; action(world, AGENT_ACTION_SEND, i); i++) {
        const struct agent_action *send = action(world, AGENT_ACTION_SEND, i);

        assert_int_equal(message_read(world->arena, send->frame, send->length, &message, &err), 0);
        if (message.kind == kind)
            return message;
    }
    fail_msg("no %s was sent", message_name(kind));
    return message;
}

static bool sends(const struct world *world)
{
    return action(world, AGENT_ACTION_SEND, 0) != NULL;
}

static void receive(struct world *world, struct message message, size_t size)
{
    message.session = world->session;
    if (message.kind != MESSAGE_WELCOME && message.kind != MESSAGE_ERROR)
        message.number = ++world->number;
    step(world, (struct agent_event){ .kind = AGENT_EVENT_MESSAGE, .message = &message, .size = size });
}

static void tick(struct world *world, int64_t ms)
{
    world->now_ms += ms;
    step(world, (struct agent_event){ .kind = AGENT_EVENT_TICK });
}

/* ---- the parts of a conversation ---- */

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

static void open_database(struct world *world, uint32_t incarnation, feed_position applied)
{
    world->progress = (struct agent_progress){ .incarnation = incarnation, .applied = applied };
    world->progress.source = (struct source){ .system = text_of("7301"), .timeline = 1, .fence = { .seq = 9 } };
    step(world, (struct agent_event){ .kind = AGENT_EVENT_OPENED, .progress = &world->progress });
}

static void welcome_with(struct world *world, uint32_t incarnation, uint64_t lsn, uint64_t credit, const char *agency)
{
    struct message message = { .kind = MESSAGE_WELCOME };

    world->session++;
    world->number = 0;
    message.welcome = (struct welcome){ .version = PROTOCOL_VERSION,
                                        .agency = text_of(agency),
                                        .incarnation = incarnation,
                                        .lsn = lsn,
                                        .base = 40,
                                        .load = lsn == 0 ? 50 : 0, /* then it wants a load */
                                        .credit = credit,
                                        .catalog_version = 1 };
    message.welcome.source = (struct source){ .system = text_of("7301"), .timeline = 1, .fence = { .seq = 8 } };
    memcpy(message.welcome.catalog_hash, catalog_hash, HASH_BYTES);
    message.welcome.catalog = text_of("catalog");
    receive(world, message, 100);
}

static void adopt(struct world *world)
{
    assert_non_null(action(world, AGENT_ACTION_ADOPT, 0));
    step(world, (struct agent_event){ .kind = AGENT_EVENT_ADOPTED, .ok = true, .hash = catalog_hash });
}

/* A session that streams from 100 on. */
static void stream(struct world *world, uint64_t credit)
{
    open_database(world, 3, 40);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    sent(world, MESSAGE_HELLO);
    welcome_with(world, 3, 100, credit, "dinkes");
    adopt(world);
}

static void capture(struct world *world, uint64_t lsn, feed_position base, uint32_t changes)
{
    struct piece piece = {
        .lsn = lsn, .final = true, .base = base, .changes = world->changes, .change_count = changes
    };

    step(world, (struct agent_event){ .kind = AGENT_EVENT_CAPTURED, .piece = &piece });
}

static void turn(struct world *world)
{
    step(world, (struct agent_event){ .kind = AGENT_EVENT_TURN });
}

static void acknowledge(struct world *world, uint64_t lsn)
{
    struct message message = { .kind = MESSAGE_ACK };

    message.ack.lsn = lsn;
    receive(world, message, 20);
}

static void feed(struct world *world, feed_position position, uint8_t leaf, size_t size)
{
    struct message message = { .kind = MESSAGE_FEED };

    message.feed = (struct feed){ .final = true, .position = position };
    memset(message.feed.leaf, leaf, HASH_BYTES);
    receive(world, message, size);
}

static void error(struct world *world, const char *code)
{
    struct message message = { .kind = MESSAGE_ERROR };

    message.error.code = text_of(code);
    message.error.text = text_of("because");
    receive(world, message, 20);
}

static int setup(void **state)
{
    static struct world world;
    struct agent_options options = { .agency = "dinkes", .software = "test", .blocks = &world.block, .block_count = 1 };

    world = (struct world){ .arena = arena_new(), .now_ms = START_MS };
    world.block = (struct block){
        .name = text_of("peserta"), .type = text_of("resident"), .key_fields = { text_of("nik") }, .key_field_count = 1
    };
    for (size_t i = 0; i < sizeof world.changes / sizeof world.changes[0]; i++)
        world.changes[i] =
            (struct change){ .operation = OPERATION_UPDATE, .content = { world.content, sizeof world.content } };
    world.agent = agent_new(&options);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    agent_free(&world->agent);
    agent_actions_free(&world->actions);
    arena_free(&world->arena);
    return 0;
}

static enum agent_state state_of(const struct world *world)
{
    return agent_status(world->agent).state;
}

/* ---- the tests ---- */

static void hello_waits_for_both_database_and_link(void **state)
{
    struct world *world = *state;
    struct message hello;

    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    assert_false(sends(world));
    open_database(world, 3, 40);
    hello = sent(world, MESSAGE_HELLO);
    assert_int_equal(hello.hello.incarnation, 3);
    assert_int_equal(hello.hello.applied, 40);
    assert_int_equal(hello.hello.source.fence.seq, 9);
    assert_int_equal(hello.hello.block_count, 1);
    assert_int_equal(hello.hello.credit, AGENT_WINDOW_BYTES);
    assert_int_equal(hello.hello.catalog_hash[0], 0);
}

static void a_first_load_ends_with_its_position_and_streams_after_it(void **state)
{
    struct world *world = *state;
    struct piece piece = {
        .first = 1, .final = true, .nothing_seen = true, .changes = world->changes, .change_count = 1
    };
    struct message changes;

    open_database(world, 0, 0);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    welcome_with(world, 4, 0, 1 << 20, "dinkes");
    adopt(world);
    assert_int_equal(action(world, AGENT_ACTION_LOAD, 0)->incarnation, 4);
    assert_int_equal(action(world, AGENT_ACTION_LOAD, 0)->position, 50);
    assert_null(action(world, AGENT_ACTION_CAPTURE, 0));
    step(world, (struct agent_event){ .kind = AGENT_EVENT_CAPTURED, .piece = &piece });
    turn(world);
    assert_int_equal(sent(world, MESSAGE_CHANGES).changes.pieces[0].first, 1);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LOADED, .lsn = 700 });
    changes = sent(world, MESSAGE_CHANGES);
    assert_int_equal(changes.changes.pieces[0].lsn, 700);
    assert_int_equal(changes.changes.pieces[0].base, 50);
    assert_int_equal(changes.changes.pieces[0].change_count, 0);
    acknowledge(world, 0);
    assert_null(action(world, AGENT_ACTION_LOAD_DONE, 0));
    acknowledge(world, 700);
    assert_int_equal(action(world, AGENT_ACTION_LOAD_DONE, 0)->incarnation, 4);
    assert_int_equal(action(world, AGENT_ACTION_CAPTURE, 0)->lsn, 700);
    assert_int_equal(action(world, AGENT_ACTION_CAPTURE, 0)->position, 50);
    assert_int_equal(action(world, AGENT_ACTION_CAPTURE, 0)->known.fence.seq, 0);
    assert_int_equal(state_of(world), AGENT_STREAMING);
}

static void a_broken_load_starts_over(void **state)
{
    struct world *world = *state;

    open_database(world, 0, 0);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    welcome_with(world, 4, 0, 1 << 20, "dinkes");
    adopt(world);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_DOWN, .text = "lost" });
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    tick(world, AGENT_PAUSE_MAX_MS);
    assert_int_equal(sent(world, MESSAGE_HELLO).hello.incarnation, 0);
    welcome_with(world, 5, 0, 1 << 20, "dinkes");
    adopt(world);
    assert_int_equal(action(world, AGENT_ACTION_LOAD, 0)->incarnation, 5);
}

static void changes_leave_in_the_turn_and_the_slot_follows_the_ack(void **state)
{
    struct world *world = *state;
    struct message changes;

    stream(world, 1 << 20);
    assert_int_equal(action(world, AGENT_ACTION_CAPTURE, 0)->lsn, 100);
    assert_int_equal(action(world, AGENT_ACTION_CAPTURE, 0)->known.fence.seq, 8);
    capture(world, 110, 40, 1);
    capture(world, 120, 41, 2);
    assert_false(sends(world));
    turn(world);
    changes = sent(world, MESSAGE_CHANGES);
    assert_int_equal(changes.number, 1);
    assert_int_equal(changes.changes.piece_count, 2);
    assert_int_equal(changes.changes.pieces[1].base, 41);
    assert_int_equal(changes.changes.pieces[1].change_count, 2);
    assert_null(action(world, AGENT_ACTION_ADVANCE, 0));
    acknowledge(world, 110);
    assert_int_equal(action(world, AGENT_ACTION_ADVANCE, 0)->lsn, 110);
    acknowledge(world, 110);
    assert_null(action(world, AGENT_ACTION_ADVANCE, 0));
}

/* The slot would follow, and what the agency changed meanwhile be gone. */
static void an_acknowledgement_of_what_was_not_sent_ends_the_session(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    capture(world, 110, 41, 1);
    turn(world);
    acknowledge(world, 120);
    assert_null(action(world, AGENT_ACTION_ADVANCE, 0));
    assert_int_equal(agent_status(world->agent).state, AGENT_WAITING);
}

static void mere_positions_wait_for_company_and_are_superseded(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    capture(world, 110, 41, 0);
    turn(world);
    assert_false(sends(world));
    capture(world, 120, 42, 0);
    turn(world);
    tick(world, AGENT_POSITION_MS);
    assert_int_equal(sent(world, MESSAGE_CHANGES).changes.piece_count, 1);
    assert_int_equal(sent(world, MESSAGE_CHANGES).changes.pieces[0].lsn, 120);
    assert_int_equal(sent(world, MESSAGE_CHANGES).changes.pieces[0].base, 42);
}

static void the_slot_of_an_idle_source_moves_only_after_the_broker_has_the_position(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    capture(world, 110, 41, 1);
    turn(world);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_IDLE, .lsn = 900 });
    tick(world, AGENT_POSITION_MS);
    assert_false(sends(world)); /* 110 is not acknowledged */
    acknowledge(world, 110);
    tick(world, AGENT_POSITION_MS);
    assert_int_equal(sent(world, MESSAGE_CHANGES).changes.pieces[0].lsn, 900);
    assert_int_equal(sent(world, MESSAGE_CHANGES).changes.pieces[0].base, 41);
    assert_null(action(world, AGENT_ACTION_ADVANCE, 0));
    acknowledge(world, 900);
    assert_int_equal(action(world, AGENT_ACTION_ADVANCE, 0)->lsn, 900);
}

static void without_credit_nothing_is_sent_and_capture_waits(void **state)
{
    struct world *world = *state;
    struct message credit = { .kind = MESSAGE_CREDIT };
    size_t most = 3 * sizeof world->content, bytes = 0;
    int pauses = 0;

    stream(world, most);
    for (uint64_t lsn = 101; lsn < 130; lsn++) {
        capture(world, lsn, 40, 1);
        for (int i = 0; action(world, AGENT_ACTION_SEND, i); i++)
            bytes += action(world, AGENT_ACTION_SEND, i)->length;
        pauses += action(world, AGENT_ACTION_PAUSE, 0) && action(world, AGENT_ACTION_PAUSE, 0)->yes;
    }
    assert_true(bytes > 0 && bytes <= most);
    assert_int_equal(pauses, 1);
    credit.credit.total = 16 << 20;
    receive(world, credit, 20);
    assert_true(action(world, AGENT_ACTION_SEND, 0)->length <= FRAME_BYTES_MAX);
    assert_non_null(action(world, AGENT_ACTION_SEND, 3)); /* in several messages */
    assert_false(action(world, AGENT_ACTION_PAUSE, 0)->yes);
    assert_int_equal(agent_status(world->agent).unsent_bytes, 0);
}

static void a_restarted_broker_is_greeted_again_and_capture_starts_at_its_position(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    capture(world, 110, 40, 1);
    turn(world);
    error(world, "no-session");
    assert_true(action(world, AGENT_ACTION_PAUSE, 0)->yes);
    assert_non_null(action(world, AGENT_ACTION_FORGET, 0));
    assert_int_equal(state_of(world), AGENT_WAITING);
    capture(world, 120, 40, 1); /* what still comes of the old capture is read again */
    turn(world);
    assert_false(sends(world));
    tick(world, AGENT_PAUSE_MIN_MS);
    assert_int_equal(sent(world, MESSAGE_HELLO).hello.catalog_hash[0], catalog_hash[0]);
    welcome_with(world, 3, 105, 1 << 20, "dinkes");
    adopt(world);
    assert_int_equal(action(world, AGENT_ACTION_CAPTURE, 0)->lsn, 105);
}

static void a_lost_link_is_greeted_again_when_it_is_back(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_DOWN, .text = "lost" });
    tick(world, AGENT_PAUSE_MAX_MS);
    assert_false(sends(world));
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    sent(world, MESSAGE_HELLO);
}

static void a_silent_broker_is_greeted_again(void **state)
{
    struct world *world = *state;
    struct message pong = { .kind = MESSAGE_PONG };

    stream(world, 1 << 20);
    tick(world, AGENT_PING_MS);
    pong.pong.time_us = sent(world, MESSAGE_PING).ping.time_us;
    world->now_ms += 4;
    pong.pong.broker_time_us = pong.pong.time_us + 2000 + 500;
    receive(world, pong, 20);
    assert_int_equal(agent_status(world->agent).round_trip_us, 4000);
    assert_int_equal(agent_status(world->agent).clock_offset_us, 500);
    for (int i = 0; i < 3; i++)
        tick(world, AGENT_PING_MS);
    assert_int_equal(state_of(world), AGENT_WAITING);
    tick(world, AGENT_PAUSE_MIN_MS);
    sent(world, MESSAGE_HELLO);
}

static void pauses_before_hello_grow_and_are_bounded(void **state)
{
    struct world *world = *state;
    int64_t waited[10];

    stream(world, 1 << 20);
    for (int i = 0; i < 10; i++) {
        error(world, "busy");
        waited[i] = 0;
        do {
            tick(world, 50);
            waited[i] += 50;
        } while (!sends(world));
    }
    assert_true(waited[0] <= AGENT_PAUSE_MIN_MS);
    assert_true(waited[3] > waited[0]);
    assert_true(waited[9] >= AGENT_PAUSE_MAX_MS / 2 && waited[9] <= AGENT_PAUSE_MAX_MS);
}

static void a_gap_in_the_brokers_numbers_ends_the_session(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    feed(world, 60, 1, 100);
    world->number++;
    feed(world, 61, 1, 100);
    assert_null(action(world, AGENT_ACTION_APPLY, 0));
    assert_int_equal(state_of(world), AGENT_WAITING);
}

static void what_was_seen_already_or_is_of_another_session_is_ignored(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    feed(world, 60, 1, 100);
    world->number--;
    feed(world, 60, 1, 100);
    assert_int_equal(world->actions.count, 0);
    world->session--;
    feed(world, 61, 1, 100);
    assert_int_equal(world->actions.count, 0);
    assert_int_equal(state_of(world), AGENT_STREAMING);
}

static void feed_is_applied_acknowledged_and_remembered_for_the_next_hello(void **state)
{
    struct world *world = *state;
    struct message hello;

    stream(world, 1 << 20);
    feed(world, 60, 1, 100);
    assert_int_equal(action(world, AGENT_ACTION_APPLY, 0)->feed->position, 60);
    feed(world, 61, 2, 100);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_APPLIED, .position = 61 });
    assert_int_equal(sent(world, MESSAGE_APPLIED).applied.position, 61);
    error(world, "no-session");
    tick(world, AGENT_PAUSE_MIN_MS);
    hello = sent(world, MESSAGE_HELLO);
    assert_int_equal(hello.hello.applied, 61);
    assert_int_equal(hello.hello.applied_leaf[0], 2);
}

static void hello_waits_a_moment_for_a_batch_that_is_being_applied(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    feed(world, 60, 1, 100);
    error(world, "no-session");
    tick(world, AGENT_PAUSE_MIN_MS);
    assert_false(sends(world));
    step(world, (struct agent_event){ .kind = AGENT_EVENT_APPLIED, .position = 60 });
    tick(world, AGENT_PAUSE_MIN_MS);
    assert_int_equal(sent(world, MESSAGE_HELLO).hello.applied, 60);
}

static void credit_for_feed_returns_when_the_driver_took_it(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    feed(world, 60, 1, AGENT_WINDOW_BYTES / 2);
    assert_false(sends(world));
    step(world, (struct agent_event){ .kind = AGENT_EVENT_TAKEN, .taken = AGENT_WINDOW_BYTES / 2 });
    assert_int_equal(sent(world, MESSAGE_CREDIT).credit.total, AGENT_WINDOW_BYTES + AGENT_WINDOW_BYTES / 2);
}

static void more_feed_than_credit_ends_the_session(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    feed(world, 60, 1, AGENT_WINDOW_BYTES + 1);
    assert_null(action(world, AGENT_ACTION_APPLY, 0));
    assert_int_equal(state_of(world), AGENT_WAITING);
}

static void doubt_about_history_stops_the_agent_for_good(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    error(world, "history");
    assert_non_null(action(world, AGENT_ACTION_STOP, 0));
    assert_false(action(world, AGENT_ACTION_STOP, 0)->ok);
    assert_null(action(world, AGENT_ACTION_CAPTURE, 0));
    tick(world, 60000);
    assert_false(sends(world));
}

static void a_database_in_doubt_is_told_to_the_broker(void **state)
{
    struct world *world = *state;
    struct message message;

    stream(world, 1 << 20);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_DOUBTED, .text = "restored", .code = "history" });
    message = sent(world, MESSAGE_ERROR);
    assert_int_equal(message.error.code.length, strlen("history"));
    assert_non_null(action(world, AGENT_ACTION_STOP, 0));
}

static void a_doubt_waits_for_the_link_so_that_the_broker_hears_of_it(void **state)
{
    struct world *world = *state;
    struct message message;

    stream(world, 1 << 20);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_DOWN, .text = "lost" });
    step(world, (struct agent_event){ .kind = AGENT_EVENT_DOUBTED, .text = "the slot is gone", .code = "lost" });
    assert_false(sends(world));
    assert_null(action(world, AGENT_ACTION_STOP, 0));
    tick(world, 60000);
    assert_false(sends(world)); /* no hello either */
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_DOWN, .text = "still down" });
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    message = sent(world, MESSAGE_ERROR);
    assert_memory_equal(message.error.code.bytes, "lost", 4);
    assert_memory_equal(message.error.text.bytes, "the slot is gone", 16);
    assert_string_equal(action(world, AGENT_ACTION_STOP, 0)->text, "the slot is gone");
}

static void a_load_is_asked_for_and_the_agent_goes_on(void **state)
{
    struct world *world = *state;
    struct message message;

    stream(world, 1 << 20);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_DOUBTED, .text = "it was truncated", .code = "reload" });
    message = sent(world, MESSAGE_ERROR);
    assert_memory_equal(message.error.code.bytes, "reload", 6);
    assert_null(action(world, AGENT_ACTION_STOP, 0));
    tick(world, 60000);
    assert_false(sends(world)); /* the database is not open */
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_DOWN, .text = "lost" });
    step(world, (struct agent_event){ .kind = AGENT_EVENT_DOUBTED, .text = "it was truncated", .code = "reload" });
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    assert_false(sends(world)); /* it will be found again */
}

/* Else the broker would take a session that begins anew for one of an older copy. */
static void hello_names_the_newest_fence_row_that_was_sent(void **state)
{
    struct world *world = *state;
    struct piece piece = { .lsn = 200, .final = true, .base = 50, .fence = { 4712, { 7 } } };

    stream(world, 1 << 20);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_CAPTURED, .piece = &piece });
    error(world, "no-session");
    tick(world, AGENT_PAUSE_MIN_MS);
    assert_int_equal(sent(world, MESSAGE_HELLO).hello.source.fence.seq, 4712);
}

static void a_database_that_was_loaded_is_loaded_anew_when_the_broker_wants_it(void **state)
{
    struct world *world = *state;

    open_database(world, 3, 40);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    welcome_with(world, 4, 0, 1 << 20, "dinkes");
    adopt(world);
    assert_int_equal(action(world, AGENT_ACTION_LOAD, 0)->incarnation, 4);
    assert_null(action(world, AGENT_ACTION_CAPTURE, 0));
    error(world, "no-session"); /* it breaks off: the database still says 3 */
    tick(world, AGENT_PAUSE_MAX_MS);
    assert_int_equal(sent(world, MESSAGE_HELLO).hello.incarnation, 3);
}

static void another_incarnation_or_agency_stops_the_agent(void **state)
{
    struct world *world = *state;

    open_database(world, 3, 40);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    welcome_with(world, 4, 100, 1 << 20, "dinkes");
    assert_non_null(action(world, AGENT_ACTION_STOP, 0));
    teardown(state);
    setup(state);
    open_database(world, 3, 40);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    welcome_with(world, 3, 100, 1 << 20, "dinsos");
    assert_non_null(strstr(action(world, AGENT_ACTION_STOP, 0)->text, "dinsos"));
}

static void a_mapping_that_does_not_fit_stops_the_agent_and_says_why(void **state)
{
    struct world *world = *state;

    open_database(world, 3, 40);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_LINK_UP });
    welcome_with(world, 3, 100, 1 << 20, "dinkes");
    step(world, (struct agent_event){
                    .kind = AGENT_EVENT_ADOPTED, .ok = false, .hash = catalog_hash, .text = "no such field" });
    sent(world, MESSAGE_ERROR);
    assert_string_equal(action(world, AGENT_ACTION_STOP, 0)->text, "no such field");
}

static void a_lost_database_ends_the_session_until_it_is_open_again(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    feed(world, 60, 1, 100);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_CLOSED, .text = "gone" });
    tick(world, 60000);
    assert_false(sends(world));
    open_database(world, 3, 60);
    assert_int_equal(sent(world, MESSAGE_HELLO).hello.applied, 60);
}

static void being_told_to_stop_says_bye(void **state)
{
    struct world *world = *state;

    stream(world, 1 << 20);
    step(world, (struct agent_event){ .kind = AGENT_EVENT_STOP, .text = "stopped" });
    sent(world, MESSAGE_BYE);
    assert_true(action(world, AGENT_ACTION_STOP, 0)->ok);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(hello_waits_for_both_database_and_link),
        T(a_first_load_ends_with_its_position_and_streams_after_it),
        T(a_broken_load_starts_over),
        T(changes_leave_in_the_turn_and_the_slot_follows_the_ack),
        T(an_acknowledgement_of_what_was_not_sent_ends_the_session),
        T(mere_positions_wait_for_company_and_are_superseded),
        T(the_slot_of_an_idle_source_moves_only_after_the_broker_has_the_position),
        T(without_credit_nothing_is_sent_and_capture_waits),
        T(a_restarted_broker_is_greeted_again_and_capture_starts_at_its_position),
        T(a_lost_link_is_greeted_again_when_it_is_back),
        T(a_silent_broker_is_greeted_again),
        T(pauses_before_hello_grow_and_are_bounded),
        T(a_gap_in_the_brokers_numbers_ends_the_session),
        T(what_was_seen_already_or_is_of_another_session_is_ignored),
        T(feed_is_applied_acknowledged_and_remembered_for_the_next_hello),
        T(hello_waits_a_moment_for_a_batch_that_is_being_applied),
        T(credit_for_feed_returns_when_the_driver_took_it),
        T(more_feed_than_credit_ends_the_session),
        T(doubt_about_history_stops_the_agent_for_good),
        T(a_database_in_doubt_is_told_to_the_broker),
        T(a_doubt_waits_for_the_link_so_that_the_broker_hears_of_it),
        T(a_load_is_asked_for_and_the_agent_goes_on),
        T(hello_names_the_newest_fence_row_that_was_sent),
        T(a_database_that_was_loaded_is_loaded_anew_when_the_broker_wants_it),
        T(another_incarnation_or_agency_stops_the_agent),
        T(a_mapping_that_does_not_fit_stops_the_agent_and_says_why),
        T(a_lost_database_ends_the_session_until_it_is_open_again),
        T(being_told_to_stop_says_bye),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
