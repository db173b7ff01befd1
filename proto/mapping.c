#include "proto/mapping.h"

#include <assert.h>
#include <string.h>

enum {
    FIELD_COLUMNS_MAX = 16,
    JOIN_BYTES_MAX = 16,
    IDENTIFIER_BYTES_MAX = 63, /* PostgreSQL cuts longer names, silently */
};

struct builder {
    struct arena *arena;
    struct error *err;
};

/* The mapping outlives the tree that it was read from. */
static const char *kept(const struct builder *builder, const char *text)
{
    return arena_copy(builder->arena, text, strlen(text));
}

static int name_check(const struct builder *builder, const struct tree *tree)
{
    if (name_is_valid(tree->name, NAME_BYTES))
        return 0;
    return tree_error(tree, builder->err,
                      "is no name: it must be at most %d lower-case letters, digits and underscores, a letter first",
                      NAME_BYTES);
}

/* The text of child `name`, which must be there. */
static int text_build(const struct builder *builder, const struct tree *tree, const char *name, const char **ret)
{
    const struct tree *child = tree_child(tree, name);
    const char *text;

    if (!child)
        return tree_error(tree, builder->err, "has no \"%s\"", name);
    if (tree_text(child, &text, builder->err) < 0)
        return builder->err->code;
    *ret = kept(builder, text);
    return 0;
}

/* A name in the agency's database: whatever it likes, but not so long that it would be cut. */
static int identifier_check(const struct builder *builder, const struct tree *tree, const char *name)
{
    size_t length = strlen(name);

    if (length >= 1 && length <= IDENTIFIER_BYTES_MAX)
        return 0;
    return tree_error(tree, builder->err, "a name must have 1 to %d bytes", IDENTIFIER_BYTES_MAX);
}

/* "schema.table" or, in schema public, "table". */
static int table_build(const struct builder *builder, const struct tree *tree, struct mapping_block *block)
{
    const struct tree *table = tree_child(tree, "table");
    const char *name = "", *point;

    if (text_build(builder, tree, "table", &name) < 0)
        return builder->err->code;
    point = strchr(name, '.');
    block->schema = point ? arena_copy(builder->arena, name, (size_t)(point - name)) : "public";
    block->table = point ? point + 1 : name;
    if (strchr(block->table, '.'))
        return tree_error(table, builder->err, "must be a table or schema.table");
    return identifier_check(builder, table, block->schema) < 0 ? builder->err->code
                                                               : identifier_check(builder, table, block->table);
}

/* ignore | row | set COLUMN VALUE */
static int delete_build(const struct builder *builder, const struct tree *delete, struct mapping_block *block)
{
    static const char *const words[] = { "ignore", "row", "set", NULL };
    static const enum delete_mode modes[] = { DELETE_IGNORE, DELETE_ROW };
    const char *text = "", *column, *value;
    unsigned word;

    if (!delete)
        return 0;
    if (tree_text(delete, &text, builder->err) < 0)
        return builder->err->code;
    if (strncmp(text, "set ", 4) != 0) {
        if (tree_word(delete, words, &word, builder->err) < 0)
            return builder->err->code;
        if (word >= sizeof modes / sizeof modes[0])
            return tree_error(delete, builder->err, "must say what to set: \"set COLUMN VALUE\"");
        block->delete = modes[word];
        return 0;
    }
    column = text + 4 + strspn(text + 4, " ");
    value = column + strcspn(column, " ");
    block->delete = DELETE_SET;
    block->delete_column = arena_copy(builder->arena, column, (size_t)(value - column));
    block->delete_value = kept(builder, value + strspn(value, " "));
    if (!*block->delete_value)
        return tree_error(delete, builder->err, "must say what to set: \"set COLUMN VALUE\"");
    return identifier_check(builder, delete, block->delete_column);
}

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

/* A block while it is built: `columns` grows, and no column may belong to two fields. */
struct block_builder {
    const struct builder *builder;
    const struct tree *fields;
    const char **columns;
    struct mapping_block *block;
};

static int column_add(struct block_builder *build, const struct tree *at, const char *name, uint16_t *ret)
{
    struct mapping_block *block = build->block;

    if (identifier_check(build->builder, at, name) < 0)
        return build->builder->err->code;
    for (uint16_t i = 0; i < block->column_count; i++)
        if (strcmp(block->columns[i], name) == 0)
            return tree_error(at, build->builder->err, "column \"%s\" is mapped to another field already", name);
    *ret = block->column_count;
    build->columns[block->column_count++] = kept(build->builder, name);
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
    if (!join)
        return tree_error(tree, err,
                          "has no \"join\": what stands between the parts, so that they can be told apart again?");
    if (text_build(build->builder, tree, "join", &field->join) < 0)
        return err->code;
    if (strlen(field->join) > JOIN_BYTES_MAX)
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

static int field_build(struct block_builder *build, const struct tree *tree, struct mapping_field *field)
{
    static const char *const known[] = { "column", "columns", "join", "trim", "codes", NULL };
    const struct tree *column = tree_child(tree, "column"), *columns = tree_child(tree, "columns");
    struct error *err = build->builder->err;

    if (name_check(build->builder, tree) < 0 || tree_expect(tree, known, err) < 0)
        return err->code;
    field->name = kept(build->builder, tree->name);
    field->field = -1;
    if (!column == !columns)
        return tree_error(tree, err, "must have either \"column\" or \"columns\"");
    if ((column ? column_build(build, tree, column, field) : parts_build(build, tree, columns, field)) < 0 ||
        tree_yes(tree, "trim", false, &field->trim, err) < 0)
        return err->code;
    return codes_build(build->builder, tree_child(tree, "codes"), field);
}

/* How many columns the fields use at most: the number of words. */
static size_t columns_most(const struct tree *fields)
{
    size_t most = 0;

    for (const struct tree *field = fields->child; field; field = field->next)
        most += tree_child(field, "columns") ? FIELD_COLUMNS_MAX : 1;
    return most;
}

static int fields_build(struct block_builder *build)
{
    const struct tree *fields = build->fields;
    struct mapping_block *block = build->block;
    struct error *err = build->builder->err;
    size_t count = tree_count(fields);

    if (*fields->value)
        return tree_error(fields, err, "has a value, but is a section");
    if (tree_unique(fields, err) < 0)
        return err->code;
    if (count < 1 || count > BLOCK_FIELDS_MAX)
        return tree_error(fields, err, "must be 1 to %d", BLOCK_FIELDS_MAX);
    block->fields = arena_array(build->builder->arena, count, sizeof *block->fields);
    build->columns = arena_array(build->builder->arena, columns_most(fields), sizeof *build->columns);
    block->columns = build->columns;
    for (const struct tree *field = fields->child; field; field = field->next)
        if (field_build(build, field, &block->fields[block->field_count++]) < 0)
            return err->code;
    return 0;
}

/* The words of all fields of a block, ending in NULL. */
static const char *const *field_words(const struct builder *builder, const struct mapping_block *block)
{
    const char **words = arena_array(builder->arena, block->field_count + 1u, sizeof *words);

    for (uint16_t i = 0; i < block->field_count; i++)
        words[i] = block->fields[i].name;
    return words;
}

static int key_build(const struct builder *builder, const struct tree *tree, struct mapping_block *block)
{
    const struct tree *key = tree_child(tree, "key");
    const char *const *names;
    uint16_t *places;
    size_t count;

    if (!key)
        return tree_error(tree, builder->err, "has no \"key\": which fields find a row again?");
    if (tree_list(builder->arena, key, &names, &count, builder->err) < 0)
        return builder->err->code;
    if (count > KEY_FIELDS_MAX)
        return tree_error(key, builder->err, "has more than %d fields", KEY_FIELDS_MAX);
    places = arena_array(builder->arena, count, sizeof *places);
    block->key = places;
    for (size_t i = 0; i < count; i++) {
        int field = mapping_field_named(block, (struct text){ names[i], (uint32_t)strlen(names[i]) });

        if (field < 0)
            return tree_unknown(key, "mapped field", names[i], field_words(builder, block), builder->err);
        places[block->key_count++] = (uint16_t)field;
    }
    return 0;
}

static int block_build(const struct builder *builder, const struct tree *tree, struct mapping_block *block)
{
    static const char *const known[] = { "type", "table", "key", "insert", "delete", "fields", NULL };
    struct block_builder build = { .builder = builder, .fields = tree_child(tree, "fields"), .block = block };

    if (name_check(builder, tree) < 0 || tree_expect(tree, known, builder->err) < 0)
        return builder->err->code;
    block->name = kept(builder, tree->name);
    if (!build.fields)
        return tree_error(tree, builder->err, "has no \"fields\"");
    if (text_build(builder, tree, "type", &block->type_name) < 0 || table_build(builder, tree, block) < 0 ||
        tree_yes(tree, "insert", false, &block->insert, builder->err) < 0 ||
        delete_build(builder, tree_child(tree, "delete"), block) < 0 || fields_build(&build) < 0)
        return builder->err->code;
    return key_build(builder, tree, block);
}

/* A row of a table that two blocks map would be two records: that needs a `where` to tell them apart. */
static int tables_check(const struct mapping *mapping, const struct tree *tree, struct error *err)
{
    const struct mapping_block *newest = &mapping->blocks[mapping->block_count - 1];

    for (const struct mapping_block *block = mapping->blocks; block < newest; block++)
        if (strcmp(block->schema, newest->schema) == 0 && strcmp(block->table, newest->table) == 0)
            return tree_error(
                tree_child(tree, "table"), err,
                "%s.%s is mapped by block %s already; two blocks on one table are not supported yet by this version",
                newest->schema, newest->table, block->name);
    return 0;
}

int mapping_build(struct arena *arena, const struct tree *tree, struct mapping *ret, struct error *err)
{
    struct builder builder = { .arena = arena, .err = err };
    struct mapping mapping = { 0 };
    size_t count = tree_count(tree);

    if (*tree->value)
        return tree_error(tree, err, "has a value, but is a section");
    if (tree_unique(tree, err) < 0)
        return err->code;
    if (count < 1 || count > BLOCKS_MAX)
        return tree_error(tree, err, "must have 1 to %d blocks", BLOCKS_MAX);
    mapping.blocks = arena_array(arena, count, sizeof *mapping.blocks);
    for (const struct tree *block = tree->child; block; block = block->next)
        if (block_build(&builder, block, &mapping.blocks[mapping.block_count++]) < 0 ||
            tables_check(&mapping, block, err) < 0)
            return err->code;
    *ret = mapping;
    return 0;
}

static bool text_is(struct text text, const char *word)
{
    return strlen(word) == text.length && memcmp(word, text.bytes, text.length) == 0;
}

int mapping_block_named(const struct mapping *mapping, struct text name)
{
    for (int i = 0; i < mapping->block_count; i++)
        if (text_is(name, mapping->blocks[i].name))
            return i;
    return -1;
}

int mapping_field_named(const struct mapping_block *block, struct text name)
{
    for (int i = 0; i < block->field_count; i++)
        if (text_is(name, block->fields[i].name))
            return i;
    return -1;
}
