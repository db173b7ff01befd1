#include "cli/commands.h"
#include "cli/find.h"
#include "cli/history.h"
#include "cli/pager.h"
#include "cli/reveal.h"
#include "cli/when.h"
#include "proto/tree.h"
#include "shell/loop.h"
#include "shell/text.h"

#include <string.h>

enum { LIMIT_USUAL = 100, LIMIT_MOST = 1000000000 };

static const char *verdict_word(int i)
{
    return verdict_name((enum verdict)i);
}

static const char *kind_word(int i)
{
    return entry_kind_name((enum entry_kind)i);
}

/* Whether `option`, if given, is one of the words 1 to `count` - 1; a space may be written as "-". */
static int word_of(const struct call *call, enum option_name option, const char *(*word)(int), int count,
                   const char **ret, struct error *err)
{
    const char *words[ENTRY_KIND_COUNT + VERDICT_COUNT];
    char *written;
    int known = 0;

    if (!call_has(call, option))
        return 0;
    written = arena_copy(call->arena, call->options[option], strlen(call->options[option]));
    for (char *c = written; *c; c++)
        *c = *c == '-' ? ' ' : *c;
    for (int i = 1; i < count; i++) {
        if (!strcmp(word(i), entry_kind_name(ENTRY_RESERVED)))
            continue;
        words[known++] = word(i);
        if (!strcmp(word(i), written)) {
            *ret = word(i);
            return 0;
        }
    }
    words[known] = NULL;
    return word_error(err, ERR_REJECT, written, words, _("there is no \"%.40s\""), written);
}

static int times_of(const struct call *call, struct ledger_filter *filter, struct error *err)
{
    int64_t now = loop_time_us();
    int64_t other;

    filter->since = call_has(call, OPTION_SINCE);
    filter->until = call_has(call, OPTION_UNTIL);
    if (filter->since && when_parse(call->options[OPTION_SINCE], now, &filter->since_us, &other, err) < 0)
        return error_wrap(err, "--since");
    if (filter->until && when_parse(call->options[OPTION_UNTIL], now, &other, &filter->until_us, err) < 0)
        return error_wrap(err, "--until");
    return 0;
}

static int filter_of(const struct call *call, struct ledger_filter *ret, struct error *err)
{
    uint64_t limit;

    *ret = (struct ledger_filter){ .agency = call->options[OPTION_AGENCY] };
    if (call_number(call, OPTION_LIMIT, 1, LIMIT_MOST, LIMIT_USUAL, &limit, err) < 0 ||
        call_number(call, OPTION_RECORD_NUMBER, 1, INT64_MAX, 0, &ret->record, err) < 0 ||
        word_of(call, OPTION_VERDICT, verdict_word, VERDICT_COUNT, &ret->verdict, err) < 0 ||
        word_of(call, OPTION_KIND, kind_word, ENTRY_KIND_COUNT, &ret->kind, err) < 0)
        return err->code;
    ret->limit = call_has(call, OPTION_ALL) ? 0 : (int)limit;
    return times_of(call, ret, err);
}

/* When nothing was found because of a name that no agency has, it should be said. */
static int agency_check(struct db *db, struct arena *arena, const char *agency, struct error *err)
{
    struct agency_row *rows;
    const char **words;
    int count;

    if (!agency)
        return 0;
    if (db_agencies(db, arena, &rows, &count, err) < 0)
        return err->code;
    words = arena_array(arena, (size_t)count + 1, sizeof *words);
    for (int i = 0; i < count; i++) {
        words[i] = rows[i].name;
        if (!strcmp(rows[i].name, agency))
            return 0;
    }
    return word_error(err, ERR_REJECT, agency, words, _("no agency is called \"%.40s\""), agency);
}

static enum output_form form_of(const struct call *call)
{
    if (call_has(call, OPTION_JSON_LINES))
        return OUTPUT_JSON_LINES;
    return call_has(call, OPTION_JSON) ? OUTPUT_JSON : OUTPUT_TABLE;
}

/* Before anything is shown whole, the ledger says what will be. */
static int reveal(const struct call *call, struct db *db, const struct ledger_filter *filter,
                  const struct ledger_range *range, struct error *err)
{
    struct ledger_count count;

    if (db_count(db, call->arena, filter, range, &count, err) < 0)
        return err->code;
    if (!count.entries)
        return 0;
    return reveal_record(call, count.type, filter->record, reveal_of_ledger(call->arena, &count, filter), err);
}

/* Prints the entries as they come; `entry` is the first of them. What was made for one is given back before the next.
 */
static int stream(struct output *output, struct ledger_reader *reader, struct arena *arena, struct ledger_entry *entry,
                  const struct history_options *options, struct error *err)
{
    bool found = true;
    int failed = 0;

    history_table(output, "log", true);
    while (found && !failed && output_wanted(output)) {
        history_entry(output, arena, entry, options);
        arena_reset(arena);
        failed = ledger_next(reader, arena, entry, &found, err);
    }
    output_table_end(output);
    return failed;
}

static int print(const struct call *call, struct db *db, const struct ledger_filter *filter,
                 const struct ledger_range *range, const struct history_options *options, struct error *err)
{
    scoped(ledger_reader_free) struct ledger_reader *reader = ledger_reader_new(db, filter, range);
    scoped(output_free) struct output *output = output_new(call->arena, form_of(call));
    scoped(arena_free) struct arena *arena = arena_new();
    struct ledger_entry entry;
    bool found;

    if (ledger_next(reader, arena, &entry, &found, err) < 0)
        return err->code;
    if (!found && agency_check(db, call->arena, filter->agency, err) < 0)
        return err->code;
    if (!output_is_json(output) && !call_has(call, OPTION_NO_PAGER))
        pager_start();
    if (found && stream(output, reader, arena, &entry, options, err) < 0)
        return err->code;
    if (!found) {
        history_table(output, "log", true);
        output_table_end(output);
        output_say(output, _("No entry is like that."));
    }
    if (range->more)
        output_say(output, _("These are the newest %d; older ones match too (--all, --limit N, --until TIME)."),
                   filter->limit);
    output_end(output);
    return 0;
}

static int log_print(const struct call *call, struct db *db, struct ledger_filter *filter, struct error *err)
{
    struct history_options options = { .reveal = call_has(call, OPTION_REVEAL), .verdict = filter->verdict };
    struct ledger_range range;

    if (db_catalog(db, call->arena, &options.catalog, err) < 0)
        return err->code;
    if (call_has(call, OPTION_RECORD) && record_find(db, call->arena, options.catalog, call->options[OPTION_RECORD],
                                                     call->arguments[0], NULL, &filter->record, err) < 0)
        return err->code;
    if (db_range(db, call->arena, filter, &range, err) < 0 ||
        (options.reveal && reveal(call, db, filter, &range, err) < 0))
        return err->code;
    return print(call, db, filter, &range, &options, err);
}

int log_run(struct call *call)
{
    scoped(db_close) struct db *db = NULL;
    struct ledger_filter filter;
    struct error err;

    if (call_has(call, OPTION_RECORD) != (call->argument_count == 1))
        return call_misused(call,
                            _("--record TYPE goes with a KEY: field=value of an identifier, or the record's number"));
    if (call_has(call, OPTION_RECORD) && call_has(call, OPTION_RECORD_NUMBER))
        return call_misused(call, _("give --record or --record-number, not both"));
    if (call_has(call, OPTION_ALL) && call_has(call, OPTION_LIMIT))
        return call_misused(call, _("give --all or --limit, not both"));
    if (call_has(call, OPTION_JSON) && call_has(call, OPTION_JSON_LINES))
        return call_misused(call, _("give --json or --json-lines, not both"));
    if (filter_of(call, &filter, &err) < 0)
        return call_misused(call, "%s", err.text);
    if (db_open(call_database(call), &db, &err) < 0 || log_print(call, db, &filter, &err) < 0)
        return call_fail(call, &err);
    return STATUS_OK;
}
