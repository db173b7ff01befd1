#include "agents/csv/edits.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEP_ROWS = 300,
    CORRECTED_MOST = 1000, /* more rows that are gone are no typing errors */
};

enum phase { PHASE_LOST, PHASE_CORRECTED, PHASE_GONE, PHASE_COMPARE, PHASE_END };

/* A row whose key its clerk has corrected. */
struct corrected {
    struct text old, now;
    bool doubtful; /* another row could be the one */
};

struct edits {
    struct state *state;
    struct edits_options options;
    const struct mapping_block *block;
    struct refusals *refusals;
    enum phase phase;
    char after[KEY_BYTES_MAX]; /* key of the last row of this phase */
    uint32_t after_length;
    struct corrected *corrected;
    uint32_t lost, corrected_count, corrected_next;
    uint32_t place; /* changes of the list so far */
    struct edits_count count;
    struct arena *arena;   /* of all of it */
    struct arena *scratch; /* of a row */
};

static bool text_same(struct text left, struct text right)
{
    return left.length == right.length && (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
}

static struct text after(const struct edits *edits)
{
    return (struct text){ edits->after, edits->after_length };
}

static void after_set(struct edits *edits, struct text key)
{
    memcpy(edits->after, key.bytes, key.length);
    edits->after_length = key.length;
}

static void phase_begin(struct edits *edits, enum phase phase)
{
    edits->phase = phase;
    edits->after_length = 0;
}

/* ---- one change ---- */

static void count_change(struct edits *edits, enum operation operation)
{
    edits->count.inserts += operation == OPERATION_INSERT;
    edits->count.updates += operation == OPERATION_UPDATE;
    edits->count.deletes += operation == OPERATION_DELETE;
}

/* Puts it into the outbox, and says so when whoever saved the list did not know what others had made of the row, under
 * the key `known`. */
static int travel(struct edits *edits, struct change *change, struct text known, int64_t now_us, struct error *err)
{
    struct report late;
    int found;

    if (edits->place == 0 && state_number(edits->state, now_us, err) < 0)
        return err->code;
    found = state_late(edits->state, edits->scratch, edits->block->name, known, change, edits->options.saved_us, now_us,
                       &late, err);
    if (found < 0 || (found > 0 && state_report(edits->state, edits->place, &late, err) < 0))
        return err->code;
    return state_change(edits->state, edits->scratch, edits->place, change, err);
}

/* The row is now known under `key`, and was under `old_key`: length 0 when that is the same. */
static int edit(struct edits *edits, enum operation operation, struct text key, struct text old_key,
                const struct value *before, const struct value *now, int64_t now_us, struct error *err)
{
    struct change change = { .operation = operation, .key = key, .old_key = old_key };

    if (operation == OPERATION_NONE)
        return 0;
    change_make(edits->scratch, edits->block, before, now, &change);
    if (edits->options.actor && change.actor.state != VALUE_SET)
        change.actor = value_text(edits->options.actor);
    if (edits->options.ground && change.ground.state != VALUE_SET)
        change.ground = value_text(edits->options.ground);
    if (edits->options.outbox && travel(edits, &change, old_key.length > 0 ? old_key : key, now_us, err) < 0)
        return err->code;
    edits->place++;
    count_change(edits, operation);
    return 0;
}

/* ---- one row ---- */

static bool says_the_same(const struct mapping_block *block, const struct value *now, const struct value *said)
{
    for (uint16_t i = 0; i < block->field_count; i++)
        if (!value_equal(now[i], said[i]))
            return false;
    return true;
}

static int put(struct edits *edits, struct text key, struct state_row *row, const struct sides *sides,
               enum operation operation, int64_t now_us, struct error *err)
{
    bool differed = sides_differ(edits->block, &row->sides);

    row->sides = *sides;
    if (operation != OPERATION_NONE)
        row->since_us = now_us;
    return state_row_put(edits->state, edits->block, key, row, differed, err);
}

/* Others gave the row another key, `to`, and the list still has it under `key`: what it says there is about that row.
 */
static int compare_moved(struct edits *edits, struct text key, struct state_row *row, struct text to, struct value *now,
                         int64_t now_us, struct error *err)
{
    struct state_row moved;
    struct sides sides, said;
    enum operation operation;

    if (state_row(edits->state, edits->scratch, edits->block, to, &moved, err) < 0)
        return err->code;
    operation = compare_row(edits->scratch, edits->block,
                            &(struct sides){ .should = moved.sides.should, .said = row->sides.said }, now, &sides);
    said = (struct sides){ .said = now };
    sides.said = NULL;
    if (edit(edits, operation, to, (struct text){ 0 }, moved.sides.should, sides.should, now_us, err) < 0 ||
        put(edits, to, &moved, &sides, operation, now_us, err) < 0)
        return err->code;
    return put(edits, key, row, &said, OPERATION_NONE, now_us, err);
}

/* The list has the row under its new key: under the old one it is no longer there. */
static int forget_old(struct edits *edits, struct text old, int64_t now_us, struct error *err)
{
    const struct sides none = { 0 };
    struct state_row row;
    struct value *staged;
    int found = state_staged_key(edits->state, edits->scratch, edits->block, old, &staged, err);

    if (found != 0)
        return found < 0 ? found : 0;
    if (state_row(edits->state, edits->scratch, edits->block, old, &row, err) < 0)
        return err->code;
    if (row.sides.should || !row.sides.said)
        return 0;
    return put(edits, old, &row, &none, OPERATION_NONE, now_us, err);
}

/* 1 with the key when what the list says under `key` is about a row that others moved. */
static int moved_to(struct edits *edits, struct text key, const struct state_row *row, const struct value *now,
                    struct text *ret, struct error *err)
{
    struct value *staged;
    int found = 0;

    if (row->sides.said && !row->sides.should)
        found = state_moved(edits->state, edits->scratch, edits->block->name, key, ret, err);
    if (found <= 0 || now)
        return found;
    found = state_staged_key(edits->state, edits->scratch, edits->block, *ret, &staged, err);
    return found < 0 ? found : !found;
}

/* A row that came back after the list before: whoever leaves it out may only have done what the corrections said. */
static int unsay(struct edits *edits, struct text key, struct state_row *row, int64_t now_us, struct error *err)
{
    const struct sides sides = { .should = row->sides.should };

    return put(edits, key, row, &sides, OPERATION_NONE, now_us, err);
}

/* What says the same as the list before is no edit, and nothing is written for it. `now` NULL: it is not in a complete
 * list. */
static int compare_one(struct edits *edits, struct text key, struct value *now, int64_t now_us, struct error *err)
{
    struct state_row row;
    struct sides sides;
    enum operation operation;
    struct text to;
    int found;

    if (state_row(edits->state, edits->scratch, edits->block, key, &row, err) < 0)
        return err->code;
    if (now && row.sides.said && says_the_same(edits->block, now, row.sides.said))
        return 0;
    found = moved_to(edits, key, &row, now, &to, err);
    if (found != 0)
        return found < 0 ? found : compare_moved(edits, key, &row, to, now, now_us, err);
    if (!now && row.sides.said && row.sides.should) {
        found = state_came(edits->state, edits->block->name, key, err);
        if (found != 0)
            return found < 0 ? found : unsay(edits, key, &row, now_us, err);
    }
    if (row.was.length > 0 && forget_old(edits, row.was, now_us, err) < 0)
        return err->code;
    operation = compare_row(edits->scratch, edits->block, &row.sides, now, &sides);
    row.was = (struct text){ 0 };
    if (edit(edits, operation, key, (struct text){ 0 }, row.sides.should, sides.should, now_us, err) < 0)
        return err->code;
    return put(edits, key, &row, &sides, operation, now_us, err);
}

/* ---- keys that the clerk corrected ---- */

static int find_corrected(struct edits *edits, struct text old, const struct buffer *rest, struct error *err)
{
    struct corrected *corrected = &edits->corrected[edits->corrected_count];
    struct state_row there;
    uint32_t line;
    int found = state_keyless_like(edits->state, edits->block->name, rest, &line, err);

    if (found > 0)
        refuse(edits->refusals, REFUSAL_KEY_EMPTIED, line, edits->options.key_column,
               edits->block->columns[edits->block->key_columns[0]], 0, 0);
    if (found == 0)
        found = state_staged_like(edits->state, edits->arena, edits->block->name, rest, &corrected->now, err);
    else if (found > 0)
        return 0;
    if (found <= 0)
        return found;
    if (state_row(edits->state, edits->scratch, edits->block, corrected->now, &there, err) < 0)
        return err->code;
    if (there.sides.said || there.sides.should)
        return 0;
    corrected->old = (struct text){ arena_copy(edits->arena, old.bytes, old.length), old.length };
    corrected->doubtful = false;
    for (uint32_t i = 0; i < edits->corrected_count; i++)
        if (text_same(edits->corrected[i].now, corrected->now))
            edits->corrected[i].doubtful = corrected->doubtful = true;
    edits->corrected_count++;
    return 0;
}

/* A row that is gone, and one that came and says the same but for its key, the only one that does: its key was
 * corrected. Had the key been emptied, nobody could tell who is gone. */
static int lost_step(struct edits *edits, struct error *err)
{
    for (int i = 0; i < STEP_ROWS; i++) {
        struct buffer rest = { 0 };
        struct state_row row;
        struct text key;
        int code;

        arena_reset(edits->scratch);
        code = state_next(edits->state, edits->scratch, edits->block->name, STATE_GONE, after(edits), &key, err);
        if (code < 0)
            return code;
        if (code > 0 && ++edits->lost > CORRECTED_MOST)
            edits->corrected_count = 0;
        if (code == 0 || edits->lost > CORRECTED_MOST) {
            phase_begin(edits, PHASE_CORRECTED);
            return 0;
        }
        after_set(edits, key);
        if (state_row(edits->state, edits->scratch, edits->block, key, &row, err) < 0)
            return err->code;
        if (!row.sides.should)
            continue;
        fields_rest(edits->block, row.sides.said, &rest);
        code = rest.length > 0 ? find_corrected(edits, key, &rest, err) : 0;
        buffer_free(&rest);
        if (code < 0)
            return code;
    }
    return 0;
}

static int correct_one(struct edits *edits, const struct corrected *corrected, int64_t now_us, struct error *err)
{
    const struct sides none = { 0 };
    struct state_row row, there = { 0 };
    struct sides sides;
    struct value *now;
    enum operation operation;

    if (state_row(edits->state, edits->scratch, edits->block, corrected->old, &row, err) < 0 ||
        state_staged_key(edits->state, edits->scratch, edits->block, corrected->now, &now, err) < 0)
        return err->code;
    operation = compare_row(edits->scratch, edits->block, &row.sides, now, &sides);
    if (edit(edits, operation, corrected->now, corrected->old, row.sides.should, sides.should, now_us, err) < 0 ||
        put(edits, corrected->now, &there, &sides, operation, now_us, err) < 0 ||
        state_fed_move(edits->state, edits->block->name, corrected->old, corrected->now, err) < 0)
        return err->code;
    return put(edits, corrected->old, &row, &none, OPERATION_NONE, now_us, err);
}

static int corrected_step(struct edits *edits, int64_t now_us, struct error *err)
{
    const struct corrected *corrected = &edits->corrected[edits->corrected_next];

    arena_reset(edits->scratch);
    if (edits->corrected_next == edits->corrected_count) {
        phase_begin(edits, PHASE_GONE);
        return 0;
    }
    edits->corrected_next++;
    return corrected->doubtful ? 0 : correct_one(edits, corrected, now_us, err);
}

/* ---- all rows ---- */

/* Rows of the list before that a complete one no longer has. */
static int gone_step(struct edits *edits, int64_t now_us, struct error *err)
{
    for (int i = 0; i < STEP_ROWS; i++) {
        struct text key;
        int found;

        arena_reset(edits->scratch);
        found = state_next(edits->state, edits->scratch, edits->block->name, STATE_GONE, after(edits), &key, err);
        if (found < 0)
            return found;
        if (found == 0) {
            phase_begin(edits, PHASE_COMPARE);
            return 0;
        }
        after_set(edits, key);
        if (compare_one(edits, key, NULL, now_us, err) < 0)
            return err->code;
    }
    return 0;
}

static int compare_step(struct edits *edits, int64_t now_us, struct error *err)
{
    for (int i = 0; i < STEP_ROWS; i++) {
        struct value *fields = NULL;
        struct text key;
        int found;

        arena_reset(edits->scratch);
        found = state_staged(edits->state, edits->scratch, edits->block, after(edits), &key, &fields, err);
        if (found < 0)
            return found;
        if (found == 0) {
            phase_begin(edits, PHASE_END);
            return 0;
        }
        after_set(edits, key);
        if (compare_one(edits, key, fields, now_us, err) < 0)
            return err->code;
    }
    return 0;
}

int edits_step(struct edits *edits, int64_t now_us, bool *ret_more, struct error *err)
{
    int code = 0;

    switch (edits->phase) {
    case PHASE_LOST:
        code = lost_step(edits, err);
        break;
    case PHASE_CORRECTED:
        code = corrected_step(edits, now_us, err);
        break;
    case PHASE_GONE:
        code = gone_step(edits, now_us, err);
        break;
    case PHASE_COMPARE:
        code = compare_step(edits, now_us, err);
        break;
    case PHASE_END:
        break;
    }
    *ret_more = edits->phase != PHASE_END && edits->refusals->count == 0;
    return code;
}

const struct edits_count *edits_count(const struct edits *edits)
{
    return &edits->count;
}

struct edits *edits_new(struct state *state, const struct edits_options *options, struct refusals *refusals)
{
    struct edits *edits = calloc(1, sizeof *edits);

    if (!edits)
        abort();
    *edits = (struct edits){ .state = state,
                             .options = *options,
                             .block = options->block,
                             .refusals = refusals,
                             .place = options->first,
                             .phase = options->complete ? PHASE_LOST : PHASE_COMPARE,
                             .arena = arena_new(),
                             .scratch = arena_new() };
    if (options->complete)
        edits->corrected = arena_array(edits->arena, CORRECTED_MOST + 1, sizeof *edits->corrected);
    return edits;
}

void edits_free(struct edits **edits)
{
    if (!*edits)
        return;
    arena_free(&(*edits)->arena);
    arena_free(&(*edits)->scratch);
    free(*edits);
    *edits = NULL;
}
