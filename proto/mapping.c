#include "proto/mapping_build.h"

#include <string.h>

enum {
    IDENTIFIER_BYTES_MAX = 63, /* PostgreSQL cuts longer names, silently */
    ABSENCE_MAX_S = 7 * 24 * 60 * 60,
    /* Columns beside those of fields: conditions, a generated key, actor and ground. */
    OTHER_COLUMNS_MAX = 8 + KEY_FIELDS_MAX + 2,
    FIELD_COLUMNS_MOST = 16,
};

const char *kept(const struct builder *builder, const char *text)
{
    return arena_copy(builder->arena, text, strlen(text));
}

int name_check(const struct builder *builder, const struct tree *tree)
{
    if (name_is_valid(tree->name, NAME_BYTES))
        return 0;
    return tree_error(tree, builder->err,
                      "is no name: it must be at most %d lower-case letters, digits and underscores, a letter first",
                      NAME_BYTES);
}

int text_build(const struct builder *builder, const struct tree *tree, const char *name, const char **ret)
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

int identifier_check(const struct builder *builder, const struct tree *tree, const char *name)
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

int section_check(const struct builder *builder, const struct tree *tree, size_t most)
{
    size_t count = tree_count(tree);

    if (*tree->value)
        return tree_error(tree, builder->err, "has a value, but is a section");
    if (tree_unique(tree, builder->err) < 0)
        return builder->err->code;
    if (count < 1 || count > most)
        return tree_error(tree, builder->err, "must be 1 to %zu", most);
    return 0;
}

int column_place(struct block_builder *build, const struct tree *at, const char *name, uint16_t *ret)
{
    struct mapping_block *block = build->block;

    if (identifier_check(build->builder, at, name) < 0)
        return build->builder->err->code;
    for (uint16_t i = 0; i < block->column_count; i++)
        if (strcmp(block->columns[i], name) == 0) {
            *ret = i;
            return 0;
        }
    *ret = block->column_count;
    build->columns[block->column_count++] = kept(build->builder, name);
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

/* `key = generated COLUMN ...` */
static int generated_build(struct block_builder *build, const struct tree *key, const char *const *names, size_t count)
{
    struct mapping_block *block = build->block;
    uint16_t *places = arena_array(build->builder->arena, count, sizeof *places);

    block->generated = true;
    block->key_columns = places;
    for (size_t i = 0; i < count; i++)
        if (column_place(build, key, names[i], &places[block->key_column_count++]) < 0)
            return build->builder->err->code;
    return 0;
}

/* What finds a row: the columns of the key's fields, in order. */
static int key_columns_build(struct block_builder *build, const struct tree *key)
{
    struct mapping_block *block = build->block;
    uint16_t *places = arena_array(build->builder->arena, KEY_COLUMNS_MAX, sizeof *places);

    block->key_columns = places;
    for (uint8_t i = 0; i < block->key_count; i++) {
        const struct mapping_field *field = &block->fields[block->key[i]];

        if (block->key_column_count + field->column_count > KEY_COLUMNS_MAX)
            return tree_error(key, build->builder->err, "has more than %d columns", KEY_COLUMNS_MAX);
        for (uint8_t j = 0; j < field->column_count; j++)
            places[block->key_column_count++] = field->columns[j];
    }
    if (block->key_column_count == 0)
        return tree_error(key, build->builder->err, "has constants only: by which column is a row found?");
    return 0;
}

/* `key = FIELD ...` */
static int key_fields_build(struct block_builder *build, const struct tree *key, const char *const *names, size_t count)
{
    const struct builder *builder = build->builder;
    struct mapping_block *block = build->block;
    uint16_t *places = arena_array(builder->arena, count, sizeof *places);

    block->key = places;
    for (size_t i = 0; i < count; i++) {
        int field = mapping_field_named(block, (struct text){ names[i], (uint32_t)strlen(names[i]) });

        if (field < 0)
            return tree_unknown(key, "mapped field", names[i], field_words(builder, block), builder->err);
        places[block->key_count++] = (uint16_t)field;
    }
    return key_columns_build(build, key);
}

static int key_build(struct block_builder *build)
{
    const struct builder *builder = build->builder;
    const struct tree *key = tree_child(build->tree, "key");
    const char *const *names;
    size_t count;
    bool generated;

    if (!key)
        return tree_error(build->tree, builder->err, "has no \"key\": which fields find a row again?");
    if (tree_list(builder->arena, key, &names, &count, builder->err) < 0)
        return builder->err->code;
    generated = count > 1 && strcmp(names[0], "generated") == 0;
    if (count - generated > KEY_FIELDS_MAX)
        return tree_error(key, builder->err, "has more than %d fields", KEY_FIELDS_MAX);
    return generated ? generated_build(build, key, names + 1, count - 1) : key_fields_build(build, key, names, count);
}

static int zone_build(const struct builder *builder, const struct tree *tree, const struct zone **ret)
{
    const struct tree *zone = tree_child(tree, "zone");
    const char *name = "";
    struct error why;

    if (!zone)
        return 0;
    if (tree_text(zone, &name, builder->err) < 0)
        return builder->err->code;
    if (zone_load(builder->arena, name, ret, &why) < 0)
        return tree_error(zone, builder->err, "%s", why.text);
    return 0;
}

static int absence_build(const struct builder *builder, const struct tree *absence, struct mapping_block *block)
{
    static const struct quantity_unit units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 }, { NULL, 0 } };
    const char *text = "";
    uint64_t seconds = 0;

    if (!absence)
        return 0;
    if (tree_text(absence, &text, builder->err) < 0)
        return builder->err->code;
    if (!quantity_parse(text, units, &seconds) || seconds > ABSENCE_MAX_S)
        return tree_error(absence, builder->err, "must be a time of up to 7 days, like 15min or 2h");
    block->absence_s = (uint32_t)seconds;
    return 0;
}

/* Columns that say who changed a row, or on what ground. */
static int witness_build(struct block_builder *build, const char *name, int *ret)
{
    const struct tree *child = tree_child(build->tree, name);
    const char *column = "";
    uint16_t place = 0;

    *ret = COLUMN_NONE;
    if (!child)
        return 0;
    if (tree_text(child, &column, build->builder->err) < 0 || column_place(build, child, column, &place) < 0)
        return build->builder->err->code;
    *ret = place;
    return 0;
}

/* How many columns the block uses at most. */
static size_t columns_most(const struct tree *tree)
{
    const struct tree *fields = tree_child(tree, "fields"), *where = tree_child(tree, "where");
    size_t most = OTHER_COLUMNS_MAX + (where ? tree_count(where) : 0);

    for (const struct tree *field = fields ? fields->child : NULL; field; field = field->next)
        most += tree_child(field, "columns") ? FIELD_COLUMNS_MOST : 1;
    return most;
}

/* Columns that are written come first: those of fields, then those of conditions. */
static int columns_build(struct block_builder *build)
{
    struct mapping_block *block = build->block;

    build->columns = arena_array(build->builder->arena, columns_most(build->tree), sizeof *build->columns);
    block->columns = build->columns;
    if (fields_build(build) < 0 || where_build(build) < 0)
        return build->builder->err->code;
    block->written_count = block->column_count;
    if (key_build(build) < 0 || witness_build(build, "actor", &block->actor_column) < 0 ||
        witness_build(build, "ground", &block->ground_column) < 0)
        return build->builder->err->code;
    return where_check_delete(build);
}

static int block_build(const struct builder *builder, const struct tree *tree, const struct zone *zone,
                       struct mapping_block *block)
{
    static const char *const known[] = { "type",    "table",  "key",  "where", "constants", "insert", "delete",
                                         "absence", "reload", "zone", "actor", "ground",    "fields", NULL };
    struct block_builder build = { .builder = builder, .tree = tree, .block = block };

    if (name_check(builder, tree) < 0 || tree_expect(tree, known, builder->err) < 0)
        return builder->err->code;
    block->name = kept(builder, tree->name);
    block->zone = zone;
    if (text_build(builder, tree, "type", &block->type_name) < 0 || table_build(builder, tree, block) < 0 ||
        tree_yes(tree, "insert", false, &block->insert, builder->err) < 0 ||
        delete_build(builder, tree_child(tree, "delete"), block) < 0 ||
        absence_build(builder, tree_child(tree, "absence"), block) < 0 ||
        tree_yes(tree, "reload", false, &block->reload, builder->err) < 0 ||
        zone_build(builder, tree, &block->zone) < 0)
        return builder->err->code;
    return columns_build(&build);
}

/* Everything below `mapping` is a block, but for its zone. */
static bool is_zone(const struct tree *tree)
{
    return strcmp(tree->name, "zone") == 0;
}

int mapping_build(struct arena *arena, const struct tree *tree, struct mapping *ret, struct error *err)
{
    struct builder builder = { .arena = arena, .err = err };
    struct mapping mapping = { 0 };
    const struct zone *zone = NULL;
    size_t count = tree_count(tree) - (tree_child(tree, "zone") != NULL);

    if (*tree->value)
        return tree_error(tree, err, "has a value, but is a section");
    if (tree_unique(tree, err) < 0 || zone_build(&builder, tree, &zone) < 0)
        return err->code;
    if (count < 1 || count > BLOCKS_MAX)
        return tree_error(tree, err, "must have 1 to %d blocks", BLOCKS_MAX);
    mapping.blocks = arena_array(arena, count, sizeof *mapping.blocks);
    for (const struct tree *block = tree->child; block; block = block->next)
        if (!is_zone(block) && (block_build(&builder, block, zone, &mapping.blocks[mapping.block_count++]) < 0 ||
                                tables_check(&mapping, block, err) < 0))
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
