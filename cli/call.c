#include "cli/call.h"

#include "cli/show.h"
#include "proto/tree.h"
#include "shell/text.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET_FOLDER "/run/selaras/"

static const struct {
    const char *name;
    const char *value; /* what usage calls it; NULL: takes none */
    const char *help;
} options[OPTION_COUNT] = {
    [OPTION_JSON] = { "json", NULL, N_("print JSON") },
    [OPTION_SOCKET] = { "socket", "PATH",
                        N_("the daemon's control socket (SELARAS_SOCKET; /run/selaras/broker.socket)") },
    [OPTION_AGENT] = { "agent", "AGENCY", N_("ask the agent of this agency, on its own host") },
    [OPTION_DATABASE] = { "database", "DSN", N_("the broker's database (SELARAS_DATABASE; dbname=selaras)") },
    [OPTION_RECORD] = { "record", "TYPE", N_("one record: its type, then field=value or its number as an argument") },
    [OPTION_RECORD_NUMBER] = { "record-number", "N", N_("one record, by its number") },
    [OPTION_AGENCY] = { "agency", "NAME", N_("only this agency") },
    [OPTION_SINCE] = { "since", "TIME",
                       N_("from this time on: 2026-11-20, \"2026-11-20 09:14\", 09:14, today, 2h, 3d") },
    [OPTION_UNTIL] = { "until", "TIME", N_("up to and including this time") },
    [OPTION_VERDICT] = { "verdict", "WORD", N_("only fields with this verdict") },
    [OPTION_KIND] = { "kind", "WORD", N_("only entries of this kind") },
    [OPTION_LIMIT] = { "limit", "N", N_("at most this many entries, the newest (100)") },
    [OPTION_REVEAL] = { "reveal", NULL, N_("show personal values whole; the audit log says who did") },
    [OPTION_BROKER_FILE] = { "broker", "FILE", N_("check this broker.zpl and what it names") },
    [OPTION_AGENT_FILE] = { "agent", "FILE", N_("check this agent's file and what it names") },
    [OPTION_CATALOG_FILE] = { "catalog", "FILE", N_("the catalog to bind to") },
    [OPTION_ALL] = { "all", NULL, N_("all entries, however many") },
    [OPTION_JSON_LINES] = { "json-lines", NULL, N_("print JSON, an object a line: for very many entries") },
    [OPTION_NO_PAGER] = { "no-pager", NULL, N_("print to the terminal itself, not through a pager") },
    [OPTION_OFFLINE] = { "offline", NULL, N_("without the agency's database") },
    [OPTION_TABLE] = { "table", "BLOCK", N_("only this block of its mapping") },
    [OPTION_SAMPLES] = { "samples", "N", N_("at most this many cases of each kind (3)") },
    [OPTION_GROUND] = { "ground", "TEXT", N_("why: it stands in the ledger") },
    [OPTION_YES] = { "yes", NULL, N_("do it, do not only say what would be done") },
    [OPTION_RECORDS] = { "records", "LIST", N_("only these records: 17,19,200-400") },
};

enum { COMMANDS_MAX = 64, HELP_LETTER = 'h', OPTION_LETTER = 256 };

static unsigned options_of(const struct command *command)
{
    return command->needs | command->options | OPTION(JSON);
}

static void usage_line(const struct command *command, FILE *to)
{
    fprintf(to, _("Usage: selaras %s%s%s [options]\n"), command->name, *command->arguments ? " " : "",
            command->arguments);
}

static void command_help(const struct command *command)
{
    usage_line(command, stdout);
    printf("\n%s\n\n", _(command->help));
    for (int i = 0; i < OPTION_COUNT; i++)
        if (options_of(command) & 1u << i) {
            char spelled[64];

            snprintf(spelled, sizeof spelled, "--%s%s%s", options[i].name, options[i].value ? " " : "",
                     options[i].value ? options[i].value : "");
            printf("  %-20s  %s\n", spelled, _(options[i].help));
        }
    printf("  %-20s  %s\n", "--help", _("print this"));
}

/* All commands, or those whose first word is `group`. */
static void commands_help(const struct command *commands, const char *group, FILE *to)
{
    size_t length = group ? strlen(group) : 0;

    fputs(_("Usage: selaras COMMAND [arguments] [options]\n\n"), to);
    for (const struct command *command = commands; command->name; command++)
        if (!group || (!strncmp(command->name, group, length) && command->name[length] == ' '))
            fprintf(to, "  %-15s  %s\n", command->name, _(command->help));
    fputs(_("\nselaras COMMAND --help says more; so does the manual: man selaras.\n"), to);
}

static const struct command *command_named(const struct command *commands, const char *first, const char *second)
{
    char name[64];

    if (second) {
        snprintf(name, sizeof name, "%s %s", first, second);
        for (const struct command *command = commands; command->name; command++)
            if (!strcmp(command->name, name))
                return command;
        return NULL;
    }
    for (const struct command *command = commands; command->name; command++)
        if (!strcmp(command->name, first))
            return command;
    return NULL;
}

static bool is_group(const struct command *commands, const char *word)
{
    size_t length = strlen(word);

    for (const struct command *command = commands; command->name; command++)
        if (!strncmp(command->name, word, length) && command->name[length] == ' ')
            return true;
    return false;
}

/* The command whose name is nearest to what was written: to its first word, or after a known group to both. */
static const char *command_nearest(struct arena *arena, const struct command *commands, const char *first,
                                   const char *second)
{
    const char *words[COMMANDS_MAX + 1];
    int count = 0;
    bool grouped = is_group(commands, first) && second;
    const char *written = grouped ? arena_printf(arena, "%s %s", first, second) : first;

    for (const struct command *command = commands; command->name && count < COMMANDS_MAX; command++) {
        const char *space = strchr(command->name, ' ');

        words[count++] =
            space && !grouped ? arena_copy(arena, command->name, (size_t)(space - command->name)) : command->name;
    }
    words[count] = NULL;
    return nearest_word(written, words);
}

static int command_unknown(const struct command *commands, struct arena *arena, const char *first, const char *second)
{
    const char *nearest = command_nearest(arena, commands, first, second);
    bool grouped = is_group(commands, first);

    fprintf(stderr, _("selaras: there is no command \"%s%s%s\""), show_clean(arena, first, strlen(first)),
            grouped && second ? " " : "", grouped && second ? show_clean(arena, second, strlen(second)) : "");
    if (nearest)
        fprintf(stderr, _("; did you mean \"%s\"?"), nearest);
    fputs("\n", stderr);
    if (!nearest)
        commands_help(commands, grouped ? first : NULL, stderr);
    return STATUS_USAGE;
}

static int option_unknown(const struct call *call, const char *written)
{
    const char *words[OPTION_COUNT + 2];
    const char *nearest;
    int count = 0;

    for (int i = 0; i < OPTION_COUNT; i++)
        if (options_of(call->command) & 1u << i)
            words[count++] = options[i].name;
    words[count++] = "help";
    words[count] = NULL;
    nearest = nearest_word(written + strspn(written, "-"), words);
    return nearest ? call_misused(call, _("there is no option %s; did you mean --%s?"),
                                  show_clean(call->arena, written, strlen(written)), nearest)
                   : call_misused(call, _("there is no option %s"), show_clean(call->arena, written, strlen(written)));
}

/* Reads the options, which getopt moves before the arguments. Returns -1 to go on. */
static int options_parse(struct call *call, int argc, char **argv)
{
    struct option rows[OPTION_COUNT + 2] = { 0 };
    int count = 0;
    int letter;

    for (int i = 0; i < OPTION_COUNT; i++)
        if (options_of(call->command) & 1u << i)
            rows[count++] = (struct option){ options[i].name, options[i].value ? required_argument : no_argument, NULL,
                                             OPTION_LETTER + i };
    rows[count++] = (struct option){ "help", no_argument, NULL, HELP_LETTER };
    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, ":h", rows, NULL)) != -1) {
        if (letter == HELP_LETTER) {
            command_help(call->command);
            return STATUS_OK;
        }
        if (letter == ':')
            return call_misused(call, _("%s wants a value"), argv[optind - 1]);
        if (letter < OPTION_LETTER)
            return option_unknown(call, argv[optind - 1]);
        if (call->options[letter - OPTION_LETTER])
            return call_misused(call, _("--%s stands twice"), options[letter - OPTION_LETTER].name);
        call->options[letter - OPTION_LETTER] = optarg ? optarg : "";
    }
    call->arguments = argv + optind;
    call->argument_count = argc - optind;
    return -1;
}

int call_parse(const struct command *commands, int argc, char **argv, struct arena *arena, struct call *ret)
{
    const char *first = argc > 1 ? argv[1] : NULL;
    const char *second = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    int words = 1;
    int status;

    if (!first) {
        commands_help(commands, NULL, stderr);
        return STATUS_USAGE;
    }
    if (!strcmp(first, "--help") || !strcmp(first, "-h") || !strcmp(first, "help")) {
        commands_help(commands, NULL, stdout);
        return STATUS_OK;
    }
    *ret = (struct call){ .arena = arena };
    if (second && (ret->command = command_named(commands, first, second)))
        words = 2;
    else
        ret->command = command_named(commands, first, NULL);
    if (!ret->command && is_group(commands, first) && !second) {
        bool wanted = argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"));

        commands_help(commands, first, wanted ? stdout : stderr);
        return wanted ? STATUS_OK : STATUS_USAGE;
    }
    if (!ret->command)
        return command_unknown(commands, arena, first, second);
    status = options_parse(ret, argc - words, argv + words);
    if (status >= 0)
        return status;
    if (ret->argument_count > ret->command->most && words == 1 && second && is_group(commands, first))
        return command_unknown(commands, arena, first, second);
    if (ret->argument_count < ret->command->least)
        return call_misused(ret, _("something is missing"));
    if (ret->argument_count > ret->command->most)
        return call_misused(
            ret, _("\"%s\" is one word too many"),
            show_clean(arena, ret->arguments[ret->command->most], strlen(ret->arguments[ret->command->most])));
    return -1;
}

bool call_has(const struct call *call, enum option_name option)
{
    return call->options[option];
}

int call_fail(const struct call *call, const struct error *err)
{
    fflush(stdout);
    fprintf(stderr, "selaras %s: %s\n", call->command->name, show_clean(call->arena, err->text, strlen(err->text)));
    return STATUS_WRONG;
}

int call_misused(const struct call *call, const char *fmt, ...)
{
    va_list arguments;

    fprintf(stderr, "selaras %s: ", call->command->name);
    va_start(arguments, fmt);
    vfprintf(stderr, fmt, arguments);
    va_end(arguments);
    fputs("\n", stderr);
    usage_line(call->command, stderr);
    return STATUS_USAGE;
}

bool number_parse(const char *text, uint64_t *ret)
{
    char *rest;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &rest, 10);
    return !errno && !*rest && *ret > 0;
}

int call_number(const struct call *call, enum option_name option, uint64_t least, uint64_t most, uint64_t otherwise,
                uint64_t *ret, struct error *err)
{
    if (!call_has(call, option)) {
        *ret = otherwise;
        return 0;
    }
    if (!number_parse(call->options[option], ret) || *ret < least || *ret > most)
        return error_set(err, ERR_REJECT, _("--%s wants a number from %" PRIu64 " to %" PRIu64), options[option].name,
                         least, most);
    return 0;
}

const char *call_socket(const struct call *call)
{
    const char *environment = getenv("SELARAS_SOCKET");

    if (call->options[OPTION_SOCKET])
        return call->options[OPTION_SOCKET];
    if (call->options[OPTION_AGENT])
        return arena_printf(call->arena, SOCKET_FOLDER "agent-%s.socket", call->options[OPTION_AGENT]);
    return environment && *environment ? environment : SOCKET_FOLDER "broker.socket";
}

const char *call_database(const struct call *call)
{
    const char *environment = getenv("SELARAS_DATABASE");

    if (call->options[OPTION_DATABASE])
        return call->options[OPTION_DATABASE];
    return environment && *environment ? environment : "dbname=selaras";
}
