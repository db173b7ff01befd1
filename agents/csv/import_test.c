/* Lists taken into a real state file and batches applied to it: what travels, what is kept, what survives. */
#include "agents/csv/import_fixture.h"

static void edits_travel_with_the_base_they_were_made_on(void **state)
{
    uint64_t number;

    (void)state;
    assert_int_equal(import_all(HEADER "1;A;;;\n2;B;02/01/1980;1,5;YA\n", false), IMPORT_TAKEN);
    assert_string_equal(waiting(0), "insert 1 (5 fields, base 100);insert 2 (5 fields, base 100);");
    assert_string_equal(should("2"), "2|B|1980-01-02|1.50|true");
    number = state_now->number;
    assert_int_equal(import_all(HEADER "2;B;1980-01-02;1,50;YA\n1;A;;;\n", false), IMPORT_TAKEN);
    assert_string_equal(waiting(number), "");
    assert_int_equal(import_all(HEADER "1;A;;;TIDAK\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(number), "delete 2 (5 fields, base 100);update 1 (1 fields, base 100);");
}

static void a_refused_list_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(import_all(HEADER "1;A;;;\n", false), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "1;Z;;;\n2;B;;;MUNGKIN\n", true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_CODE);
    assert_int_equal(refusals.list[0].lines[0], 3);
    assert_string_equal(should("1"), "1|A|-|-|-");
    assert_int_equal(state_now->number, 1);
    assert_int_equal(import_all(HEADER "1;A;;;\n1;B;;;\n", false), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_KEY_TWICE);
}

static void rounded_numbers_are_told_from_numbers_that_end_in_0(void **state)
{
    (void)state;
    assert_int_equal(import_all(HEADER "6402061505780000;A;;;\n6402061505780010;B;;;\n6402061505780020;C;;;\n", false),
                     IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "6402061505780030;A;;;\n6402061505780040;B;;;\n6402061505780050;C;;;\n"
                                       "6402061505780060;D;;;\n",
                                false),
                     IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_ROUNDED);
    assert_int_equal(import_all(HEADER "6402061505780003;A;;;\n", false), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "6402061505781117;A;;;\n", false), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "6402061505781110;A;;;\n", false), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_ROUNDED_KNOWN);
    assert_int_equal(refusals.list[0].lines[0], 2);
    assert_int_equal(import_all(HEADER "6402061505781110;B;;;\n6402061505781117;A;;;\n", false), IMPORT_TAKEN);
}

static void a_feed_is_applied_once_and_is_no_edit(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "name=B"),
                            item_of(OPERATION_INSERT, 2, "", "nik=2,name=C"),
                            item_of(OPERATION_UPDATE, 3, "3", "name=D") };

    (void)state;
    assert_int_equal(import_all(HEADER "1;A;;;\n", false), IMPORT_TAKEN);
    feed_all(amend, items, 3, 300);
    assert_string_equal(should("1"), "1|B|-|-|-");
    assert_string_equal(should("2"), "2|C|-|-|-");
    assert_string_equal(waiting(1), "skipped 3;");
    assert_int_equal(import_all(HEADER "1;A;;;TIDAK\n", true), IMPORT_TAKEN);
    assert_string_equal(should("1"), "1|B|-|-|false");
    assert_string_equal(waiting(2), "update 1 (1 fields, base 300);");
    amend_free(&amend);
}

/* Actor and ground of the first change that waits behind transaction `number`. */
static void assert_said(uint64_t number, const char *actor, const char *ground)
{
    struct change change;
    struct piece piece;
    struct error err;
    bool found;

    MUST(state_piece(state_now, fixture.arena, number, 0, 1 << 20, &piece, &found, &err));
    assert_true(found);
    change = piece.changes[0];
    MUST(change_decode(fixture.arena, &change, &err));
    assert_int_equal(change.actor.state, actor ? VALUE_SET : VALUE_NULL);
    assert_true(!actor || value_equal(change.actor, value_text(actor)));
    assert_true(value_equal(change.ground, value_text(ground)));
}

static void a_change_says_whose_list_it_comes_from(void **state)
{
    (void)state;
    assert_int_equal(import_all(HEADER "1;A;;;\n", false), IMPORT_TAKEN);
    assert_said(0, NULL, "warga.csv");
    owner = "wati";
    assert_int_equal(import_all(HEADER "1;B;;;\n", true), IMPORT_TAKEN);
    assert_said(1, "wati", "warga.csv");
    assert_int_equal(import_all(HEADER "2;B;;;\n", true), IMPORT_TAKEN); /* of who is gone no row could say it */
    assert_said(2, "wati", "warga.csv");
}

static void a_row_may_say_by_whom_and_why_it_changed(void **state)
{
    char mapping[1024];

    (void)state;
    snprintf(mapping, sizeof mapping, "%s    actor = Petugas\n    ground = Dasar\n", list_mapping);
    setup_with(list_catalog, mapping);
    owner = "wati";
    assert_int_equal(import_all(COLUMNS ";Petugas;Dasar\n1;A;;;;rina;SK 7\n", true), IMPORT_TAKEN);
    assert_said(0, "rina", "SK 7");
    assert_int_equal(import_all(COLUMNS ";Petugas;Dasar\n1;A;;;;tono;SK 8\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(1), ""); /* it says who, and changes nothing */
    assert_int_equal(import_all(COLUMNS ";Petugas;Dasar\n1;B;;;;tono;\n", true), IMPORT_TAKEN);
    assert_said(1, "tono", "warga.csv");
    assert_int_equal(import_all(COLUMNS ";Petugas;Dasar\n1;C;;;;;\n", true), IMPORT_TAKEN);
    assert_said(2, "wati", "warga.csv");
    assert_int_equal(import_all(HEADER "1;D;;;\n", true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_TITLE_MISSING);
    assert_int_equal(import_all(arena_printf(fixture.arena, COLUMNS ";Petugas;Dasar\n1;D;;;;%05000d;\n", 7), true),
                     IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].column, 6);
}

/* Which of two rows an identifier means is not for us to say, whether it is the key or not. */
static void two_rows_with_one_identifier_are_refused_with_both_lines(void **state)
{
    static const char name[] = "            name\n                type = text\n";
    const char *at = strstr(list_catalog, name) + sizeof name - 1;
    char catalog[2048];

    (void)state;
    snprintf(catalog, sizeof catalog, "%.*s                identifier = yes\n%s", (int)(at - list_catalog),
             list_catalog, at);
    setup_with(catalog, list_mapping);
    assert_int_equal(import_all(HEADER "1;A;;;\n2;;;;\n3;;;;\n4;B;;;\n5;A;;;\n", true), IMPORT_REFUSED);
    assert_int_equal(refusals.count, 1);
    assert_int_equal(refusals.list[0].kind, REFUSAL_KEY_TWICE);
    assert_int_equal(refusals.list[0].column, 2);
    assert_int_equal(refusals.list[0].lines[0], 6);
    assert_int_equal(refusals.list[0].number, 2);
    assert_string_equal(waiting(0), "");
    assert_int_equal(import_all(HEADER "1;A;;;\n2;;;;\n2;C;;;\n", true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].column, 1);
    assert_int_equal(refusals.list[0].number, 3);
    assert_int_equal(import_all(HEADER "1;A;;;\n4;B;;;\n", true), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "1;B;;;\n4;A;;;\n", true), IMPORT_TAKEN); /* they may change it between them */
}

static void nobody_else_reads_what_is_known_of_the_lists(void **state)
{
    static const char *const endings[] = { "", "-wal", "-shm" };
    mode_t mask = umask(0);
    struct stat status;
    struct error err;

    (void)state;
    state_close(&state_now);
    assert_int_equal(unlink(arena_printf(fixture.arena, "%s/state.sqlite", folder)), 0);
    MUST(state_open(folder, &state_now, &err));
    umask(mask);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat(arena_printf(fixture.arena, "%s/state.sqlite%s", folder, endings[i]), &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    assert_int_equal(state_open("/tmp/selaras-no-such-folder", &(struct state *){ NULL }, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "--prepare"));
}

static void a_list_saved_before_a_feed_did_not_know_of_it(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "name=B"), item_of(OPERATION_UPDATE, 2, "2", "name=B"),
                            item_of(OPERATION_INSERT, 3, "", "nik=3,name=B") };

    (void)state;
    saved_us = BEFORE_US;
    assert_int_equal(import_all(HEADER "1;A;;;\n2;A;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, items, 3, 300);
    saved_us = BEFORE_US;
    assert_int_equal(import_all(HEADER "1;X;;;\n2;A;;;YA\n3;C;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(2), "update 1 (1 fields, base 300);update 2 (1 fields, base 300);"
                                    "update 3 (1 fields, base 300);late 1;late 3;");
    items[0].position = 350;
    feed_all(amend, items, 1, 400); /* the answer of the broker */
    saved_us = AFTER_US;
    assert_int_equal(import_all(HEADER "1;Y;;;\n2;A;;;YA\n3;C;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(4), "update 1 (1 fields, base 400);");
    saved_us = BEFORE_US;
    assert_int_equal(import_all(HEADER "1;Z;;;\n2;A;;;YA\n3;C;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(5), "update 1 (1 fields, base 400);"); /* forgotten: no such list comes here */
    amend_free(&amend);
}

static void each_piece_has_the_reports_of_its_changes(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "name=B"), item_of(OPERATION_UPDATE, 3, "3", "name=B") };
    struct piece piece;
    struct error err;
    bool found;

    (void)state;
    saved_us = BEFORE_US;
    assert_int_equal(import_all(HEADER "1;A;;;\n2;A;;;\n3;A;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, items, 2, 300);
    assert_int_equal(import_all(HEADER "1;X;;;\n2;X;;;\n3;X;;;\n", true), IMPORT_TAKEN);
    for (uint32_t place = 0; place < 3; place++) {
        MUST(state_piece(state_now, fixture.arena, 2 + (place > 0), place, 1, &piece, &found, &err));
        assert_true(found && piece.change_count == 1 && piece.final == (place == 2));
        assert_int_equal(piece.report_count, place == 1 ? 0 : 1);
        if (place != 1)
            assert_int_equal(piece.reports[0].record, place + 1);
    }
    amend_free(&amend);
}

static void what_is_taken_while_the_load_travels_has_its_base(void **state)
{
    struct error err;

    (void)state;
    MUST(state_begin(state_now, &err));
    MUST(state_applied(state_now, 0, (const uint8_t[HASH_BYTES]){ 0 }, &err));
    MUST(state_commit(state_now, &err));
    assert_int_equal(import_all(HEADER "1;A;;;\n", true), IMPORT_TAKEN);
    MUST(state_begin(state_now, &err));
    MUST(state_loaded(state_now, 2, 500, &err));
    MUST(state_commit(state_now, &err));
    assert_string_equal(waiting(0), "insert 1 (5 fields, base 500);");
}

static void a_row_that_came_back_is_not_removed_by_who_was_told_to_remove_it(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item gone[] = { item_of(OPERATION_DELETE, 1, "1", "") };
    struct item back[] = { item_of(OPERATION_INSERT, 1, "", "nik=1,name=A") };

    (void)state;
    saved_us = BEFORE_US;
    assert_int_equal(import_all(HEADER "1;A;;;\n2;B;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, gone, 1, 300);
    assert_null(should("1"));
    back[0].position = 350;
    feed_all(amend, back, 1, 400);
    saved_us = AFTER_US;
    assert_int_equal(import_all(HEADER "2;B;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(3), "");
    assert_string_equal(should("1"), "1|A|-|-|-");
    assert_int_equal(import_all(HEADER "1;A;;;\n2;B;;;\n", true), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "2;B;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(3), "delete 1 (5 fields, base 400);");
    amend_free(&amend);
}

#define PERSON ";Siti;02/01/1980;1,50;YA\n"

static void a_number_that_the_clerk_corrects_stays_the_same_person(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "premium=9.00") };
    uint64_t number;

    (void)state;
    assert_int_equal(import_all(HEADER "1" PERSON "2;Ani;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, items, 1, 300); /* not typed in yet */
    number = state_now->number;
    assert_int_equal(import_all(HEADER "8" PERSON "2;Ani;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(number), "update 8 (1 fields, base 300);");
    assert_null(should("1"));
    assert_string_equal(should("8"), "8|Siti|1980-01-02|9.00|true");
    amend_free(&amend);
}

static void what_may_be_another_person_is_not_taken_for_a_correction(void **state)
{
    (void)state;
    assert_int_equal(import_all(HEADER "1" PERSON "2" PERSON "3;Ani;;;\n4" PERSON, true), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "8" PERSON "2" PERSON "3;Ani;;;\n4" PERSON, true), IMPORT_TAKEN);
    assert_string_equal(waiting(1), "delete 1 (5 fields, base 100);insert 8 (5 fields, base 100);");
    assert_int_equal(import_all(HEADER "9" PERSON "3;Ani;;;\n", true), IMPORT_TAKEN); /* which of three? */
    assert_string_equal(waiting(2), "delete 2 (5 fields, base 100);delete 4 (5 fields, base 100);"
                                    "delete 8 (5 fields, base 100);insert 9 (5 fields, base 100);");
    assert_int_equal(import_all(HEADER "9" PERSON "7;Ani;;;\n", true), IMPORT_TAKEN); /* a name alone */
    assert_string_equal(waiting(3), "delete 3 (5 fields, base 100);insert 7 (5 fields, base 100);");
    assert_int_equal(import_all(HEADER "6" PERSON, false), IMPORT_TAKEN);
    assert_string_equal(waiting(4), "insert 6 (5 fields, base 100);");
}

static void nobody_is_removed_by_an_emptied_number_or_an_empty_list(void **state)
{
    (void)state;
    assert_int_equal(import_all(HEADER "1" PERSON "2;Ani;;;\n", true), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "2;Ani;;;\n" PERSON, true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_KEY_EMPTIED);
    assert_int_equal(refusals.list[0].lines[0], 3);
    assert_int_equal(refusals.list[0].column, 1);
    assert_int_equal(import_all(HEADER "1" PERSON "2;Ani;;;\n;Bayi;;;\n", true), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER, true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_NOBODY);
    assert_int_equal(import_all(HEADER ";Bayi;;;\n", true), IMPORT_REFUSED);
    assert_int_equal(refusals.list[0].kind, REFUSAL_NOBODY);
    assert_int_equal(import_all(HEADER, false), IMPORT_TAKEN);
    assert_string_equal(waiting(1), "");
    assert_int_equal(import_all(HEADER "# lengkap 0 baris\n", false), IMPORT_TAKEN);
    assert_string_equal(waiting(1), "delete 1 (5 fields, base 100);delete 2 (5 fields, base 100);");
}

static void what_stands_under_a_number_that_others_corrected_is_about_that_row(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "nik=9") };

    (void)state;
    saved_us = BEFORE_US;
    assert_int_equal(import_all(HEADER "1;A;;;\n2;B;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, items, 1, 300);
    saved_us = AFTER_US;
    assert_int_equal(import_all(HEADER "1;Z;;;\n2;B;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(2), "update 9 (1 fields, base 300);");
    assert_string_equal(should("9"), "9|Z|-|-|-");
    assert_null(should("1"));
    assert_int_equal(import_all(HEADER "9;Z;;;\n", false), IMPORT_TAKEN); /* typed in: nothing is left to remove */
    assert_int_equal(to_correct(), 0);
    assert_string_equal(waiting(3), "");
    amend_free(&amend);
}

static void who_is_removed_under_a_number_that_others_corrected_is_removed(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "nik=9") };

    (void)state;
    saved_us = BEFORE_US;
    assert_int_equal(import_all(HEADER "1;A;;;\n2;B;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, items, 1, 300);
    saved_us = AFTER_US;
    assert_int_equal(import_all(HEADER "2;B;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(2), "delete 9 (5 fields, base 300);");
    assert_null(should("9"));
    assert_int_equal(to_correct(), 0);
    amend_free(&amend);
}

static void a_key_that_others_change_moves_the_row(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "nik=9") };
    uint64_t number;

    (void)state;
    assert_int_equal(import_all(HEADER "1;A;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, items, 1, 300);
    assert_null(should("1"));
    assert_string_equal(should("9"), "9|A|-|-|-");
    number = state_now->number;
    assert_int_equal(import_all(HEADER "1;A;;;\n", true), IMPORT_TAKEN);
    assert_int_equal(import_all(HEADER "9;A;;;\n", true), IMPORT_TAKEN);
    assert_string_equal(waiting(number), "");
    assert_string_equal(should("9"), "9|A|-|-|-");
    amend_free(&amend);
}

static void what_the_list_cannot_say_is_parked_and_tried_again(void **state)
{
    struct amend *amend = amend_new(state_now, &fixture.mapping);
    struct item items[] = { item_of(OPERATION_UPDATE, 1, "1", "nik=2") };
    struct item more[] = { item_of(OPERATION_UPDATE, 1, "1", "name=Z") };
    struct settled settled;
    struct error err;

    (void)state;
    assert_int_equal(import_all(HEADER "1;A;;;\n2;B;;;\n", true), IMPORT_TAKEN);
    feed_all(amend, items, 1, 300);
    assert_string_equal(waiting(1), "parked 1;");
    more[0].position = 350;
    feed_all(amend, more, 1, 400);
    assert_string_equal(should("1"), "1|A|-|-|-");
    MUST(amend_settle(amend, 0, false, NULL, 3000, &settled, &err));
    assert_int_equal(settled.refused, 1);
    assert_int_equal(import_all(HEADER "1;A;;;\n", true), IMPORT_TAKEN);
    MUST(amend_settle(amend, 0, false, NULL, 3000, &settled, &err));
    assert_int_equal(settled.released, 1);
    assert_string_equal(should("2"), "2|Z|-|-|-");
    amend_free(&amend);
}

static void what_is_not_committed_never_was(void **state)
{
    struct import *import = import_begin(HEADER "1;A;;;\n2;B;;;\n", true);
    enum import_end end = IMPORT_GOES_ON;
    struct error err;

    (void)state;
    while (state_now->number == 0)
        MUST(import_step(import, 1000, &end, &err));
    assert_int_equal(end, IMPORT_GOES_ON);
    assert_int_equal(state_now->number, 1);
    import_free(&import);
    assert_int_equal(state_now->number, 0);
    state_close(&state_now);
    MUST(state_open(folder, &state_now, &err));
    assert_int_equal(state_now->number, 0);
    assert_null(should("1"));
}

static void another_state_file_is_noticed(void **state)
{
    struct source known = { .system = { state_now->system, 32 } };
    struct error err;

    (void)state;
    assert_int_equal(import_all(HEADER "1;A;;;\n", true), IMPORT_TAKEN);
    known.fence = state_now->fence;
    assert_int_equal(state_prove(state_now, &known, 1, 100, &err), 0);
    assert_int_equal(state_prove(state_now, &known, 2, 100, &err), ERR_DOUBT);
    assert_int_equal(state_prove(state_now, &known, 1, 101, &err), ERR_DOUBT);
    known.fence.token[0] ^= 1;
    assert_int_equal(state_prove(state_now, &known, 1, 100, &err), ERR_DOUBT);
    known.fence = (struct fence){ .seq = 99 };
    assert_int_equal(state_prove(state_now, &known, 1, 100, &err), ERR_DOUBT);
    known.fence = (struct fence){ 0 };
    known.system = (struct text){ "other", 5 };
    assert_int_equal(state_prove(state_now, &known, 1, 100, &err), ERR_DOUBT);
    known.system.length = 0;
    MUST(state_begin(state_now, &err));
    MUST(state_forget(state_now, 1, &err));
    MUST(state_commit(state_now, &err));
    assert_string_equal(waiting(0), "");
    assert_int_equal(state_prove(state_now, &known, 0, 100, &err), ERR_LOST);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        UNIT(edits_travel_with_the_base_they_were_made_on),
        UNIT(a_refused_list_changes_nothing),
        UNIT(rounded_numbers_are_told_from_numbers_that_end_in_0),
        UNIT(a_feed_is_applied_once_and_is_no_edit),
        UNIT(a_change_says_whose_list_it_comes_from),
        UNIT(a_row_may_say_by_whom_and_why_it_changed),
        UNIT(two_rows_with_one_identifier_are_refused_with_both_lines),
        UNIT(nobody_else_reads_what_is_known_of_the_lists),
        UNIT(a_list_saved_before_a_feed_did_not_know_of_it),
        UNIT(each_piece_has_the_reports_of_its_changes),
        UNIT(what_is_taken_while_the_load_travels_has_its_base),
        UNIT(a_row_that_came_back_is_not_removed_by_who_was_told_to_remove_it),
        UNIT(a_number_that_the_clerk_corrects_stays_the_same_person),
        UNIT(what_may_be_another_person_is_not_taken_for_a_correction),
        UNIT(nobody_is_removed_by_an_emptied_number_or_an_empty_list),
        UNIT(what_stands_under_a_number_that_others_corrected_is_about_that_row),
        UNIT(who_is_removed_under_a_number_that_others_corrected_is_removed),
        UNIT(a_key_that_others_change_moves_the_row),
        UNIT(what_the_list_cannot_say_is_parked_and_tried_again),
        UNIT(what_is_not_committed_never_was),
        UNIT(another_state_file_is_noticed),
    };

    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
