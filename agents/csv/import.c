#include "agents/csv/import.h"

#include "agents/csv/edits.h"
#include "agents/csv/encoding.h"
#include "agents/csv/part.h"

#include <stdlib.h>
#include <string.h>

enum { STEP_LINES = 500 };

enum phase { PHASE_SCAN, PHASE_PARSE, PHASE_EDIT, PHASE_END };

struct import {
    struct state *state;
    struct import_options options;
    struct form form;
    struct part *parts; /* one a block of the list */
    const char *const *titles;
    uint16_t title_count;
    uint16_t part_count, part; /* part: whose edits are looked for */
    struct refusals *refusals;
    char *text;
    size_t length, at; /* at: how far the present phase is */
    uint32_t line;
    enum phase phase;
    struct encoding_scan scan;
    enum encoding encoding;
    struct sheet_options sheet_options;
    struct sheet *sheet;
    struct edits *edits; /* of the present part; NULL: of the next one */
    uint32_t changes;    /* of the parts before */
    struct import_result result;
    struct error trouble; /* of the state, found while parsing */
    struct arena *arena;  /* of the import */
    struct arena *scratch;
};

/* ---- lines ---- */

static bool next_line(struct import *import, struct text *ret)
{
    const char *line = import->text + import->at, *end;

    if (import->at == import->length)
        return false;
    end = memchr(line, '\n', import->length - import->at);
    ret->bytes = line;
    ret->length = (uint32_t)(end ? end - line + 1 : import->text + import->length - line);
    import->at += ret->length;
    import->line++;
    return true;
}

static void rewind_lines(struct import *import)
{
    import->at = 0;
    import->line = 0;
}

static void scan_step(struct import *import)
{
    struct text line;

    for (int i = 0; i < STEP_LINES; i++) {
        if (!next_line(import, &line)) {
            import->encoding = encoding_decide(&import->scan, import->refusals);
            rewind_lines(import);
            import->phase = PHASE_PARSE;
            return;
        }
        encoding_scan(&import->scan, line.bytes, line.length, import->refusals);
    }
}

/* ---- rows ---- */

/* A row is without a key when it is a row of some part, and has one in none. */
static void on_row(void *context, const struct sheet_row *row)
{
    struct import *import = context;
    const struct part_place place = { import->state, import->refusals, import->sheet, import->scratch };
    bool keyless = false, record = false;

    for (uint16_t i = 0; i < import->part_count && import->trouble.code == 0; i++) {
        enum part_row what;
        struct error err;

        if (part_stage(&import->parts[i], &place, row, &what, &err) < 0)
            import->trouble = err;
        keyless = keyless || what == PART_KEYLESS;
        record = record || what == PART_ROW;
    }
    if (keyless && !record && import->result.keyless++ == 0)
        import->result.keyless_line = row->line;
    arena_reset(import->scratch);
}

static int parse_begin(struct import *import, struct error *err)
{
    import->sheet_options = (struct sheet_options){ .titles = import->titles,
                                                    .title_count = import->title_count,
                                                    .rows_most = import->options.rows_most,
                                                    .short_rows = import->options.workbook };
    import->sheet = sheet_new(&import->sheet_options, import->refusals, on_row, import);
    return state_begin(import->state, err) < 0 ? err->code : state_stage_begin(import->state, err);
}

/* ---- the whole ---- */

/* Whoever sends titles alone, or rows without keys, does not mean that everybody is gone, unless it says so. */
static int check_nobody(struct import *import, struct error *err)
{
    struct text key;
    int found = 0;

    if (!import->result.complete || import->result.rows > import->result.keyless || sheet_claims_none(import->sheet))
        return 0;
    for (uint16_t i = 0; i < import->part_count && found == 0; i++)
        found = state_next(import->state, import->scratch, import->parts[i].block->name, STATE_GONE, (struct text){ 0 },
                           &key, err);
    if (found > 0)
        refuse(import->refusals, REFUSAL_NOBODY, 0, 0, "", 0, 0);
    arena_reset(import->scratch);
    return found < 0 ? found : 0;
}

static int check_numbers(struct import *import, struct error *err)
{
    const struct part_place place = { import->state, import->refusals, import->sheet, import->scratch };

    for (uint16_t i = 0; i < import->part_count; i++)
        part_check_rounded(&import->parts[i], &place);
    for (uint16_t i = 0; i < import->part_count && import->refusals->count == 0; i++)
        if (part_check_known(&import->parts[i], &place, err) < 0)
            return err->code;
    return 0;
}

static int parse_end(struct import *import, struct error *err)
{
    const char *ignored;

    sheet_end(import->sheet);
    ignored = sheet_ignored(import->sheet);
    import->result.rows = sheet_rows(import->sheet);
    import->result.complete = import->options.complete || sheet_complete(import->sheet);
    import->result.ignored = arena_copy(import->arena, ignored, strlen(ignored));
    if (check_numbers(import, err) < 0 || (import->refusals->count == 0 && check_nobody(import, err) < 0))
        return err->code;
    import->phase = PHASE_EDIT;
    return 0;
}

static int parse_step(struct import *import, struct error *err)
{
    struct arena *decoded = arena_new();
    struct text line;
    bool more = true;

    if (!import->sheet && parse_begin(import, err) < 0) {
        arena_free(&decoded);
        return err->code;
    }
    for (int i = 0; i < STEP_LINES && more; i++) {
        more = next_line(import, &line);
        if (more)
            sheet_line(import->sheet, encoding_line(decoded, import->encoding, import->line, line.bytes, line.length,
                                                    import->refusals));
        arena_reset(decoded);
    }
    arena_free(&decoded);
    if (import->trouble.code != 0) {
        *err = import->trouble;
        return err->code;
    }
    return more ? 0 : parse_end(import, err);
}

static int end(struct import *import, int64_t now_us, struct error *err)
{
    struct state_list list = { .name = import->options.name,
                               .bytes = import->options.bytes,
                               .rows = import->result.rows,
                               .complete = import->result.complete,
                               .separator = sheet_separator(import->sheet),
                               .saved_us = import->options.saved_us,
                               .taken_us = now_us };

    memcpy(list.digest, import->options.digest, HASH_BYTES);
    for (uint16_t i = 0; i < import->part_count; i++) {
        const char *block = import->parts[i].block->name;

        if (state_list_put(import->state, block, &list, err) < 0 ||
            state_fed_forget(import->state, block, list.saved_us, err) < 0)
            return err->code;
    }
    return state_commit(import->state, err);
}

static void edits_begin(struct import *import)
{
    const struct part *part = &import->parts[import->part];
    const char *name = import->options.name;
    struct edits_options options = { .block = part->block,
                                     .complete = import->result.complete,
                                     .outbox = import->options.outbox,
                                     .first = import->changes,
                                     .saved_us = import->options.saved_us,
                                     .actor = import->options.owner,
                                     .ground = text_is_utf8(name, strlen(name)) ? name : NULL,
                                     .key_column =
                                         sheet_column(import->sheet, part->titles[part->block->key_columns[0]]) };

    import->edits = edits_new(import->state, &options, import->refusals);
}

static void edits_end(struct import *import)
{
    const struct edits_count *count = edits_count(import->edits);

    import->result.inserts += count->inserts;
    import->result.updates += count->updates;
    import->result.deletes += count->deletes;
    import->changes += count->inserts + count->updates + count->deletes;
    edits_free(&import->edits);
    if (++import->part == import->part_count)
        import->phase = PHASE_END;
}

/* One part after the other, all in one transaction of the source. */
static int edit_step(struct import *import, int64_t now_us, enum import_end *ret, struct error *err)
{
    bool more = true;

    if (import->refusals->count == 0 && !import->edits)
        edits_begin(import);
    if (import->refusals->count == 0 && edits_step(import->edits, now_us, &more, err) < 0)
        return err->code;
    if (import->refusals->count > 0) {
        state_rollback(import->state);
        *ret = IMPORT_REFUSED;
    } else if (!more) {
        edits_end(import);
    }
    return 0;
}

int import_step(struct import *import, int64_t now_us, enum import_end *ret, struct error *err)
{
    *ret = IMPORT_GOES_ON;
    switch (import->phase) {
    case PHASE_SCAN:
        scan_step(import);
        if (import->phase == PHASE_PARSE && import->refusals->count > 0)
            *ret = IMPORT_REFUSED; /* its letters are no text: there is nothing to parse */
        return 0;
    case PHASE_PARSE:
        return parse_step(import, err);
    case PHASE_EDIT:
        return edit_step(import, now_us, ret, err);
    case PHASE_END:
        if (end(import, now_us, err) < 0)
            return err->code;
        *ret = IMPORT_TAKEN;
        return 0;
    }
    return 0;
}

const struct import_result *import_result(const struct import *import)
{
    return &import->result;
}

/* ---- beginning and end ---- */

struct import *import_new(struct state *state, const struct import_options *options, char *text, size_t length,
                          struct refusals *refusals)
{
    struct import *import = calloc(1, sizeof *import);

    if (!import)
        abort();
    *import = (struct import){ .state = state,
                               .options = *options,
                               .form = *options->form,
                               .refusals = refusals,
                               .text = text,
                               .length = length,
                               .result = { .ignored = "" },
                               .arena = arena_new(),
                               .scratch = arena_new() };
    if (options->workbook)
        import->form.decimal = '.';
    import->parts = parts_new(import->arena, options->mapping, options->block, &import->form, &import->part_count,
                              &import->titles, &import->title_count);
    return import;
}

void import_free(struct import **import)
{
    if (!*import)
        return;
    state_rollback((*import)->state);
    edits_free(&(*import)->edits);
    sheet_free(&(*import)->sheet);
    arena_free(&(*import)->arena);
    arena_free(&(*import)->scratch);
    free((*import)->text);
    free(*import);
    *import = NULL;
}
