#include "cli/history.h"

#include "proto/tree_fixture.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char catalog_text[] = "catalog\n"
                                   "    version = 1\n"
                                   "    agencies = \"dinsos\"\n"
                                   "record\n"
                                   "    resident\n"
                                   "        existence\n"
                                   "            write = dinsos\n"
                                   "            otherwise = put-back\n"
                                   "        read\n"
                                   "            dinsos = \"law\"\n"
                                   "        fields\n"
                                   "            nik\n"
                                   "                type = text\n"
                                   "                identifier = yes\n"
                                   "                personal = yes\n"
                                   "                write = dinsos\n"
                                   "                otherwise = put-back\n"
                                   "            eligible\n"
                                   "                type = boolean\n"
                                   "                write = dinsos\n"
                                   "                otherwise = put-back\n";

struct world {
    struct arena *arena;
    const struct catalog *catalog;
    struct ledger_entry entry;
};

#define TEXT(literal)                                                                                                  \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }

/* An update of nik and eligible. */
static struct text body_by(struct arena *arena, enum operation operation, struct value actor, struct value ground)
{
    struct change_field fields[] = {
        { TEXT("nik"), { "6402061505780003", 16, VALUE_SET }, { "6402061505780001", 16, VALUE_SET } },
        { TEXT("eligible"), { "true", 4, VALUE_SET }, { .state = VALUE_NULL } },
    };
    struct change change = { .operation = operation,
                             .block = TEXT("people"),
                             .key = TEXT("6402061505780003"),
                             .fields = fields,
                             .field_count = 2,
                             .actor = actor,
                             .ground = ground };

    for (int i = 0; operation == OPERATION_LOAD && i < 2; i++)
        fields[i].old = (struct value){ 0 };
    change_encode(arena, &change);
    return change.content;
}

static const struct value petugas17 = { "petugas17", 9, VALUE_SET }, nothing = { .state = VALUE_NULL };

static struct text body(struct arena *arena)
{
    return body_by(arena, OPERATION_UPDATE, petugas17, nothing);
}

static int start(void **state)
{
    static struct ledger_field fields[] = { { "nik", "applied", "owner" }, { "eligible", "lost", "owner" } };
    static struct world world;
    struct error err;

    world = (struct world){ .arena = arena_new() };
    if (catalog_build(world.arena, tree_fixture(world.arena, catalog_text), catalog_text, sizeof catalog_text - 1,
                      &world.catalog, &err) < 0)
        fail_msg("%s", err.text);
    world.entry = (struct ledger_entry){ .position = (UINT64_C(2) << 48) + 5,
                                         .time_us = 1,
                                         .kind = "change",
                                         .agency = "dinsos",
                                         .type = "resident",
                                         .operation = "update",
                                         .record = 7,
                                         .fields = fields,
                                         .field_count = 2,
                                         .has_body = true,
                                         .body = body(world.arena) };
    *state = &world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;

    arena_free(&world->arena);
    return 0;
}

/* What the history prints, as text of everything that went to standard output. */
static const char *printed(struct world *world, bool json, bool reveal, const char *verdict)
{
    static char text[8192];
    struct history_options options = { .catalog = world->catalog, .reveal = reveal, .verdict = verdict };
    scoped(output_free) struct output *output = output_new(world->arena, json);
    FILE *file = tmpfile();
    int saved;

    fflush(stdout);
    saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    history_table(output, "log", false);
    history_entry(output, world->arena, &world->entry, &options);
    output_table_end(output);
    output_end(output);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Member `name` of row `row` of the printed log; "null" when it is null. */
static const char *member(struct world *world, const char *text, size_t row, const char *name)
{
    struct json_object *root = json_tokener_parse(text);
    struct json_object *log, *value;
    const char *copy;

    assert_non_null(root);
    assert_true(json_object_object_get_ex(root, "log", &log));
    assert_true(row < json_object_array_length(log));
    assert_true(json_object_object_get_ex(json_object_array_get_idx(log, row), name, &value));
    copy = value ? json_object_get_string(value) : "null";
    copy = arena_copy(world->arena, copy, strlen(copy));
    json_object_put(root);
    return copy;
}

static void a_row_says_who_changed_what_and_what_became_of_it(void **state)
{
    struct world *world = *state;
    const char *text = printed(world, true, true, NULL);

    assert_string_equal(member(world, text, 0, "field"), "nik");
    assert_string_equal(member(world, text, 0, "verdict"), "applied");
    assert_string_equal(member(world, text, 0, "old"), "6402061505780001");
    assert_string_equal(member(world, text, 0, "new"), "6402061505780003");
    assert_string_equal(member(world, text, 0, "actor"), "petugas17");
    assert_string_equal(member(world, text, 0, "ground"), "null");
    assert_string_equal(member(world, text, 0, "epoch"), "2");
    assert_string_equal(member(world, text, 0, "sequence"), "5");
    assert_string_equal(member(world, text, 0, "time"), "1970-01-01T00:00:00.000001Z");
    assert_string_equal(member(world, text, 1, "field"), "eligible");
    assert_string_equal(member(world, text, 1, "old"), "null");
    assert_string_equal(member(world, text, 1, "new"), "true");
}

static void personal_values_are_masked_unless_revealed(void **state)
{
    struct world *world = *state;

    for (int json = 0; json < 2; json++) {
        assert_null(strstr(printed(world, json, false, NULL), "6402061505780003"));
        assert_non_null(strstr(printed(world, json, false, NULL), "6402**********03"));
        assert_non_null(strstr(printed(world, json, false, NULL), "true"));
        assert_non_null(strstr(printed(world, json, true, NULL), "6402061505780003"));
    }
}

static void a_field_or_type_nobody_knows_counts_as_personal(void **state)
{
    struct world *world = *state;

    assert_true(field_masked(&world->catalog->types[0], "removed", false));
    assert_true(field_masked(NULL, "eligible", false));
    assert_false(field_masked(&world->catalog->types[0], "eligible", false));
    assert_false(field_masked(NULL, "existence", false));
    world->entry.type = "household";
    assert_null(strstr(printed(world, true, false, NULL), "\"true\""));
}

static void only_fields_with_the_wanted_verdict_are_shown(void **state)
{
    struct world *world = *state;

    assert_null(strstr(printed(world, false, true, "lost"), "nik"));
    assert_non_null(strstr(printed(world, false, true, "lost"), "eligible"));
}

static void a_redacted_entry_says_so(void **state)
{
    struct world *world = *state;

    world->entry.has_body = false;
    assert_non_null(strstr(printed(world, false, true, NULL), "(redacted)"));
    assert_string_equal(member(world, printed(world, true, true, NULL), 0, "values"), "redacted");
    assert_string_equal(member(world, printed(world, true, true, NULL), 0, "new"), "null");
}

static void bytes_that_cannot_be_read_are_no_reason_to_stop(void **state)
{
    struct world *world = *state;

    world->entry.body = (struct text)TEXT("\x96\xc1");
    assert_string_equal(member(world, printed(world, true, true, NULL), 1, "values"), "unreadable");
    world->entry.body = body(world->arena);
    world->entry.operation = "upsert";
    assert_string_equal(member(world, printed(world, true, true, NULL), 1, "values"), "unreadable");
}

static void an_administrative_entry_shows_what_it_says(void **state)
{
    struct world *world = *state;

    world->entry = (struct ledger_entry){ .kind = "quarantine",
                                          .agency = "dinsos",
                                          .type = "",
                                          .operation = "none",
                                          .has_body = true,
                                          .body = TEXT("\x92\xa1q\xa8timeline") };
    assert_string_equal(member(world, printed(world, true, false, NULL), 0, "says"), "timeline");
    assert_non_null(strstr(printed(world, false, false, NULL), "timeline"));
    world->entry.body = (struct text)TEXT("\x92\xa1q\xa8timeline and more");
    assert_string_equal(member(world, printed(world, true, false, NULL), 0, "says"), "null");
    world->entry.body = (struct text)TEXT("# a catalog");
    assert_string_equal(member(world, printed(world, true, false, NULL), 0, "says"), "null");
}

static void a_change_of_which_nobody_says_who_or_why_says_that(void **state)
{
    struct world *world = *state;
    const char *unsaid = "(not recorded)";

    assert_null(strstr(printed(world, false, true, NULL), unsaid));
    assert_string_equal(member(world, printed(world, true, true, NULL), 0, "recorded"), "true");
    world->entry.body = body_by(world->arena, OPERATION_UPDATE, nothing, petugas17); /* why, if not who */
    assert_null(strstr(printed(world, false, true, NULL), unsaid));
    world->entry.body = body_by(world->arena, OPERATION_UPDATE, nothing, nothing);
    assert_non_null(strstr(printed(world, false, true, NULL), unsaid));
    assert_string_equal(member(world, printed(world, true, true, NULL), 0, "recorded"), "false");
    assert_string_equal(member(world, printed(world, true, true, NULL), 0, "actor"), "null");
    world->entry.operation = "load"; /* that was there, nobody has changed anything */
    world->entry.body = body_by(world->arena, OPERATION_LOAD, nothing, nothing);
    assert_string_equal(member(world, printed(world, true, true, NULL), 0, "recorded"), "true");
    assert_null(strstr(printed(world, false, true, NULL), unsaid));
    world->entry.operation = "update";
    world->entry.has_body = false; /* redacted: it may have been there */
    assert_null(strstr(printed(world, false, true, NULL), unsaid));
    assert_string_equal(member(world, printed(world, true, true, NULL), 0, "recorded"), "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_says_who_changed_what_and_what_became_of_it, start, end),
        cmocka_unit_test_setup_teardown(personal_values_are_masked_unless_revealed, start, end),
        cmocka_unit_test_setup_teardown(a_field_or_type_nobody_knows_counts_as_personal, start, end),
        cmocka_unit_test_setup_teardown(only_fields_with_the_wanted_verdict_are_shown, start, end),
        cmocka_unit_test_setup_teardown(a_redacted_entry_says_so, start, end),
        cmocka_unit_test_setup_teardown(bytes_that_cannot_be_read_are_no_reason_to_stop, start, end),
        cmocka_unit_test_setup_teardown(an_administrative_entry_shows_what_it_says, start, end),
        cmocka_unit_test_setup_teardown(a_change_of_which_nobody_says_who_or_why_says_that, start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
