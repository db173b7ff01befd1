/* The last entries of the ledger: what of them a reader is given, and when the store must be asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/recent.h"

static const char big[4096];

/* A ledger from position 1 on, whose batches a test commits one after the other. */
struct ledger {
    struct arena *arena;
    struct cache *cache;
    struct recent *recent;
    feed_position head;
    struct entry_row rows[4096]; /* of the batch that is being made */
    uint32_t count;
};

static void ledger_open(struct ledger *ledger, size_t limit_bytes)
{
    *ledger = (struct ledger){ .arena = arena_new(),
                               .cache = cache_new(0, &(struct hash_key){ { 0 } }),
                               .recent = recent_new(limit_bytes) };
}

static void ledger_close(struct ledger *ledger)
{
    recent_free(&ledger->recent);
    cache_free(&ledger->cache);
    arena_free(&ledger->arena);
}

/* The next entry: so many bytes for whoever is not its writer, a. Not the end of its transaction yet. */
static struct entry_row *entry(struct ledger *ledger, uint32_t bytes)
{
    struct entry_row *row = &ledger->rows[ledger->count++];

    assert_true(bytes <= sizeof big);
    *row = (struct entry_row){ .entry = { .position = ++ledger->head, .agency = { "a", 1 }, .type = { "resident", 8 } },
                               .effect = { big, bytes },
                               .leaf = { (const char *)&row->entry.position, sizeof row->entry.position } };
    return row;
}

static void commit(struct ledger *ledger)
{
    struct batch batch = { .arena = ledger->arena,
                           .writes = { .entries = ledger->rows, .entry_count = ledger->count } };

    recent_add(ledger->recent, &batch);
    ledger->count = 0;
}

/* Transactions of one entry each, committed together. */
static void commit_entries(struct ledger *ledger, uint32_t count, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++)
        entry(ledger, bytes)->boundary = true;
    commit(ledger);
}

/* What agency b is given after a position; `end` 0: the store must be asked. */
static struct scan scan_of(const struct ledger *ledger, const char *agency, feed_position after, uint32_t limit)
{
    struct scan scan = {
        .arena = ledger->arena, .agency = 2, .after = after, .limit = limit, .most = 100, .most_bytes = sizeof big
    };

    strcpy(scan.agency_name, agency);
    if (!recent_scan(ledger->recent, ledger->cache, &scan))
        scan.end = 0;
    return scan;
}

static void assert_scan(const struct ledger *ledger, feed_position after, uint32_t limit, feed_position end,
                        uint32_t rows)
{
    struct scan scan = scan_of(ledger, "b", after, limit);
    uint8_t leaf[HASH_BYTES];

    assert_int_equal(scan.end, end);
    if (end == 0)
        return;
    assert_int_equal(scan.row_count, rows);
    leaf_hash((const char *)&end, sizeof end, leaf);
    assert_memory_equal(scan.leaf, leaf, sizeof leaf);
}

static void a_reader_is_given_what_follows_up_to_its_limit(void **state)
{
    struct ledger ledger;

    (void)state;
    ledger_open(&ledger, 1 << 20);
    assert_scan(&ledger, 0, 50, 0, 0); /* nothing is known of a ledger before the first batch */
    commit_entries(&ledger, 7, 10);
    commit_entries(&ledger, 3, 10);
    assert_scan(&ledger, 0, 50, 10, 10); /* from the first one that is here */
    assert_scan(&ledger, 6, 50, 10, 4);
    assert_scan(&ledger, 9, 50, 10, 1); /* the last one alone */
    assert_scan(&ledger, 10, 50, 0, 0);
    assert_scan(&ledger, 0, 3, 3, 3);
    ledger_close(&ledger);
}

static void each_agency_is_given_its_own(void **state)
{
    struct ledger ledger;
    struct entry_row *row;
    struct scan scan;

    (void)state;
    ledger_open(&ledger, 1 << 20);
    row = entry(&ledger, 0); /* nothing for others */
    row->reply = (struct text){ "reply", 5 };
    row->boundary = true;
    commit(&ledger);
    commit_entries(&ledger, 1, 10);
    assert_scan(&ledger, 0, 50, 2, 1);
    scan = scan_of(&ledger, "a", 0, 50);
    assert_int_equal(scan.end, 2);
    assert_int_equal(scan.row_count, 1);
    assert_int_equal(scan.rows[0].position, 1);
    assert_memory_equal(scan.rows[0].sending.bytes, "reply", 5);
    recent_clear(ledger.recent); /* what was given is the reader's */
    assert_true(scan.rows[0].sending.bytes[0] == 'r');
    ledger_close(&ledger);
}

static void a_transaction_is_given_whole_or_not_at_all(void **state)
{
    struct ledger ledger;

    (void)state;
    ledger_open(&ledger, 1 << 20);
    commit_entries(&ledger, 2, 10);
    for (int i = 0; i < 5; i++)
        entry(&ledger, 10)->boundary = i == 4;
    for (int i = 0; i < 101; i++)
        entry(&ledger, 10)->boundary = i == 100;
    commit(&ledger);
    assert_scan(&ledger, 0, 3, 7, 7);   /* more than asked for: the last one's transaction goes on */
    assert_scan(&ledger, 0, 100, 7, 7); /* the next one would not fit any more */
    assert_scan(&ledger, 7, 100, 0, 0); /* more than `most`: the store cuts it */
    assert_scan(&ledger, 8, 100, 108, 100);
    ledger_close(&ledger);
}

static void bytes_are_counted_as_items_are(void **state)
{
    struct ledger ledger;

    (void)state;
    ledger_open(&ledger, 1 << 20);
    commit_entries(&ledger, 3, sizeof big / 2);
    assert_scan(&ledger, 0, 50, 2, 2);
    commit_entries(&ledger, 1, sizeof big); /* one item there always is */
    assert_scan(&ledger, 3, 50, 4, 1);
    entry(&ledger, sizeof big);
    entry(&ledger, 1)->boundary = true;
    commit(&ledger);
    assert_scan(&ledger, 4, 50, 0, 0);
    ledger_close(&ledger);
}

static void an_item_whose_key_is_not_known_ends_it(void **state)
{
    struct ledger ledger;

    (void)state;
    ledger_open(&ledger, 1 << 20);
    commit_entries(&ledger, 2, 10);
    entry(&ledger, 10);
    entry(&ledger, 10)->entry.record = 5; /* which the cache does not have */
    ledger.rows[1].boundary = true;
    commit(&ledger);
    assert_scan(&ledger, 0, 50, 2, 2);
    assert_scan(&ledger, 2, 50, 0, 0);
    ledger_close(&ledger);
}

/* The oldest position from which a reader is still fed; 0: none. */
static feed_position oldest(const struct ledger *ledger)
{
    for (feed_position at = 0; at < ledger->head; at++)
        if (scan_of(ledger, "b", at, 1).end != 0)
            return at + 1;
    return 0;
}

static void the_oldest_make_room(void **state)
{
    struct ledger ledger;
    uint32_t kept;

    (void)state;
    ledger_open(&ledger, 100 * 1024);
    commit_entries(&ledger, 80, 1024);
    assert_int_equal(oldest(&ledger), 1);
    for (int i = 0; i < 20; i++)
        commit_entries(&ledger, 80, 1024);
    kept = (uint32_t)(ledger.head - oldest(&ledger) + 1);
    assert_in_range(kept, 80, 90);
    assert_scan(&ledger, ledger.head - 1, 50, ledger.head, 1);
    commit_entries(&ledger, 4000, 0); /* the places themselves count: else there were room for 840 */
    kept = (uint32_t)(ledger.head - oldest(&ledger) + 1);
    assert_in_range(kept, 700, 800);
    ledger_close(&ledger);
}

static void an_entry_beyond_the_limit_leaves_nothing_and_does_no_harm(void **state)
{
    struct ledger ledger;

    (void)state;
    ledger_open(&ledger, 3000);
    commit_entries(&ledger, 2, 100);
    assert_int_equal(oldest(&ledger), 1);
    commit_entries(&ledger, 1, sizeof big);
    assert_int_equal(oldest(&ledger), 0);
    commit_entries(&ledger, 2, 100);
    assert_int_equal(oldest(&ledger), 4);
    assert_scan(&ledger, 2, 50, 0, 0); /* it would lack the third */
    assert_scan(&ledger, 3, 50, 5, 2);
    ledger_close(&ledger);
}

static void a_gap_leaves_only_what_follows_it(void **state)
{
    struct ledger ledger;

    (void)state;
    ledger_open(&ledger, 1 << 20);
    commit_entries(&ledger, 5, 10);
    ledger.head = 100;
    commit_entries(&ledger, 5, 10);
    assert_scan(&ledger, 0, 50, 0, 0);
    assert_scan(&ledger, 99, 50, 0, 0);
    assert_scan(&ledger, 100, 50, 105, 5);
    recent_clear(ledger.recent);
    assert_scan(&ledger, 100, 50, 0, 0);
    commit_entries(&ledger, 1, 10);
    assert_scan(&ledger, 105, 50, 106, 1);
    ledger_close(&ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_is_given_what_follows_up_to_its_limit),
        cmocka_unit_test(each_agency_is_given_its_own),
        cmocka_unit_test(a_transaction_is_given_whole_or_not_at_all),
        cmocka_unit_test(bytes_are_counted_as_items_are),
        cmocka_unit_test(an_item_whose_key_is_not_known_ends_it),
        cmocka_unit_test(the_oldest_make_room),
        cmocka_unit_test(an_entry_beyond_the_limit_leaves_nothing_and_does_no_harm),
        cmocka_unit_test(a_gap_leaves_only_what_follows_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
