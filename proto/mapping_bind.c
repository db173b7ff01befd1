#include "proto/mapping_build.h"

#include <assert.h>
#include <regex.h>
#include <string.h>

/* What binding needs to know at every step. */
struct binder {
    struct arena *arena;
    const struct catalog *catalog;
    int agency;
    struct error *err;
};

/* The names of the catalog's fields or types, ending in NULL, for a hint. */
static const char *const *type_words(const struct binder *binder)
{
    const char **words = arena_array(binder->arena, binder->catalog->type_count + 1u, sizeof *words);

    for (uint16_t i = 0; i < binder->catalog->type_count; i++)
        words[i] = binder->catalog->types[i].name;
    return words;
}

static const char *const *catalog_words(const struct binder *binder, const struct catalog_type *type)
{
    const char **words = arena_array(binder->arena, type->field_count + 1u, sizeof *words);

    for (uint16_t i = 0; i < type->field_count; i++)
        words[i] = type->fields[i].name;
    return words;
}

static int field_error(const struct binder *binder, const struct mapping_block *block,
                       const struct mapping_field *field)
{
    return error_wrap(binder->err, "mapping/%s/%s/%s", block->name, field->constant_line ? "constants" : "fields",
                      field->name);
}

/* Whether the whole value is what the pattern says; catalog_build has compiled it before. */
static bool pattern_fits(const struct binder *binder, const char *pattern, struct value value)
{
    regex_t compiled;
    bool fits;

    if (regcomp(&compiled, arena_printf(binder->arena, "^(%s)$", pattern), REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    fits = regexec(&compiled, arena_copy(binder->arena, value.bytes, value.length), 0, NULL, 0) == 0;
    regfree(&compiled);
    return fits;
}

/* Reads what a code stands for in the catalog's spelling, so that what is read by it compares equal. */
static int code_bind(const struct binder *binder, const struct catalog_field *field, const struct mapping_code *line,
                     struct mapping_code *ret)
{
    struct error why;
    struct value value;

    if (value_parse(binder->arena, field->type, field->scale, line->canonical, strlen(line->canonical), &value, &why) <
        0)
        return error_set(binder->err, ERR_STOP, "codes/%s: its value %s", line->local, why.text);
    if (field->pattern && !pattern_fits(binder, field->pattern, value))
        return error_set(binder->err, ERR_STOP, "codes/%s: its value is not what the catalog's pattern says: %s",
                         line->local, field->pattern);
    *ret = (struct mapping_code){ .local = line->local,
                                  .canonical = arena_copy(binder->arena, value.bytes, value.length) };
    return 0;
}

static int codes_bind(const struct binder *binder, const struct catalog_field *field, struct mapping_field *mapped)
{
    struct mapping_code *codes = arena_array(binder->arena, mapped->code_count, sizeof *codes);

    for (uint16_t i = 0; i < mapped->code_count; i++)
        if (code_bind(binder, field, &mapped->code_lines[i], &codes[i]) < 0)
            return binder->err->code;
    mapped->codes = codes;
    return 0;
}

/* A constant in the catalog's spelling. */
static int constant_bind(const struct binder *binder, const struct catalog_field *field, struct mapping_field *mapped)
{
    struct error why;
    struct value value;

    if (value_parse(binder->arena, field->type, field->scale, mapped->constant_line, strlen(mapped->constant_line),
                    &value, &why) < 0)
        return error_set(binder->err, ERR_STOP, "its value %s", why.text);
    if (field->pattern && !pattern_fits(binder, field->pattern, value))
        return error_set(binder->err, ERR_STOP, "its value is not what the catalog's pattern says: %s", field->pattern);
    mapped->constant = arena_copy(binder->arena, value.bytes, value.length);
    return 0;
}

static int field_bind(const struct binder *binder, struct mapping_block *block, struct mapping_field *mapped)
{
    const struct catalog_type *type = block->type;
    int field = catalog_field(type, mapped->name, strlen(mapped->name));

    if (field < 0) {
        word_error(binder->err, ERR_STOP, mapped->name, catalog_words(binder, type), "record type %s has no such field",
                   type->name);
        return field_error(binder, block, mapped);
    }
    mapped->field = field;
    if (mapped->constant_line)
        return constant_bind(binder, &type->fields[field], mapped) < 0 ? field_error(binder, block, mapped) : 0;
    return codes_bind(binder, &type->fields[field], mapped) < 0 ? field_error(binder, block, mapped) : 0;
}

/* ---- references ---- */

/* The block whose keys a reference holds. Its name is asked for even where there is but one: hello declares it before
 * the catalog is known. */
static int target_find(const struct binder *binder, const struct mapping *mapping, const char *type,
                       struct mapping_field *mapped)
{
    const char *known = NULL;

    for (uint16_t i = 0; i < mapping->block_count; i++) {
        const struct mapping_block *block = &mapping->blocks[i];

        if (strcmp(block->type_name, type) != 0)
            continue;
        known = block->name;
        if (mapped->block && strcmp(block->name, mapped->block) == 0)
            mapped->refers = block;
    }
    if (mapped->refers)
        return 0;
    if (!known)
        return error_set(binder->err, ERR_STOP,
                         "it refers to record type %s, of which this mapping has no block: a row can say which one it "
                         "means only by the key of a row here. Map the table of those too, or leave this field out",
                         type);
    return mapped->block
               ? error_set(binder->err, ERR_STOP, "the mapping has no block %s of record type %s: %s is one",
                           mapped->block, type, known)
               : error_set(binder->err, ERR_STOP,
                           "it refers to record type %s: say by the key of which block: block = %s", type, known);
}

static int reference_bind(const struct binder *binder, const struct mapping *mapping, const struct mapping_block *block,
                          struct mapping_field *mapped)
{
    const struct catalog_field *field = &block->type->fields[mapped->field];

    mapped->refers = NULL;
    if (field->type != VALUE_REFERENCE)
        return !mapped->block ? 0
                              : error_set(binder->err, ERR_STOP, "\"block\" is for references, and this is %s",
                                          value_type_name(field->type));
    if (mapped->constant_line || mapped->code_count > 0 || mapped->trim || mapped->join)
        return error_set(binder->err, ERR_STOP,
                         "it is a reference: its columns hold a key of another row, as that row has it, without "
                         "constant, codes, trim or join");
    if (target_find(binder, mapping, binder->catalog->types[field->refers].name, mapped) < 0)
        return binder->err->code;
    assert(mapped->refers);
    if (mapped->column_count != mapped->refers->key_column_count)
        return error_set(binder->err, ERR_STOP,
                         "it has %u columns, and the key of block %s has %u: name them in that order",
                         mapped->column_count, mapped->refers->name, mapped->refers->key_column_count);
    return 0;
}

static bool is_key_field(const struct mapping_block *block, uint16_t field)
{
    for (uint8_t i = 0; i < block->key_count; i++)
        if (block->key[i] == field)
            return true;
    return false;
}

static int references_bind(const struct binder *binder, struct mapping *mapping, struct mapping_block *block)
{
    uint16_t count = 0;

    for (uint16_t i = 0; i < block->field_count; i++) {
        struct mapping_field *mapped = &block->fields[i];

        if (reference_bind(binder, mapping, block, mapped) < 0)
            return field_error(binder, block, mapped);
        count = (uint16_t)(count + (mapped->refers != NULL));
        if (mapped->refers && is_key_field(block, i))
            return error_set(binder->err, ERR_STOP,
                             "mapping/%s/key: %s is a reference, which another agency's database has as another key: "
                             "give a column that the database fills itself, key = generated COLUMN",
                             block->name, mapped->name);
        if (count > BLOCK_REFERENCES_MAX)
            return error_set(binder->err, ERR_STOP, "mapping/%s/fields: has more than %d references", block->name,
                             BLOCK_REFERENCES_MAX);
    }
    return 0;
}

static const struct mapping_field *field_bound(const struct mapping_block *block, int field)
{
    for (uint16_t i = 0; i < block->field_count; i++)
        if (block->fields[i].field == field)
            return &block->fields[i];
    return NULL;
}

/* A group is decided as one: who may write it must send all of it, or half an address would replace a whole one. */
static int group_check(const struct binder *binder, const struct mapping_block *block, const struct catalog_unit *unit)
{
    const struct catalog_field *fields = block->type->fields;
    const struct mapping_field *some = NULL;
    const char *missing = NULL;

    for (uint16_t i = 0; i < unit->field_count; i++) {
        const struct mapping_field *mapped = field_bound(block, unit->fields[i]);

        if (mapped)
            some = mapped;
        else
            missing = fields[unit->fields[i]].name;
    }
    if (!some || !missing || !policy_writes(&unit->policy, (agency_index)binder->agency))
        return 0;
    error_set(binder->err, ERR_STOP,
              "it belongs to group %s, which this agency may write and must then map whole: %s is not mapped",
              unit->name, missing);
    return field_error(binder, block, some);
}

/* Whether what makes the local key, and what is the same in all records of the block, are the identifier whole. */
static bool key_holds(const struct mapping_block *block, const struct catalog_unit *unit)
{
    for (uint16_t i = 0; i < unit->field_count; i++) {
        const struct mapping_field *mapped = field_bound(block, unit->fields[i]);
        bool held = mapped && mapped->constant_line;

        for (uint8_t k = 0; mapped && k < block->key_count; k++)
            held = held || &block->fields[block->key[k]] == mapped;
        if (!held)
            return false;
    }
    return true;
}

static int keys_check(const struct binder *binder, const struct mapping_block *block)
{
    const struct catalog_unit *some = NULL;
    bool whole = false;

    if (block->generated)
        return 0;
    for (uint8_t i = 0; i < block->key_count; i++) {
        const struct mapping_field *mapped = &block->fields[block->key[i]];
        const struct catalog_unit *unit = &block->type->units[block->type->fields[mapped->field].unit];

        if (!unit->identifier)
            return error_set(binder->err, ERR_STOP, "mapping/%s/key: %s is no identifier of record type %s",
                             block->name, mapped->name, block->type->name);
        whole = whole || key_holds(block, unit);
        some = unit;
    }
    if (whole)
        return 0;
    assert(some); /* a key has fields */
    return error_set(binder->err, ERR_STOP,
                     "mapping/%s/key: it has only a part of identifier %s of record type %s, so two records could have "
                     "one key: name all of its fields, or give those that no column holds as constants",
                     block->name, some->name, block->type->name);
}

static int block_bind(const struct binder *binder, struct mapping_block *block)
{
    int type = catalog_type(binder->catalog, block->type_name, strlen(block->type_name));

    if (type < 0)
        return word_error(binder->err, ERR_STOP, block->type_name, type_words(binder),
                          "mapping/%s/type: the catalog has no record type \"%s\"", block->name, block->type_name);
    block->type = &binder->catalog->types[type];
    for (uint16_t i = 0; i < block->field_count; i++)
        if (field_bind(binder, block, &block->fields[i]) < 0)
            return binder->err->code;
    for (uint16_t i = 0; i < block->type->unit_count; i++)
        if (block->type->units[i].group && group_check(binder, block, &block->type->units[i]) < 0)
            return binder->err->code;
    return keys_check(binder, block);
}

/* Two spellings of one value do not tell records apart. */
static int constants_check(const struct binder *binder, const struct mapping *mapping)
{
    for (uint16_t i = 0; i < mapping->block_count; i++)
        for (uint16_t j = 0; j < i; j++) {
            const struct mapping_block *block = &mapping->blocks[i], *other = &mapping->blocks[j];

            if (blocks_share_table(block, other) && block->type == other->type && !constants_differ(block, other))
                return error_set(binder->err, ERR_STOP,
                                 "mapping/%s/constants: its constants are those of block %s, only written otherwise",
                                 block->name, other->name);
        }
    return 0;
}

int mapping_bind(struct arena *arena, struct mapping *mapping, const struct catalog *catalog, const char *agency,
                 struct error *err)
{
    struct binder binder = { .arena = arena, .catalog = catalog, .err = err };

    binder.agency = catalog_agency(catalog, agency, strlen(agency));
    if (binder.agency < 0)
        return error_set(err, ERR_STOP,
                         "catalog %u names no agency %s: add it to catalog/agencies and to what it may read and write",
                         catalog->version, agency);
    for (uint16_t i = 0; i < mapping->block_count; i++)
        if (block_bind(&binder, &mapping->blocks[i]) < 0)
            return err->code;
    for (uint16_t i = 0; i < mapping->block_count; i++)
        if (references_bind(&binder, mapping, &mapping->blocks[i]) < 0)
            return err->code;
    return constants_check(&binder, mapping);
}

static struct text text_of(const char *text)
{
    return (struct text){ .bytes = text, .length = (uint32_t)strlen(text) };
}

struct block *mapping_declare(struct arena *arena, const struct mapping *mapping)
{
    struct block *declared = arena_array(arena, mapping->block_count, sizeof *declared);

    for (uint16_t b = 0; b < mapping->block_count; b++) {
        const struct mapping_block *block = &mapping->blocks[b];

        declared[b] = (struct block){ .name = text_of(block->name),
                                      .type = text_of(block->type_name),
                                      .generated = block->generated,
                                      .key_field_count = block->key_count,
                                      .insert = block->insert,
                                      .delete = block->delete,
                                      .field_count = block->field_count };
        for (uint8_t i = 0; i < block->key_count; i++)
            declared[b].key_fields[i] = text_of(block->fields[block->key[i]].name);
        declared[b].fields = arena_array(arena, block->field_count, sizeof *declared[b].fields);
        for (uint16_t i = 0; i < block->field_count; i++) {
            const struct mapping_field *field = &block->fields[i];

            declared[b].fields[i] = text_of(field->name);
            if (field->constant_line)
                declared[b].constants[declared[b].constant_count++] =
                    (struct item_field){ text_of(field->name), value_text(field->constant_line) };
            if (field->block && declared[b].reference_count < BLOCK_REFERENCES_MAX)
                declared[b].references[declared[b].reference_count++] =
                    (struct block_reference){ text_of(field->name), text_of(field->block) };
        }
    }
    return declared;
}
