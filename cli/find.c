#include "cli/find.h"

#include "cli/call.h"
#include "shell/text.h"

#include <string.h>

/* The type of this name, or NULL with the error set. */
static const struct catalog_type *type_find(const struct catalog *catalog, const char *name, struct error *err)
{
    const char *words[CATALOG_TYPES_MAX + 1];
    int type = catalog_type(catalog, name, strlen(name));

    if (type >= 0)
        return &catalog->types[type];
    for (int i = 0; i < catalog->type_count; i++)
        words[i] = catalog->types[i].name;
    words[catalog->type_count] = NULL;
    word_error(err, ERR_REJECT, name, words, _("the catalog has no record type \"%.40s\""), name);
    return NULL;
}

/* The identifier of this name, or NULL with the error set. */
static const struct catalog_field *identifier_find(struct arena *arena, const struct catalog_type *type,
                                                   const char *name, struct error *err)
{
    int field = catalog_field(type, name, strlen(name));
    const char *known = "";

    if (field >= 0 && type->fields[field].identifier)
        return &type->fields[field];
    for (int i = 0; i < type->field_count; i++)
        if (type->fields[i].identifier)
            known = arena_printf(arena, "%s%s%s", known, *known ? ", " : "", type->fields[i].name);
    error_set(err, ERR_REJECT, _("%.40s is no identifier of %s; records of it are found by number or by: %s"), name,
              type->name, *known ? known : "-");
    return NULL;
}

int record_find(struct db *db, struct arena *arena, const struct catalog *catalog, const char *type_name,
                const char *key, const struct catalog_type **ret_type, uint64_t *ret, struct error *err)
{
    const char *equals = strchr(key, '=');
    const struct catalog_type *type = type_find(catalog, type_name, err);
    const struct catalog_field *field;
    struct value value;

    if (!type)
        return err->code;
    if (ret_type)
        *ret_type = type;
    if (number_parse(key, ret))
        return 0;
    if (!equals)
        return error_set(err, ERR_REJECT, _("a KEY is an identifier with its value (nik=...) or a record number"));
    field = identifier_find(arena, type, arena_copy(arena, key, (size_t)(equals - key)), err);
    if (!field)
        return err->code;
    if (value_parse(arena, field->type, field->scale, equals + 1, strlen(equals + 1), &value, err) < 0)
        return error_wrap(err, "%s", field->name);
    if (db_record_find(db, arena, type, field, value, ret, err) < 0)
        return err->code;
    if (!*ret)
        return error_set(err, ERR_REJECT, _("no %s has this %s"), type->name, field->name);
    return 0;
}
