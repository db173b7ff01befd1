/* Deletions that wait, in the agency's own database. See apply_fixture.h. */
#include "agents/postgres/absent_store.h"
#include "agents/postgres/apply_fixture.h"

static const char waiting_lines[] = "member\n"
                                    "    type = resident\n"
                                    "    table = public.member\n"
                                    "    key = nik\n"
                                    "    insert = yes\n"
                                    "    delete = row\n"
                                    "    absence = 1min\n"
                                    "    fields\n"
                                    "        nik\n"
                                    "            column = nik\n"
                                    "            trim = yes\n"
                                    "        name\n"
                                    "            column = nama\n";

static struct absents *absents;

static int setup_waiting(void **state)
{
    return setup_mapped(state, waiting_lines);
}

static void on_restored(void *context, struct absents *restored)
{
    struct world *world = context;

    absents = restored;
    loop_end(world->loop);
}

static void on_kept(void *context)
{
    struct world *world = context;

    loop_end(world->loop);
}

/* A deletion that the transaction which ended at `lsn` has just begun. */
static void add_fresh(struct absents *to, const char *nik, uint64_t lsn)
{
    struct value fields[2 + ROW_WITNESSES] = { value_text(nik), value_text("Somebody") };

    absents_restore(to, 0, text_of(nik), fields, lsn, 1000);
    to->newest->fresh = true;
}

static const char all[] = "SELECT string_agg(concat_ws(' ', key, lsn, settled), ', ' ORDER BY key) FROM selaras.absent";

/* The broker has everything up to 20: what began to wait later is read again, and so is what ended it. */
static void what_the_broker_does_not_have_is_taken_back(void **state)
{
    struct world *world = world_of(state);
    const struct absent_store_sink sink = { world, on_restored, on_kept, on_failed };
    struct absent_store *store = absent_store_new(world->pg, &world->mapping, &sink);
    struct absents *before = absents_new(&world->mapping, 1 << 20);

    add_fresh(before, "A", 10);
    add_fresh(before, "B", 11);
    add_fresh(before, "C", 30);
    absent_store_keep(store, before);
    run(world);
    absents_free(&before);
    assert_sql(world, "A 10, B 11, C 30", all);
    sql(world, "UPDATE selaras.absent SET settled = CASE key WHEN 'A' THEN 15 ELSE 25 END WHERE key < 'C'");
    absent_store_restore(store, 20);
    run(world);
    assert_sql(world, "B 11", all);
    assert_int_equal(absents->count, 1);
    assert_true(absents_wait(absents, 0, text_of("B")) && !absents_changed(absents));
    absents_free(&absents);
    absent_store_restore(store, 28); /* it did not end there this time */
    run(world);
    assert_int_equal(absents->count, 1);
    absents_free(&absents);
    absent_store_free(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_broker_does_not_have_is_taken_back, setup_waiting, teardown),
    };

    log_start("apply_test", NULL, LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
