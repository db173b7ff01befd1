/* selaras-agent: the command line; --check and --prepare. */
#include "agents/check.h"
#include "agents/run.h"
#include "shell/log.h"
#include "shell/process.h"
#include "shell/text.h"

#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- --prepare ---- */

static int prepare(const struct agent_settings *settings, const char *dsn, bool apply)
{
    const struct driver_options options = agent_driver_options(settings);
    struct error err;

    if (settings->driver->prepare(&options, &settings->mapping, dsn, apply, stdout, &err) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "%s: %s\n", settings->agency, err.text);
    return EXIT_FAILURE;
}

/* ---- the command line ---- */

enum { DO_RUN, DO_CHECK, DO_PREPARE };

static const char usage[] =
    "Usage: selaras-agent FILE\n"
    "       selaras-agent --check [--catalog CATALOG [--example]] FILE\n"
    "       selaras-agent --prepare [--apply] [--dsn DSN] FILE\n"
    "\n"
    "Keeps one agency's database in step with the other agencies, as FILE says.\n"
    "\n"
    "  --check      look at settings, mapping, key and database, say what is wrong, and end\n"
    "  --catalog    and whether tables and columns can hold what this catalog says\n"
    "  --example    and write a row of each table, whole, as JSON (selaras check mapping shows it)\n"
    "  --prepare    write what the database still needs as SQL, or which folders\n"
    "  --apply      and run it\n"
    "  --dsn DSN    as whoever this connection string names, instead of the agent's own role\n"
    "  --help       this text\n"
    "  --version    version\n";

int main(int argc, char **argv)
{
    static const struct option options[] = { { "check", no_argument, NULL, 'c' },
                                             { "prepare", no_argument, NULL, 'p' },
                                             { "apply", no_argument, NULL, 'a' },
                                             { "dsn", required_argument, NULL, 'd' },
                                             { "catalog", required_argument, NULL, 't' },
                                             { "example", no_argument, NULL, 'e' },
                                             { "help", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'v' },
                                             { NULL, 0, NULL, 0 } };
    struct arena *arena;
    struct agent_settings settings;
    const char *dsn = NULL, *catalog = NULL;
    bool apply = false, example = false;
    int what = DO_RUN, option, status;
    struct error err;

    text_start();
    process_clean_environment();
    process_keep_memory();
    while ((option = getopt_long(argc, argv, "hv", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            what = DO_CHECK;
            break;
        case 'p':
            what = DO_PREPARE;
            break;
        case 'a':
            apply = true;
            break;
        case 'd':
            dsn = optarg;
            break;
        case 't':
            catalog = optarg;
            break;
        case 'e':
            example = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'v':
            puts(SOFTWARE);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind != argc - 1 || ((apply || dsn) && what != DO_PREPARE) || (catalog && what != DO_CHECK) ||
        (example && !catalog)) {
        fputs(usage, stderr);
        return 2;
    }
    if (sodium_init() < 0)
        abort();
    arena = arena_new();
    if (agent_settings_read(arena, argv[optind], &settings, &err) < 0) {
        fprintf(stderr, "selaras-agent: %s\n", err.text);
        arena_free(&arena);
        return EXIT_FAILURE;
    }
    log_start("selaras-agent", settings.agency, (enum log_level)settings.log_level);
    if (what == DO_CHECK)
        status = agent_check(&settings, arena, catalog, example);
    else if (what == DO_PREPARE)
        status = prepare(&settings, dsn, apply);
    else
        status = agent_run(&settings);
    arena_free(&arena);
    return status;
}
