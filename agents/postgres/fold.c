#include "agents/postgres/fold.h"
#include "agents/postgres/rejoin.h"
#include "agents/row_change.h"

#include <stdlib.h>
#include <string.h>

struct fold {
    const struct mapping *mapping;
    struct views views;
    struct touched_set set;
    size_t bytes_max;
    struct touched *cursor; /* the next to give, once ended */
    uint64_t counter;
    uint8_t seed[32];
    struct value witnesses[ROW_WITNESSES]; /* as the transaction says: actor and ground */
    char witness_bytes[ROW_WITNESSES][WITNESS_BYTES_MAX];
    struct problems problems;
    struct error emptied; /* a table of which `reload` is said was truncated; code 0: none was */
    uint32_t emptied_table;
    bool refilled; /* rows came into it since */
};

/* A row without a key, or one that does not belong to the block, is no record: coming in is an insert, leaving a
 * deletion. */
static void add_change(struct fold *fold, const struct seen_change *change, bool deleted)
{
    const struct seen *old = &change->old, *row = &change->row;
    bool alone = true;

    if (old->key.length > 0 && row->key.length > 0)
        alone = touched_update(&fold->set, old, row);
    else if (old->key.length > 0)
        alone = touched_delete(&fold->set, old, !deleted);
    else if (row->key.length > 0)
        alone = touched_insert(&fold->set, row);
    if (!alone)
        problem_note(&fold->problems, &fold->mapping->blocks[row->block],
                     "two rows have the same key after translation, the second was left out; make their keys differ, "
                     "or map a key that does");
}

static int add_truncate(struct fold *fold, const struct pgoutput_message *message, struct error *err)
{
    const struct table_view *table;
    int code = views_truncate(&fold->views, message, &table, err);

    if (code != ERR_RELOAD)
        return code;
    touched_clear(&fold->set);
    fold->emptied = *err;
    fold->emptied_table = table->id;
    fold->refilled = false;
    return 0;
}

bool fold_emptied(const struct fold *fold, bool *ret_refilled, struct error *ret_why)
{
    *ret_refilled = fold->refilled;
    *ret_why = fold->emptied;
    return fold->emptied.code != 0;
}

int fold_add(struct fold *fold, const struct pgoutput_message *message, struct error *err)
{
    const struct table_view *table;

    arena_reset(fold->set.scratch);
    if (message->kind == PGOUTPUT_TRUNCATE)
        return add_truncate(fold, message, err);
    if (views_find(&fold->views, message, &table, err) < 0)
        return err->code;
    if (fold->emptied.code != 0) { /* the load that follows finds it all */
        fold->refilled |= message->kind == PGOUTPUT_INSERT && message->change.relation == fold->emptied_table;
        return 0;
    }
    for (uint16_t i = 0; i < table->block_count; i++) {
        struct seen_change change =
            view_change(fold->set.scratch, fold->mapping, table, &table->blocks[i], message, &fold->problems);

        add_change(fold, &change, message->kind == PGOUTPUT_DELETE);
    }
    if (fold->set.bytes > fold->bytes_max)
        return error_set(
            err, ERR_STOP,
            "one transaction changes more records than fit into %zu MiB of memory: load this agency again, "
            "or raise the limit",
            fold->bytes_max >> 20);
    return 0;
}

void fold_gone(struct fold *fold, const struct seen *old)
{
    arena_reset(fold->set.scratch);
    if (!touched_delete(&fold->set, old, true))
        problem_note(&fold->problems, &fold->mapping->blocks[old->block], "two rows with one key were deleted");
}

void fold_witness(struct fold *fold, int place, struct text text)
{
    static const char *const names[ROW_WITNESSES] = { "actor", "ground" };

    if (text.length > WITNESS_BYTES_MAX || !text_is_utf8(text.bytes, text.length)) {
        if (fold->problems.count++ == 0)
            error_set(&fold->problems.first, ERR_REJECT,
                      "the transaction's message selaras.%s is left out: it is no UTF-8, or longer than %d bytes",
                      names[place], WITNESS_BYTES_MAX);
        return;
    }
    memcpy(fold->witness_bytes[place], text.bytes, text.length);
    fold->witnesses[place] =
        (struct value){ fold->witness_bytes[place], text.length, text.length > 0 ? VALUE_SET : VALUE_ABSENT };
}

const struct views *fold_views(const struct fold *fold)
{
    return &fold->views;
}

int fold_relation(struct fold *fold, const struct pgoutput_relation *relation, struct error *err)
{
    return views_describe(&fold->views, relation, err);
}

struct fold *fold_new(const struct mapping *mapping, size_t bytes_max)
{
    struct fold *fold = calloc(1, sizeof *fold);

    if (!fold)
        abort();
    fold->mapping = mapping;
    fold->views.mapping = mapping;
    fold->set.mapping = mapping;
    fold->bytes_max = bytes_max;
    fold->set.scratch = arena_new();
    return fold;
}

void fold_free(struct fold **fold)
{
    if (!*fold)
        return;
    fold_reset(*fold);
    views_free(&(*fold)->views);
    arena_free(&(*fold)->set.scratch);
    free(*fold);
    *fold = NULL;
}

void fold_reset(struct fold *fold)
{
    touched_clear(&fold->set);
    fold->cursor = NULL;
    fold->counter = 0;
    memset(fold->witnesses, 0, sizeof fold->witnesses);
    fold->problems.count = 0;
    fold->emptied.code = 0;
    fold->refilled = false;
}

int fold_absences(struct fold *fold, struct absents *absents, const struct absent_moment *moment, struct error *err)
{
    touched_rejoin(&fold->set);
    return absents_pass(absents, &fold->set, moment, err);
}

uint32_t fold_end(struct fold *fold, const uint8_t seed[32], struct error *ret_first)
{
    touched_rejoin(&fold->set);
    touched_order(&fold->set);
    fold->cursor = fold->set.oldest;
    memcpy(fold->seed, seed, sizeof fold->seed);
    if (fold->problems.count > 0)
        *ret_first = fold->problems.first;
    return fold->problems.count;
}

bool fold_left(const struct fold *fold)
{
    return fold->cursor != NULL;
}

static struct value *unpacked(struct arena *arena, const struct packed_row *row, const struct mapping_block *block)
{
    struct value *fields = row ? arena_array(arena, block->field_count + ROW_WITNESSES, sizeof *fields) : NULL;

    if (row)
        row_unpack(row, fields, block->field_count + ROW_WITNESSES);
    return fields;
}

static struct text key_text(const struct local_key *key)
{
    return (struct text){ key->bytes, key->length };
}

static void touched_change(const struct fold *fold, struct arena *arena, const struct touched *touched,
                           struct change *change)
{
    const struct mapping_block *block = &fold->mapping->blocks[touched->block];

    change->operation = !touched->before_key ? OPERATION_INSERT
                        : !touched->now_key  ? OPERATION_DELETE
                                             : OPERATION_UPDATE;
    change->key = key_text(touched->now_key ? touched->now_key : touched->before_key);
    if (change->operation == OPERATION_UPDATE && touched->now_key != touched->before_key)
        change->old_key = key_text(touched->before_key);
    change_make(arena, block, unpacked(arena, touched->before, block), unpacked(arena, touched->now, block), change);
    if (fold->witnesses[0].state == VALUE_SET)
        change->actor = fold->witnesses[0];
    if (fold->witnesses[1].state == VALUE_SET)
        change->ground = fold->witnesses[1];
}

bool fold_earlier(const struct fold *fold)
{
    return fold->cursor && fold->cursor->earlier;
}

uint32_t fold_next(struct fold *fold, struct arena *arena, size_t bytes, struct change **ret)
{
    size_t capacity = 0, size = 0;
    struct change *changes = NULL;
    uint32_t count = 0;
    bool earlier = fold_earlier(fold);

    for (; fold->cursor && fold->cursor->earlier == earlier; fold->cursor = fold->cursor->next) {
        if (count == capacity) {
            struct change *larger = arena_array(arena, capacity ? capacity * 2 : 1, sizeof *larger);

            if (count > 0)
                memcpy(larger, changes, count * sizeof *larger);
            changes = larger;
            capacity = capacity ? capacity * 2 : 1;
        }
        touched_change(fold, arena, fold->cursor, &changes[count]);
        change_seal(arena, &changes[count], fold->seed, fold->counter);
        size += message_change_size(&changes[count]);
        if (count > 0 && size > bytes)
            break; /* it is made again for the next piece */
        fold->counter++;
        count++;
    }
    *ret = changes;
    return count;
}
