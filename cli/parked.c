#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/when.h"
#include "shell/text.h"

#include <string.h>

enum { LIMIT_USUAL = 100, LIMIT_MOST = 100000 };

enum { AT_DEBT, AT_AGENCY, AT_RECORD, AT_BLOCK, AT_KIND, AT_SINCE, AT_ENTRY, AT_TRIES, AT_REASON };
static const struct column columns[] = {
    [AT_DEBT] = { "number", NULL, 0 },
    [AT_AGENCY] = { "agency", N_("AGENCY"), LOOK_OPTIONAL },
    [AT_RECORD] = { "record", N_("RECORD"), LOOK_RIGHT },
    [AT_BLOCK] = { "block", N_("TABLE"), 0 },
    [AT_KIND] = { "kind", N_("KIND"), 0 },
    [AT_SINCE] = { "since", N_("SINCE"), 0 },
    [AT_ENTRY] = { "position", N_("ENTRY"), LOOK_RIGHT },
    [AT_TRIES] = { "tries", N_("TRIES"), LOOK_RIGHT | LOOK_OPTIONAL },
    [AT_REASON] = { "reason", N_("REASON"), 0 },
    { 0 },
};

static void debt_row(struct output *output, const struct debt_row *debt)
{
    output_row(output, false);
    output_number(output, AT_DEBT, debt->number);
    output_text(output, AT_AGENCY, debt->agency);
    output_id(output, AT_RECORD, debt->record);
    output_text(output, AT_BLOCK, debt->block);
    output_text(output, AT_KIND, debt->kind);
    output_time(output, AT_SINCE, debt->since_us);
    output_position(output, AT_ENTRY, debt->position);
    if (*debt->reason)
        output_text(output, AT_REASON, debt->reason);
}

/* What the broker knows: items of all agencies that have not taken effect. */
static int list_of_broker(const struct call *call, struct output *output, struct error *err)
{
    scoped(db_close) struct db *db = NULL;
    struct debt_row *debts;
    uint64_t limit;
    int count;

    if (call_number(call, OPTION_LIMIT, 1, LIMIT_MOST, LIMIT_USUAL, &limit, err) < 0 ||
        db_open(call_database(call), &db, err) < 0 ||
        db_debts(db, call->arena, 0, call->options[OPTION_AGENCY], (int)limit + 1, &debts, &count, err) < 0)
        return err->code;
    output_table(output, "parked", columns);
    for (int i = 0; i < count && i < (int)limit; i++)
        debt_row(output, &debts[i]);
    output_table_end(output);
    if (count > (int)limit)
        output_say(output, _("These are the oldest %d; there are more (--limit N)."), (int)limit);
    if (count)
        output_say(output,
                   _("On the agency's host: selaras parked retry RECORD --agent AGENCY once the reason is gone, or "
                     "selaras parked "
                     "close RECORD WHY --agent AGENCY. What was skipped is answered with the whole record by itself."));
    else
        output_say(output, _("Nothing is parked."));
    return 0;
}

/* A time as the agency's PostgreSQL writes it: shown as ours are, or as it is when it cannot be read. */
static void since_cell(struct output *output, struct arena *arena, const char *since)
{
    struct value value;
    struct error err;
    int64_t from_us, until_us;

    if (value_parse(arena, VALUE_TIMESTAMP, 0, since, strlen(since), &value, &err) == 0 &&
        when_parse(arena_printf(arena, "%.19sZ", value.bytes), 0, &from_us, &until_us, &err) == 0)
        output_time(output, AT_SINCE, from_us);
    else
        output_text(output, AT_SINCE, since);
}

static void parked_row(struct output *output, struct arena *arena, const struct json_object *row)
{
    output_row(output, false);
    output_id(output, AT_RECORD, answer_number(row, "record"));
    output_text(output, AT_BLOCK, answer_text(row, "block"));
    output_text(output, AT_KIND, "parked");
    if (answer_time(row, "since"))
        output_time(output, AT_SINCE, answer_time(row, "since"));
    else
        since_cell(output, arena, answer_text(row, "since"));
    output_position(output, AT_ENTRY, answer_number(row, "position"));
    output_number(output, AT_TRIES, answer_number(row, "tries"));
    output_text(output, AT_REASON, answer_text(row, "reason"));
}

/* What an agent's own database refused, as it tells. */
static int list_of_agent(const struct call *call, struct output *output, struct error *err)
{
    static const char *const arguments[] = { "parked-list" };
    scoped(answer_free) struct json_object *parked = NULL;
    const struct json_object *row;

    if (answer_ask(call, arguments, 1, &parked, err) < 0)
        return err->code;
    output_table(output, "parked", columns);
    for (size_t i = 0; (row = answer_element(parked, i)); i++)
        parked_row(output, call->arena, row);
    output_table_end(output);
    if (!answer_element(parked, 0))
        output_say(output, _("Nothing is parked."));
    return 0;
}

static bool asks_agent(const struct call *call)
{
    return call_has(call, OPTION_AGENT) || call_has(call, OPTION_SOCKET);
}

int parked_list_run(struct call *call)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    struct error err;

    if ((asks_agent(call) ? list_of_agent(call, output, &err) : list_of_broker(call, output, &err)) < 0)
        return call_fail(call, &err);
    output_end(output);
    return STATUS_OK;
}

static int agent_missing(const struct call *call)
{
    return call_misused(call, _("only the agency's own agent can do that: run it on its host with --agent AGENCY"));
}

int parked_retry_run(struct call *call)
{
    const char *record = call->arguments[0];
    const char *const arguments[] = { "parked-retry", record };
    uint64_t number;

    if (!asks_agent(call))
        return agent_missing(call);
    if (strcmp(record, "all") && !number_parse(record, &number))
        return call_misused(call, _("a RECORD is its number, or all"));
    return answer_request(call, arguments, 2,
                          _("Tried again: selaras parked list shows what is still refused, and why."));
}

int parked_close_run(struct call *call)
{
    const char *const arguments[] = { "parked-close", call->arguments[0], call->arguments[1] };
    uint64_t number;

    if (!asks_agent(call))
        return agent_missing(call);
    if (!number_parse(call->arguments[0], &number))
        return call_misused(call, _("a RECORD is its number"));
    if (!*call->arguments[1])
        return call_misused(call, _("say WHY: it stands in the audit log"));
    return answer_request(call, arguments, 3,
                          _("Given up: the record is not sent to this agency again until it is sent whole. The audit "
                            "log says by whom and why."));
}
