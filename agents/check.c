#include "agents/check.h"

#include "shell/json.h"
#include "shell/key.h"
#include "shell/zpl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_MS = 30000 };

struct checking {
    struct agent_settings *settings;
    struct driver *driver;
    const struct catalog *catalog; /* NULL: without */
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
    struct checking *checking = context;
    struct error err;

    for (const char *line = progress->warnings; *line; line += strcspn(line, "\n"), line += *line == '\n')
        printf("warning: %.*s\n", (int)strcspn(line, "\n"), line);
    if (checking->catalog && checking->driver->ops->check(checking->driver, &err) < 0) {
        check_end(context, EXIT_FAILURE, err.text);
        return;
    }
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

static void row_write_json(const struct mapping_block *block, const struct value *columns)
{
    struct buffer out = { 0 };

    json_begin_object(&out, NULL);
    json_write_text(&out, "block", block->name);
    json_begin_array(&out, "columns");
    for (uint16_t i = 0; i < block->column_count; i++)
        if (columns[i].state == VALUE_SET)
            json_write_bytes(&out, NULL, columns[i].bytes, columns[i].length);
        else
            json_write_null(&out, NULL);
    json_end_array(&out);
    json_end_object(&out);
    puts(json_text(&out));
    buffer_free(&out);
}

/* A line of JSON for each block that has a row. */
static int examples_write(const struct agent_settings *settings, const struct driver_options *options,
                          struct arena *arena)
{
    if (!settings->driver->example)
        return EXIT_SUCCESS;
    for (uint16_t i = 0; i < settings->mapping.block_count; i++) {
        const struct mapping_block *block = &settings->mapping.blocks[i];
        struct value *columns = arena_array(arena, block->column_count, sizeof *columns);
        struct error err;
        bool found;

        if (settings->driver->example(options, &settings->mapping, i, arena, columns, &found, &err) < 0) {
            fprintf(stderr, "%s: %s\n", settings->agency, err.text);
            return EXIT_FAILURE;
        }
        if (found)
            row_write_json(block, columns);
    }
    return EXIT_SUCCESS;
}

static int catalog_bind(struct agent_settings *settings, struct arena *arena, const char *path,
                        const struct catalog **ret, struct error *err)
{
    if (catalog_read(arena, path, ret, err) < 0)
        return err->code;
    return mapping_bind(arena, &settings->mapping, *ret, settings->agency, err);
}

int agent_check(struct agent_settings *settings, struct arena *arena, const char *catalog, bool example)
{
    struct checking checking = { .settings = settings };
    const struct driver_sink sink = {
        .context = &checking, .opened = check_opened, .failed = check_failed, .doubted = check_failed
    };
    const struct driver_options options = agent_driver_options(settings);
    struct loop_source *limit;
    struct error err;
    struct key key;

    if (key_read(settings->key, &key, &err) < 0) {
        fprintf(stderr, "%s: agent/key: %s\n", settings->agency, err.text);
        return EXIT_FAILURE;
    }
    key_wipe(&key);
    if (catalog && catalog_bind(settings, arena, catalog, &checking.catalog, &err) < 0) {
        fprintf(stderr, "%s: %s\n", settings->agency, err.text);
        return EXIT_FAILURE;
    }
    checking.loop = loop_new();
    checking.driver = settings->driver->open(checking.loop, &options, &settings->mapping, &sink);
    limit = loop_timer(checking.loop, CHECK_MS, true, check_limit, &checking);
    loop_run(checking.loop);
    checking.driver->ops->close(&checking.driver);
    loop_remove(&limit);
    loop_free(&checking.loop);
    if (checking.status == EXIT_SUCCESS && example)
        return examples_write(settings, &options, arena);
    return checking.status;
}
