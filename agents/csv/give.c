#include "agents/csv/give.h"

#include "shell/log.h"
#include "shell/text.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_BYTES = 64 * 1024,
    LOAD_ROWS = 200, /* of one piece */
};

enum task { TASK_NONE, TASK_OUTBOX, TASK_WAIT, TASK_LOAD, TASK_LOADED };

struct give {
    struct state *state;
    const struct mapping *mapping;
    struct driver_sink sink;
    enum task task;
    bool paused;
    uint64_t number; /* of the transaction given last, or whose parts are given */
    uint32_t place;  /* changes of the next one that were given */
    const char *waits_for;
    uint64_t load_number; /* the snapshot's */
    uint16_t block;
    char after[KEY_BYTES_MAX];
    uint32_t after_length;
    uint32_t piece_number;
    struct arena *arena; /* of the piece */
    uint8_t seed[32];
    uint64_t counter;
};

/* ---- the outbox ---- */

static int outbox_step(struct give *give, bool *ret_more, struct error *err)
{
    struct piece piece;

    arena_reset(give->arena);
    if (state_piece(give->state, give->arena, give->number, give->place, PIECE_BYTES, &piece, ret_more, err) < 0)
        return err->code;
    if (!*ret_more)
        return 0;
    give->number = piece.lsn;
    give->place = piece.final ? 0 : piece.first + piece.change_count;
    give->sink.captured(give->sink.context, &piece);
    return 0;
}

/* ---- the first load ---- */

/* An empty load would take everybody for missing here. */
static int lists_missing(struct give *give, const char **ret, struct error *err)
{
    struct state_list list;

    *ret = NULL;
    arena_reset(give->arena);
    for (uint16_t i = 0; i < give->mapping->block_count && !*ret; i++) {
        if (state_list(give->state, give->arena, give->mapping->blocks[i].name, &list, err) < 0)
            return err->code;
        if (!list.known)
            *ret = give->mapping->blocks[i].name;
    }
    return 0;
}

static int wait_step(struct give *give, int64_t now_us, bool *ret_more, struct error *err)
{
    const char *missing;

    if (lists_missing(give, &missing, err) < 0)
        return err->code;
    if (missing && !give->waits_for)
        log_write(LOG_NOTE, _("the first load waits for the first list of %s"), missing);
    give->waits_for = missing;
    *ret_more = !missing;
    if (missing)
        return 0;
    /* The snapshot has a number of its own: what is at or below it is in the load. */
    if (state_begin(give->state, err) < 0 || state_number(give->state, now_us, err) < 0 ||
        state_commit(give->state, err) < 0)
        return err->code;
    give->load_number = give->state->number;
    give->task = TASK_LOAD;
    give->block = 0;
    give->after_length = 0;
    give->piece_number = 0;
    return 0;
}

static int load_row(struct give *give, struct text key, struct change *change, struct error *err)
{
    const struct mapping_block *block = &give->mapping->blocks[give->block];
    struct state_row row;

    if (state_row(give->state, give->arena, block, key, &row, err) < 0)
        return err->code;
    *change = (struct change){ .operation = OPERATION_LOAD, .key = key };
    change_make(give->arena, block, NULL, row.sides.should, change);
    change_seal(give->arena, change, give->seed, give->counter++);
    memcpy(give->after, key.bytes, key.length);
    give->after_length = key.length;
    return 0;
}

static int load_step(struct give *give, int64_t now_us, bool *ret_more, struct error *err)
{
    struct piece piece = {
        .first = give->piece_number + 1, .final = true, .nothing_seen = true, .commit_time_us = now_us
    };
    size_t bytes = 0;
    int found = 1;

    *ret_more = true;
    arena_reset(give->arena);
    piece.changes = arena_array(give->arena, LOAD_ROWS, sizeof *piece.changes);
    while (piece.change_count < LOAD_ROWS && bytes < PIECE_BYTES) {
        struct change *change = &piece.changes[piece.change_count];
        struct text key;

        found = state_next(give->state, give->arena, give->mapping->blocks[give->block].name, STATE_SHOULD,
                           (struct text){ give->after, give->after_length }, &key, err);
        if (found < 0 || (found && load_row(give, key, change, err) < 0))
            return err->code;
        if (!found)
            break;
        bytes += message_change_size(change);
        piece.change_count++;
    }
    if (!found) {
        give->block++;
        give->after_length = 0;
    }
    if (give->block == give->mapping->block_count)
        give->task = TASK_LOADED;
    if (piece.change_count > 0) {
        give->piece_number++;
        give->sink.captured(give->sink.context, &piece);
    }
    if (give->task == TASK_LOADED)
        give->sink.loaded(give->sink.context, give->load_number);
    return 0;
}

int give_step(struct give *give, int64_t now_us, bool *ret_more, struct error *err)
{
    *ret_more = false;
    if (give->paused)
        return 0;
    switch (give->task) {
    case TASK_OUTBOX:
        return outbox_step(give, ret_more, err);
    case TASK_WAIT:
        return wait_step(give, now_us, ret_more, err);
    case TASK_LOAD:
        return load_step(give, now_us, ret_more, err);
    default:
        return 0;
    }
}

/* ---- what to do ---- */

void give_from(struct give *give, uint64_t number)
{
    give->task = TASK_OUTBOX;
    give->number = number;
    give->place = 0;
    give->paused = false;
}

void give_load(struct give *give)
{
    give->task = TASK_WAIT;
    give->paused = false;
    give->waits_for = NULL;
}

void give_stop(struct give *give)
{
    give->task = TASK_NONE;
    give->waits_for = NULL;
}

void give_pause(struct give *give, bool pause)
{
    give->paused = pause;
}

bool give_reads(const struct give *give)
{
    return give->task == TASK_LOAD;
}

bool give_loaded(const struct give *give)
{
    return give->task == TASK_LOADED;
}

const char *give_waits_for(const struct give *give)
{
    return give->waits_for;
}

struct give *give_new(struct state *state, const struct mapping *mapping, const struct driver_sink *sink)
{
    struct give *give = calloc(1, sizeof *give);

    if (!give)
        abort();
    *give = (struct give){ .state = state, .mapping = mapping, .sink = *sink, .arena = arena_new() };
    randombytes_buf(give->seed, sizeof give->seed);
    return give;
}

void give_free(struct give **give)
{
    if (!*give)
        return;
    arena_free(&(*give)->arena);
    free(*give);
    *give = NULL;
}
