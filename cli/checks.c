#include "cli/checks.h"

#include "shell/text.h"

#include <assert.h>
#include <string.h>

enum { AT_FILE, AT_CHECK, AT_RESULT, AT_WHAT };
static const struct column columns[] = {
    [AT_FILE] = { "file", NULL, 0 },
    [AT_CHECK] = { "check", N_("CHECK"), 0 },
    [AT_RESULT] = { "result", N_("RESULT"), 0 },
    [AT_WHAT] = { "what", "", LOOK_OPTIONAL },
    { 0 },
};

void checks_table(struct output *output)
{
    output_table(output, "checks", columns);
}

/* Whether the check that this one builds on went well. */
static bool grounded(const struct check *checks, const bool *ok, const struct check *check)
{
    for (int i = 0; check->after && checks[i].name; i++)
        if (!strcmp(checks[i].name, check->after))
            return ok[i];
    assert(!check->after);
    return true;
}

bool checks_run(struct output *output, const char *about, const struct check *checks, void *subject)
{
    bool ok[CHECKS_MAX] = { false };
    bool all = true;

    for (int i = 0; checks[i].name; i++) {
        char note[CHECK_NOTE_MAX] = "";
        struct error err;

        assert(i < CHECKS_MAX);
        output_row(output, false);
        output_text(output, AT_FILE, about);
        output_text(output, AT_CHECK, output_is_json(output) ? checks[i].name : _(checks[i].name));
        if (!grounded(checks, ok, &checks[i])) {
            output_text(output, AT_RESULT, output_is_json(output) ? "not checked" : _("not checked"));
            continue;
        }
        ok[i] = checks[i].run(subject, note, &err) == 0;
        all = all && ok[i];
        output_text(output, AT_RESULT,
                    ok[i]                    ? output_is_json(output) ? "ok" : _("ok")
                                       : output_is_json(output) ? "failed"
                                             : _("failed"));
        if (!ok[i])
            output_text(output, AT_WHAT, err.text);
        else if (*note)
            output_text(output, AT_WHAT, note);
    }
    return all;
}
