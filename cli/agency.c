/* What an operator decides about an agency: one that is stopped, or what becomes of its changes. */
#include "cli/answer.h"
#include "cli/commands.h"
#include "proto/tree.h"
#include "shell/text.h"

#include <string.h>

/* Asks the broker for `verb` on the agency, with the ground that will stand in the ledger. */
static int ask(struct call *call, const char *verb, const char *done)
{
    const char *const arguments[] = { verb, call->arguments[0], call->options[OPTION_GROUND] };
    struct error err;

    if (agency_name_check(call->arguments[0], &err) < 0)
        return call_misused(call, "%s", err.text);
    if (!arguments[2] || !*arguments[2])
        return call_misused(call, _("--ground TEXT is wanted: why it may go on stands in the ledger"));
    return answer_request(call, arguments, 3, done);
}

int agency_resume_run(struct call *call)
{
    return ask(call, "agency-resume",
               arena_printf(call->arena,
                            _("%s goes on from where it is when its agent next says hello, within a minute."),
                            call->arguments[0]));
}

int agency_reload_run(struct call *call)
{
    return ask(
        call, "agency-reload",
        arena_printf(call->arena,
                     _("%s is loaded anew when its agent next says hello. If it has ended, start it: on its host "
                       "systemctl start selaras-agent@%s"),
                     call->arguments[0], call->arguments[0]));
}

static const char *const modes[] = { "observe", "publish", "full", NULL };

int agency_mode_run(struct call *call)
{
    const char *name = call->arguments[0], *mode = call->arguments[1], *near;
    const char *table = call->options[OPTION_TABLE], *ground = call->options[OPTION_GROUND];
    const char *const arguments[] = { "agency-mode", name, mode, table ? table : "", ground };
    struct error err;
    int at = 0;

    if (agency_name_check(name, &err) < 0)
        return call_misused(call, "%s", err.text);
    while (modes[at] && strcmp(modes[at], mode) != 0)
        at++;
    if (!modes[at]) {
        near = nearest_word(mode, modes);
        return call_misused(call, _("%s is no mode: it is observe, publish or full%s%s"), mode,
                            near ? _("; did you mean ") : "", near ? near : "");
    }
    if (table && !*table)
        return call_misused(call, _("--table wants the name of a block of its mapping"));
    if (!ground || !*ground)
        return call_misused(call, _("--ground TEXT is wanted: why its mode changes stands in the ledger"));
    return answer_request(
        call, arguments, 5,
        arena_printf(call->arena,
                     _("%s%s%s is in mode %s now. What it has is loaded anew when its agent next says "
                       "hello, within a minute."),
                     name, table ? ": " : "", table ? table : "", mode));
}
