#include "shell/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void commas_come_by_themselves(void **state)
{
    scoped(buffer_free) struct buffer out = { 0 };

    (void)state;
    json_begin_object(&out, NULL);
    json_write_int(&out, "a", INT64_MIN);
    json_write_uint(&out, "b", UINT64_MAX);
    json_begin_array(&out, "c");
    json_write_bool(&out, NULL, true);
    json_write_null(&out, NULL);
    json_begin_object(&out, NULL);
    json_end_object(&out);
    json_begin_array(&out, NULL);
    json_end_array(&out);
    json_write_text(&out, NULL, "{");
    json_write_text(&out, NULL, NULL);
    json_end_array(&out);
    json_write_json(&out, "d", "[1]");
    json_end_object(&out);
    assert_string_equal(json_text(&out), "{\"a\":-9223372036854775808,\"b\":18446744073709551615,"
                                         "\"c\":[true,null,{},[],\"{\",null],\"d\":[1]}");
}

static void what_json_forbids_is_escaped(void **state)
{
    scoped(buffer_free) struct buffer out = { 0 };

    (void)state;
    json_write_bytes(&out, NULL, "\"\\\n\x01\x00é/", 8);
    assert_string_equal(json_text(&out), "\"\\\"\\\\\\n\\u0001\\u0000é/\"");
}

static void an_empty_text_is_a_text(void **state)
{
    scoped(buffer_free) struct buffer out = { 0 };

    (void)state;
    json_begin_object(&out, NULL);
    json_write_text(&out, "", "");
    json_end_object(&out);
    assert_string_equal(json_text(&out), "{\"\":\"\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_come_by_themselves),
        cmocka_unit_test(what_json_forbids_is_escaped),
        cmocka_unit_test(an_empty_text_is_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
