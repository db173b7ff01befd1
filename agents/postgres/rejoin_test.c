/* Rows whose keys the database makes, made again within a transaction. */
#include "agents/postgres/fold_fixture.h"

/* Column size is the key that the database makes. */

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

#define MADE(name) cmocka_unit_test_setup_teardown(name, set_up_made, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE(a_row_that_is_made_again_is_the_record_that_it_was),
        MADE(a_row_without_identifier_is_the_same_when_all_of_it_is),
        MADE(a_reload_is_what_is_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
