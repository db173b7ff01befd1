/* What an operator decides about an agency that is stopped. */
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/text.h"

int agency_resume_run(struct call *call)
{
    const char *const arguments[] = { "agency-resume", call->arguments[0], call->options[OPTION_GROUND] };
    struct error err;

    if (agency_name_check(call->arguments[0], &err) < 0)
        return call_misused(call, "%s", err.text);
    if (!arguments[2] || !*arguments[2])
        return call_misused(call, _("--ground TEXT is wanted: why it may go on stands in the ledger"));
    return answer_request(
        call, arguments, 3,
        arena_printf(call->arena, _("%s goes on from where it is when its agent next says hello, within a minute."),
                     call->arguments[0]));
}
