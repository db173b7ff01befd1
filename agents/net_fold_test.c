#include "agents/net_fold.h"

#include "proto/tree_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char lines[] = "participant\n"
                            "    type = resident\n"
                            "    table = public.participant\n"
                            "    key = nik\n"
                            "    insert = yes\n"
                            "    delete = row\n"
                            "    fields\n"
                            "        nik\n"
                            "            column = nik\n"
                            "        name\n"
                            "            column = name\n"
                            "        premium\n"
                            "            column = premium\n"
                            "card\n"
                            "    type = card\n"
                            "    table = public.card\n"
                            "    key = number\n"
                            "    insert = yes\n"
                            "    delete = ignore\n"
                            "    fields\n"
                            "        number\n"
                            "            column = number\n"
                            "        colour\n"
                            "            column = colour\n"
                            "visitor\n"
                            "    type = resident\n"
                            "    table = public.visitor\n"
                            "    key = generated id\n"
                            "    insert = yes\n"
                            "    delete = row\n"
                            "    fields\n"
                            "        nik\n"
                            "            column = nik\n"
                            "        name\n"
                            "            column = name\n";

struct world {
    struct arena *arena;
    struct mapping mapping;
    const struct item *items[32];
    uint32_t count;
    struct net_run *runs;
    uint32_t run_count;
};

enum { NIK, NAME, PREMIUM };

static int world_setup(void **state)
{
    static struct world world;
    struct error err;

    world = (struct world){ .arena = arena_new() };
    *state = &world;
    return mapping_build(world.arena, tree_fixture(world.arena, lines), &world.mapping, &err);
}

static int world_teardown(void **state)
{
    struct world *world = *state;

    arena_free(&world->arena);
    return 0;
}

static struct text text_of(const char *text)
{
    return (struct text){ text, text ? (uint32_t)strlen(text) : 0 };
}

/* Adds an item: pairs of field and value (NULL: NULL) up to a NULL field. */
static struct item *feed(struct world *world, enum operation operation, const char *block, uint64_t record,
                         const char *key, ...)
{
    struct item *item = arena_alloc(world->arena, sizeof *item);
    const char *name;
    va_list pairs;

    *item = (struct item){ .position = world->count + 1,
                           .record = record,
                           .operation = operation,
                           .block = text_of(block),
                           .key = text_of(key) };
    item->fields = arena_array(world->arena, 8, sizeof *item->fields);
    va_start(pairs, key);
    while ((name = va_arg(pairs, const char *))) {
        const char *value = va_arg(pairs, const char *);

        item->fields[item->field_count++] =
            (struct item_field){ text_of(name), value ? value_text(value) : value_null() };
    }
    va_end(pairs);
    world->items[world->count++] = item;
    return item;
}

static void fold(struct world *world)
{
    struct error err;

    assert_int_equal(
        net_fold(world->arena, &world->mapping, world->items, world->count, &world->runs, &world->run_count, &err), 0);
}

static void assert_field(const struct net *net, int field, const char *expected)
{
    assert_true(value_equal(net->fields[field], expected ? value_text(expected) : value_null()));
}

static void updates_of_one_record_become_one_with_the_last_values(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_UPDATE, "participant", 7, "K", "name", "A", "premium", "1.00", NULL);
    feed(world, OPERATION_UPDATE, "participant", 7, "K", "name", "B", NULL);
    fold(world);
    assert_int_equal(world->run_count, 1);
    assert_int_equal(world->runs[0].count, 1);
    assert_int_equal(world->runs[0].list[0]->operation, OPERATION_UPDATE);
    assert_int_equal(world->runs[0].list[0]->position, 1);
    assert_field(world->runs[0].list[0], NAME, "B");
    assert_field(world->runs[0].list[0], PREMIUM, "1.00");
    assert_int_equal(world->runs[0].list[0]->fields[NIK].state, VALUE_ABSENT);
}

static void records_of_two_blocks_with_one_number_stay_apart(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_UPDATE, "participant", 7, "K", "name", "A", NULL);
    feed(world, OPERATION_UPDATE, "card", 7, "C", "colour", "red", NULL);
    fold(world);
    assert_int_equal(world->runs[0].count, 2);
}

static void what_is_inserted_and_updated_is_inserted_once(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_INSERT, "participant", 7, NULL, "nik", "K", "name", "A", "premium", NULL, NULL);
    feed(world, OPERATION_UPDATE, "participant", 7, "K", "name", "B", NULL);
    fold(world);
    assert_int_equal(world->runs[0].count, 1);
    assert_int_equal(world->runs[0].list[0]->operation, OPERATION_INSERT);
    assert_field(world->runs[0].list[0], NAME, "B");
    assert_field(world->runs[0].list[0], PREMIUM, NULL);
}

static void what_is_inserted_and_deleted_is_deleted(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_INSERT, "participant", 7, "K", "nik", "K", "name", "A", NULL);
    feed(world, OPERATION_DELETE, "participant", 7, "K", NULL);
    feed(world, OPERATION_UPDATE, "participant", 7, "K", "name", "C", NULL);
    fold(world);
    assert_int_equal(world->runs[0].count, 1);
    assert_int_equal(world->runs[0].list[0]->operation, OPERATION_DELETE);
}

static void what_is_deleted_and_comes_back_keeps_its_row(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_DELETE, "participant", 7, "K", NULL);
    feed(world, OPERATION_INSERT, "participant", 7, "K", "nik", "K", "name", "A", NULL);
    fold(world);
    assert_int_equal(world->runs[0].count, 1);
    assert_int_equal(world->runs[0].list[0]->operation, OPERATION_INSERT);
}

static void a_deletion_that_the_mapping_ignores_leaves_what_came_before(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_UPDATE, "card", 7, "C", "colour", "red", NULL);
    feed(world, OPERATION_DELETE, "card", 7, "C", NULL);
    feed(world, OPERATION_DELETE, "card", 8, "D", NULL);
    fold(world);
    assert_int_equal(world->runs[0].count, 1);
    assert_int_equal(world->runs[0].list[0]->operation, OPERATION_UPDATE);
}

static void deletions_come_first_and_insertions_last(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_INSERT, "participant", 1, NULL, "nik", "A", "name", "a", NULL);
    feed(world, OPERATION_UPDATE, "participant", 2, "B", "name", "b", NULL);
    feed(world, OPERATION_DELETE, "participant", 3, "C", NULL);
    fold(world);
    assert_int_equal(world->run_count, 1);
    assert_int_equal(world->runs[0].list[0]->record, 3);
    assert_int_equal(world->runs[0].list[1]->record, 2);
    assert_int_equal(world->runs[0].list[2]->record, 1);
}

static void nothing_is_folded_past_a_change_of_key(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_UPDATE, "participant", 1, "A", "name", "before", NULL);
    feed(world, OPERATION_UPDATE, "participant", 1, "A", "nik", "B", NULL);
    feed(world, OPERATION_UPDATE, "participant", 2, "C", "nik", "A", NULL);
    feed(world, OPERATION_UPDATE, "participant", 1, "B", "name", "after", NULL);
    fold(world);
    assert_int_equal(world->run_count, 4);
    assert_false(world->runs[0].list[0]->moves);
    assert_true(world->runs[1].list[0]->moves);
    assert_true(world->runs[2].list[0]->moves);
    assert_field(world->runs[3].list[0], NAME, "after");
}

static void a_key_that_is_set_to_itself_does_not_move(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_UPDATE, "participant", 1, "A", "nik", "A", "name", "x", NULL);
    fold(world);
    assert_false(world->runs[0].list[0]->moves);
}

static void an_insertion_for_a_row_under_another_key_moves_it(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_INSERT, "participant", 1, "OLD", "nik", "NEW", "name", "x", NULL);
    fold(world);
    assert_true(world->runs[0].list[0]->moves);
}

static void a_reason_stays_with_the_field_that_was_put_back(void **state)
{
    struct world *world = *state;
    struct item *item = feed(world, OPERATION_UPDATE, "participant", 1, "A", "premium", "2.00", NULL);

    item->reason = (struct reason){ text_of("put back"), text_of("dinsos"), text_of("owner"), text_of("") };
    feed(world, OPERATION_UPDATE, "participant", 1, "A", "name", "x", NULL);
    fold(world);
    assert_int_equal(world->runs[0].list[0]->reasons[PREMIUM].verdict.length, 8);
    assert_int_equal(world->runs[0].list[0]->reasons[NAME].verdict.length, 0);
}

static void what_is_parked_comes_back_as_it_was(void **state)
{
    struct world *world = *state;
    struct buffer bytes = { 0 };
    struct item read;
    struct net *net;
    struct error err;

    feed(world, OPERATION_UPDATE, "participant", 1, "A", "name", NULL, "premium", "2.00", NULL);
    fold(world);
    net_pack(&world->mapping, world->runs[0].list[0], &bytes);
    assert_int_equal(effect_read(world->arena, bytes.bytes, bytes.length, &read, &err), 0);
    read.block = text_of("participant");
    assert_int_equal(net_new(world->arena, &world->mapping, &read, &net, &err), 0);
    assert_int_equal(net->operation, OPERATION_UPDATE);
    assert_field(net, NAME, NULL);
    assert_field(net, PREMIUM, "2.00");
    assert_int_equal(net->fields[NIK].state, VALUE_ABSENT);
    buffer_free(&bytes);
}

static void a_field_that_is_not_mapped_is_an_error(void **state)
{
    struct world *world = *state;
    struct error err;

    feed(world, OPERATION_UPDATE, "participant", 1, "A", "shoe_size", "43", NULL);
    assert_int_equal(
        net_fold(world->arena, &world->mapping, world->items, world->count, &world->runs, &world->run_count, &err),
        ERR_STOP);
    assert_non_null(strstr(err.text, "shoe_size"));
    assert_null(strstr(err.text, "43"));
}

/* No later run could say which row it is: its key is made in this transaction. */
static void a_row_whose_key_is_yet_to_be_made_is_one_net_effect(void **state)
{
    struct world *world = *state;

    feed(world, OPERATION_INSERT, "visitor", 5, NULL, "nik", "1", "name", "x", NULL);
    feed(world, OPERATION_UPDATE, "participant", 2, "2", "nik", "7", NULL); /* a key that moves: runs end */
    feed(world, OPERATION_UPDATE, "visitor", 5, NULL, "name", "y", NULL);
    feed(world, OPERATION_UPDATE, "visitor", 6, "66", "name", "z", NULL);
    fold(world);
    assert_int_equal(world->run_count, 3);
    assert_int_equal(world->runs[0].count, 1);
    assert_int_equal(world->runs[0].list[0]->operation, OPERATION_INSERT);
    assert_memory_equal(world->runs[0].list[0]->fields[NAME].bytes, "y", 1);
    assert_int_equal(world->runs[2].count, 1);
    assert_int_equal(world->runs[2].list[0]->record, 6);
}

/* Participants refer to cards, though the mapping has them first. */
static void what_is_referred_to_comes_before_and_goes_after(void **state)
{
    static const struct catalog_type types[2];
    static const struct {
        enum operation operation;
        uint64_t record;
    } expected[] = { { OPERATION_DELETE, 1 }, { OPERATION_DELETE, 2 }, { OPERATION_UPDATE, 3 },
                     { OPERATION_INSERT, 4 }, { OPERATION_UPDATE, 5 }, { OPERATION_INSERT, 6 } };
    struct world *world = *state;

    world->mapping.blocks[0].type = world->mapping.blocks[2].type = &types[1];
    world->mapping.blocks[1].type = &types[0];
    world->mapping.blocks[1].delete = DELETE_ROW;
    feed(world, OPERATION_INSERT, "participant", 6, NULL, "nik", "F", NULL);
    feed(world, OPERATION_UPDATE, "participant", 5, "E", "name", "E", NULL);
    feed(world, OPERATION_INSERT, "card", 4, NULL, "number", "D", NULL);
    feed(world, OPERATION_DELETE, "card", 2, "B", NULL);
    feed(world, OPERATION_UPDATE, "card", 3, "C", "colour", "red", NULL);
    feed(world, OPERATION_DELETE, "participant", 1, "A", NULL);
    fold(world);
    assert_int_equal(world->run_count, 1);
    assert_int_equal(world->runs[0].count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(world->runs[0].list[i]->operation, expected[i].operation);
        assert_int_equal(world->runs[0].list[i]->record, expected[i].record);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(updates_of_one_record_become_one_with_the_last_values),
        T(records_of_two_blocks_with_one_number_stay_apart),
        T(what_is_inserted_and_updated_is_inserted_once),
        T(what_is_inserted_and_deleted_is_deleted),
        T(what_is_deleted_and_comes_back_keeps_its_row),
        T(a_deletion_that_the_mapping_ignores_leaves_what_came_before),
        T(deletions_come_first_and_insertions_last),
        T(what_is_referred_to_comes_before_and_goes_after),
        T(nothing_is_folded_past_a_change_of_key),
        T(a_row_whose_key_is_yet_to_be_made_is_one_net_effect),
        T(a_key_that_is_set_to_itself_does_not_move),
        T(an_insertion_for_a_row_under_another_key_moves_it),
        T(a_reason_stays_with_the_field_that_was_put_back),
        T(what_is_parked_comes_back_as_it_was),
        T(a_field_that_is_not_mapped_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
