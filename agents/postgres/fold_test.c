#include "agents/postgres/fold_fixture.h"

static void an_insert_lists_each_mapped_field(void **state)
{
    (void)state;
    insert(siti);
    assert_string_equal(ended(), "insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ");
}

static void an_update_lists_only_what_changed(void **state)
{
    (void)state;
    update(siti, siti_four);
    assert_string_equal(ended(), "update 1 size=4<3; ");
}

static void a_member_of_a_group_brings_the_others(void **state)
{
    static const struct catalog_field fields[] = {
        { .name = "nik", .type = VALUE_TEXT, .identifier = true, .unit = 1 },
        { .name = "name", .type = VALUE_TEXT, .unit = 2 },
        { .name = "size", .type = VALUE_INTEGER, .unit = 3 },
        { .name = "note", .type = VALUE_TEXT, .unit = 2 },
    };
    static const struct catalog_unit units[] = {
        { .name = "existence" },
        { .name = "nik" },
        { .name = "talk", .group = true },
        { .name = "size" },
    };
    static const struct catalog_type grouped = {
        .name = "resident",
        .field_count = 4,
        .fields = fields,
        .unit_count = 4,
        .units = units,
    };

    (void)state;
    fixture_block.type = &grouped;
    update(siti, (struct person){ "x", "1", "Sita", "3", NULL });
    assert_string_equal(ended(), "update 1 name=Sita<Siti note=null<null; ");
    update(siti, siti_four);
    assert_string_equal(ended(), "update 1 size=4<3; ");
    fixture_block.type = &fixture_type;
}

static void a_deletion_lists_what_was_there(void **state)
{
    (void)state;
    delete (siti);
    assert_string_equal(ended(), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
}

static void a_change_of_columns_that_are_not_mapped_is_nothing(void **state)
{
    (void)state;
    update(siti, (struct person){ "y", "1", "Siti", "3", "" });
    assert_string_equal(ended(), "");
}

static void two_updates_are_one_and_back_and_forth_is_nothing(void **state)
{
    (void)state;
    update(siti, siti_four);
    update(siti_four, (struct person){ "x", "1", "Siti", "5", "" });
    assert_string_equal(ended(), "update 1 size=5<3; ");
    update(siti, siti_four);
    update(siti_four, siti);
    assert_string_equal(ended(), "");
}

static void an_insert_takes_its_updates_with_it_and_its_deletion_away(void **state)
{
    (void)state;
    insert(siti);
    update(siti, siti_four);
    assert_string_equal(ended(), "insert 1 nik=1<- name=Siti<- size=4<- note=null<-; ");
    insert(siti);
    update(siti, siti_moved);
    delete (siti_moved);
    assert_string_equal(ended(), "");
}

static void a_deletion_shows_what_was_before_the_transaction(void **state)
{
    (void)state;
    update(siti, siti_four);
    delete (siti_four);
    assert_string_equal(ended(), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
}

static void a_deletion_and_an_insert_of_one_key_are_an_update(void **state)
{
    (void)state;
    delete (siti);
    insert(siti_four);
    assert_string_equal(ended(), "update 1 size=4<3; ");
}

/* A row that moves between partitions is decoded so; so is a nightly reload. */
static void a_deletion_and_an_insert_of_an_equal_row_are_nothing(void **state)
{
    (void)state;
    delete (siti);
    insert((struct person){ "other", "1", "Siti", "3", "" });
    assert_string_equal(ended(), "");
}

static void a_key_that_changes_is_followed(void **state)
{
    (void)state;
    update(siti, siti_moved);
    update(siti_moved, (struct person){ "x", "3", "Siti", "9", "" });
    assert_string_equal(ended(), "update 3<1 nik=3<1 size=9<3; ");
    update(siti, siti_moved);
    update(siti_moved, siti);
    assert_string_equal(ended(), "");
    update(siti, siti_moved);
    delete (siti_moved);
    assert_string_equal(ended(), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
}

/* The record that had key 1 is gone under another key; the new row with key 1 is it again. */
static void a_new_row_with_the_key_of_one_that_moved_and_died_is_that_record(void **state)
{
    (void)state;
    update(siti, siti_moved);
    insert(siti_four);
    delete (siti_moved);
    assert_string_equal(ended(), "update 1 size=4<3; ");
    delete (siti);
    insert((struct person){ "x", "9", "Siti", "4", "" });
    update((struct person){ "x", "9", "Siti", "4", "" }, siti_four);
    assert_string_equal(ended(), "update 1 size=4<3; ");
}

static void a_record_that_leaves_a_key_comes_before_the_one_that_takes_it(void **state)
{
    const struct person budi = { "x", "5", "Budi", "1", "" }, budi_two = { "x", "5", "Budi", "2", "" };
    const struct person budi_moved = { "x", "1", "Budi", "2", "" };

    (void)state;
    update(budi, budi_two); /* touched first */
    update(siti, siti_moved);
    update(budi_two, budi_moved);
    assert_string_equal(ended(), "update 2<1 nik=2<1; update 1<5 nik=1<5 size=2<1; ");
}

static void keys_that_were_exchanged_are_two_updates(void **state)
{
    const struct person budi = { "x", "2", "Budi", "1", "" }, budi_aside = { "x", "9", "Budi", "1", "" };
    const struct person budi_moved = { "x", "1", "Budi", "1", "" };

    (void)state;
    update(budi, budi_aside);
    update(siti, siti_moved);
    update(budi_aside, budi_moved);
    assert_string_equal(ended(), "update 2<1 nik=2<1; update 1<2 nik=1<2; ");
}

static void a_value_that_was_not_sent_stays_what_it_was(void **state)
{
    (void)state;
    describe('d');
    insert((struct person){ "x", "1", "Siti", "3", "long" });
    add_ok(change_bytes('U', NULL, &(struct person){ "x", "1", "Siti", "4", "?" }));
    assert_string_equal(ended(), "insert 1 nik=1<- name=Siti<- size=4<- note=long<-; ");
    add_ok(change_bytes('U', NULL, &(struct person){ "x", "1", "Siti", "4", "?" }));
    assert_string_equal(ended(), "update 1 name=Siti<- size=4<-; ");
}

static void without_full_identity_the_null_columns_of_an_old_key_are_no_values(void **state)
{
    const struct person key = { "", "1", "", "", "" };

    (void)state;
    describe('d');
    add_ok(change_bytes('K', &key, &(struct person){ "x", "2", "Siti", "3", "" }));
    add_ok(change_bytes('K', &(struct person){ "", "7", "", "", "" }, NULL));
    assert_string_equal(ended(), "update 2<1 nik=2<1 name=Siti<- size=3<- note=null<-; delete 7 nik=-<7; ");
}

static void an_update_whose_old_key_cannot_be_seen_is_an_error(void **state)
{
    static const char *const columns[] = { "*extra", "nik", "name", "size", "note", NULL };
    struct bytes bytes = relation_bytes(PEOPLE, "public", "people", 'd', columns);
    struct pgoutput_message message;
    struct error err;

    (void)state;
    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, &err), 0);
    assert_int_equal(fold_relation(fold, &message.relation, &err), 0);
    assert_int_equal(add(change_bytes('U', NULL, &siti), &err), ERR_LOST);
    assert_non_null(strstr(err.text, "REPLICA IDENTITY FULL"));
}

static void a_row_without_a_key_is_no_record_until_it_gets_one(void **state)
{
    struct person without = { "x", "", "Siti", "3", "" };

    (void)state;
    insert(without);
    assert_string_equal(ended(), "");
    update(without, siti);
    assert_string_equal(ended(), "insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ");
    update(siti, without);
    assert_string_equal(ended(), "delete 1 nik=-<1 name=-<Siti size=-<3 note=-<null; ");
    insert(without);
    assert_string_equal(ended(), "");
    assert_int_equal(problem_count, 1);
    assert_non_null(strstr(problem.text, "public.people"));
}

static void a_value_that_cannot_be_translated_is_left_out_and_counted(void **state)
{
    (void)state;
    update(siti, (struct person){ "x", "1", "Siti", "many", "" });
    update((struct person){ "x", "5", "Budi", "1", "" }, (struct person){ "x", "5", "Budi", "much", "new" });
    assert_string_equal(ended(), "update 5 note=new<null; ");
    assert_int_equal(problem_count, 2);
    assert_non_null(strstr(problem.text, "size"));
    assert_null(strstr(problem.text, "many"));
}

static void two_rows_with_one_key_are_counted_and_the_first_stands(void **state)
{
    (void)state;
    insert(siti);
    insert((struct person){ "x", " 1 ", "Other", "7", "" });
    update((struct person){ "x", "8", "Third", "1", "" }, (struct person){ "x", "1 ", "Third", "1", "" });
    assert_string_equal(ended(), "insert 1 nik=1<- name=Siti<- size=3<- note=null<-; ");
    assert_int_equal(problem_count, 2);
}

static void a_truncate_of_a_mapped_table_stops_and_names_it(void **state)
{
    static const char *const columns[] = { "a", NULL };
    struct bytes bytes = relation_bytes(ELSEWHERE, "public", "other", 'f', columns);
    struct pgoutput_message message;
    struct error err;

    (void)state;
    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, &err), 0);
    assert_int_equal(fold_relation(fold, &message.relation, &err), 0);
    assert_int_equal(add(truncate_bytes(ELSEWHERE), &err), 0);
    assert_int_equal(add(truncate_bytes(PEOPLE), &err), ERR_LOST);
    assert_non_null(strstr(err.text, "public.people"));
}

static void a_mapped_column_that_is_gone_stops_and_is_named(void **state)
{
    static const char *const columns[] = { "nik", "name", "size", NULL };
    struct bytes bytes = relation_bytes(PEOPLE, "public", "people", 'f', columns);
    struct pgoutput_message message;
    struct error err;

    (void)state;
    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, &err), 0);
    assert_int_equal(fold_relation(fold, &message.relation, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "column note"));
}

static void columns_may_change_places_within_a_transaction(void **state)
{
    static const char *const columns[] = { "note", "size", "name", "nik", "extra", NULL };
    struct bytes bytes = relation_bytes(PEOPLE, "public", "people", 'f', columns);
    struct pgoutput_message message;
    struct error err;

    (void)state;
    insert(siti);
    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, &err), 0);
    assert_int_equal(fold_relation(fold, &message.relation, &err), 0);
    update((struct person){ "", "3", "Siti", "1", "x" }, (struct person){ "n", "3", "Siti", "1", "x" });
    assert_string_equal(ended(), "insert 1 nik=1<- name=Siti<- size=3<- note=n<-; ");
}

static void a_transaction_larger_than_the_limit_stops(void **state)
{
    struct error err;
    int result = 0;

    (void)state;
    for (int i = 0; i < 100000 && result == 0; i++) {
        char key[16];

        snprintf(key, sizeof key, "%d", i);
        arena_reset(arena);
        result = add(insert_bytes(&(struct person){ "x", key, "n", "1", "" }), &err);
    }
    assert_int_equal(result, ERR_STOP);
}

static void what_comes_to_nothing_takes_no_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 30000; i++) { /* ten times what the limit allows at once */
        char key[16];
        struct person person = { "x", key, "n", "1", "" };

        snprintf(key, sizeof key, "%d", i);
        arena_reset(arena);
        delete (person);
        insert(person);
        update(person, (struct person){ "y", key, "n", "1", "" });
    }
    assert_string_equal(ended(), "");
}

static void no_salt_comes_twice(void **state)
{
    struct change *changes;
    struct error first;

    (void)state;
    insert(siti);
    insert((struct person){ "x", "2", "Siti", "3", "" });
    fold_end(fold, seed, &first);
    assert_int_equal(fold_next(fold, arena, 100000, &changes), 2);
    assert_memory_not_equal(changes[0].salt, changes[1].salt, 32);
    assert_memory_not_equal(changes[0].salt, seed, 32);
}

/* ---- Random transactions against what they did to a small table ---- */

enum { KEYS = 6 };

/* Which row (0: none) has a key, and that row's content. */
struct model {
    int name[KEYS];
};

static struct person person_of(int key, int name, char keep[2][16])
{
    snprintf(keep[0], sizeof keep[0], "%d", key + 1);
    snprintf(keep[1], sizeof keep[1], "n%d", name);
    return (struct person){ "x", keep[0], keep[1], "1", "" };
}

static void step_randomly(struct model *model, unsigned *random)
{
    int from = (int)(rand_r(random) % KEYS), to = (int)(rand_r(random) % KEYS), name = 1 + (int)(rand_r(random) % 3);
    char old[2][16], now[2][16];

    if (model->name[from] == 0) {
        insert(person_of(from, name, now));
        model->name[from] = name;
    } else if (rand_r(random) % 3 == 0) {
        delete (person_of(from, model->name[from], old));
        model->name[from] = 0;
    } else if (to == from || model->name[to] == 0) {
        update(person_of(from, model->name[from], old), person_of(to, name, now));
        model->name[from] = 0;
        model->name[to] = name;
    }
}

static int key_number(struct text key)
{
    return atoi(arena_copy(arena, key.bytes, key.length)) - 1;
}

/* The name among its fields: 0 when it is not part of the change. */
static int name_of(const struct change *change, bool old)
{
    for (uint16_t i = 0; i < change->field_count; i++) {
        const struct change_field *field = &change->fields[i];

        if (field->name.length == 4 && memcmp(field->name.bytes, "name", 4) == 0)
            return (old ? field->old : field->value).bytes[1] - '0';
    }
    return 0;
}

/* Does to a table what the changes say: each record leaves its key, then takes one. */
static void apply(struct model *model, const struct change *changes, uint32_t count)
{
    int held[KEYS * 2];

    for (uint32_t i = 0; i < count; i++) {
        const struct change *change = &changes[i];
        int key = key_number(change->old_key.length ? change->old_key : change->key);

        if (change->operation == OPERATION_INSERT)
            continue;
        held[i] = model->name[key];
        assert_int_not_equal(held[i], 0); /* it was there, and no other change took it */
        if (name_of(change, true))
            assert_int_equal(name_of(change, true), held[i]);
        model->name[key] = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct change *change = &changes[i];
        int key = key_number(change->key);

        if (change->operation == OPERATION_DELETE)
            continue;
        assert_int_equal(model->name[key], 0);
        model->name[key] = name_of(change, false) ? name_of(change, false) : held[i];
    }
}

static void random_transactions_have_the_effect_that_they_had(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct model model = { 0 }, after;
        unsigned random = round;
        struct change *changes = NULL;
        struct error first;
        uint32_t count = 0;

        arena_reset(arena);
        for (int i = 0; i < KEYS; i++)
            model.name[i] = (int)(rand_r(&random) % 4);
        after = model;
        for (int i = 0; i < 8; i++)
            step_randomly(&after, &random);
        assert_int_equal(fold_end(fold, seed, &first), 0);
        if (fold_left(fold))
            count = fold_next(fold, arena, 1 << 20, &changes);
        assert_false(fold_left(fold));
        assert_true(count <= 2 * KEYS);
        apply(&model, changes, count);
        if (memcmp(&model, &after, sizeof model) != 0)
            fail_msg("round %u has another effect", round);
        fold_reset(fold);
    }
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(an_insert_lists_each_mapped_field),
        UNIT(an_update_lists_only_what_changed),
        UNIT(a_member_of_a_group_brings_the_others),
        UNIT(a_deletion_lists_what_was_there),
        UNIT(a_change_of_columns_that_are_not_mapped_is_nothing),
        UNIT(two_updates_are_one_and_back_and_forth_is_nothing),
        UNIT(an_insert_takes_its_updates_with_it_and_its_deletion_away),
        UNIT(a_deletion_shows_what_was_before_the_transaction),
        UNIT(a_deletion_and_an_insert_of_one_key_are_an_update),
        UNIT(a_deletion_and_an_insert_of_an_equal_row_are_nothing),
        UNIT(a_key_that_changes_is_followed),
        UNIT(a_new_row_with_the_key_of_one_that_moved_and_died_is_that_record),
        UNIT(a_record_that_leaves_a_key_comes_before_the_one_that_takes_it),
        UNIT(keys_that_were_exchanged_are_two_updates),
        UNIT(a_value_that_was_not_sent_stays_what_it_was),
        UNIT(without_full_identity_the_null_columns_of_an_old_key_are_no_values),
        UNIT(an_update_whose_old_key_cannot_be_seen_is_an_error),
        UNIT(a_row_without_a_key_is_no_record_until_it_gets_one),
        UNIT(a_value_that_cannot_be_translated_is_left_out_and_counted),
        UNIT(two_rows_with_one_key_are_counted_and_the_first_stands),
        UNIT(a_truncate_of_a_mapped_table_stops_and_names_it),
        UNIT(a_mapped_column_that_is_gone_stops_and_is_named),
        UNIT(columns_may_change_places_within_a_transaction),
        UNIT(a_transaction_larger_than_the_limit_stops),
        UNIT(what_comes_to_nothing_takes_no_memory),
        UNIT(no_salt_comes_twice),
        UNIT(random_transactions_have_the_effect_that_they_had),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
