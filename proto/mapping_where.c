#include "proto/mapping_build.h"

#include <string.h>

enum { WHERE_MAX = 8, WHERE_VALUES_MAX = 64 };

/* The next word at *at: up to a blank, or between single quotes, which may hold blanks. NULL and an error when a quote
 * does not end. Moves *at behind it. */
static const char *word_next(const struct builder *builder, const struct tree *tree, const char **at)
{
    const char *start = *at, *end;

    if (*start != '\'') {
        end = start + strcspn(start, " ");
        *at = end + strspn(end, " ");
        return arena_copy(builder->arena, start, (size_t)(end - start));
    }
    end = strchr(++start, '\'');
    if (!end || (end[1] != '\0' && end[1] != ' ')) {
        tree_error(tree, builder->err, "has a quote that does not end with a word: 'NON AKTIF' CUTI");
        return NULL;
    }
    *at = end + 1 + strspn(end + 1, " ");
    return arena_copy(builder->arena, start, (size_t)(end - start));
}

static bool value_is(struct value value, const char *text)
{
    size_t length = strlen(text), bytes = value.length;

    while (length > 0 && text[length - 1] == ' ')
        length--;
    while (bytes > 0 && value.bytes[bytes - 1] == ' ')
        bytes--;
    return length == bytes && memcmp(value.bytes, text, length) == 0;
}

static bool where_has(const struct mapping_where *where, struct value value)
{
    for (uint16_t i = 0; i < where->value_count; i++)
        if (value_is(value, where->values[i]))
            return true;
    return false;
}

static int values_build(const struct builder *builder, const struct tree *tree, const char *text,
                        struct mapping_where *where)
{
    const char **values = arena_array(builder->arena, WHERE_VALUES_MAX, sizeof *values);

    where->values = values;
    for (const char *at = text + strspn(text, " "); *at;) {
        const char *word = word_next(builder, tree, &at);

        if (!word)
            return builder->err->code;
        if (where_has(where, value_text(word)))
            return tree_error(tree, builder->err, "\"%s\" stands here twice", word);
        if (where->value_count == WHERE_VALUES_MAX)
            return tree_error(tree, builder->err, "has more than %d values", WHERE_VALUES_MAX);
        values[where->value_count++] = word;
    }
    return 0;
}

/* `column = value ...`, `column = null`, `column = not null` */
static int condition_build(struct block_builder *build, const struct tree *tree, struct mapping_where *where)
{
    const char *text = "";

    if (tree_text(tree, &text, build->builder->err) < 0 || column_place(build, tree, tree->name, &where->column) < 0)
        return build->builder->err->code;
    where->kind = strcmp(text, "null") == 0       ? WHERE_NULL
                  : strcmp(text, "not null") == 0 ? WHERE_NOT_NULL
                                                  : WHERE_VALUES;
    return where->kind == WHERE_VALUES ? values_build(build->builder, tree, text, where) : 0;
}

int where_build(struct block_builder *build)
{
    const struct tree *where = tree_child(build->tree, "where");
    struct mapping_block *block = build->block;

    if (!where)
        return 0;
    if (section_check(build->builder, where, WHERE_MAX) < 0)
        return build->builder->err->code;
    block->where = arena_array(build->builder->arena, WHERE_MAX, sizeof *block->where);
    for (const struct tree *line = where->child; line; line = line->next)
        if (condition_build(build, line, &block->where[block->where_count++]) < 0)
            return build->builder->err->code;
    return 0;
}

int where_check_delete(const struct block_builder *build)
{
    const struct mapping_block *block = build->block;

    for (uint16_t i = 0; block->delete == DELETE_SET && i < block->where_count; i++) {
        const struct mapping_where *where = &block->where[i];

        if (strcmp(block->columns[where->column], block->delete_column) != 0)
            continue;
        if (where->kind == WHERE_NOT_NULL ||
            (where->kind == WHERE_VALUES && where_has(where, value_text(block->delete_value))))
            return tree_error(tree_child(build->tree, "delete"), build->builder->err,
                              "a row in which %s is \"%s\" would still belong to the block: \"where\" says so",
                              block->delete_column, block->delete_value);
    }
    return 0;
}

static bool condition_holds(const struct mapping_where *where, struct value value)
{
    switch (where->kind) {
    case WHERE_NULL:
        return value.state == VALUE_NULL;
    case WHERE_NOT_NULL:
        return value.state == VALUE_SET;
    case WHERE_VALUES:
        break;
    }
    return value.state == VALUE_SET && where_has(where, value);
}

bool row_in(const struct mapping_block *block, const struct value *columns)
{
    for (uint16_t i = 0; i < block->where_count; i++)
        if (!condition_holds(&block->where[i], columns[block->where[i].column]))
            return false;
    return true;
}

int row_stays(const struct mapping_block *block, const struct value *columns, struct error *err)
{
    for (uint16_t i = 0; i < block->where_count; i++) {
        const struct mapping_where *where = &block->where[i];

        if (columns[where->column].state == VALUE_SET && !condition_holds(where, columns[where->column]))
            return error_set(err, ERR_REJECT,
                             "column %s of %s.%s cannot hold this value: the row would no longer "
                             "belong to block %s",
                             block->columns[where->column], block->schema, block->table, block->name);
    }
    return 0;
}

int row_enter(const struct mapping_block *block, struct value *columns, struct error *err)
{
    for (uint16_t i = 0; i < block->where_count; i++) {
        const struct mapping_where *where = &block->where[i];
        struct value *column = &columns[where->column];

        if (column->state == VALUE_SET || where->kind == WHERE_NULL) {
            column->state = column->state == VALUE_ABSENT ? VALUE_NULL : column->state;
            continue; /* row_write has seen to it that what is set belongs here */
        }
        if (where->kind == WHERE_NOT_NULL)
            return error_set(err, ERR_REJECT, "column %s of %s.%s must have a value for a row of block %s",
                             block->columns[where->column], block->schema, block->table, block->name);
        *column = value_text(where->values[0]);
    }
    return 0;
}

/* ---- several blocks on one table ---- */

static bool conditions_exclude(const struct mapping_where *left, const struct mapping_where *right)
{
    if (left->kind != WHERE_VALUES && right->kind != WHERE_VALUES)
        return left->kind != right->kind;
    if (left->kind != WHERE_VALUES)
        return left->kind == WHERE_NULL;
    if (right->kind != WHERE_VALUES)
        return right->kind == WHERE_NULL;
    for (uint16_t i = 0; i < left->value_count; i++)
        if (where_has(right, value_text(left->values[i])))
            return false;
    return true;
}

/* Whether no row can belong to both. */
static bool blocks_exclude(const struct mapping_block *left, const struct mapping_block *right)
{
    for (uint16_t i = 0; i < left->where_count; i++)
        for (uint16_t j = 0; j < right->where_count; j++)
            if (strcmp(left->columns[left->where[i].column], right->columns[right->where[j].column]) == 0 &&
                conditions_exclude(&left->where[i], &right->where[j]))
                return true;
    return false;
}

bool blocks_share_table(const struct mapping_block *left, const struct mapping_block *right)
{
    return strcmp(left->schema, right->schema) == 0 && strcmp(left->table, right->table) == 0;
}

bool constants_differ(const struct mapping_block *left, const struct mapping_block *right)
{
    for (uint8_t i = 0; i < left->key_count; i++)
        for (uint8_t j = 0; j < right->key_count; j++) {
            const struct mapping_field *a = &left->fields[left->key[i]], *b = &right->fields[right->key[j]];

            if (strcmp(a->name, b->name) == 0 && a->constant && b->constant && strcmp(a->constant, b->constant) != 0)
                return true;
        }
    return false;
}

/* Two blocks that share rows: neither may take the other's records along. */
static int sharing_check(const struct mapping_block *block, const struct mapping_block *other, const struct tree *tree,
                         struct error *err)
{
    if (block->delete == DELETE_ROW)
        return tree_error(tree_child(tree, "table"), err,
                          "delete = row of block %s would delete the record that block %s has in the same row of %s.%s "
                          "too: use \"set COLUMN VALUE\" or \"ignore\"",
                          block->name, other->name, block->schema, block->table);
    return 0;
}

int tables_check(struct mapping *mapping, const struct tree *tree, struct error *err)
{
    struct mapping_block *newest = &mapping->blocks[mapping->block_count - 1];

    for (struct mapping_block *block = mapping->blocks; block < newest; block++) {
        if (!blocks_share_table(block, newest))
            continue;
        if (strcmp(block->type_name, newest->type_name) == 0 && !constants_differ(block, newest))
            return tree_error(tree_child(tree, "table"), err,
                              "block %s maps %s.%s to record type %s too, and one row or a row that moves from one to "
                              "the other would be the same record twice: give both blocks a constant among their key "
                              "fields that differs, or map them as one block",
                              block->name, newest->schema, newest->table, newest->type_name);
        if (blocks_exclude(block, newest))
            continue;
        if (sharing_check(newest, block, tree, err) < 0 || sharing_check(block, newest, tree, err) < 0)
            return err->code;
        /* The one with conditions is a part of the other's rows: those are the other's to make. */
        block->shared |= block->where_count > 0 && newest->where_count == 0;
        newest->shared |= newest->where_count > 0 && block->where_count == 0;
    }
    return 0;
}
