#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/show.h"
#include "shell/loop.h"
#include "shell/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    AT_AGENCY,
    AT_MODE,
    AT_STATE,
    AT_LINK,
    AT_LAG,
    AT_SENT,
    AT_FED,
    AT_HELD,
    AT_PARKED,
    AT_SKIPPED,
    AT_ALTERED,
    AT_UNRECORDED
};
static const struct column columns[] = {
    [AT_AGENCY] = { "name", N_("AGENCY"), 0 },
    [AT_MODE] = { "mode", N_("MODE"), 0 },
    [AT_STATE] = { "state", N_("STATE"), 0 },
    [AT_LINK] = { "link", N_("LINK"), 0 },
    [AT_LAG] = { "lag", N_("BEHIND"), LOOK_RIGHT },
    [AT_SENT] = { "sent", N_("SENT"), LOOK_RIGHT },
    [AT_FED] = { "fed", N_("FED"), LOOK_RIGHT },
    [AT_HELD] = { "held", N_("HELD"), LOOK_RIGHT },
    [AT_PARKED] = { "parked", N_("PARKED"), LOOK_RIGHT },
    [AT_SKIPPED] = { "skipped", N_("SKIPPED"), LOOK_RIGHT | LOOK_OPTIONAL },
    [AT_ALTERED] = { "altered", N_("ALTERED"), LOOK_RIGHT | LOOK_OPTIONAL },
    [AT_UNRECORDED] = { "unrecorded", N_("NOT RECORDED"), LOOK_RIGHT | LOOK_OPTIONAL },
    { 0 },
};

static bool is(const struct json_object *object, const char *name, const char *value)
{
    return !strcmp(answer_text(object, name), value);
}

/* "up", "away 2 h", or "never seen". */
static const char *link_shown(struct arena *arena, const struct json_object *agency, int64_t now_us)
{
    int64_t seen_us = answer_time(agency, "seen");

    if (is(agency, "link", "up"))
        return _("up");
    if (!seen_us)
        return _("never seen");
    return arena_printf(arena, _("away %s"), show_span(arena, now_us - seen_us));
}

/* A number, or nothing for 0: what is not there need not be read. */
static void number_unless_zero(struct output *output, int column, uint64_t number)
{
    if (number)
        output_number(output, column, number);
}

static void agency_row(struct output *output, struct arena *arena, const struct json_object *agency, int64_t now_us)
{
    output_row(output, false);
    output_text(output, AT_AGENCY, answer_text(agency, "name"));
    output_text(output, AT_MODE,
                answer_element(json_object_object_get(agency, "tables"), 0) ? _("mixed") : answer_text(agency, "mode"));
    output_text(output, AT_STATE, answer_text(agency, "state"));
    output_text(output, AT_LINK, link_shown(arena, agency, now_us));
    if (answer_number(agency, "applied")) /* else it has nothing yet, and how far that is behind says nothing */
        number_unless_zero(output, AT_LAG, answer_number(agency, "lag"));
    number_unless_zero(output, AT_SENT, answer_number(agency, "sent"));
    number_unless_zero(output, AT_FED, answer_number(agency, "fed"));
    number_unless_zero(output, AT_HELD, answer_number(agency, "held"));
    number_unless_zero(output, AT_PARKED, answer_number(agency, "parked"));
    number_unless_zero(output, AT_SKIPPED, answer_number(agency, "skipped"));
    number_unless_zero(output, AT_ALTERED, answer_number(agency, "altered"));
    number_unless_zero(output, AT_UNRECORDED, answer_number(agency, "unrecorded"));
}

/* Says what becomes of its changes, where that is not everything. */
static void advise_mode(struct output *output, const struct json_object *agency)
{
    const struct json_object *tables = json_object_object_get(agency, "tables"), *table;
    const char *name = answer_text(agency, "name");
    bool observes = is(agency, "mode", "observe");

    if (is(agency, "mode", "publish"))
        output_say(output, _("%s publishes: its changes take effect, and nothing is written to it."), name);
    for (size_t i = 0; (table = answer_element(tables, i)); i++) {
        output_say(output, _("Table %s of %s is in mode %s."), answer_text(table, "name"), name,
                   answer_text(table, "mode"));
        observes = observes || is(table, "mode", "observe");
    }
    if (observes)
        output_say(
            output,
            _("%s observes: nothing of that takes effect, and nothing is written to it. What would change: selaras "
              "preview %s. When it is to take part: selaras agency mode %s full --ground TEXT"),
            name, name, name);
}

/* Says what a person should do about this agency. Returns whether something is wrong that will not mend by itself. */
static bool advise(struct output *output, struct arena *arena, const struct json_object *agency)
{
    const char *name = answer_text(agency, "name");
    uint64_t parked = answer_number(agency, "parked");
    bool quarantined = is(agency, "state", "quarantined");

    if (quarantined && (is(agency, "quarantine", "refused") || is(agency, "quarantine", "crashed")))
        output_say(
            output,
            _("%s is quarantined: %s. What it sent is kept at its own database and nothing of it is lost. When the "
              "cause is gone (a constraint or trigger in the broker's database, a value there): selaras agency "
              "resume %s --ground TEXT"),
            name, answer_text(agency, "reason"), name);
    else if (quarantined)
        output_say(output,
                   _("%s is quarantined: %s. Nothing is taken from it or sent to it. When it is certain that its "
                     "database is the one to go on with, load it anew: selaras agency reload %s --ground TEXT"),
                   name, answer_text(agency, "reason"), name);
    if (answer_time(agency, "copy_at"))
        output_say(
            output,
            _("An older copy of the database of %s said hello under its key at %s and was turned away. Find it and "
              "stop its agent."),
            name, show_time(arena, answer_time(agency, "copy_at")));
    if (parked)
        output_say(output,
                   ngettext("%" PRIu64 " record is parked at %s: selaras parked list --agency %s",
                            "%" PRIu64 " records are parked at %s: selaras parked list --agency %s", parked),
                   parked, name, name);
    advise_mode(output, agency);
    if (is(agency, "state", "loading") || is(agency, "state", "filling"))
        output_say(output, _("%s is being loaded for the first time; nothing is sent to it until that is done."), name);
    if (is(agency, "state", "revoked") || quarantined || is(agency, "link", "up"))
        return quarantined || parked;
    if (answer_time(agency, "seen"))
        output_say(output, _("%s is away. On its host: systemctl status selaras-agent@%s"), name, name);
    else
        output_say(output, _("%s is enrolled but has never said hello. On its host: systemctl start selaras-agent@%s"),
                   name, name);
    return quarantined || parked;
}

/* Says what waits for a person. Returns whether anything does. */
static bool advise_holds(struct output *output, const struct json_object *holds)
{
    const struct json_object *hold;
    bool any = false;

    for (size_t i = 0; (hold = answer_element(holds, i)); i++) {
        uint64_t held = answer_number(hold, "held"), number = answer_number(hold, "hold");

        if (json_object_get_boolean(json_object_object_get(hold, "refused")))
            output_say(output,
                       _("What was decided about hold %" PRIu64 " of %s is refused by the broker's database (see the "
                         "broker's log): nothing of it has changed. When the cause is gone, decide again: selaras hold "
                         "show %" PRIu64),
                       number, answer_text(hold, "agency"), number);
        else if (!*answer_text(hold, "decision"))
            output_say(output,
                       ngettext("%" PRIu64 " change of %s is held (%s %s: %s): selaras hold show %" PRIu64,
                                "%" PRIu64 " changes of %s are held (%s %s: %s): selaras hold show %" PRIu64, held),
                       held, answer_text(hold, "agency"), answer_text(hold, "type"), answer_text(hold, "field"),
                       answer_text(hold, "reason"), number);
        any = true;
    }
    return any;
}

static void broker_line(struct output *output, struct arena *arena, const struct json_object *status)
{
    if (*answer_text(status, "waiting")) {
        output_line(output, _("broker   waiting, started %s: %s"), show_time(arena, answer_time(status, "since")),
                    answer_text(status, "waiting"));
        return;
    }
    output_line(output, _("broker   active since %s, ledger %s entries, catalog %" PRIu64 ", at %s"),
                show_time(arena, answer_time(status, "since")), show_count(arena, answer_number(status, "entries")),
                answer_number(status, "catalog"), answer_text(status, "endpoint"));
}

static void agencies_print(struct output *output, struct arena *arena, const struct json_object *agencies)
{
    const struct json_object *agency;
    int64_t now_us = loop_time_us();

    output_table(output, "agencies", columns);
    for (size_t i = 0; (agency = answer_element(agencies, i)); i++)
        agency_row(output, arena, agency, now_us);
    output_table_end(output);
}

/* Shows the broker and its agencies. Returns the exit status. */
static int broker_print(struct output *output, struct arena *arena, const struct json_object *status)
{
    const struct json_object *agencies = json_object_object_get(status, "agencies");
    const struct json_object *agency;
    bool waiting =
        *answer_text(status, "waiting"); /* for its database, or for another broker to go: it serves nobody */
    bool wrong = waiting;

    if (!output_is_json(output)) {
        broker_line(output, arena, status);
        agencies_print(output, arena, agencies);
    }
    for (size_t i = 0; (agency = answer_element(agencies, i)); i++)
        wrong = advise(output, arena, agency) || wrong;
    wrong = advise_holds(output, json_object_object_get(status, "holds")) || wrong;
    if (!answer_element(agencies, 0) && !waiting)
        output_say(output, _("No agency is enrolled yet: selaras key enrol AGENCY HEX"));
    return wrong ? STATUS_WRONG : STATUS_OK;
}

enum { FACT_NAME, FACT_VALUE };
static const struct column fact_columns[] = {
    [FACT_NAME] = { "name", N_("AGENT"), 0 },
    [FACT_VALUE] = { "value", "", 0 },
    { 0 },
};

static void facts_print(struct output *output, const struct json_object *status)
{
    /* Positions are for programs as they stand there. */
    static const char position[] = "applied";

    output_table(output, "facts", fact_columns);
    json_object_object_foreach(status, name, value)
    {
        if (json_object_is_type(value, json_type_array) || json_object_is_type(value, json_type_object))
            continue;
        output_row(output, false);
        output_text(output, FACT_NAME, name);
        if (!strcmp(name, position))
            output_position(output, FACT_VALUE, answer_number(status, position));
        else if (value)
            output_text(output, FACT_VALUE, json_object_get_string(value));
    }
    output_table_end(output);
}

/* Shows what an agent says of itself, whatever that is: its facts are for the people of its host. */
static int agent_print(struct output *output, const struct json_object *status)
{
    uint64_t parked = answer_number(status, "parked");

    if (!output_is_json(output))
        facts_print(output, status);
    if (parked)
        output_say(output,
                   ngettext("%" PRIu64 " record is parked here: selaras parked list --agent %s",
                            "%" PRIu64 " records are parked here: selaras parked list --agent %s", parked),
                   parked, answer_text(status, "agency"));
    return parked ? STATUS_WRONG : STATUS_OK;
}

/* In JSON the daemon's own words, and what we would advise beside them. */
static int status_print(const struct call *call, struct json_object *status)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    int code = is(status, "program", "agent") ? agent_print(output, status) : broker_print(output, call->arena, status);

    output_merge(output, status);
    output_end(output);
    return code;
}

int status_run(struct call *call)
{
    static const char *const arguments[] = { "status" };
    scoped(answer_free) struct json_object *status = NULL;
    struct error err;

    if (answer_ask(call, arguments, 1, &status, &err) < 0)
        return call_fail(call, &err);
    if (!json_object_is_type(status, json_type_object)) {
        error_set(&err, ERR_STOP, _("%s answered with something else than its status: is it another version's?"),
                  call_socket(call));
        return call_fail(call, &err);
    }
    return status_print(call, status);
}
