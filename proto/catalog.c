#include "proto/catalog.h"

#include "proto/catalog_limit.h"
#include "proto/catalog_order.h"
#include "proto/message.h"

#include <assert.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

enum {
    DECIMAL_SCALE_MAX = 38,
    PATTERN_BYTES_MAX = 256,
    STALE_DEFAULT_S = 30 * 60,
    STALE_MAX_S = 30 * 24 * 60 * 60,
};

static const char *const otherwise_words[] = { "put-back", "propose", NULL };
static const char *const conflict_words[] = { "owner", "latest", "largest", "smallest", "review", NULL };
static const char *const compare_words[] = { "exact", "letters", "digits", NULL };
static_assert(sizeof conflict_words / sizeof conflict_words[0] == CONFLICT_COUNT + 1, "a conflict without a word");

/* Keys that have their place in the format but not in this version: accepting one without doing what it says would
 * break an agreement silently. */
#define LATER_KEYS "scope", "checks"
#define POLICY_KEYS "write", "otherwise", "conflict", "read", "stale", "limit"
static const char *const later_keys[] = { LATER_KEYS, NULL };
static const char *const policy_keys[] = { POLICY_KEYS, NULL };

struct builder {
    struct arena *arena;
    struct catalog *catalog;
    const char *const *agency_words; /* catalog->agencies, ending in NULL */
    struct error *err;
};

const char *conflict_name(enum conflict conflict)
{
    assert(conflict < CONFLICT_COUNT);
    return conflict_words[conflict];
}

/* The catalog outlives the tree that it was read from. */
static const char *kept(const struct builder *builder, const char *text)
{
    return arena_copy(builder->arena, text, strlen(text));
}

/* Names come from messages: they do not end in NUL, and may hold one. */
static bool name_is(const char *known, const char *name, size_t length)
{
    return strlen(known) == length && memcmp(known, name, length) == 0;
}

int catalog_agency(const struct catalog *catalog, const char *name, size_t length)
{
    for (int i = 0; i < catalog->agency_count; i++)
        if (name_is(catalog->agencies[i], name, length))
            return i;
    return -1;
}

int catalog_type(const struct catalog *catalog, const char *name, size_t length)
{
    for (int i = 0; i < catalog->type_count; i++)
        if (name_is(catalog->types[i].name, name, length))
            return i;
    return -1;
}

int catalog_field(const struct catalog_type *type, const char *name, size_t length)
{
    for (int i = 0; i < type->field_count; i++)
        if (name_is(type->fields[i].name, name, length))
            return i;
    return -1;
}

int policy_rank(const struct policy *policy, agency_index agency)
{
    for (int i = 0; i < policy->write_count; i++)
        if (policy->write[i] == agency)
            return i;
    return INT_MAX;
}

bool policy_writes(const struct policy *policy, agency_index agency)
{
    return policy_rank(policy, agency) != INT_MAX;
}

bool policy_reads(const struct policy *policy, agency_index agency)
{
    return agency < CATALOG_AGENCIES_MAX && policy->basis[agency];
}

/* Keys among `known` and "not supported yet" ones only. */
static int keys_check(const struct builder *builder, const struct tree *tree, const char *const *known)
{
    for (const char *const *later = later_keys; *later; later++)
        if (tree_child(tree, *later))
            return tree_error(tree_child(tree, *later), builder->err, "is not supported yet by this version");
    return tree_expect(tree, known, builder->err);
}

static int name_check(const struct builder *builder, const struct tree *tree, size_t most)
{
    if (name_is_valid(tree->name, most))
        return 0;
    return tree_error(tree, builder->err,
                      "is no name: it must be at most %zu lower-case letters, digits and underscores, a letter first",
                      most);
}

/* The child's word as its place in `words`; 0, the default of every such key, when there is no such child. */
static int word_build(const struct builder *builder, const struct tree *tree, const char *name,
                      const char *const *words, unsigned *ret)
{
    const struct tree *child = tree_child(tree, name);

    *ret = 0;
    return child ? tree_word(child, words, ret, builder->err) : 0;
}

static int agency_find(const struct builder *builder, const struct tree *at, const char *name)
{
    int agency = catalog_agency(builder->catalog, name, strlen(name));

    return agency >= 0 ? agency : tree_unknown(at, "agency", name, builder->agency_words, builder->err);
}

static int write_build(const struct builder *builder, const struct tree *tree, struct policy *policy)
{
    const struct tree *write = tree_child(tree, "write");
    const char *const *names;
    size_t count;

    if (!write)
        return tree_error(tree, builder->err, "has no \"write\": who may write it?");
    if (tree_list(builder->arena, write, &names, &count, builder->err) < 0)
        return builder->err->code;
    for (size_t i = 0; i < count; i++) {
        int agency = agency_find(builder, write, names[i]);

        if (agency < 0)
            return agency;
        policy->write[policy->write_count++] = (agency_index)agency;
    }
    return 0;
}

/* `read` may be NULL. */
static int read_build(const struct builder *builder, const struct tree *read, const char *basis[CATALOG_AGENCIES_MAX])
{
    if (!read)
        return 0;
    if (tree_expect(read, builder->agency_words, builder->err) < 0)
        return builder->err->code;
    for (const struct tree *reader = read->child; reader; reader = reader->next) {
        int agency = catalog_agency(builder->catalog, reader->name, strlen(reader->name));
        const char *text = "";

        if (tree_text(reader, &text, builder->err) < 0)
            return builder->err->code;
        basis[agency] = kept(builder, text);
    }
    return 0;
}

/* A writer receives what it writes: otherwise it could neither be told of the outcome nor put back. */
static int readers_check(const struct builder *builder, const struct tree *tree, const struct policy *policy)
{
    for (int i = 0; i < policy->write_count; i++)
        if (!policy->basis[policy->write[i]])
            return tree_error(tree, builder->err,
                              "%s may write this, so it receives it too, but \"read\" names no legal basis for %s",
                              builder->catalog->agencies[policy->write[i]],
                              builder->catalog->agencies[policy->write[i]]);
    return 0;
}

static int stale_build(const struct builder *builder, const struct tree *stale, uint32_t *ret)
{
    static const struct quantity_unit units[] = {
        { "", 1 }, { "s", 1 }, { "min", 60 }, { "h", 60 * 60 }, { NULL, 0 },
    };
    uint64_t seconds = STALE_DEFAULT_S;
    const char *text = "";

    if (stale && tree_text(stale, &text, builder->err) < 0)
        return builder->err->code;
    if (stale && (!quantity_parse(text, units, &seconds) || seconds > STALE_MAX_S))
        return tree_error(stale, builder->err, "must be a time of at most 30 days, like 1800, 90s, 30min or 2h");
    *ret = (uint32_t)seconds;
    return 0;
}

/* Whether a rule can tell the larger of two values. */
static bool type_is_ordered(enum value_type type)
{
    return type == VALUE_INTEGER || type == VALUE_DECIMAL || type == VALUE_DATE || type == VALUE_TIMESTAMP;
}

/* The policy that stands in `tree`: a field's, a group's or existence's. `field` is NULL but for a field. */
static int policy_build(const struct builder *builder, const struct tree *tree, const struct tree *type_read,
                        const struct catalog_field *field, struct policy *policy)
{
    const struct tree *read = tree_child(tree, "read") ? tree_child(tree, "read") : type_read;
    const struct tree *limit = tree_child(tree, "limit");
    unsigned otherwise, conflict;

    if (write_build(builder, tree, policy) < 0 || read_build(builder, read, policy->basis) < 0 ||
        readers_check(builder, tree, policy) < 0 ||
        stale_build(builder, tree_child(tree, "stale"), &policy->stale_s) < 0 ||
        word_build(builder, tree, "otherwise", otherwise_words, &otherwise) < 0 ||
        word_build(builder, tree, "conflict", conflict_words, &conflict) < 0)
        return builder->err->code;
    policy->stale_given = tree_child(tree, "stale") != NULL;
    policy->otherwise = otherwise;
    policy->conflict = conflict;
    if (limit && limits_build(&(struct limit_place){ .arena = builder->arena,
                                                     .tree = limit,
                                                     .field = field,
                                                     .existence = strcmp(tree->name, "existence") == 0,
                                                     .err = builder->err },
                              &policy->limits, &policy->limit_count) < 0)
        return builder->err->code;
    if ((conflict == CONFLICT_LARGEST || conflict == CONFLICT_SMALLEST) && !(field && type_is_ordered(field->type)))
        return tree_error(tree_child(tree, "conflict"), builder->err,
                          "\"%s\" is for a single field of type integer, decimal, date or timestamp",
                          conflict_words[conflict]);
    return 0;
}

/* Alone, because "a)|(b" is none; and as it is used, over the whole value, so that its users need not doubt it. */
static int pattern_compile(const char *pattern, char *why, size_t size)
{
    char whole[PATTERN_BYTES_MAX + sizeof "^()$"];
    const char *const forms[] = { pattern, whole };
    int code = 0;

    snprintf(whole, sizeof whole, "^(%s)$", pattern);
    for (int i = 0; i < 2 && code == 0; i++) {
        regex_t compiled;

        code = regcomp(&compiled, forms[i], REG_EXTENDED | REG_NOSUB);
        if (code != 0)
            regerror(code, NULL, why, size);
        else
            regfree(&compiled);
    }
    return code;
}

static int pattern_build(const struct builder *builder, const struct tree *tree, const char **ret)
{
    char why[128];
    const char *pattern = "";

    if (tree_text(tree, &pattern, builder->err) < 0)
        return builder->err->code;
    if (strlen(pattern) > PATTERN_BYTES_MAX)
        return tree_error(tree, builder->err, "is longer than %d bytes", PATTERN_BYTES_MAX);
    if (pattern_compile(pattern, why, sizeof why) != 0)
        return tree_error(tree, builder->err, "is no POSIX extended regular expression: %s", why);
    *ret = kept(builder, pattern);
    return 0;
}

/* What a reference has, and nothing else has. The type that it is to is built already. */
static int reference_details(const struct builder *builder, const struct tree *tree, struct catalog_field *field)
{
    const struct tree *to = tree_child(tree, "to"), *pattern = tree_child(tree, "pattern");

    if (to && field->type != VALUE_REFERENCE)
        return tree_error(to, builder->err, "is for references only");
    if ((!to || !*to->value) && field->type == VALUE_REFERENCE)
        return tree_error(tree, builder->err, "has no \"to\": to which record type does it refer?");
    if (pattern && field->type == VALUE_REFERENCE)
        return tree_error(pattern, builder->err, "is for values: a reference has none of its own");
    field->refers = to ? catalog_type(builder->catalog, to->value, strlen(to->value)) : -1;
    return 0;
}

/* What only some types have. */
static int field_details(const struct builder *builder, const struct tree *tree, struct catalog_field *field)
{
    const struct tree *scale = tree_child(tree, "scale"), *compare = tree_child(tree, "compare");
    uint64_t digits = 0;

    if (scale && field->type != VALUE_DECIMAL)
        return tree_error(scale, builder->err, "is for decimals only");
    if (!scale && field->type == VALUE_DECIMAL)
        return tree_error(tree, builder->err, "has no \"scale\": how many digits stand behind its point?");
    if (scale && tree_number(scale, 0, DECIMAL_SCALE_MAX, &digits, builder->err) < 0)
        return builder->err->code;
    field->scale = (unsigned)digits;
    if (reference_details(builder, tree, field) < 0)
        return builder->err->code;
    if (compare && field->compare != COMPARE_EXACT && field->type != VALUE_TEXT)
        return tree_error(compare, builder->err, "\"%s\" is for text only", compare_words[field->compare]);
    if (tree_child(tree, "pattern") && pattern_build(builder, tree_child(tree, "pattern"), &field->pattern) < 0)
        return builder->err->code;
    return 0;
}

static int field_build(const struct builder *builder, const struct tree *tree, struct catalog_field *field)
{
    static const char *const known[] = { "type",    "scale", "identifier", "required",  "personal", "compare",
                                         "pattern", "group", "to",         POLICY_KEYS, LATER_KEYS, NULL };
    const char *type_words[VALUE_TYPE_COUNT + 1] = { NULL };
    unsigned type, compare;

    for (type = 0; type < VALUE_TYPE_COUNT; type++)
        type_words[type] = value_type_name(type);
    if (name_check(builder, tree, NAME_BYTES) < 0 || keys_check(builder, tree, known) < 0)
        return builder->err->code;
    if (!tree_child(tree, "type"))
        return tree_error(tree, builder->err, "has no \"type\"");
    if (word_build(builder, tree, "type", type_words, &type) < 0 ||
        word_build(builder, tree, "compare", compare_words, &compare) < 0 ||
        tree_yes(tree, "identifier", false, &field->identifier, builder->err) < 0 ||
        tree_yes(tree, "required", false, &field->required, builder->err) < 0 ||
        tree_yes(tree, "personal", false, &field->personal, builder->err) < 0)
        return builder->err->code;
    field->name = kept(builder, tree->name);
    field->type = type;
    field->compare = compare;
    return field_details(builder, tree, field);
}

/* What a type is built from and into. Units are counted as they are filled. */
struct type_builder {
    const struct builder *builder;
    const struct tree *tree;
    const struct tree *groups; /* may be NULL */
    const struct tree *fields;
    const char **group_words; /* ends in NULL */
    uint16_t group_count;
    struct catalog_field *field;
    struct catalog_unit *unit;
    struct catalog_type *type;
};

static const struct tree *type_read(const struct type_builder *build)
{
    return tree_child(build->tree, "read");
}

static int existence_build(struct type_builder *build)
{
    static const char *const known[] = { POLICY_KEYS, LATER_KEYS, NULL };
    const struct tree *existence = tree_child(build->tree, "existence");
    struct catalog_unit *unit = &build->unit[build->type->unit_count++];

    if (!existence)
        return tree_error(build->tree, build->builder->err, "has no \"existence\": who may add and remove these?");
    unit->name = "existence";
    return keys_check(build->builder, existence, known) < 0
               ? build->builder->err->code
               : policy_build(build->builder, existence, type_read(build), NULL, &unit->policy);
}

/* A unit's name stands in entries and logs, so it must say which one is meant. */
static int unit_name_check(const struct type_builder *build, const struct tree *tree)
{
    if (name_check(build->builder, tree, NAME_BYTES) < 0)
        return build->builder->err->code;
    if (strcmp(tree->name, "existence") == 0)
        return tree_error(tree, build->builder->err,
                          "is what the existence of the record is called: name it otherwise");
    if (build->groups && tree_child(build->groups, tree->name) && tree_child(build->fields, tree->name))
        return tree_error(tree, build->builder->err, "names a group and a field: name one of them otherwise");
    return 0;
}

static int groups_build(struct type_builder *build)
{
    static const char *const known[] = { "identifier", POLICY_KEYS, LATER_KEYS, NULL };
    struct error *err = build->builder->err;

    if (!build->groups)
        return 0;
    if (*build->groups->value)
        return tree_error(build->groups, err, "has a value, but is a section");
    if (tree_unique(build->groups, err) < 0)
        return err->code;
    for (const struct tree *group = build->groups->child; group; group = group->next) {
        struct catalog_unit *unit = &build->unit[build->type->unit_count++];

        if (unit_name_check(build, group) < 0 || keys_check(build->builder, group, known) < 0 ||
            tree_yes(group, "identifier", false, &unit->identifier, err) < 0 ||
            policy_build(build->builder, group, type_read(build), NULL, &unit->policy) < 0)
            return err->code;
        unit->name = kept(build->builder, group->name);
        unit->group = true;
        build->group_words[build->group_count++] = unit->name;
    }
    return 0;
}

/* A field that is decided with its group: it has no rules of its own. */
static int member_build(struct type_builder *build, const struct tree *tree, struct catalog_field *field)
{
    const struct tree *group = tree_child(tree, "group");
    struct error *err = build->builder->err;
    const char *name = "";

    for (const char *const *key = policy_keys; *key; key++)
        if (tree_child(tree, *key))
            return tree_error(tree_child(tree, *key), err,
                              "a field of a group has no rules of its own: they are the group's");
    if (tree_text(group, &name, err) < 0)
        return err->code;
    if (field->identifier)
        return tree_error(group, err,
                          "an identifier is decided by itself: it cannot be in a group. If all fields of the group "
                          "together are one, say so there");
    for (uint16_t i = 0; i < build->group_count; i++)
        if (strcmp(build->group_words[i], name) == 0) {
            field->unit = (uint16_t)(UNIT_EXISTENCE + 1 + i);
            return 0;
        }
    return tree_unknown(group, "group", name, build->group_words, err);
}

static int single_build(struct type_builder *build, const struct tree *tree, struct catalog_field *field)
{
    struct catalog_unit *unit = &build->unit[build->type->unit_count];

    field->unit = build->type->unit_count++;
    unit->name = field->name;
    unit->identifier = field->identifier;
    return policy_build(build->builder, tree, type_read(build), field, &unit->policy);
}

static int fields_build(struct type_builder *build)
{
    struct error *err = build->builder->err;

    if (*build->fields->value)
        return tree_error(build->fields, err, "has a value, but is a section");
    if (tree_unique(build->fields, err) < 0)
        return err->code;
    for (const struct tree *tree = build->fields->child; tree; tree = tree->next) {
        struct catalog_field *field = &build->field[build->type->field_count++];

        if (unit_name_check(build, tree) < 0 || field_build(build->builder, tree, field) < 0 ||
            (tree_child(tree, "group") ? member_build(build, tree, field) : single_build(build, tree, field)) < 0)
            return err->code;
    }
    return 0;
}

/* What finds a record is looked for as it is written, and is part of local keys. */
static int identifier_check(const struct type_builder *build, const struct catalog_unit *unit)
{
    struct error *err = build->builder->err;

    if (unit->field_count > KEY_FIELDS_MAX)
        return tree_error(tree_child(build->groups, unit->name), err, "an identifier has at most %d fields",
                          KEY_FIELDS_MAX);
    for (uint16_t i = 0; i < unit->field_count; i++) {
        const struct catalog_field *field = &build->field[unit->fields[i]];

        if (field->compare != COMPARE_EXACT)
            return tree_error(tree_child(tree_child(build->fields, field->name), "compare"), err,
                              "a field of an identifier is compared exactly: two spellings of it are two records");
    }
    return 0;
}

/* Gives each unit the list of its fields. */
static int members_build(struct type_builder *build)
{
    uint16_t *place = arena_array(build->builder->arena, build->type->field_count, sizeof *place);

    for (uint16_t u = UNIT_EXISTENCE + 1; u < build->type->unit_count; u++) {
        struct catalog_unit *unit = &build->unit[u];

        unit->fields = place;
        for (uint16_t f = 0; f < build->type->field_count; f++)
            if (build->field[f].unit == u)
                place[unit->field_count++] = f;
        place += unit->field_count;
        if (unit->field_count == 0)
            return tree_error(tree_child(build->groups, unit->name), build->builder->err, "no field is in this group");
        if (unit->identifier && identifier_check(build, unit) < 0)
            return build->builder->err->code;
    }
    return 0;
}

/* Whoever may add records may write what each must have: else there would be records without it, of which nobody could
 * say which they are. */
static int required_check(const struct type_builder *build)
{
    const struct policy *existence = &build->unit[UNIT_EXISTENCE].policy;
    struct error *err = build->builder->err;

    for (uint16_t f = 0; f < build->type->field_count; f++) {
        const struct catalog_field *field = &build->field[f];

        for (uint8_t w = 0; field->required && w < existence->write_count; w++)
            if (!policy_writes(&build->unit[field->unit].policy, existence->write[w]))
                return tree_error(tree_child(tree_child(build->fields, field->name), "required"), err,
                                  "%s may add records (existence/write), but not write this field: what it adds would "
                                  "lack it",
                                  build->builder->catalog->agencies[existence->write[w]]);
    }
    return 0;
}

static int type_build(const struct builder *builder, const struct tree *tree, struct catalog_type *type)
{
    static const char *const known[] = { "existence", "read", "groups", "fields", LATER_KEYS, NULL };
    struct type_builder build = { .builder = builder, .tree = tree, .type = type };
    size_t groups, fields;

    if (name_check(builder, tree, NAME_BYTES) < 0 || keys_check(builder, tree, known) < 0)
        return builder->err->code;
    build.groups = tree_child(tree, "groups");
    build.fields = tree_child(tree, "fields");
    groups = build.groups ? tree_count(build.groups) : 0;
    fields = build.fields ? tree_count(build.fields) : 0;
    if (fields < 1 || fields > CATALOG_FIELDS_MAX || groups > CATALOG_FIELDS_MAX)
        return tree_error(tree, builder->err, "must have 1 to %d fields, and no more groups", CATALOG_FIELDS_MAX);
    build.field = arena_array(builder->arena, fields, sizeof *build.field);
    build.unit = arena_array(builder->arena, 1 + groups + fields, sizeof *build.unit);
    build.group_words = arena_array(builder->arena, groups + 1, sizeof *build.group_words);
    type->name = kept(builder, tree->name);
    type->fields = build.field;
    type->units = build.unit;
    if (existence_build(&build) < 0 || groups_build(&build) < 0 || fields_build(&build) < 0 ||
        members_build(&build) < 0)
        return builder->err->code;
    return required_check(&build);
}

/* catalog/version and catalog/agencies. */
static int head_build(struct builder *builder, const struct tree *head)
{
    static const char *const known[] = { "version", "agencies", NULL };
    const struct tree *version, *agencies;
    uint64_t number;
    size_t count;

    if (tree_expect(head, known, builder->err) < 0)
        return builder->err->code;
    version = tree_child(head, "version");
    agencies = tree_child(head, "agencies");
    if (!version || !agencies)
        return tree_error(head, builder->err, "has no \"%s\"", version ? "agencies" : "version");
    if (tree_number(version, 1, INT32_MAX, &number, builder->err) < 0 ||
        tree_list(builder->arena, agencies, &builder->agency_words, &count, builder->err) < 0)
        return builder->err->code;
    if (count > CATALOG_AGENCIES_MAX)
        return tree_error(agencies, builder->err, "names more than %d agencies", CATALOG_AGENCIES_MAX);
    for (size_t i = 0; i < count; i++)
        if (!name_is_valid(builder->agency_words[i], AGENCY_NAME_BYTES))
            return tree_error(
                agencies, builder->err,
                "\"%s\" is no name: it must be at most %d lower-case letters, digits and underscores, a letter first",
                builder->agency_words[i], AGENCY_NAME_BYTES);
    builder->catalog->version = (uint32_t)number;
    builder->catalog->agencies = builder->agency_words;
    builder->catalog->agency_count = (uint8_t)count;
    return 0;
}

/* Marks what a type refers to: all of it is built already. */
static void references_mark(struct catalog_type *types, struct catalog_type *type)
{
    for (uint16_t f = 0; f < type->field_count; f++)
        if (type->fields[f].type == VALUE_REFERENCE)
            type->refers = types[type->fields[f].refers].referred = true;
}

static int types_build(const struct builder *builder, const struct tree *record)
{
    size_t count = tree_count(record);
    const struct tree **ordered;
    struct catalog_type *types;

    if (*record->value)
        return tree_error(record, builder->err, "has a value, but is a section");
    if (tree_unique(record, builder->err) < 0)
        return builder->err->code;
    if (count < 1 || count > CATALOG_TYPES_MAX)
        return tree_error(record, builder->err, "must have 1 to %d record types", CATALOG_TYPES_MAX);
    types = arena_array(builder->arena, count, sizeof *types);
    builder->catalog->types = types;
    if (catalog_order(builder->arena, record, &ordered, builder->err) < 0)
        return builder->err->code;
    for (size_t i = 0; i < count; i++) {
        if (type_build(builder, ordered[i], &types[builder->catalog->type_count++]) < 0)
            return builder->err->code;
        references_mark(types, &types[i]);
    }
    return 0;
}

int catalog_build(struct arena *arena, const struct tree *tree, const char *text, size_t length,
                  const struct catalog **ret, struct error *err)
{
    static const char *const known[] = { "catalog", "record", LATER_KEYS, NULL };
    struct builder builder = { .arena = arena, .err = err };
    const struct tree *head, *record;

    if (length > CATALOG_BYTES_MAX)
        return error_set(err, ERR_REJECT, "the catalog is longer than %d bytes", CATALOG_BYTES_MAX);
    builder.catalog = arena_alloc(arena, sizeof *builder.catalog);
    if (keys_check(&builder, tree, known) < 0)
        return err->code;
    head = tree_child(tree, "catalog");
    record = tree_child(tree, "record");
    if (!head || !record)
        return error_set(err, ERR_REJECT, "the catalog has no section \"%s\"", head ? "record" : "catalog");
    if (head_build(&builder, head) < 0 || types_build(&builder, record) < 0)
        return err->code;
    sha256(text, length, builder.catalog->hash);
    *ret = builder.catalog;
    return 0;
}
