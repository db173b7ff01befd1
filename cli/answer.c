#include "cli/answer.h"

#include "cli/output.h"
#include "shell/control.h"
#include "shell/text.h"

#include <string.h>

enum { ANSWER_TIMEOUT_MS = 30 * 1000 };

int answer_ask_at(const struct call *call, const char *path, const char *const *arguments, int count,
                  struct json_object **ret, struct error *err)
{
    enum json_tokener_error failure = json_tokener_success;
    struct json_object *parsed;
    const char *text;

    if (control_ask(call->arena, path, arguments, count, ANSWER_TIMEOUT_MS, &text, err) < 0)
        return err->code;
    parsed = *text ? json_tokener_parse_verbose(text, &failure) : NULL;
    if (failure != json_tokener_success)
        return error_set(err, ERR_STOP, _("%s answered with something that is not JSON (%s): is it another version's?"),
                         path, json_tokener_error_desc(failure));
    *ret = parsed;
    return 0;
}

int answer_ask(const struct call *call, const char *const *arguments, int count, struct json_object **ret,
               struct error *err)
{
    return answer_ask_at(call, call_socket(call), arguments, count, ret, err);
}

void answer_free(struct json_object **answer)
{
    json_object_put(*answer);
    *answer = NULL;
}

int answer_request(const struct call *call, const char *const *arguments, int count, const char *done)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    scoped(answer_free) struct json_object *answer = NULL;
    struct error err;

    if (answer_ask(call, arguments, count, &answer, &err) < 0)
        return call_fail(call, &err);
    if (json_object_is_type(answer, json_type_object))
        output_merge(output, answer);
    output_say(output, "%s", done);
    output_end(output);
    return STATUS_OK;
}

static struct json_object *member(const struct json_object *object, const char *name, enum json_type type)
{
    struct json_object *value;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &value) ||
        !json_object_is_type(value, type))
        return NULL;
    return value;
}

const char *answer_text(const struct json_object *object, const char *name)
{
    struct json_object *value = member(object, name, json_type_string);

    return value ? json_object_get_string(value) : "";
}

uint64_t answer_number(const struct json_object *object, const char *name)
{
    struct json_object *value = member(object, name, json_type_int);

    return value ? json_object_get_uint64(value) : 0;
}

int64_t answer_time(const struct json_object *object, const char *name)
{
    struct json_object *value = member(object, name, json_type_int);

    return value ? json_object_get_int64(value) : 0;
}

const struct json_object *answer_element(const struct json_object *object, size_t index)
{
    return json_object_is_type(object, json_type_array) ? json_object_array_get_idx(object, index) : NULL;
}
