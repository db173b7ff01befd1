#include "proto/catalog_order.h"

#include <string.h>

/* The types' places in the file become those in the catalog. */
struct ordering {
    struct error *err;
    const struct tree **types; /* `done` of them in order, then the others as the file has them */
    uint16_t count, done;
};

static bool is_done(const struct ordering *ordering, const char *type)
{
    for (uint16_t i = 0; i < ordering->done; i++)
        if (strcmp(ordering->types[i]->name, type) == 0)
            return true;
    return false;
}

/* What a field of the file refers to; NULL: nothing. */
static const struct tree *field_to(const struct tree *field)
{
    const struct tree *to = tree_child(field, "to");

    return to && *to->value ? to : NULL;
}

/* Whether all that it refers to is done. */
static bool is_due(const struct ordering *ordering, const struct tree *type)
{
    const struct tree *fields = tree_child(type, "fields");

    for (const struct tree *field = fields ? fields->child : NULL; field; field = field->next)
        if (field_to(field) && !is_done(ordering, field_to(field)->value))
            return false;
    return true;
}

/* Whether what its references name is there, and another type. */
static int references_check(struct arena *arena, const struct tree *record, const struct tree *type, struct error *err)
{
    const struct tree *fields = tree_child(type, "fields");
    const char **words = arena_array(arena, tree_count(record) + 1, sizeof *words);
    size_t count = 0;

    for (const struct tree *known = record->child; known; known = known->next)
        words[count++] = known->name;
    for (const struct tree *field = fields ? fields->child : NULL; field; field = field->next) {
        const struct tree *to = field_to(field);

        if (to && !tree_child(record, to->value))
            return tree_unknown(to, "record type", to->value, words, err);
        if (to && strcmp(to->value, type->name) == 0)
            return tree_error(to, err, "a record cannot refer to one of its own type in this version");
    }
    return 0;
}

/* A type behind all that it refers to, otherwise as the file has them. */
static int types_order(struct ordering *ordering)
{
    for (; ordering->done < ordering->count; ordering->done++) {
        uint16_t next = ordering->done;
        const struct tree *due;

        while (next < ordering->count && !is_due(ordering, ordering->types[next]))
            next++;
        if (next == ordering->count)
            return tree_error(ordering->types[ordering->done], ordering->err,
                              "refers to a record type that, by itself or others, refers back to it: of records that "
                              "need each other none could come first");
        due = ordering->types[next];
        memmove(&ordering->types[ordering->done + 1], &ordering->types[ordering->done],
                (size_t)(next - ordering->done) * sizeof *ordering->types);
        ordering->types[ordering->done] = due;
    }
    return 0;
}

int catalog_order(struct arena *arena, const struct tree *record, const struct tree ***ret, struct error *err)
{
    struct ordering ordering = { .err = err, .types = arena_array(arena, tree_count(record), sizeof *ordering.types) };

    for (const struct tree *type = record->child; type; type = type->next) {
        if (references_check(arena, record, type, err) < 0)
            return err->code;
        ordering.types[ordering.count++] = type;
    }
    *ret = ordering.types;
    return types_order(&ordering);
}
