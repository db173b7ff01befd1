#include "cli/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;
static char said[4096]; /* what the last parse wrote to standard error */

static int run_nothing(struct call *call)
{
    (void)call;
    return STATUS_OK;
}

static const struct command commands[] = {
    { "status", "", 0, 0, run_nothing, "help", NEEDS_DAEMON, 0 },
    { "log", "[KEY]", 0, 1, run_nothing, "help", NEEDS_DATABASE, OPTION(LIMIT) | OPTION(SINCE) },
    { "key new", "FILE", 1, 1, run_nothing, "help", NEEDS_NOTHING, 0 },
    { "key list", "", 0, 0, run_nothing, "help", NEEDS_BROKER, 0 },
    { "check", "", 0, 0, run_nothing, "help", NEEDS_NOTHING, OPTION(AGENT_FILE) },
    { "check catalog", "FILE", 1, 1, run_nothing, "help", NEEDS_NOTHING, 0 },
    { 0 },
};

/* Reads `line`, words separated by single blanks, as a shell would give it. */
static int parse(const char *line, struct call *ret)
{
    char **words = arena_array(arena, 16, sizeof *words);
    char *rest = arena_copy(arena, line, strlen(line));
    int count = 1;
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    int status;

    words[0] = arena_copy(arena, "selaras", strlen("selaras"));
    for (char *word; (word = strsep(&rest, " "));)
        if (*word)
            words[count++] = word;
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    status = call_parse(commands, count, words, arena, ret);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
    return status;
}

static int start(void **state)
{
    (void)state;
    arena = arena_new();
    unsetenv("SELARAS_SOCKET");
    unsetenv("SELARAS_DATABASE");
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void options_may_stand_anywhere_behind_the_command(void **state)
{
    struct call call;

    (void)state;
    assert_int_equal(parse("log nik=1 --limit 5 --json", &call), -1);
    assert_string_equal(call.command->name, "log");
    assert_string_equal(call.options[OPTION_LIMIT], "5");
    assert_true(call_has(&call, OPTION_JSON));
    assert_false(call_has(&call, OPTION_SINCE));
    assert_int_equal(call.argument_count, 1);
    assert_string_equal(call.arguments[0], "nik=1");
}

static void a_command_may_have_two_words(void **state)
{
    struct call call;

    (void)state;
    assert_int_equal(parse("key new a.key", &call), -1);
    assert_string_equal(call.command->name, "key new");
    assert_string_equal(call.arguments[0], "a.key");
    assert_int_equal(parse("check --agent a.zpl", &call), -1);
    assert_string_equal(call.command->name, "check");
    assert_string_equal(call.options[OPTION_AGENT_FILE], "a.zpl");
}

static void an_unknown_word_gets_the_nearest_known_one(void **state)
{
    struct call call;

    (void)state;
    assert_int_equal(parse("statsu", &call), STATUS_USAGE);
    assert_non_null(strstr(said, "did you mean \"status\""));
    assert_int_equal(parse("key lst", &call), STATUS_USAGE);
    assert_non_null(strstr(said, "did you mean \"key list\""));
    assert_int_equal(parse("check catlog f", &call), STATUS_USAGE);
    assert_non_null(strstr(said, "did you mean \"check catalog\""));
    assert_int_equal(parse("log --limt 3", &call), STATUS_USAGE);
    assert_non_null(strstr(said, "did you mean --limit"));
}

static void a_line_that_cannot_be_meant_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "key",
        "key new",
        "key new a b",
        "status x",
        "log --limit",
        "log --reveal",
        "log a b",
        "status --json --json",
        "log --limit 1 --limit 2",
        "--json",
        "log --json=yes",
        "zzzzzzz",
    };
    struct call call;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (parse(wrong[i], &call) != STATUS_USAGE || !*said)
            fail_msg("\"%s\" was taken", wrong[i]);
}

static void a_number_is_held_against_its_range(void **state)
{
    struct call call;
    struct error err;
    uint64_t number;

    (void)state;
    assert_int_equal(parse("log", &call), -1);
    assert_int_equal(call_number(&call, OPTION_LIMIT, 1, 10, 7, &number, &err), 0);
    assert_int_equal(number, 7);
    assert_int_equal(parse("log --limit 10", &call), -1);
    assert_int_equal(call_number(&call, OPTION_LIMIT, 1, 10, 7, &number, &err), 0);
    assert_int_equal(number, 10);
    for (const char *const *wrong = (const char *const[]){ "11", "0", "-1", "+3", "3x", "99999999999999999999", NULL };
         *wrong; wrong++) {
        call.options[OPTION_LIMIT] = *wrong;
        assert_int_equal(call_number(&call, OPTION_LIMIT, 1, 10, 7, &number, &err), ERR_REJECT);
        assert_non_null(strstr(err.text, "--limit"));
    }
}

static void the_socket_is_the_options_then_the_environments_then_the_usual(void **state)
{
    struct call call;

    (void)state;
    assert_int_equal(parse("status", &call), -1);
    assert_string_equal(call_socket(&call), "/run/selaras/broker.socket");
    setenv("SELARAS_SOCKET", "/tmp/s", 1);
    assert_string_equal(call_socket(&call), "/tmp/s");
    assert_int_equal(parse("status --agent dinkes", &call), -1);
    assert_string_equal(call_socket(&call), "/run/selaras/agent-dinkes.socket");
    assert_int_equal(parse("status --agent dinkes --socket /x", &call), -1);
    assert_string_equal(call_socket(&call), "/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere_behind_the_command),
        cmocka_unit_test(a_command_may_have_two_words),
        cmocka_unit_test(an_unknown_word_gets_the_nearest_known_one),
        cmocka_unit_test(a_line_that_cannot_be_meant_is_refused),
        cmocka_unit_test(a_number_is_held_against_its_range),
        cmocka_unit_test(the_socket_is_the_options_then_the_environments_then_the_usual),
    };

    return cmocka_run_group_tests(tests, start, end);
}
