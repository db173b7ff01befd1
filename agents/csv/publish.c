#include "agents/csv/publish.h"

#include "agents/csv/corrections.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STEP_ROWS = 200 };

struct publish {
    struct state *state;
    struct folder *folder;
    const struct mapping *mapping;
    const struct form *forms;
    bool running;
    uint16_t list;  /* its first block */
    uint16_t block; /* of the list */
    int fd;         /* of the file that is being written; -1: none */
    char separator;
    struct text after;
    char *after_bytes;
    struct buffer out;
    struct arena *arena;   /* of the file */
    struct arena *scratch; /* of a row */
    struct spelling *spellings;
};

static const char *time_text(struct arena *arena, int64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm parts;
    char text[40];

    if (time_us == 0)
        return "";
    localtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%d/%m/%Y %H:%M", &parts);
    return arena_copy(arena, text, strlen(text));
}

static int add_row(struct publish *publish, struct text key, struct error *err)
{
    const struct mapping_block *block = &publish->mapping->blocks[publish->block];
    struct correction correction = { .block = block,
                                     .spellings = publish->spellings,
                                     .part = list_shared(publish->mapping, publish->list) ? block->name : NULL,
                                     .key = key };
    struct state_row row, was;
    const char *since;

    if (state_row(publish->state, publish->scratch, block, key, &row, err) < 0)
        return err->code;
    correction.sides = row.sides;
    if (row.was.length > 0 && row.sides.should && !row.sides.said) {
        if (state_row(publish->state, publish->scratch, block, row.was, &was, err) < 0)
            return err->code;
        if (was.sides.said && !was.sides.should) {
            correction.was = row.was;
            correction.sides.said = was.sides.said;
        }
    }
    since = time_text(publish->scratch, row.since_us);
    correction.fields = arena_array(publish->scratch, block->field_count, sizeof *correction.fields);
    for (uint16_t i = 0; i < block->field_count; i++) {
        correction.fields[i].since = since;
        if (state_reason(publish->state, publish->scratch, block->name, key, block->fields[i].name,
                         &correction.fields[i].reason, err) < 0)
            return err->code;
    }
    correction.row.since = since;
    if (state_reason(publish->state, publish->scratch, block->name, key, "", &correction.row.reason, err) < 0)
        return err->code;
    if (corrections_add(&correction, publish->separator, &publish->out, err) == ERR_REJECT)
        err->code = 0; /* an older mapping could say it; it stands there again once the new one can */
    return err->code < 0 ? err->code : 0;
}

/* A row that is no longer to be there, because others gave it another key, is told of under that. */
static int is_moved(struct publish *publish, struct text key, bool *ret, struct error *err)
{
    const struct mapping_block *block = &publish->mapping->blocks[publish->block];
    struct state_row row;
    struct text moved;
    int found;

    *ret = false;
    if (state_row(publish->state, publish->scratch, block, key, &row, err) < 0)
        return err->code;
    if (row.sides.should)
        return 0;
    found = state_moved(publish->state, publish->scratch, block->name, key, &moved, err);
    *ret = found == 1;
    return found < 0 ? found : 0;
}

static void block_begin(struct publish *publish, uint16_t block)
{
    publish->block = block;
    publish->spellings = spellings_of(publish->arena, &publish->mapping->blocks[block], &publish->forms[publish->list]);
    publish->after = (struct text){ 0 };
}

/* A list has one file, by the name of its first block. */
static int file_begin(struct publish *publish, struct error *err)
{
    const struct mapping_block *first = &publish->mapping->blocks[publish->list];
    struct state_list list;

    arena_reset(publish->arena);
    block_begin(publish, publish->list);
    if (state_list(publish->state, publish->arena, first->name, &list, err) < 0 ||
        folder_write_begin(publish->folder, first->name, &publish->fd, err) < 0)
        return err->code;
    publish->separator = list.separator;
    publish->out.length = 0;
    corrections_begin(publish->separator, list_shared(publish->mapping, publish->list), &publish->out);
    return 0;
}

static int file_end(struct publish *publish, struct error *err)
{
    int fd = publish->fd;

    publish->fd = -1;
    if (folder_write_end(publish->folder, publish->mapping->blocks[publish->list].name, fd, err) < 0)
        return err->code;
    while (++publish->list < publish->mapping->block_count)
        if (list_of(publish->mapping, publish->list) == publish->list)
            return 0;
    publish->running = false;
    return publish->state->corrections ? 0 : state_corrections_done(publish->state, err);
}

/* The next block of the list, or the end of its file. */
static int block_end(struct publish *publish, struct error *err)
{
    for (uint16_t next = publish->block + 1; next < publish->mapping->block_count; next++)
        if (list_of(publish->mapping, next) == publish->list) {
            block_begin(publish, next);
            return 0;
        }
    return file_end(publish, err);
}

static void after_set(struct publish *publish, struct text key)
{
    free(publish->after_bytes);
    publish->after_bytes = memcpy(malloc(key.length + 1u), key.bytes, key.length);
    publish->after = (struct text){ publish->after_bytes, key.length };
}

int publish_step(struct publish *publish, struct error *err)
{
    const char *block;
    int found = 1;

    err->code = 0;
    if (!publish->running) {
        publish->running = true;
        publish->list = 0;
        publish->state->corrections = false; /* what changes from here on sets it again */
    }
    if (publish->fd < 0 && file_begin(publish, err) < 0)
        return err->code;
    block = publish->mapping->blocks[publish->block].name;
    for (int i = 0; i < STEP_ROWS && found; i++) {
        struct text key;
        bool moved;

        arena_reset(publish->scratch);
        found = state_next(publish->state, publish->scratch, block, STATE_DIFFERS, publish->after, &key, err);
        if (found < 0 || (found && is_moved(publish, key, &moved, err) < 0))
            return err->code;
        if (found && !moved && add_row(publish, key, err) < 0)
            return err->code;
        if (found)
            after_set(publish, key);
    }
    if (folder_write(publish->fd, &publish->out, err) < 0)
        return err->code;
    publish->out.length = 0;
    return found ? 0 : block_end(publish, err);
}

bool publish_due(const struct publish *publish)
{
    return publish->running || publish->state->corrections;
}

void publish_restart(struct publish *publish)
{
    if (publish->fd >= 0)
        close(publish->fd);
    publish->fd = -1;
    if (publish->running)
        publish->state->corrections = true;
    publish->running = false;
}

struct publish *publish_new(struct state *state, struct folder *folder, const struct mapping *mapping,
                            const struct form *forms)
{
    struct publish *publish = calloc(1, sizeof *publish);

    if (!publish)
        abort();
    *publish = (struct publish){ .state = state,
                                 .folder = folder,
                                 .mapping = mapping,
                                 .forms = forms,
                                 .fd = -1,
                                 .arena = arena_new(),
                                 .scratch = arena_new() };
    return publish;
}

void publish_free(struct publish **publish)
{
    if (!*publish)
        return;
    if ((*publish)->fd >= 0)
        close((*publish)->fd);
    buffer_free(&(*publish)->out);
    free((*publish)->after_bytes);
    arena_free(&(*publish)->arena);
    arena_free(&(*publish)->scratch);
    free(*publish);
    *publish = NULL;
}
