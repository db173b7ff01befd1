#include "agents/postgres/fold.h"
#include "agents/postgres/stream_fixture.h"
#include "agents/row_change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena *arena;
static struct fold *fold;
static uint32_t problem_count; /* of the last transaction */
static struct error problem;
static const uint8_t seed[32] = { 1, 2, 3 };

static void describe(char identity)
{
    struct bytes bytes = people_bytes(identity);
    struct pgoutput_message message;
    struct error err;

    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, &err), 0);
    assert_int_equal(fold_relation(fold, &message.relation, &err), 0);
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    fold = fold_new(&fixture_mapping, 1 << 20);
    describe('f');
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fold_free(&fold);
    arena_free(&arena);
    return 0;
}

static int add(struct bytes bytes, struct error *err)
{
    struct pgoutput_message message;

    assert_int_equal(pgoutput_read(arena, bytes.at, bytes.length, &message, err), 0);
    return fold_add(fold, &message, err);
}

static void add_ok(struct bytes bytes)
{
    struct error err;

    if (add(bytes, &err) < 0)
        fail_msg("%s", err.text);
}

static void insert(struct person now)
{
    add_ok(insert_bytes(&now));
}

static void update(struct person old, struct person now)
{
    add_ok(change_bytes('O', &old, &now));
}

static void delete (struct person old)
{
    add_ok(change_bytes('O', &old, NULL));
}

static void put_value(char *to, size_t size, struct value value)
{
    if (value.state == VALUE_ABSENT)
        snprintf(to, size, "-");
    else if (value.state == VALUE_NULL)
        snprintf(to, size, "null");
    else
        snprintf(to, size, "%.*s", (int)value.length, value.bytes);
}

/* "update 2<1 name=B<A; ": operation, key after and before, fields with new and old value. */
static const char *ended(void)
{
    static char text[4096];
    struct change *changes;
    size_t at = 0;

    text[0] = '\0';
    problem_count = fold_end(fold, seed, &problem);
    while (fold_left(fold)) {
        uint32_t count = fold_next(fold, arena, 1, &changes);

        for (uint32_t i = 0; i < count; i++) {
            struct change *change = &changes[i];

            assert_true(change_committed(change));
            at += (size_t)snprintf(text + at, sizeof text - at, "%s %.*s", operation_name(change->operation),
                                   (int)change->key.length, change->key.bytes);
            if (change->old_key.length > 0)
                at += (size_t)snprintf(text + at, sizeof text - at, "<%.*s", (int)change->old_key.length,
                                       change->old_key.bytes);
            for (uint16_t j = 0; j < change->field_count; j++) {
                char now[64], old[64];

                put_value(now, sizeof now, change->fields[j].value);
                put_value(old, sizeof old, change->fields[j].old);
                at += (size_t)snprintf(text + at, sizeof text - at, " %.*s=%s<%s", (int)change->fields[j].name.length,
                                       change->fields[j].name.bytes, now, old);
            }
            at += (size_t)snprintf(text + at, sizeof text - at, "; ");
        }
    }
    fold_reset(fold);
    return text;
}

static const struct person siti = { "x", "1", "Siti", "3", "" };
static const struct person siti_four = { "x", "1", "Siti", "4", "" };
static const struct person siti_moved = { "x", "2", "Siti", "3", "" };

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

/* ---- several blocks on one table ----
 *
 * people: each row. sick: rows with size 3 or 4, with a constant, and the note says who. empty: rows without a note,
 * found by the size alone, as if the database made it. */

static const char *const where_sizes[] = { "3", "4" };
static struct mapping_where where_sick = { .column = 2, .kind = WHERE_VALUES, .values = where_sizes, .value_count = 2 };
static struct mapping_where where_empty = { .column = 3, .kind = WHERE_NULL };
static struct mapping_field sick_mapped[] = {
    { .name = "nik", .field = 0, .columns = &fixture_places[0], .column_count = 1, .join = "" },
    { .name = "note", .field = 3, .constant = "flu", .constant_line = "flu", .join = "" },
};
static const uint16_t sick_key[] = { 0, 1 };
static struct mapping_block several_blocks[3];
static const struct mapping several = { several_blocks, 3 };

static int set_up_several(void **state)
{
    for (int i = 0; i < 3; i++)
        several_blocks[i] = fixture_block;
    several_blocks[1].name = "sick";
    several_blocks[1].fields = sick_mapped;
    several_blocks[1].field_count = 2;
    several_blocks[1].key = sick_key;
    several_blocks[1].key_count = 2;
    several_blocks[1].where = &where_sick;
    several_blocks[1].where_count = 1;
    several_blocks[1].actor_column = 3;
    several_blocks[1].ground_column = 1;
    several_blocks[2].name = "empty";
    several_blocks[2].fields = sick_mapped;
    several_blocks[2].field_count = 1;
    several_blocks[2].generated = true;
    several_blocks[2].key_count = 0;
    several_blocks[2].key_columns = &fixture_places[2];
    several_blocks[2].where = &where_empty;
    several_blocks[2].where_count = 1;
    (void)state;
    arena = arena_new();
    fold = fold_new(&several, 1 << 20);
    describe('f');
    return 0;
}

/* "block operation key actor/ground; " of each change. */
static const char *ended_several(void)
{
    static char text[4096];
    struct change *changes;
    size_t at = 0;

    text[0] = '\0';
    problem_count = fold_end(fold, seed, &problem);
    while (fold_left(fold)) {
        uint32_t count = fold_next(fold, arena, 1, &changes);

        for (uint32_t i = 0; i < count; i++) {
            char actor[64], ground[64];

            put_value(actor, sizeof actor, changes[i].actor);
            put_value(ground, sizeof ground, changes[i].ground);
            at += (size_t)snprintf(text + at, sizeof text - at, "%.*s %s ", (int)changes[i].block.length,
                                   changes[i].block.bytes, operation_name(changes[i].operation));
            for (uint32_t k = 0; k < changes[i].key.length; k++)
                text[at++] = changes[i].key.bytes[k] == '\x1f' ? '+' : changes[i].key.bytes[k];
            at += (size_t)snprintf(text + at, sizeof text - at, " %s/%s; ", actor, ground);
        }
    }
    fold_reset(fold);
    return text;
}

static void a_row_is_a_record_of_each_block_it_belongs_to(void **state)
{
    struct person well = { "x", "1", "Siti", "2", "n" }, sick = { "x", "1", "Siti", "3", "n" };
    struct person sicker = { "x", "1", "Siti", "4", "n" }, empty = { "x", "1", "Siti", "4", "" };

    (void)state;
    insert(well);
    assert_string_equal(ended_several(), "people insert 1 null/null; ");
    update(well, sick);
    assert_string_equal(ended_several(), "people update 1 null/null; sick insert 1+flu n/Siti; ");
    update(sick, sicker); /* nothing of it is mapped in "sick" */
    assert_string_equal(ended_several(), "people update 1 null/null; ");
    update(sicker, empty);
    assert_string_equal(ended_several(), "people update 1 null/null; empty insert 4 null/null; ");
    update(empty, well);
    assert_string_equal(ended_several(),
                        "people update 1 null/null; sick delete 1+flu null/null; empty delete 4 null/null; ");
    delete (sick);
    assert_string_equal(ended_several(), "people delete 1 null/null; sick delete 1+flu null/null; ");
}

static void what_leaves_a_block_and_comes_back_is_nothing(void **state)
{
    struct person well = { "x", "1", "Siti", "2", "n" }, sick = { "x", "1", "Siti", "3", "n" };

    (void)state;
    update(sick, well);
    update(well, sick);
    assert_string_equal(ended_several(), "");
    update(well, sick);
    update(sick, well);
    assert_string_equal(ended_several(), "");
    assert_int_equal(problem_count, 0);
}

static void a_row_outside_of_a_block_is_no_problem_of_it(void **state)
{
    struct person without = { "x", "", "Siti", "2", "n" };

    (void)state;
    insert(without);
    assert_string_equal(ended_several(), "");
    assert_int_equal(problem_count, 1); /* people: the row has no key; "sick" does not look at it */
}

static void a_condition_needs_the_whole_old_row(void **state)
{
    struct person well = { "x", "1", "Siti", "2", "n" };
    struct error err;

    (void)state;
    describe('d');
    assert_int_equal(add(change_bytes('U', NULL, &well), &err), ERR_LOST);
    assert_non_null(strstr(err.text, "REPLICA IDENTITY FULL"));
}

static void a_load_takes_the_rows_of_the_block(void **state)
{
    struct value columns[4] = { value_text("1"), value_text("Siti"), value_text("2"), value_text("n") };
    struct change change;
    uint32_t problems = 7;
    struct error first;

    (void)state;
    assert_false(change_load(arena, &several_blocks[1], columns, &change, &problems, &first));
    assert_int_equal(problems, 0);
    columns[2] = value_text("4");
    assert_true(change_load(arena, &several_blocks[1], columns, &change, &problems, &first));
    assert_memory_equal(change.key.bytes, "1\037flu", 5);
    assert_true(value_equal(change.actor, value_text("n")));
    assert_true(value_equal(change.ground, value_text("Siti")));
    columns[3] = value_null();
    assert_true(change_load(arena, &several_blocks[2], columns, &change, &problems, &first));
    assert_memory_equal(change.key.bytes, "4", 1);
}

/* A person whose name and note are that long. */
static struct person wide(const char *nik, uint32_t name, uint32_t note)
{
    char *texts[2] = { arena_alloc(arena, name + 1), arena_alloc(arena, note + 1) };

    memset(texts[0], 'n', name);
    memset(texts[1], 'o', note);
    return (struct person){ "x", nik, texts[0], "3", texts[1] };
}

static struct pgoutput_row row_of(const struct person *person)
{
    const char *const texts[] = { person->extra, person->nik, person->name, person->size, person->note };
    struct pgoutput_row row = { .count = 5, .values = arena_array(arena, 5, sizeof *row.values) };

    for (int i = 0; i < 5; i++)
        row.values[i] = value_text(texts[i]);
    return row;
}

/* Without the detour over bytes, for which these are too long. */
static void change_wide(const struct person *old, const struct person *now)
{
    struct pgoutput_message message = { .kind = old ? PGOUTPUT_UPDATE : PGOUTPUT_INSERT };
    struct error err;

    message.change.relation = PEOPLE;
    message.change.row = row_of(now);
    if (old) {
        message.change.identity = PGOUTPUT_OLD_FULL;
        message.change.old = row_of(old);
    }
    assert_int_equal(fold_add(fold, &message, &err), 0);
}

/* What does not fit into a message would wait for ever, and everything behind it. */
static void pieces_fit_into_a_message_however_wide_rows_are(void **state)
{
    const struct person one = wide("1", 100000, 200000), two = wide("2", 262144, 250000),
                        then = wide("2", 262143, 249999), three = wide("3", 200, 200);
    struct change *changes;
    uint32_t count, all = 0;

    (void)state;
    fold_free(&fold);
    fold = fold_new(&fixture_mapping, 1 << 24);
    describe('f');
    change_wide(NULL, &one);
    change_wide(&two, &then);
    change_wide(NULL, &three);
    assert_int_equal(fold_end(fold, seed, &problem), 0);
    for (; fold_left(fold); all += count) {
        struct piece piece = { 0 };

        count = fold_next(fold, arena, 512 * 1024, &changes);
        piece.changes = changes;
        piece.change_count = count;
        assert_true(MESSAGE_HEAD_BYTES + message_piece_size(&piece) < FRAME_BYTES_MAX * 3 / 4);
    }
    assert_int_equal(all, 3);
}

static void a_row_that_is_too_wide_leaves_out_its_longest_value_and_says_so(void **state)
{
    static const struct catalog_field fields[] = {
        { .name = "nik", .type = VALUE_TEXT, .identifier = true, .unit = 1 },
        { .name = "name", .type = VALUE_TEXT, .unit = 2 },
        { .name = "size", .type = VALUE_TEXT, .unit = 3 },
        { .name = "note", .type = VALUE_TEXT, .unit = 4 },
    };
    static const struct catalog_unit units[] = {
        { .name = "existence" }, { .name = "nik" }, { .name = "name" }, { .name = "size" }, { .name = "note" },
    };
    static const struct catalog_type texts = {
        .name = "resident", .field_count = 4, .fields = fields, .unit_count = 5, .units = units
    };
    struct person person = wide("1", 200000, 250000);
    char *size = arena_alloc(arena, 200001);
    struct change *changes;

    (void)state;
    fixture_block.type = &texts;
    memset(size, 's', 200000);
    person.size = size;
    change_wide(NULL, &person);
    assert_int_equal(fold_end(fold, seed, &problem), 1);
    assert_non_null(strstr(problem.text, "left out, because the whole row has more than 512 KiB"));
    assert_int_equal(fold_next(fold, arena, 1, &changes), 1);
    assert_int_equal(changes[0].field_count, 3); /* without the note */
    fixture_block.type = &fixture_type;
}

/* ---- where the database makes keys: here column size is one ---- */

static struct mapping_field made_mapped[3];
static struct mapping_block made_block;
static const struct mapping made_mapping = { &made_block, 1 };

static int set_up_made(void **state)
{
    (void)state;
    made_mapped[0] = fixture_mapped[0];
    made_mapped[1] = fixture_mapped[1];
    made_mapped[2] = fixture_mapped[3];
    made_block = fixture_block;
    made_block.generated = true;
    made_block.key_count = 0;
    made_block.key_columns = &fixture_places[2];
    made_block.fields = made_mapped;
    made_block.field_count = 3;
    arena = arena_new();
    fold = fold_new(&made_mapping, 1 << 20);
    describe('f');
    return 0;
}

static void a_row_that_is_made_again_is_the_record_that_it_was(void **state)
{
    struct person siti7 = { "x", "1", "Siti", "7", "" }, siti8 = { "x", "1", "Siti", "8", "" };
    struct person budi7 = { "x", "2", "Budi", "7", "" }, budi9 = { "x", "2", "Budi A", "9", "" };

    (void)state;
    delete (siti7);
    insert(siti8);
    assert_string_equal(ended(), "update 8<7; ");
    insert(budi9); /* a new row may come first, and a number may be another row's */
    delete (siti8);
    delete (budi7);
    insert(siti7);
    assert_string_equal(ended(), "update 9<7 name=Budi A<Budi; update 7<8; ");
    delete (budi9);
    insert(siti8);
    assert_string_equal(ended(),
                        "delete 9 nik=-<2 name=-<Budi A note=-<null; insert 8 nik=1<- name=Siti<- note=null<-; ");
}

static void a_row_without_identifier_is_the_same_when_all_of_it_is(void **state)
{
    struct person baby7 = { "x", "", "Bayi", "7", "n" }, baby8 = { "x", "", "Bayi", "8", "n" };
    struct person other9 = { "x", "", "Bayi", "9", "m" }, named = { "x", "5", "Bayi", "6", "n" };

    (void)state;
    delete (baby7);
    insert(other9);
    insert(baby8);
    assert_string_equal(ended(), "update 8<7; insert 9 nik=null<- name=Bayi<- note=m<-; ");
    delete (baby8);
    insert(named); /* who that is, nobody has said */
    assert_string_equal(ended(), "delete 8 nik=-<null name=-<Bayi note=-<n; insert 6 nik=5<- name=Bayi<- note=n<-; ");
}

/* A nightly reload: everything is deleted and made again, one thing is different. */
static void a_reload_is_what_is_different(void **state)
{
    char niks[40][8], old_keys[40][8], new_keys[40][8];
    const char *text;
    int updates = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        snprintf(niks[i], sizeof niks[i], "n%d", i);
        snprintf(old_keys[i], sizeof old_keys[i], "%d", 100 + i);
        snprintf(new_keys[i], sizeof new_keys[i], "%d", 200 + i);
        delete ((struct person){ "x", niks[i], "a", old_keys[i], "" });
    }
    for (int i = 39; i >= 0; i--)
        insert((struct person){ "x", niks[i], i == 5 ? "b" : "a", new_keys[i], "" });
    text = ended();
    assert_null(strstr(text, "insert"));
    assert_null(strstr(text, "delete"));
    assert_non_null(strstr(text, "update 205<105 name=b<a; "));
    for (const char *at = text; (at = strstr(at, "update")); at++)
        updates++;
    assert_int_equal(updates, 40);
    assert_null(strstr(strstr(text, "name=") + 1, "name="));
}

int main(void)
{
#define MADE(name) cmocka_unit_test_setup_teardown(name, set_up_made, tear_down)
#define SEVERAL(name) cmocka_unit_test_setup_teardown(name, set_up_several, tear_down)
#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
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
        SEVERAL(a_row_is_a_record_of_each_block_it_belongs_to),
        SEVERAL(what_leaves_a_block_and_comes_back_is_nothing),
        SEVERAL(a_row_outside_of_a_block_is_no_problem_of_it),
        SEVERAL(a_condition_needs_the_whole_old_row),
        SEVERAL(a_load_takes_the_rows_of_the_block),
        MADE(a_row_that_is_made_again_is_the_record_that_it_was),
        MADE(a_row_without_identifier_is_the_same_when_all_of_it_is),
        MADE(a_reload_is_what_is_different),
        UNIT(pieces_fit_into_a_message_however_wide_rows_are),
        UNIT(a_row_that_is_too_wide_leaves_out_its_longest_value_and_says_so),
    };
#undef MADE
#undef SEVERAL
#undef UNIT

    return cmocka_run_group_tests(tests, NULL, NULL);
}
