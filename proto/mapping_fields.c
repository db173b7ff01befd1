#include "proto/mapping_build.h"

#include <string.h>

enum {
    FIELD_COLUMNS_MAX = 16,
    JOIN_BYTES_MAX = 16,
};

static int codes_build(const struct builder *builder, const struct tree *codes, struct mapping_field *field)
{
    struct mapping_code *code;
    size_t count;

    if (!codes)
        return 0;
    if (*codes->value)
        return tree_error(codes, builder->err, "has a value, but is a section");
    if (tree_unique(codes, builder->err) < 0)
        return builder->err->code;
    count = tree_count(codes);
    if (count < 1 || count > UINT16_MAX)
        return tree_error(codes, builder->err, "must have 1 to %d lines \"local = canonical\"", UINT16_MAX);
    code = arena_array(builder->arena, count, sizeof *code);
    field->codes = code;
    field->code_lines = code;
    for (const struct tree *line = codes->child; line; line = line->next, code++) {
        const char *canonical = "";

        if (tree_text(line, &canonical, builder->err) < 0)
            return builder->err->code;
        *code = (struct mapping_code){ .local = kept(builder, line->name), .canonical = kept(builder, canonical) };
        field->code_count++;
    }
    return 0;
}

/* A column that no other field has. */
static int column_add(struct block_builder *build, const struct tree *at, const char *name, uint16_t *ret)
{
    const struct mapping_block *block = build->block;
    uint16_t before = block->column_count;

    if (column_place(build, at, name, ret) < 0)
        return build->builder->err->code;
    if (block->column_count == before)
        return tree_error(at, build->builder->err, "column \"%s\" is mapped to another field already", name);
    return 0;
}

/* `columns = "a b c"` with `join`. */
static int parts_build(struct block_builder *build, const struct tree *tree, const struct tree *columns,
                       struct mapping_field *field)
{
    struct error *err = build->builder->err;
    const struct tree *join = tree_child(tree, "join");
    const char *const *names;
    uint16_t *places;
    size_t count;

    if (tree_list(build->builder->arena, columns, &names, &count, err) < 0)
        return err->code;
    if (count < 2 || count > FIELD_COLUMNS_MAX)
        return tree_error(columns, err, "must name 2 to %d columns; a single one is \"column\"", FIELD_COLUMNS_MAX);
    if (field->block && join)
        return tree_error(join, err, "is for values: the columns of a reference are those of a key");
    if (!join && !field->block)
        return tree_error(tree, err,
                          "has no \"join\": what stands between the parts, so that they can be told apart again?");
    if (join && text_build(build->builder, tree, "join", &field->join) < 0)
        return err->code;
    if (join && strlen(field->join) > JOIN_BYTES_MAX)
        return tree_error(join, err, "is longer than %d bytes", JOIN_BYTES_MAX);
    places = arena_array(build->builder->arena, count, sizeof *places);
    field->columns = places;
    for (size_t i = 0; i < count; i++)
        if (column_add(build, columns, names[i], &places[field->column_count++]) < 0)
            return err->code;
    return 0;
}

/* `column = x` */
static int column_build(struct block_builder *build, const struct tree *tree, const struct tree *column,
                        struct mapping_field *field)
{
    uint16_t *place = arena_alloc(build->builder->arena, sizeof *place);
    const char *name = "";

    if (tree_child(tree, "join"))
        return tree_error(tree_child(tree, "join"), build->builder->err, "is for a field of several \"columns\"");
    field->columns = place;
    field->column_count = 1;
    if (text_build(build->builder, tree, "column", &name) < 0)
        return build->builder->err->code;
    return column_add(build, column, name, place);
}

/* What an unlisted code is to be taken for. */
static int unknown_build(const struct builder *builder, const struct tree *tree, struct mapping_field *field)
{
    static const char *const words[] = { "park", "null", NULL };
    const struct tree *unknown = tree_child(tree, "unknown");
    unsigned word;

    if (!unknown)
        return 0;
    if (field->code_count == 0)
        return tree_error(unknown, builder->err, "is for a field with \"codes\"");
    if (tree_word(unknown, words, &word, builder->err) < 0)
        return builder->err->code;
    field->unknown = word;
    return 0;
}

static int field_build(struct block_builder *build, const struct tree *tree, struct mapping_field *field)
{
    static const char *const known[] = { "column", "columns", "join", "trim", "codes", "unknown", "block", NULL };
    const struct tree *column = tree_child(tree, "column"), *columns = tree_child(tree, "columns");
    struct error *err = build->builder->err;

    if (name_check(build->builder, tree) < 0 || tree_expect(tree, known, err) < 0)
        return err->code;
    field->name = kept(build->builder, tree->name);
    field->field = -1;
    if (tree_child(tree, "block") && text_build(build->builder, tree, "block", &field->block) < 0)
        return err->code;
    if (!column == !columns)
        return tree_error(tree, err, "must have either \"column\" or \"columns\"");
    if ((column ? column_build(build, tree, column, field) : parts_build(build, tree, columns, field)) < 0 ||
        tree_yes(tree, "trim", false, &field->trim, err) < 0 ||
        codes_build(build->builder, tree_child(tree, "codes"), field) < 0)
        return err->code;
    return unknown_build(build->builder, tree, field);
}

/* `field = value` */
static int constant_build(struct block_builder *build, const struct tree *tree, struct mapping_field *field)
{
    const struct builder *builder = build->builder;
    const char *value = "";

    if (name_check(builder, tree) < 0 || tree_text(tree, &value, builder->err) < 0)
        return builder->err->code;
    if (strlen(value) > KEY_BYTES_MAX)
        return tree_error(tree, builder->err, "is longer than %d bytes", KEY_BYTES_MAX);
    if (tree_child(tree_child(build->tree, "fields"), tree->name))
        return tree_error(tree, builder->err, "is among \"fields\" too: a field has columns or a constant");
    *field = (struct mapping_field){ .name = kept(builder, tree->name),
                                     .field = -1,
                                     .constant = kept(builder, value),
                                     .constant_line = kept(builder, value) };
    return 0;
}

int fields_build(struct block_builder *build)
{
    const struct tree *fields = tree_child(build->tree, "fields"), *constants = tree_child(build->tree, "constants");
    struct mapping_block *block = build->block;
    const struct builder *builder = build->builder;
    size_t count;

    if (!fields)
        return tree_error(build->tree, builder->err, "has no \"fields\"");
    if (section_check(builder, fields, BLOCK_FIELDS_MAX) < 0 ||
        (constants && section_check(builder, constants, BLOCK_CONSTANTS_MAX) < 0))
        return builder->err->code;
    count = tree_count(fields) + (constants ? tree_count(constants) : 0);
    if (count > BLOCK_FIELDS_MAX)
        return tree_error(fields, builder->err, "must be 1 to %d, constants included", BLOCK_FIELDS_MAX);
    block->fields = arena_array(builder->arena, count, sizeof *block->fields);
    for (const struct tree *field = constants ? constants->child : NULL; field; field = field->next)
        if (constant_build(build, field, &block->fields[block->field_count++]) < 0)
            return builder->err->code;
    for (const struct tree *field = fields->child; field; field = field->next)
        if (field_build(build, field, &block->fields[block->field_count++]) < 0)
            return builder->err->code;
    return 0;
}
