/* What an operator decides about an agency that is stopped. */
#include "cli/answer.h"
#include "cli/commands.h"
#include "shell/text.h"

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
