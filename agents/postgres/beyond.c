#include "agents/postgres/beyond.h"
#include "agents/row_change.h"

#include <stdlib.h>
#include <string.h>

/* A row that the transaction has touched, by its key. */
struct passed {
    struct passed *next;
    struct local_key *key;
    uint16_t block;
    bool there;           /* at the end */
    struct value *before; /* fields when it was first seen; NULL: it came in this transaction */
    struct value *now;    /* fields when it was last seen */
    bool listed, gone;    /* the message has it, as deleted */
    uint64_t record;      /* as the message says */
    uint32_t *digests;    /* what it says of each field; 0: nothing */
};

struct beyond {
    const struct views *views;
    bool whole;
    size_t bytes_max;
    struct alterations *alterations;
    struct absents *absents;
    struct arena *arena;   /* of the transaction */
    struct arena *scratch; /* of one message */
    struct key_index index;
    struct passed *first, **end;
    bool deletes;           /* the message has a row that we deleted */
    struct report *reports; /* in the arena that beyond_end was given */
    uint32_t report_count, report_capacity;
    struct arena *report_arena;
    struct problems problems; /* those of the rows that matter are counted where they are captured */
};

struct beyond *beyond_new(const struct views *views, bool whole, size_t bytes_max, struct alterations *alterations,
                          struct absents *absents)
{
    struct beyond *beyond = calloc(1, sizeof *beyond);

    if (!beyond)
        abort();
    beyond->views = views;
    beyond->whole = whole;
    beyond->bytes_max = bytes_max;
    beyond->alterations = alterations;
    beyond->absents = absents;
    beyond->arena = arena_new();
    beyond->scratch = arena_new();
    beyond->end = &beyond->first;
    return beyond;
}

void beyond_free(struct beyond **beyond)
{
    if (!*beyond)
        return;
    key_index_free(&(*beyond)->index);
    arena_free(&(*beyond)->arena);
    arena_free(&(*beyond)->scratch);
    free(*beyond);
    *beyond = NULL;
}

void beyond_reset(struct beyond *beyond)
{
    if (!beyond->first)
        return;
    key_index_free(&beyond->index);
    arena_reset(beyond->arena);
    beyond->first = NULL;
    beyond->end = &beyond->first;
}

/* ---- rows ---- */

static const struct mapping_block *block_of(const struct beyond *beyond, uint16_t block)
{
    return &beyond->views->mapping->blocks[block];
}

static struct value *fields_kept(struct beyond *beyond, const struct seen *seen)
{
    uint16_t count = block_of(beyond, seen->block)->field_count + ROW_WITNESSES;
    struct value *fields = arena_array(beyond->arena, count, sizeof *fields);

    for (uint16_t i = 0; i < count; i++) {
        fields[i] = seen->fields[i];
        if (fields[i].state == VALUE_SET)
            fields[i].bytes = arena_copy(beyond->arena, fields[i].bytes, fields[i].length);
    }
    return fields;
}

static struct passed *passed_find(const struct beyond *beyond, const struct seen *seen)
{
    return key_index_find(&beyond->index, seen->block, seen->key);
}

static struct passed *passed_new(struct beyond *beyond, const struct seen *seen)
{
    struct passed *passed = arena_alloc(beyond->arena, sizeof *passed);
    struct local_key *key = arena_alloc(beyond->arena, sizeof *key + seen->key.length);

    key->block = seen->block;
    key->length = seen->key.length;
    memcpy(key->bytes, seen->key.bytes, seen->key.length);
    *passed = (struct passed){ .key = key, .block = seen->block };
    key_index_put(&beyond->index, key, passed);
    *beyond->end = passed;
    beyond->end = &passed->next;
    return passed;
}

static void leaves(struct beyond *beyond, const struct seen *old)
{
    struct passed *passed = passed_find(beyond, old);

    if (!passed) {
        passed = passed_new(beyond, old);
        passed->before = fields_kept(beyond, old);
    }
    passed->there = false;
    passed->now = fields_kept(beyond, old);
}

/* When only deletions matter, a row that comes does when it had gone. `old` is NULL when there was none. */
static void comes(struct beyond *beyond, const struct seen *old, const struct seen *row)
{
    struct passed *passed = passed_find(beyond, row);

    if (!passed && !beyond->whole)
        return;
    if (!passed) {
        passed = passed_new(beyond, row);
        passed->before = old ? fields_kept(beyond, old) : NULL;
    }
    passed->there = true;
    passed->now = fields_kept(beyond, row);
}

static bool same_key(const struct seen *left, const struct seen *right)
{
    return left->key.length == right->key.length && memcmp(left->key.bytes, right->key.bytes, left->key.length) == 0;
}

/* A row that gets another key is the same record: nothing is gone, and the old key is free. */
static void moves(struct beyond *beyond, const struct seen *old, const struct seen *row)
{
    struct passed *left = passed_find(beyond, old);

    if (left) {
        left->there = true;
        left->now = NULL; /* whoever has it now */
    }
    comes(beyond, old, row);
}

static void take(struct beyond *beyond, const struct seen_change *change)
{
    const struct seen *old = &change->old, *row = &change->row;

    if (old->key.length > 0 && row->key.length == 0)
        leaves(beyond, old);
    else if (row->key.length > 0 && old->key.length == 0)
        comes(beyond, NULL, row);
    else if (row->key.length > 0 && same_key(old, row))
        comes(beyond, old, row);
    else if (row->key.length > 0)
        moves(beyond, old, row);
}

static bool some_wait(const struct beyond *beyond)
{
    return beyond->absents && beyond->absents->count > 0;
}

/* Our own rows are many, and nearly always all there is: most need no look. */
static bool matters(const struct beyond *beyond, const struct pgoutput_message *message,
                    const struct mapping_block *block)
{
    return beyond->whole || message->kind == PGOUTPUT_DELETE || beyond->first || some_wait(beyond) ||
           (message->kind == PGOUTPUT_UPDATE && block->where_count > 0);
}

int beyond_add(struct beyond *beyond, const struct pgoutput_message *message, struct error *err)
{
    const struct table_view *table;

    if (message->kind == PGOUTPUT_TRUNCATE)
        return views_truncate(beyond->views, message, &table, err);
    if (views_find(beyond->views, message, &table, err) < 0)
        return err->code;
    for (uint16_t i = 0; i < table->block_count; i++) {
        struct seen_change change;

        if (!matters(beyond, message, block_of(beyond, table->blocks[i].block)))
            continue;
        arena_reset(beyond->scratch);
        change =
            view_change(beyond->scratch, beyond->views->mapping, table, &table->blocks[i], message, &beyond->problems);
        take(beyond, &change);
        if (some_wait(beyond) && change.row.key.length > 0 &&
            (change.old.key.length == 0 || !same_key(&change.old, &change.row)))
            absents_overtake(beyond->absents, change.row.block, change.row.key);
    }
    if (arena_used(beyond->arena) > beyond->bytes_max)
        return error_set(
            err, ERR_STOP,
            "one transaction changes more records than fit into %zu MiB of memory: load this agency again, "
            "or raise the limit",
            beyond->bytes_max >> 20);
    return 0;
}

/* ---- what the message says ---- */

static void note(struct beyond *beyond, const struct mapping_block *block, int field)
{
    if (beyond->alterations)
        alterations_note(beyond->alterations, block, field);
}

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

/* PROTOCOL 5.1: what of the record is not as we wrote it. Rows of which no item was do not travel. */
static void report_add(struct beyond *beyond, const struct applied *applied, const struct mapping_block *block,
                       uint64_t record, const char *what)
{
    if (record == 0 || applied->position == 0)
        return;
    if (beyond->report_count == beyond->report_capacity) {
        uint32_t capacity = beyond->report_capacity ? 2 * beyond->report_capacity : 16;
        struct report *larger = arena_array(beyond->report_arena, capacity, sizeof *larger);

        if (beyond->report_count > 0)
            memcpy(larger, beyond->reports, beyond->report_count * sizeof *larger);
        beyond->reports = larger;
        beyond->report_capacity = capacity;
    }
    beyond->reports[beyond->report_count++] = (struct report){
        .kind = REPORT_ALTERED,
        .record = record,
        .position = applied->position,
        .block = text_of(block->name),
        .text = text_of(what),
    };
}

static void list_row(struct beyond *beyond, const struct applied *applied, const struct wrote_row *row)
{
    const struct wrote_block *wrote = &applied->blocks[row->block];
    const struct mapping *mapping = beyond->views->mapping;
    int block = mapping_block_named(mapping, wrote->name);
    struct passed *passed = block < 0 ? NULL : key_index_find(&beyond->index, (uint16_t)block, row->key);

    if (block >= 0 && !passed && !row->gone && beyond->whole && applied->whole) {
        note(beyond, &mapping->blocks[block], ALTERED_ROWS); /* what we wrote is not there */
        report_add(beyond, applied, &mapping->blocks[block], row->record, "existence");
    }
    if (!passed)
        return;
    passed->listed = true;
    passed->record = row->record;
    passed->gone = row->gone;
    if (row->gone)
        return;
    if (!passed->digests)
        passed->digests = arena_array(beyond->arena, mapping->blocks[block].field_count, sizeof *passed->digests);
    for (uint16_t i = 0; i < wrote->field_count; i++) {
        int field = mapping_field_named(&mapping->blocks[block], wrote->fields[i]);

        if (field >= 0 && row->digests[i] != 0)
            passed->digests[field] = row->digests[i];
    }
}

/* ---- what was beyond it ---- */

static void compare_fields(struct beyond *beyond, const struct applied *applied, const struct passed *passed)
{
    const struct mapping_block *block = block_of(beyond, passed->block);
    const char *names = NULL;

    for (uint16_t i = 0; i < block->field_count; i++) {
        uint32_t wrote = passed->digests ? passed->digests[i] : 0;

        if (passed->now[i].state == VALUE_ABSENT)
            continue;
        if (block->fields[i].column_count == 0 ||
            !(wrote != 0 ? wrote != value_digest(passed->now[i])
                         : passed->before && field_changed(passed->before[i], passed->now[i])))
            continue;
        note(beyond, block, i);
        names =
            names ? arena_printf(beyond->report_arena, "%s %s", names, block->fields[i].name) : block->fields[i].name;
    }
    if (names)
        report_add(beyond, applied, block, passed->record, names);
}

/* A row that came with this transaction and is not there any more, though nothing that we deleted can have taken it
 * along: the agency leaves it out. Told as a deletion it would be sent again, and deleted again, without end. */
static bool is_left_out(const struct beyond *beyond, const struct passed *passed)
{
    return !beyond->deletes && !passed->there && passed->listed && !passed->gone && !passed->before;
}

static void judge(struct beyond *beyond, const struct applied *applied, const struct passed *passed, bool compare,
                  struct fold *fold)
{
    if (compare && is_left_out(beyond, passed)) {
        note(beyond, block_of(beyond, passed->block), ALTERED_ROWS);
        report_add(beyond, applied, block_of(beyond, passed->block), passed->record, "existence");
        return;
    }
    if (!passed->there && !(passed->listed && passed->gone)) {
        fold_gone(fold, &(struct seen){ .block = passed->block,
                                        .fields = passed->now,
                                        .key = { passed->key->bytes, passed->key->length } });
        return;
    }
    if (!compare || !passed->there || !passed->now)
        return;
    if (!(passed->listed ? passed->gone : !passed->before)) {
        compare_fields(beyond, applied, passed);
        return;
    }
    note(beyond, block_of(beyond, passed->block), ALTERED_ROWS);
    report_add(beyond, applied, block_of(beyond, passed->block), passed->record, "existence");
}

/* Behind those that the transaction says itself. */
static void reports_join(struct beyond *beyond, struct applied *applied)
{
    uint32_t count = applied->report_count + beyond->report_count;
    struct report *both;

    if (beyond->report_count == 0)
        return;
    both = arena_array(beyond->report_arena, count, sizeof *both);
    if (applied->report_count > 0)
        memcpy(both, applied->reports, applied->report_count * sizeof *both);
    memcpy(both + applied->report_count, beyond->reports, beyond->report_count * sizeof *both);
    applied->reports = both;
    applied->report_count = count;
}

void beyond_end(struct beyond *beyond, struct applied *applied, struct arena *arena, struct fold *fold)
{
    bool compare = beyond->whole && applied && applied->whole;

    beyond->reports = NULL;
    beyond->report_count = beyond->report_capacity = 0;
    beyond->report_arena = arena;
    beyond->deletes = false;
    for (uint32_t i = 0; applied && i < applied->row_count; i++) {
        list_row(beyond, applied, &applied->rows[i]);
        beyond->deletes |= applied->rows[i].gone;
    }
    for (const struct passed *passed = beyond->first; passed; passed = passed->next)
        judge(beyond, applied, passed, compare, fold);
    if (applied)
        reports_join(beyond, applied);
    beyond_reset(beyond);
}
