#include "proto/mapping.h"

#include <assert.h>
#include <string.h>

static bool is_white(char letter)
{
    return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

static struct value trimmed(struct value value)
{
    while (value.length > 0 && is_white(value.bytes[0])) {
        value.bytes++;
        value.length--;
    }
    while (value.length > 0 && is_white(value.bytes[value.length - 1]))
        value.length--;
    return value;
}

static bool value_is(struct value value, const char *text)
{
    return strlen(text) == value.length && memcmp(text, value.bytes, value.length) == 0;
}

static bool is_key(const struct mapping_block *block, const struct mapping_field *field)
{
    for (uint8_t i = 0; i < block->key_count; i++)
        if (&block->fields[block->key[i]] == field)
            return true;
    return false;
}

/* One row on its way in one direction. */
struct row {
    struct arena *arena;
    const struct mapping_block *block;
    struct error *err;
};

/* "column iuran of public.peserta_jkn ...": never what stands in it. */
static int column_error(const struct row *row, const struct mapping_field *field, unsigned part, const char *why)
{
    return error_set(row->err, ERR_REJECT, "column %s of %s.%s %s", row->block->columns[field->columns[part]],
                     row->block->schema, row->block->table, why);
}

/* The field's parts with its join between them. A part that holds the join could not be found again. */
static int parts_join(const struct row *row, const struct mapping_field *field, const struct value *columns,
                      struct value *ret)
{
    size_t join_length = strlen(field->join), length = (field->column_count - 1) * join_length;
    char *at;

    for (unsigned part = 0; part < field->column_count; part++)
        length += columns[field->columns[part]].length;
    if (length > VALUE_LENGTH_MAX)
        return column_error(row, field, 0, "and those joined to it are too long");
    at = arena_alloc(row->arena, length + 1);
    *ret = (struct value){ .bytes = at, .length = (uint32_t)length, .state = VALUE_SET };
    for (unsigned part = 0; part < field->column_count; part++) {
        struct value column = columns[field->columns[part]];

        if (field->trim)
            column = trimmed(column);
        if (memmem(column.bytes, column.length, field->join, join_length))
            return column_error(row, field, part, "holds what stands between its parts");
        if (part > 0)
            at = mempcpy(at, field->join, join_length);
        at = mempcpy(at, column.bytes, column.length);
    }
    ret->length = (uint32_t)(at - ret->bytes);
    return 0;
}

/* The state of a field follows from those of its columns. */
static int state_read(const struct row *row, const struct mapping_field *field, const struct value *columns,
                      enum value_state *ret)
{
    unsigned nulls = 0, a_null = 0;

    for (unsigned part = 0; part < field->column_count; part++) {
        enum value_state state = columns[field->columns[part]].state;

        if (state == VALUE_ABSENT) {
            *ret = VALUE_ABSENT;
            return 0;
        }
        if (state == VALUE_NULL) {
            nulls++;
            a_null = part;
        }
    }
    if (nulls > 0 && nulls < field->column_count)
        return column_error(row, field, a_null, "is NULL, but others of its parts are not");
    *ret = nulls > 0 ? VALUE_NULL : VALUE_SET;
    return 0;
}

static int code_read(const struct row *row, const struct mapping_field *field, struct value local, struct value *ret)
{
    for (uint16_t i = 0; i < field->code_count; i++)
        if (value_is(local, field->codes[i].local)) {
            *ret = value_text(field->codes[i].canonical);
            return 0;
        }
    if (field->unknown == UNKNOWN_NULL) {
        *ret = value_null();
        return 0;
    }
    return column_error(row, field, 0, "holds a code that the mapping does not list");
}

static int field_read(const struct row *row, const struct mapping_field *field, const struct value *columns,
                      struct value *ret);

/* The key that these columns hold, as the row that has it says it: they are its key's columns, in order. */
static int reference_read(const struct row *row, const struct mapping_field *field, const struct value *columns,
                          struct value *ret)
{
    const struct mapping_block *target = field->refers;
    struct row there = { .arena = row->arena, .block = target, .err = row->err };
    struct value *theirs = arena_array(row->arena, target->column_count, sizeof *theirs);
    struct value *fields = arena_array(row->arena, target->field_count, sizeof *fields);
    struct text key;

    for (uint8_t i = 0; i < field->column_count; i++)
        theirs[target->key_columns[i]] = columns[field->columns[i]];
    for (uint8_t i = 0; i < target->key_count; i++)
        if (field_read(&there, &target->fields[target->key[i]], theirs, &fields[target->key[i]]) < 0)
            return column_error(row, field, 0, "holds what no key of the rows that it refers to can be");
    key = row_key(row->arena, target, theirs, fields);
    if (key.length == 0 || key.length > REFERENCE_KEY_BYTES_MAX)
        return column_error(row, field, 0, "holds what no key of the rows that it refers to can be");
    *ret = reference_local(row->arena, target->name, key.bytes, key.length);
    return 0;
}

static int field_read(const struct row *row, const struct mapping_field *field, const struct value *columns,
                      struct value *ret)
{
    const struct catalog_field *catalog_field = &row->block->type->fields[field->field];
    enum value_state state = VALUE_ABSENT;
    struct value local;
    struct error why;

    if (field->constant) {
        *ret = value_text(field->constant);
        return 0;
    }
    local = columns[field->columns[0]];
    if (state_read(row, field, columns, &state) < 0)
        return row->err->code;
    if (state != VALUE_SET) {
        *ret = (struct value){ .state = state };
        return 0;
    }
    if (field->refers)
        return reference_read(row, field, columns, ret);
    if (field->column_count > 1 && parts_join(row, field, columns, &local) < 0)
        return row->err->code;
    if (field->trim)
        local = trimmed(local);
    if (field->code_count > 0)
        return code_read(row, field, local, ret);
    if (value_parse_in(row->arena, catalog_field->type, catalog_field->scale, row->block->zone, local.bytes,
                       local.length, ret, &why) < 0)
        return column_error(row, field, 0, why.text);
    return 0;
}

int row_read(struct arena *arena, const struct mapping_block *block, const struct value *columns, struct value *fields,
             struct error *err)
{
    struct error later;
    struct row row = { .arena = arena, .block = block, .err = err };
    int bad = 0;

    assert(block->type);
    for (uint16_t i = 0; i < block->field_count; i++) {
        const struct mapping_field *field = &block->fields[i];
        struct value *value = &fields[i];
        int code = field_read(&row, field, columns, value);

        if (code == 0 && value->state == VALUE_SET && is_key(block, field) &&
            memchr(value->bytes, KEY_SEPARATOR, value->length))
            code = column_error(&row, field, 0, "holds the control character U+001F, which no key can");
        if (code == 0)
            continue;
        *value = (struct value){ .state = VALUE_ABSENT };
        bad++;
        row.err = &later; /* the first one is told */
    }
    return bad;
}

/* How the agency's database spells it. */
static int code_write(const struct row *row, const struct mapping_field *field, struct value value, struct value *ret)
{
    for (uint16_t i = 0; i < field->code_count; i++)
        if (value_is(value, field->codes[i].canonical)) {
            *ret = value_text(field->codes[i].local);
            return 0;
        }
    return column_error(row, field, 0, "has no code in the mapping for this value");
}

/* Gives each column its part of `local`, which must have as many as there are columns. */
static int parts_write(const struct row *row, const struct mapping_field *field, struct value local,
                       struct value *columns)
{
    const char *at = local.bytes, *end = local.bytes + local.length;
    size_t join_length = field->column_count > 1 ? strlen(field->join) : 0;

    for (unsigned part = 0; part < field->column_count; part++) {
        const char *join = join_length > 0 ? memmem(at, (size_t)(end - at), field->join, join_length) : NULL;
        bool last = part + 1 == field->column_count;

        if (last != !join)
            return column_error(row, field, part,
                                "cannot hold this value: it has another number of parts than columns");
        columns[field->columns[part]] =
            (struct value){ .bytes = at, .length = (uint32_t)((join ? join : end) - at), .state = VALUE_SET };
        at = join ? join + join_length : end;
    }
    return 0;
}

/* A record with another value is not this block's. */
static int constant_write(const struct row *row, const struct mapping_field *field, struct value value)
{
    if (value.state == VALUE_ABSENT || (value.state == VALUE_SET && value_is(value, field->constant)))
        return 0;
    return error_set(row->err, ERR_REJECT, "block %s holds only records whose %s is another one", row->block->name,
                     field->name);
}

/* Gives the columns the key. The number of a record is none: there is no row of it here, or it is not known which. */
static int reference_write(const struct row *row, const struct mapping_field *field, struct value value,
                           struct value *columns)
{
    struct value block, key, parts[KEY_COLUMNS_MAX] = { 0 };

    if (!reference_cut(value, &block, &key))
        return error_set(row->err, ERR_REJECT, "%s %.*s is not here", field->refers->type_name, (int)value.length,
                         value.bytes);
    if (!value_is(block, field->refers->name))
        return column_error(row, field, 0, "cannot refer to a row of that block");
    if (row_key_columns(row->arena, field->refers, (struct text){ key.bytes, key.length }, parts, row->err) < 0)
        return row->err->code;
    for (uint8_t i = 0; i < field->column_count; i++)
        columns[field->columns[i]] = parts[i];
    return 0;
}

static int field_write(const struct row *row, const struct mapping_field *field, struct value value,
                       struct value *columns)
{
    if (field->constant)
        return constant_write(row, field, value);
    if (value.state == VALUE_SET && field->refers)
        return reference_write(row, field, value, columns);
    if (value.state == VALUE_SET) {
        if (field->code_count > 0 && code_write(row, field, value, &value) < 0)
            return row->err->code;
        if (row->block->zone && row->block->type->fields[field->field].type == VALUE_TIMESTAMP)
            value = value_local_time(row->arena, row->block->zone, value);
        return parts_write(row, field, value, columns);
    }
    for (unsigned part = 0; part < field->column_count; part++)
        columns[field->columns[part]] = (struct value){ .state = value.state };
    return 0;
}

int row_write(struct arena *arena, const struct mapping_block *block, const struct value *fields, struct value *columns,
              struct error *err)
{
    struct row row = { .arena = arena, .block = block, .err = err };

    for (uint16_t i = 0; i < block->field_count; i++)
        if (field_write(&row, &block->fields[i], fields[i], columns) < 0)
            return err->code;
    return row_stays(block, columns, err);
}

/* The parts of the local key: what makes it, one after the other. */
static struct value key_part(const struct mapping_block *block, const struct value *columns, const struct value *fields,
                             uint8_t index)
{
    if (block->generated)
        return columns ? columns[block->key_columns[index]] : (struct value){ 0 };
    return fields ? fields[block->key[index]] : (struct value){ 0 };
}

static uint8_t key_parts(const struct mapping_block *block)
{
    return block->generated ? block->key_column_count : block->key_count;
}

struct text row_key(struct arena *arena, const struct mapping_block *block, const struct value *columns,
                    const struct value *fields)
{
    uint8_t count = key_parts(block);
    size_t length = count - 1u;
    char *key, *at;

    for (uint8_t i = 0; i < count; i++) {
        struct value part = key_part(block, columns, fields, i);

        /* A part that holds the separator comes from another agency; here no row can have it. */
        if (part.state != VALUE_SET || memchr(part.bytes, KEY_SEPARATOR, part.length))
            return (struct text){ 0 };
        length += part.length;
    }
    key = at = arena_alloc(arena, length + 1);
    for (uint8_t i = 0; i < count; i++) {
        struct value part = key_part(block, columns, fields, i);

        if (i > 0)
            *at++ = KEY_SEPARATOR;
        at = mempcpy(at, part.bytes, part.length);
    }
    return (struct text){ .bytes = key, .length = (uint32_t)length };
}

/* Cuts a key into exactly its parts. */
static int key_cut(const struct mapping_block *block, struct text key, struct value *parts, struct error *err)
{
    const char *at = key.bytes, *end = key.bytes + key.length;
    uint8_t count = key_parts(block);

    if (key.length == 0)
        return error_set(err, ERR_REJECT, "a key of block %s is empty", block->name);
    for (uint8_t i = 0; i < count; i++) {
        const char *separator = memchr(at, KEY_SEPARATOR, (size_t)(end - at));
        bool last = i + 1 == count;

        if (last != !separator)
            return error_set(err, ERR_REJECT, "a key of block %s has not %u parts", block->name, count);
        parts[i] =
            (struct value){ .bytes = at, .length = (uint32_t)((separator ? separator : end) - at), .state = VALUE_SET };
        at = separator ? separator + 1 : end;
    }
    return 0;
}

int row_unkey(struct arena *arena, const struct mapping_block *block, struct text key, struct value *fields,
              struct error *err)
{
    struct value parts[KEY_FIELDS_MAX] = { 0 };

    (void)arena;
    if (key_cut(block, key, parts, err) < 0)
        return err->code;
    for (uint8_t i = 0; i < block->key_count; i++)
        fields[block->key[i]] = parts[i];
    return 0;
}

int row_key_columns(struct arena *arena, const struct mapping_block *block, struct text key, struct value *ret,
                    struct error *err)
{
    struct row row = { .arena = arena, .block = block, .err = err };
    struct value parts[KEY_FIELDS_MAX] = { 0 }, *columns;

    if (key_cut(block, key, parts, err) < 0)
        return err->code;
    if (block->generated) {
        memcpy(ret, parts, block->key_column_count * sizeof *ret);
        return 0;
    }
    columns = arena_array(arena, block->column_count, sizeof *columns);
    for (uint8_t i = 0; i < block->key_count; i++)
        if (field_write(&row, &block->fields[block->key[i]], parts[i], columns) < 0)
            return err->code;
    for (uint8_t i = 0; i < block->key_column_count; i++)
        ret[i] = columns[block->key_columns[i]];
    return 0;
}
