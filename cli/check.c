#include "cli/checks.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "shell/text.h"
#include "shell/zpl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int check_run(struct call *call)
{
    const char *broker = call->options[OPTION_BROKER_FILE];
    const char *agent = call->options[OPTION_AGENT_FILE];
    scoped(output_free) struct output *output = NULL;
    bool ok = true;

    if (!broker && !agent)
        return call_misused(call, _("say which file: --broker FILE or --agent FILE"));
    output = output_new(call->arena, call_has(call, OPTION_JSON));
    checks_table(output);
    if (broker)
        ok = check_broker_file(call, output, broker) && ok;
    if (agent)
        ok = check_agent_file(call, output, agent) && ok;
    output_table_end(output);
    output_end(output);
    return ok ? STATUS_OK : STATUS_WRONG;
}

/* Says that something is as it must be. */
static int say_good(const struct call *call, const char *said)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));

    output_fact(output, NULL, "result", "ok");
    output_say(output, "%s", said);
    output_end(output);
    return STATUS_OK;
}

int check_catalog_run(struct call *call)
{
    const struct catalog *catalog;
    struct error err;
    int fields = 0;

    if (catalog_read(call->arena, call->arguments[0], &catalog, &err) < 0)
        return call_fail(call, &err);
    for (int i = 0; i < catalog->type_count; i++)
        fields += catalog->types[i].field_count;
    return say_good(
        call, arena_printf(call->arena, _("%s: ok. Version %" PRIu32 ", agencies: %d, record types: %d, fields: %d."),
                           call->arguments[0], catalog->version, catalog->agency_count, catalog->type_count, fields));
}
