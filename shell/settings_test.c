#include "shell/settings.h"

#include "proto/tree_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct settings {
    const char *endpoint;
    const char *standby;
    uint32_t heartbeat_ms;
    uint32_t sessions_most;
    uint64_t window_bytes;
    bool strict;
};

static const struct setting table[] = {
    { "broker/endpoint", SETTING_TEXT, offsetof(struct settings, endpoint), 0, 0, NULL, false, "where agents connect" },
    { "broker/standby", SETTING_TEXT, offsetof(struct settings, standby), 0, 0, "", false, "another broker" },
    { "broker/heartbeat", SETTING_DURATION, offsetof(struct settings, heartbeat_ms), 100, 60000, "5s", true,
      "how often a link is tried" },
    { "limits/sessions", SETTING_NUMBER, offsetof(struct settings, sessions_most), 1, 128, "16", false,
      "most agencies at once" },
    { "limits/window", SETTING_SIZE, offsetof(struct settings, window_bytes), 65536, UINT64_C(8) << 30, "8MiB", true,
      "bytes on their way" },
    { "limits/strict", SETTING_YES, offsetof(struct settings, strict), 0, 0, "no", false, "refuse early" },
    { 0 },
};

static const char *const others[] = { "mapping", NULL };

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

static int fill(struct arena *arena, const char *text, struct settings *settings, struct error *err)
{
    return settings_fill(arena, table, tree_fixture(arena, text), others, settings, err);
}

static void what_the_file_says_is_filled_in(void **state)
{
    struct settings settings = { 0 };
    struct error err = { 0 };

    if (fill(*state,
             "broker\n"
             "    endpoint = \"tcp://*:5670\"\n"
             "    standby = b\n"
             "    heartbeat = 1min\n"
             "mapping\n"
             "    anything = else\n"
             "limits\n"
             "    sessions = 128\n"
             "    window = 8GiB\n"
             "    strict = yes\n",
             &settings, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(settings.endpoint, "tcp://*:5670");
    assert_string_equal(settings.standby, "b");
    assert_int_equal(settings.heartbeat_ms, 60000);
    assert_int_equal(settings.sessions_most, 128);
    assert_int_equal(settings.window_bytes, UINT64_C(8) << 30);
    assert_true(settings.strict);
}

static void what_it_does_not_say_has_its_default(void **state)
{
    struct settings settings = { .strict = true };
    struct error err = { 0 };

    assert_int_equal(fill(*state, "broker\n    endpoint = e\n", &settings, &err), 0);
    assert_string_equal(settings.standby, "");
    assert_int_equal(settings.heartbeat_ms, 5000);
    assert_int_equal(settings.sessions_most, 16);
    assert_int_equal(settings.window_bytes, 8 * 1024 * 1024);
    assert_false(settings.strict);
}

static void what_is_wrong_is_refused_with_its_path_and_what_is_allowed(void **state)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        { "limits\n", "broker/endpoint: must be given (where agents connect)" },
        { "broker\n    endpoint\n", "broker/endpoint: has no value" },
        { "broker\n    endpoint = e\n    hartbeat = 5s\n",
          "broker/hartbeat: is not known here; did you mean \"heartbeat\"?" },
        { "brokr\n    endpoint = e\n", "brokr: is not known here; did you mean \"broker\"?" },
        { "broker\n    endpoint = e\n    window = 1MiB\n",
          "broker/window: is not known here; known: endpoint, standby, heartbeat" },
        { "zzzzzzzzz\n", "zzzzzzzzz: is not known here; known: broker, limits, mapping" },
        { "broker\n    endpoint = e\n    endpoint = f\n", "broker/endpoint: stands here twice" },
        { "broker\n    endpoint = e\nbroker\n    standby = f\n", "broker: stands here twice" },
        { "broker = x\n    endpoint = e\n", "broker: has a value, but is a section" },
        { "broker\n    endpoint = e\n    heartbeat = 5\n",
          "broker/heartbeat: must be a time like 250ms, 5s, 10min or 2h, from 100ms to 1min (how often a link is "
          "tried)" },
        { "broker\n    endpoint = e\n    heartbeat = 99ms\n",
          "broker/heartbeat: must be a time like 250ms, 5s, 10min or 2h, from 100ms to 1min (how often a link is "
          "tried)" },
        { "broker\n    endpoint = e\n    heartbeat = 61s\n",
          "broker/heartbeat: must be a time like 250ms, 5s, 10min or 2h, from 100ms to 1min (how often a link is "
          "tried)" },
        { "broker\n    endpoint = e\nlimits\n    sessions = 129\n",
          "limits/sessions: must be a whole number, from 1 to 128 (most agencies at once)" },
        { "broker\n    endpoint = e\nlimits\n    sessions = 0\n",
          "limits/sessions: must be a whole number, from 1 to 128 (most agencies at once)" },
        { "broker\n    endpoint = e\nlimits\n    window = 8MB\n",
          "limits/window: must be a size like 64KiB, 8MiB or 1GiB, from 64KiB to 8GiB (bytes on their way)" },
        { "broker\n    endpoint = e\nlimits\n    strict = true\n", "limits/strict: must be yes or no (refuse early)" },
        { "broker\n    endpoint = e\n        sub = 1\n", "broker/endpoint/sub: does not belong below \"endpoint\"" },
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct settings settings = { 0 };
        struct error err = { 0 };

        assert_int_equal(fill(*state, wrong[i].text, &settings, &err), ERR_REJECT);
        assert_string_equal(err.text, wrong[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_file_says_is_filled_in),
        cmocka_unit_test(what_it_does_not_say_has_its_default),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_path_and_what_is_allowed),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
