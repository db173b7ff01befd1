/* selaras-agent: the command line; --check and --prepare. */
#include "agents/run.h"
#include "shell/key.h"
#include "shell/log.h"
#include "shell/process.h"
#include "shell/text.h"

#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_MS = 30000 };

/* ---- --check and --prepare ---- */

struct checking {
    struct agent_settings *settings;
    struct loop *loop;
    bool ended;
    int status;
};

static void check_end(struct checking *checking, int status, const char *text)
{
    fprintf(status == 0 ? stdout : stderr, "%s: %s\n", checking->settings->agency, text);
    checking->status = status;
    checking->ended = true;
    loop_end(checking->loop);
}

static void check_opened(void *context, const struct driver_progress *progress)
{
    for (const char *line = progress->warnings; *line; line += strcspn(line, "\n"), line += *line == '\n')
        printf("warning: %.*s\n", (int)strcspn(line, "\n"), line);
    check_end(context, EXIT_SUCCESS, "settings, mapping, key and database are as they must be");
}

static void check_failed(void *context, const struct error *err)
{
    struct checking *checking = context;

    if (!checking->ended)
        check_end(checking, EXIT_FAILURE, err->text);
}

static void check_limit(void *context)
{
    check_end(context, EXIT_FAILURE, "the database did not answer within 30 s");
}

static int check(struct agent_settings *settings)
{
    struct checking checking = { .settings = settings };
    const struct driver_sink sink = {
        .context = &checking, .opened = check_opened, .failed = check_failed, .doubted = check_failed
    };
    const struct driver_options options = agent_driver_options(settings);
    struct loop_source *limit;
    struct driver *driver;
    struct error err;
    struct key key;

    if (key_read(settings->key, &key, &err) < 0) {
        fprintf(stderr, "%s: agent/key: %s\n", settings->agency, err.text);
        return EXIT_FAILURE;
    }
    key_wipe(&key);
    checking.loop = loop_new();
    driver = settings->driver->open(checking.loop, &options, &settings->mapping, &sink);
    limit = loop_timer(checking.loop, CHECK_MS, true, check_limit, &checking);
    loop_run(checking.loop);
    driver->ops->close(&driver);
    loop_remove(&limit);
    loop_free(&checking.loop);
    return checking.status;
}

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

static const char usage[] = "Usage: selaras-agent FILE\n"
                            "       selaras-agent --check FILE\n"
                            "       selaras-agent --prepare [--apply] [--dsn DSN] FILE\n"
                            "\n"
                            "Keeps one agency's database in step with the other agencies, as FILE says.\n"
                            "\n"
                            "  --check      look at settings, mapping, key and database, say what is wrong, and end\n"
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
                                             { "help", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'v' },
                                             { NULL, 0, NULL, 0 } };
    struct arena *arena;
    struct agent_settings settings;
    const char *dsn = NULL;
    bool apply = false;
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
    if (optind != argc - 1 || ((apply || dsn) && what != DO_PREPARE)) {
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
        status = check(&settings);
    else if (what == DO_PREPARE)
        status = prepare(&settings, dsn, apply);
    else
        status = agent_run(&settings);
    arena_free(&arena);
    return status;
}
