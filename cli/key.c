#include "shell/key.h"

#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "proto/tree.h"
#include "shell/text.h"

#include <string.h>

static void wipe(struct key *key)
{
    key_wipe(key);
}

/* Prints the public key alone, so that a script may take the line as it is. */
static int public_print(const struct call *call, const struct key *key)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    char hex[65];

    key_hex(key->public_key, hex);
    output_fact(output, hex, "key", hex);
    output_end(output);
    return STATUS_OK;
}

int key_new_run(struct call *call)
{
    scoped(wipe) struct key key;
    struct error err;

    key_make(&key);
    if (key_write(call->arguments[0], &key, &err) < 0)
        return call_fail(call, &err);
    return public_print(call, &key);
}

int key_show_run(struct call *call)
{
    scoped(wipe) struct key key = { 0 };
    struct error err;

    if (key_read(call->arguments[0], &key, &err) < 0)
        return call_fail(call, &err);
    return public_print(call, &key);
}

int agency_name_check(const char *name, struct error *err)
{
    if (name_is_valid(name, AGENCY_NAME_BYTES))
        return 0;
    return error_set(
        err, ERR_REJECT,
        _("\"%.40s\" is no name of an agency: it starts with a letter a to z, then letters, digits and _, at "
          "most %d in all"),
        name, AGENCY_NAME_BYTES);
}

int key_enrol_run(struct call *call)
{
    const char *const arguments[] = { "key-enrol", call->arguments[0], call->arguments[1] };
    uint8_t public_key[32];
    struct error err;

    if (agency_name_check(call->arguments[0], &err) < 0 || key_parse(call->arguments[1], public_key, &err) < 0)
        return call_misused(call, "%s", err.text);
    return answer_request(
        call, arguments, 3,
        arena_printf(
            call->arena,
            _("%s is enrolled: its agent is let in from now on. A new agency observes: nothing of it takes effect and "
              "nothing is written to it until: selaras agency mode %s full --ground TEXT"),
            call->arguments[0], call->arguments[0]));
}

int key_revoke_run(struct call *call)
{
    const char *const arguments[] = { "key-revoke", call->arguments[0] };
    struct error err;

    if (agency_name_check(call->arguments[0], &err) < 0)
        return call_misused(call, "%s", err.text);
    return answer_request(
        call, arguments, 2,
        arena_printf(call->arena, _("%s is shut out: nothing of its key is heard any more."), call->arguments[0]));
}

enum { AT_NAME, AT_STATE, AT_KEY };
static const struct column columns[] = {
    [AT_NAME] = { "name", N_("AGENCY"), 0 },
    [AT_STATE] = { "state", N_("STATE"), 0 },
    [AT_KEY] = { "key", N_("PUBLIC KEY"), 0 },
    { 0 },
};

int key_list_run(struct call *call)
{
    static const char *const arguments[] = { "key-list" };
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    scoped(answer_free) struct json_object *keys = NULL;
    const struct json_object *row;
    struct error err;

    if (answer_ask(call, arguments, 1, &keys, &err) < 0)
        return call_fail(call, &err);
    output_table(output, "keys", columns);
    for (size_t i = 0; (row = answer_element(keys, i)); i++) {
        output_row(output, false);
        output_text(output, AT_NAME, answer_text(row, "name"));
        output_text(output, AT_STATE, answer_text(row, "state"));
        if (*answer_text(row, "key"))
            output_text(output, AT_KEY, answer_text(row, "key"));
    }
    output_table_end(output);
    if (!answer_element(keys, 0))
        output_say(output, _("No agency is enrolled yet: selaras key enrol AGENCY HEX"));
    output_end(output);
    return STATUS_OK;
}
