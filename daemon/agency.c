#include "daemon/agency.h"

#include "daemon/identity.h"

#include <string.h>

static const char *const mode_names[MODE_COUNT] = {
    [MODE_OBSERVE] = "observe",
    [MODE_PUBLISH] = "publish",
    [MODE_FULL] = "full",
};
static const char *const state_names[STATE_COUNT] = {
    [STATE_NEW] = "new",       [STATE_LOADING] = "loading",         [STATE_FILLING] = "filling",
    [STATE_ACTIVE] = "active", [STATE_QUARANTINED] = "quarantined",
};

static const char *const quarantine_names[QUARANTINE_COUNT] = {
    [QUARANTINE_NONE] = "none",       [QUARANTINE_HISTORY] = "history", [QUARANTINE_LOST] = "lost",
    [QUARANTINE_REFUSED] = "refused", [QUARANTINE_CRASHED] = "crashed", [QUARANTINE_RELOAD] = "reload",
};

const char *agency_mode_name(enum agency_mode mode)
{
    return mode_names[mode];
}

const char *agency_state_name(enum agency_state state)
{
    return state_names[state];
}

const char *quarantine_name(enum quarantine quarantine)
{
    return quarantine_names[quarantine];
}

const char *quarantine_code(enum quarantine quarantine)
{
    return quarantine_resumes(quarantine) ? "quarantined" : "history";
}

bool quarantine_resumes(enum quarantine quarantine)
{
    return quarantine == QUARANTINE_REFUSED || quarantine == QUARANTINE_CRASHED;
}

static int word_named(const char *const *names, int count, const char *name)
{
    int i = 0;

    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

enum agency_mode agency_mode_named(const char *name)
{
    return (enum agency_mode)word_named(mode_names, MODE_COUNT, name);
}

enum agency_state agency_state_named(const char *name)
{
    return (enum agency_state)word_named(state_names, STATE_COUNT, name);
}

enum quarantine quarantine_named(const char *name)
{
    return (enum quarantine)word_named(quarantine_names, QUARANTINE_COUNT, name);
}

/* Ties one field's name to the type. */
static int field_bind(const struct catalog_type *type, const struct block *block, struct text name, struct error *err)
{
    int field = catalog_field(type, name.bytes, name.length);

    if (field < 0)
        return error_set(err, ERR_REJECT, "block %.*s maps field %.*s, which %s does not have in this catalog",
                         (int)block->name.length, block->name.bytes, (int)name.length, name.bytes, type->name);
    return field;
}

/* A constant in the catalog's spelling. */
static int constant_bind(struct arena *arena, const struct catalog_type *type, const struct block *block,
                         const struct item_field *constant, struct value *constants, struct error *err)
{
    int field = field_bind(type, block, constant->name, err);

    if (field < 0)
        return err->code;
    if (value_parse(arena, type->fields[field].type, type->fields[field].scale, constant->value.bytes,
                    constant->value.length, &constants[field], err) < 0)
        return error_wrap(err, "block %.*s: constant %s", (int)block->name.length, block->name.bytes,
                          type->fields[field].name);
    if (constants[field].bytes == constant->value.bytes) /* borrowed from the message */
        constants[field].bytes = arena_copy(arena, constant->value.bytes, constant->value.length);
    return 0;
}

static int reference_bind(struct arena *arena, const struct catalog_type *type, const struct block *block,
                          const struct block_reference *reference, struct text *references, struct error *err)
{
    int field = field_bind(type, block, reference->field, err);

    if (field < 0)
        return err->code;
    if (type->fields[field].type != VALUE_REFERENCE)
        return error_set(err, ERR_REJECT, "block %.*s: field %s is no reference", (int)block->name.length,
                         block->name.bytes, type->fields[field].name);
    references[field] =
        (struct text){ arena_copy(arena, reference->block.bytes, reference->block.length), reference->block.length };
    return 0;
}

/* A reference says by which block's keys; one agency's key of another row is none of a record. */
static int references_check(const struct catalog_type *type, const struct block *block,
                            const struct agency_block *bound, struct error *err)
{
    for (uint16_t i = 0; i < block->field_count; i++) {
        int field = field_bind(type, block, block->fields[i], err);

        if (field < 0)
            return err->code;
        if (type->fields[field].type == VALUE_REFERENCE && bound->references[field].length == 0)
            return error_set(err, ERR_REJECT, "block %.*s maps field %s, a reference, without saying to which block",
                             (int)block->name.length, block->name.bytes, type->fields[field].name);
    }
    for (uint8_t i = 0; i < bound->key_count; i++)
        if (type->fields[bound->key_fields[i]].type == VALUE_REFERENCE)
            return error_set(err, ERR_REJECT, "block %.*s: field %s is a reference and cannot be part of the key",
                             (int)block->name.length, block->name.bytes, type->fields[bound->key_fields[i]].name);
    return 0;
}

/* Whether the blocks that references are to are there, and of the type that they are to. */
static int targets_check(const struct catalog *catalog, const struct agency_block *blocks, uint16_t count,
                         const struct agency_block *block, struct error *err)
{
    const struct catalog_type *type = &catalog->types[block->type];

    for (uint16_t i = 0; i < type->field_count; i++) {
        const struct text name = block->references[i];
        bool there = name.length == 0;

        for (uint16_t b = 0; b < count && !there; b++)
            there = blocks[b].type == type->fields[i].refers && blocks[b].name.length == name.length &&
                    memcmp(blocks[b].name.bytes, name.bytes, name.length) == 0;
        if (!there)
            return error_set(err, ERR_REJECT, "block %.*s: field %s refers to %s, of which there is no block %.*s",
                             (int)block->name.length, block->name.bytes, type->fields[i].name,
                             catalog->types[type->fields[i].refers].name, (int)name.length, name.bytes);
    }
    return 0;
}

/* "A mapping holds a group whole or only reads it." */
static int groups_check(const struct catalog_type *type, agency_index agency, const struct block *block,
                        const bool *mapped, struct error *err)
{
    for (uint16_t u = 0; u < type->unit_count; u++) {
        const struct catalog_unit *unit = &type->units[u];
        uint16_t count = 0;

        for (uint16_t i = 0; i < unit->field_count; i++)
            count = (uint16_t)(count + mapped[unit->fields[i]]);
        if (count > 0 && count < unit->field_count && policy_writes(&unit->policy, agency))
            return error_set(err, ERR_REJECT,
                             "block %.*s maps only a part of group %s, which this agency may write: map all of it",
                             (int)block->name.length, block->name.bytes, unit->name);
    }
    return 0;
}

static int block_bind(struct arena *arena, const struct catalog *catalog, agency_index agency,
                      const struct block *block, struct agency_block *ret, struct error *err)
{
    int type_index = catalog_type(catalog, block->type.bytes, block->type.length);
    const struct catalog_type *type;

    if (type_index < 0)
        return error_set(err, ERR_REJECT, "block %.*s maps record type %.*s, which this catalog does not have",
                         (int)block->name.length, block->name.bytes, (int)block->type.length, block->type.bytes);
    type = &catalog->types[type_index];
    *ret = (struct agency_block){
        .name = { arena_copy(arena, block->name.bytes, block->name.length), block->name.length },
        .type = (uint16_t)type_index,
        .generated = block->generated,
        .insert = block->insert,
        .delete = block->delete,
        .key_count = block->key_field_count,
        .fed = arena_array(arena, type->unit_count, sizeof *ret->fed),
        .fields = arena_array(arena, type->field_count, sizeof *ret->fields),
        .references = arena_array(arena, type->field_count, sizeof *ret->references),
        .constants = arena_array(arena, type->field_count, sizeof *ret->constants),
    };
    for (uint8_t i = 0; i < block->key_field_count; i++) {
        int field = field_bind(type, block, block->key_fields[i], err);

        if (field < 0)
            return err->code;
        ret->key_fields[i] = (uint16_t)field;
    }
    for (uint8_t i = 0; i < block->reference_count; i++)
        if (reference_bind(arena, type, block, &block->references[i], ret->references, err) < 0)
            return err->code;
    if (references_check(type, block, ret, err) < 0)
        return err->code;
    for (uint8_t i = 0; i < block->constant_count; i++)
        if (constant_bind(arena, type, block, &block->constants[i], ret->constants, err) < 0)
            return err->code;
    if (!ret->generated && !identity_in_key(type, ret))
        return error_set(err, ERR_REJECT,
                         "the key of block %.*s holds no identifier of %s whole, so two records could have one key",
                         (int)block->name.length, block->name.bytes, type->name);
    ret->fed[UNIT_EXISTENCE] = policy_reads(&type->units[UNIT_EXISTENCE].policy, agency);
    for (uint16_t i = 0; i < block->field_count; i++) {
        int field = field_bind(type, block, block->fields[i], err);

        if (field < 0)
            return err->code;
        ret->fields[field] = true;
        ret->fed[type->fields[field].unit] = policy_reads(&type->units[type->fields[field].unit].policy, agency);
    }
    return groups_check(type, agency, block, ret->fields, err);
}

bool block_takes(const struct agency_block *block, const struct catalog_type *type, const struct value *values)
{
    for (uint16_t i = 0; i < type->field_count; i++)
        if (block->constants[i].state == VALUE_SET && values[i].state != VALUE_ABSENT &&
            !value_equal(block->constants[i], values[i]))
            return false;
    return true;
}

/* Whether one new record could come into either. */
static bool blocks_compete(const struct catalog *catalog, const struct agency_block *left,
                           const struct agency_block *right)
{
    return left->type == right->type && left->insert && right->insert &&
           block_takes(left, &catalog->types[left->type], right->constants);
}

int blocks_bind(struct arena *arena, const struct catalog *catalog, agency_index agency, struct text packed,
                struct agency_block **ret, uint16_t *ret_count, struct error *err)
{
    struct block *blocks = NULL;
    struct agency_block *bound;
    uint16_t count = 0;

    if (packed.length > 0 && blocks_read(arena, packed.bytes, packed.length, &blocks, &count, err) < 0)
        return err->code;
    bound = arena_array(arena, count, sizeof *bound);
    for (uint16_t i = 0; i < count; i++) {
        if (block_bind(arena, catalog, agency, &blocks[i], &bound[i], err) < 0)
            return err->code;
        for (uint16_t j = 0; j < i; j++)
            if (blocks_compete(catalog, &bound[j], &bound[i]))
                return error_set(err, ERR_REJECT,
                                 "blocks %.*s and %.*s both take new records of %s, and no constant says which goes "
                                 "where: give them constants that differ, or let one of them say insert = no",
                                 (int)bound[j].name.length, bound[j].name.bytes, (int)bound[i].name.length,
                                 bound[i].name.bytes, catalog->types[bound[i].type].name);
    }
    for (uint16_t i = 0; i < count; i++)
        if (targets_check(catalog, bound, count, &bound[i], err) < 0)
            return err->code;
    *ret = bound;
    *ret_count = count;
    return 0;
}
