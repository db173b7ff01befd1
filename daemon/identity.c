#include "daemon/identity.h"

#include "daemon/map.h"

#include <assert.h>
#include <string.h>

bool identity_values(const struct catalog_type *type, uint16_t unit, const struct value *fields, struct value *ret)
{
    const struct catalog_unit *identifier = &type->units[unit];

    if (!identifier->identifier)
        return false;
    for (uint16_t i = 0; i < identifier->field_count; i++) {
        ret[i] = fields[identifier->fields[i]];
        if (ret[i].state != VALUE_SET || reference_is_local(&type->fields[identifier->fields[i]], ret[i]))
            return false;
    }
    return true;
}

bool reference_is_local(const struct catalog_field *field, struct value value)
{
    return field->type == VALUE_REFERENCE && value.state == VALUE_SET && reference_number(value) == 0;
}

/* Each value but the last one with its length before it. */
struct text identity_name(struct arena *arena, const struct catalog_type *type, uint16_t unit,
                          const struct value *values)
{
    uint16_t count = type->units[unit].field_count;
    struct text name = { type->name, (uint32_t)strlen(type->name) };
    size_t length = 0;
    char *text, *at;

    if (count == 1)
        return map_key(arena, unit, name, (struct text){ values[0].bytes, values[0].length });
    for (uint16_t i = 0; i < count; i++)
        length += sizeof values[i].length + values[i].length;
    text = at = arena_alloc(arena, length);
    for (uint16_t i = 0; i < count; i++) {
        at = mempcpy(at, &values[i].length, sizeof values[i].length);
        at = mempcpy(at, values[i].bytes, values[i].length);
    }
    return map_key(arena, unit, name, (struct text){ text, (uint32_t)length });
}

bool identity_is_free(const struct canonical *record)
{
    return !record->exists && record->held_count == 0;
}

bool identity_is(const struct canonical *record, uint16_t unit, const struct value *values)
{
    const struct catalog_unit *identifier = &record->type->units[unit];

    for (uint16_t i = 0; i < identifier->field_count; i++)
        if (!value_equal(record->values[identifier->fields[i]], values[i]))
            return false;
    return true;
}

/* The parts of a key; false when it has another number of them. */
static bool key_cut(const struct agency_block *block, struct text key, struct text *parts)
{
    const char *at = key.bytes, *end = key.bytes + key.length;

    for (uint8_t i = 0; i < block->key_count; i++) {
        const char *separator = memchr(at, KEY_SEPARATOR, (size_t)(end - at));

        if ((i + 1 == block->key_count) != !separator)
            return false;
        parts[i] = (struct text){ at, (uint32_t)((separator ? separator : end) - at) };
        at = separator ? separator + 1 : end;
    }
    return block->key_count > 0;
}

/* What a key says of one field of the type: absent when nothing. */
static struct value key_value(struct arena *arena, const struct catalog_type *type, const struct agency_block *block,
                              const struct text *parts, uint16_t field)
{
    struct value value = { 0 };
    struct error ignored;

    for (uint8_t i = 0; i < block->key_count; i++)
        if (block->key_fields[i] == field && value_parse(arena, type->fields[field].type, type->fields[field].scale,
                                                         parts[i].bytes, parts[i].length, &value, &ignored) < 0)
            return (struct value){ 0 }; /* no record can have it */
    return value.state == VALUE_ABSENT ? block->constants[field] : value;
}

bool identity_of_key(struct arena *arena, const struct catalog_type *type, const struct agency_block *block,
                     struct text key, uint16_t *unit, struct value *ret)
{
    struct text parts[KEY_FIELDS_MAX];

    if (block->generated || !key_cut(block, key, parts))
        return false;
    for (; *unit < type->unit_count; (*unit)++) {
        const struct catalog_unit *identifier = &type->units[*unit];
        bool whole = identifier->identifier;

        for (uint16_t i = 0; whole && i < identifier->field_count; i++) {
            ret[i] = key_value(arena, type, block, parts, identifier->fields[i]);
            whole = ret[i].state == VALUE_SET;
        }
        if (whole)
            return true;
    }
    return false;
}

static bool key_has(const struct agency_block *block, uint16_t field)
{
    for (uint8_t i = 0; i < block->key_count; i++)
        if (block->key_fields[i] == field)
            return true;
    return block->constants[field].state == VALUE_SET;
}

bool identity_in_key(const struct catalog_type *type, const struct agency_block *block)
{
    for (uint16_t u = 0; u < type->unit_count; u++) {
        const struct catalog_unit *unit = &type->units[u];
        bool whole = unit->identifier;

        for (uint16_t i = 0; whole && i < unit->field_count; i++)
            whole = key_has(block, unit->fields[i]);
        if (whole)
            return true;
    }
    return false;
}
