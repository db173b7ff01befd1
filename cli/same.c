/* Two records that are one, or are not: what a person says about that. */
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/find.h"
#include "cli/output.h"
#include "cli/query.h"
#include "shell/text.h"

#include <inttypes.h>
#include <string.h>

enum { ROW_AGENCY, ROW_WORD, ROW_WHAT };
static const struct column row_columns[] = {
    [ROW_AGENCY] = { "agency", N_("AGENCY"), 0 },
    [ROW_WORD] = { "row", NULL, 0 },
    [ROW_WHAT] = { NULL, N_("WHAT BECOMES OF ITS ROW"), 0 },
    { 0 },
};

/* What the broker says becomes of an agency's row. */
static const char *row_what(const char *word)
{
    static const struct {
        const char *word, *what;
    } rows[] = {
        { "passes", N_("it is the other record's from then on, and is written over with what that one has") },
        { "deleted", N_("it is deleted: this agency has a row of the other record too") },
        { "marked", N_("it is marked as deleted: this agency has a row of the other record too") },
        { "left", N_("it stays as it is, and counts no more: this agency has a row of the other record too") },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(rows[i].word, word))
            return _(rows[i].what);
    return word;
}

/* Two records of one type, found like any. */
struct pair {
    const char *type;
    uint64_t keep, other;
};

static int pair_find(const struct call *call, struct pair *ret, struct error *err)
{
    scoped(db_close) struct db *db = NULL;
    const struct catalog *catalog;

    *ret = (struct pair){ .type = call->arguments[0] };
    if (db_open(call_database(call), &db, err) < 0 || db_catalog(db, call->arena, &catalog, err) < 0 ||
        record_find(db, call->arena, catalog, ret->type, call->arguments[1], NULL, &ret->keep, err) < 0 ||
        record_find(db, call->arena, catalog, ret->type, call->arguments[2], NULL, &ret->other, err) < 0)
        return err->code;
    return 0;
}

static int ask(const struct call *call, const char *verb, const struct pair *pair, bool dry, struct json_object **ret,
               struct error *err)
{
    const char *const arguments[] = { verb,
                                      pair->type,
                                      arena_printf(call->arena, "%" PRIu64, pair->keep),
                                      arena_printf(call->arena, "%" PRIu64, pair->other),
                                      call->options[OPTION_GROUND],
                                      dry ? "dry" : "" };

    return answer_ask(call, arguments, 6, ret, err);
}

static void pair_facts(struct output *output, const struct pair *pair)
{
    output_fact(output, NULL, "type", pair->type);
    output_fact_number(output, NULL, "record", pair->keep);
    output_fact_number(output, NULL, "other", pair->other);
}

static void rows_print(struct output *output, const struct json_object *answer)
{
    const struct json_object *row;
    struct json_object *rows = NULL;

    if (json_object_is_type(answer, json_type_object))
        json_object_object_get_ex(answer, "agencies", &rows);
    output_table(output, "agencies", row_columns);
    for (size_t i = 0; (row = answer_element(rows, i)); i++) {
        output_row(output, false);
        output_text(output, ROW_AGENCY, answer_text(row, "agency"));
        output_text(output, ROW_WORD, answer_text(row, "row"));
        output_text(output, ROW_WHAT, row_what(answer_text(row, "row")));
    }
    output_table_end(output);
}

static bool has_ground(const struct call *call)
{
    return call_has(call, OPTION_GROUND) && *call->options[OPTION_GROUND];
}

static int no_ground(const struct call *call)
{
    return call_misused(call, _("--ground TEXT is wanted: why it is decided so stands in the ledger"));
}

int record_same_run(struct call *call)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    scoped(answer_free) struct json_object *answer = NULL, *done = NULL;
    bool yes = call_has(call, OPTION_YES);
    struct pair pair;
    struct error err;

    if (!has_ground(call))
        return no_ground(call);
    if (pair_find(call, &pair, &err) < 0 || ask(call, "record-same", &pair, true, &answer, &err) < 0 ||
        (yes && ask(call, "record-same", &pair, false, &done, &err) < 0))
        return call_fail(call, &err);
    pair_facts(output, &pair);
    output_fact_number(output, NULL, "done", yes);
    if (yes)
        output_line(output, _("%s %" PRIu64 " is the same as %" PRIu64 " now."), pair.type, pair.other, pair.keep);
    else
        output_line(output, _("%s %" PRIu64 " would be the same as %" PRIu64 ". Nothing is done yet."), pair.type,
                    pair.other, pair.keep);
    output_line(output, "%s", "");
    rows_print(output, answer);
    if (yes)
        output_say(output,
                   _("What %" PRIu64 " has stands, at every agency; it took what it lacked. To undo it: selaras record "
                     "different %s %" PRIu64 " %" PRIu64 " --ground TEXT"),
                   pair.keep, pair.type, pair.keep, pair.other);
    else
        output_say(output, _("What %" PRIu64 " has will stand, at every agency. Right: the same command with --yes."),
                   pair.keep);
    output_end(output);
    return STATUS_OK;
}

int record_different_run(struct call *call)
{
    scoped(output_free) struct output *output = output_new(call->arena, call_has(call, OPTION_JSON));
    scoped(answer_free) struct json_object *answer = NULL;
    struct json_object *undone = NULL;
    struct pair pair;
    struct error err;

    if (!has_ground(call))
        return no_ground(call);
    if (pair_find(call, &pair, &err) < 0 || ask(call, "record-different", &pair, false, &answer, &err) < 0)
        return call_fail(call, &err);
    if (json_object_is_type(answer, json_type_object))
        json_object_object_get_ex(answer, "undone", &undone);
    pair_facts(output, &pair);
    output_line(output, _("%s %" PRIu64 " and %" PRIu64 " are different."), pair.type, pair.keep, pair.other);
    if (json_object_get_boolean(undone))
        output_say(output,
                   _("The record is there again as it was, and so are its rows. The ledger has both decisions."));
    else
        output_say(output, _("They were two, and stay two: that a person has said so stands in the ledger."));
    output_end(output);
    return STATUS_OK;
}
