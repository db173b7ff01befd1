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

/* "nik", or "person,program,year" of a group. */
static const char *unit_words(struct arena *arena, const struct catalog_type *type, const struct catalog_unit *unit)
{
    const char *words = "";

    for (uint16_t i = 0; i < unit->field_count; i++)
        words = arena_printf(arena, "%s%s%s", words, i > 0 ? "," : "", type->fields[unit->fields[i]].name);
    return words;
}

/* The identifier that these fields are, all of them and nothing else; or NULL with the error set. */
static const struct catalog_unit *identifier_find(struct arena *arena, const struct catalog_type *type,
                                                  const bool *given, const char *names, struct error *err)
{
    const char *known = "";

    for (uint16_t u = 0; u < type->unit_count; u++) {
        const struct catalog_unit *unit = &type->units[u];
        uint16_t count = 0, all = 0;

        if (!unit->identifier)
            continue;
        for (uint16_t i = 0; i < unit->field_count; i++)
            count = (uint16_t)(count + given[unit->fields[i]]);
        for (uint16_t i = 0; i < type->field_count; i++)
            all = (uint16_t)(all + given[i]);
        if (count == unit->field_count && count == all)
            return unit;
        known = arena_printf(arena, "%s%s%s", known, *known ? _(" or ") : "", unit_words(arena, type, unit));
    }
    error_set(err, ERR_REJECT, _("%.80s is no identifier of %s; records of it are found by number or by: %s"), names,
              type->name, *known ? known : "-");
    return NULL;
}

/* One "field=value". A value that holds a comma goes on behind it, unless a field's name and "=" stand there. */
static const char *pair_end(const struct catalog_type *type, const char *pair)
{
    for (const char *comma = strchr(pair, ','); comma; comma = strchr(comma + 1, ',')) {
        size_t name = strcspn(comma + 1, "=,");

        if (comma[1 + name] == '=' && catalog_field(type, comma + 1, name) >= 0)
            return comma;
    }
    return pair + strlen(pair);
}

/* "person=17,program=PBI" into values by field of the type. */
static int key_read(struct arena *arena, const struct catalog_type *type, const char *key, struct value *values,
                    bool *given, const char **ret_names, struct error *err)
{
    const char *names = "";

    for (const char *pair = key, *end; *pair; pair = *end ? end + 1 : end) {
        const char *equals = strchr(pair, '=');
        const char *name = equals ? arena_copy(arena, pair, (size_t)(equals - pair)) : "";
        int field = catalog_field(type, name, strlen(name));

        end = pair_end(type, pair);
        names = arena_printf(arena, "%s%s%s", names, *names ? "," : "", name);
        if (field < 0)
            break;
        if (value_parse(arena, type->fields[field].type, type->fields[field].scale, equals + 1,
                        (size_t)(end - equals - 1), &values[field], err) < 0)
            return error_wrap(err, "%s", name);
        if (type->fields[field].type == VALUE_REFERENCE && reference_number(values[field]) == 0)
            return error_set(err, ERR_REJECT, _("%s is the number of a record"), name);
        given[field] = true;
    }
    *ret_names = names;
    return 0;
}

int record_find(struct db *db, struct arena *arena, const struct catalog *catalog, const char *type_name,
                const char *key, const struct catalog_type **ret_type, uint64_t *ret, struct error *err)
{
    const struct catalog_type *type = type_find(catalog, type_name, err);
    const struct catalog_unit *unit;
    struct value values[CATALOG_FIELDS_MAX] = { 0 }, of_unit[KEY_FIELDS_MAX];
    bool given[CATALOG_FIELDS_MAX] = { false };
    const char *names = "";

    if (!type)
        return err->code;
    if (ret_type)
        *ret_type = type;
    if (number_parse(key, ret))
        return 0;
    if (!strchr(key, '='))
        return error_set(err, ERR_REJECT, _("a KEY is an identifier with its value (nik=...) or a record number"));
    if (key_read(arena, type, key, values, given, &names, err) < 0)
        return err->code;
    unit = identifier_find(arena, type, given, names, err);
    if (!unit)
        return err->code;
    for (uint16_t i = 0; i < unit->field_count; i++)
        of_unit[i] = values[unit->fields[i]];
    if (db_record_find(db, arena, type, unit, of_unit, ret, err) < 0)
        return err->code;
    if (!*ret)
        return error_set(err, ERR_REJECT, _("no %s has this %s"), type->name, unit->name);
    return 0;
}
