#include "shell/zpl.h"

#include "proto/catalog.h"
#include "proto/mapping.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int arena_setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int arena_teardown(void **state)
{
    struct arena *arena = *state;

    arena_free(&arena);
    return 0;
}

static const struct tree *parsed(struct arena *arena, const char *text)
{
    const struct tree *tree = NULL;
    struct error err;

    if (zpl_parse(arena, "a.zpl", text, strlen(text), &tree, &err) < 0)
        fail_msg("%s", err.text);
    return tree;
}

static void names_values_and_levels_are_kept(void **state)
{
    const struct tree *root = parsed(*state, "# a comment\n"
                                             "\n"
                                             "agent\n"
                                             "    agency = dinsos   # its name\n"
                                             "    database = 'host=/run user=\"a\"' \n"
                                             "    # between\n"
                                             "broker\r\n"
                                             "    endpoint = \"tcp://[::1]:5670#x\"\n"
                                             "    empty =\n");
    const struct tree *agent = tree_child(root, "agent");
    const struct tree *broker = tree_child(root, "broker");

    assert_null(root->parent);
    assert_ptr_equal(root->child, agent);
    assert_ptr_equal(agent->next, broker);
    assert_null(broker->next);
    assert_ptr_equal(agent->parent, root);
    assert_string_equal(agent->value, "");
    assert_string_equal(tree_get(agent, "agency", NULL), "dinsos");
    assert_string_equal(tree_get(agent, "database", NULL), "host=/run user=\"a\"");
    assert_string_equal(tree_get(broker, "endpoint", NULL), "tcp://[::1]:5670#x");
    assert_string_equal(tree_get(broker, "empty", NULL), "");
    assert_int_equal(tree_count(agent), 2);
}

static void duplicates_are_left_to_whoever_reads_the_tree(void **state)
{
    const struct tree *root = parsed(*state, "a = 1\na = 2\n");
    struct error err;

    assert_int_equal(tree_count(root), 2);
    assert_int_equal(tree_unique(root, &err), ERR_REJECT);
}

static void an_empty_file_is_an_empty_tree(void **state)
{
    assert_null(parsed(*state, "")->child);
    assert_null(parsed(*state, "\n# nothing\n\n")->child);
}

static void the_length_counts_and_no_nul_behind_it(void **state)
{
    static const char line[5] = { 'a', ' ', '=', ' ', '1' };
    const struct tree *root;
    struct error err;
    char *text = malloc(sizeof line); /* so that reading on is seen */

    assert_non_null(text);
    memcpy(text, line, sizeof line);
    assert_int_equal(zpl_parse(*state, "a.zpl", text, 5, &root, &err), 0);
    assert_string_equal(root->child->value, "1");
    free(text);
}

static void what_is_wrong_is_told_by_its_line_and_without_what_stands_there(void **state)
{
    static const struct {
        const char *text, *why;
    } table[] = {
        { "a\n  b = 1\n", "a.zpl: line 2: is indented by something else than 4 spaces a level" },
        { "a\n\n        b = 1\n", "a.zpl: line 3: is indented deeper than one level below the line above" },
        { "a\n    password \"secret\"\n", "a.zpl: line 2: is neither \"name\" nor \"name = value\"" },
        { "a\n    password = \"secret\n", "a.zpl: line 2: has a quotation mark that is not closed" },
        { "a = \"secret\" more\n", "a.zpl: line 1: is neither \"name\" nor \"name = value\"" },
        { "/a = 1\n", "a.zpl: line 1: has a name that starts or ends with /" },
        { "a\n\tb = 1\n", "a.zpl: line 2: is indented by a tab: use 4 spaces a level" },
        { "a = # secret\n",
          "a.zpl: line 1: has a comment where its value should be: put a value that starts with # in quotation marks" },
        { "a = secret#1\n",
          "a.zpl: line 1: has a # within its value, where a comment would start: put the value in quotation marks" },
        { "a = 1\nb = \351\n", "a.zpl: line 2: is not UTF-8 without NUL" },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct tree *tree = NULL;
        struct error err = { 0 };

        assert_int_equal(zpl_parse(*state, "a.zpl", table[i].text, strlen(table[i].text), &tree, &err), ERR_REJECT);
        assert_string_equal(err.text, table[i].why);
        assert_null(tree);
    }
}

static void what_is_too_long_is_refused_before_zconfig_sees_it(void **state)
{
    enum { LINE = 1024, LINES = 16384, FILE_MOST = 1024 * 1024 };
    char *text = arena_alloc(*state, FILE_MOST + 2);
    const struct tree *tree;
    struct error err;

    memset(text, 'a', FILE_MOST + 1);
    assert_int_equal(zpl_parse(*state, "a.zpl", text, LINE, &tree, &err), 0);
    assert_int_equal(strlen(tree->child->name), LINE);
    assert_int_equal(zpl_parse(*state, "a.zpl", text, LINE + 1, &tree, &err), ERR_REJECT);
    assert_string_equal(err.text, "a.zpl: line 1: is longer than 1024 bytes");
    for (int i = 0; i <= LINES; i++)
        text[2 * i + 1] = '\n';
    assert_int_equal(zpl_parse(*state, "a.zpl", text, 2 * LINES, &tree, &err), 0);
    assert_int_equal(zpl_parse(*state, "a.zpl", text, 2 * (LINES + 1), &tree, &err), ERR_REJECT);
    assert_string_equal(err.text, "a.zpl: line 16385: is one more than a file may have");
    assert_int_equal(zpl_parse(*state, "a.zpl", text, FILE_MOST + 1, &tree, &err), ERR_REJECT);
    assert_int_equal(zpl_parse(*state, "a.zpl", "a\0b", 3, &tree, &err), ERR_REJECT);
}

/* zconfig's complaints go through it: it must be itself again afterwards. */
static void standard_output_is_left_as_it_was(void **state)
{
    FILE *before = stdout;
    const struct tree *tree;
    struct error err;

    assert_int_equal(zpl_parse(*state, "a.zpl", "a\n  b\n", 6, &tree, &err), ERR_REJECT);
    assert_ptr_equal(stdout, before);
}

static void a_file_is_read_whole(void **state)
{
    char path[] = "/tmp/selaras-zpl-XXXXXX";
    int fd = mkstemp(path);
    const char *text;
    size_t length;
    struct error err;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a = 1\n", 6), 6);
    assert_int_equal(file_read(*state, path, &text, &length, &err), 0);
    assert_int_equal(length, 6);
    assert_string_equal(text, "a = 1\n");
    assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
    assert_int_equal(file_read(*state, path, &text, &length, &err), 0);
    assert_int_equal(length, 1024 * 1024);
    assert_int_equal(ftruncate(fd, 1024 * 1024 + 1), 0);
    assert_int_equal(file_read(*state, path, &text, &length, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "is longer than 1048576 bytes"));
    close(fd);
    unlink(path);
    assert_int_equal(file_read(*state, path, &text, &length, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "cannot be read: No such file or directory"));
    assert_memory_equal(err.text, path, strlen(path));
    assert_int_equal(file_read(*state, "/tmp", &text, &length, &err), ERR_STOP);
    assert_string_equal(err.text, "/tmp: is not a file");
}

static void a_dash_is_standard_input(void **state)
{
    int ends[2], kept = dup(STDIN_FILENO);
    const char *text;
    size_t length;
    struct error err;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a = 1\n", 6), 6);
    close(ends[1]);
    assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
    close(ends[0]);
    assert_int_equal(file_read(*state, "-", &text, &length, &err), 0);
    assert_string_equal(text, "a = 1\n");
    if (kept >= 0)
        dup2(kept, STDIN_FILENO);
}

static const struct tree *sample(struct arena *arena, const char *name, const char **ret_text, size_t *ret_length)
{
    /* Tests run where the compiler ran, so the way to this file is still good. */
    const char *path =
        arena_printf(arena, "%.*s../sample/%s", (int)(strlen(__FILE__) - strlen("zpl_test.c")), __FILE__, name);
    const struct tree *tree = NULL;
    struct error err;

    if (file_read(arena, path, ret_text, ret_length, &err) < 0 ||
        zpl_parse(arena, name, *ret_text, *ret_length, &tree, &err) < 0)
        fail_msg("%s", err.text);
    return tree;
}

static void the_samples_mappings_bind_to_its_catalog(void **state)
{
    static const struct {
        const char *agency;
        uint16_t blocks;
    } of[] = { { "dinsos", 5 }, { "dinkes", 6 }, { "dp2kb", 2 }, { "bappeda", 3 }, { "tenggarong", 1 } };
    const struct catalog *catalog = NULL;
    const struct tree *tree;
    const char *text;
    size_t length;
    struct error err;

    tree = sample(*state, "catalog.zpl", &text, &length);
    if (catalog_build(*state, tree, text, length, &catalog, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(catalog->type_count, 6);
    assert_int_equal(catalog->types[0].units[1].field_count, 2);
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        struct mapping mapping;

        tree = sample(*state, arena_printf(*state, "%s.zpl.in", of[i].agency), &text, &length);
        assert_non_null(tree_child(tree, "mapping"));
        if (mapping_build(*state, tree_child(tree, "mapping"), &mapping, &err) < 0 ||
            mapping_bind(*state, &mapping, catalog, of[i].agency, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(mapping.block_count, of[i].blocks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_values_and_levels_are_kept),
        cmocka_unit_test(duplicates_are_left_to_whoever_reads_the_tree),
        cmocka_unit_test(an_empty_file_is_an_empty_tree),
        cmocka_unit_test(the_length_counts_and_no_nul_behind_it),
        cmocka_unit_test(what_is_wrong_is_told_by_its_line_and_without_what_stands_there),
        cmocka_unit_test(what_is_too_long_is_refused_before_zconfig_sees_it),
        cmocka_unit_test(standard_output_is_left_as_it_was),
        cmocka_unit_test(a_file_is_read_whole),
        cmocka_unit_test(a_dash_is_standard_input),
        cmocka_unit_test(the_samples_mappings_bind_to_its_catalog),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
