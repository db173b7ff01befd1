#include "shell/settings.h"

#include "shell/text.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static const struct quantity_unit duration_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "min", 60 * 1000 }, { "h", 60 * 60 * 1000 }, { NULL, 0 },
};
static const struct quantity_unit size_units[] = {
    { "B", 1 }, { "KiB", 1024 }, { "MiB", 1024 * 1024 }, { "GiB", 1024 * 1024 * 1024 }, { NULL, 0 },
};
static const struct quantity_unit number_units[] = { { "", 1 }, { NULL, 0 } };

/* What a row's text is read by. */
static const struct {
    const struct quantity_unit *units; /* NULL: no quantity */
    const char *example;
} types[] = {
    [SETTING_TEXT] = { NULL, "" },
    [SETTING_DURATION] = { duration_units, N_("a time like 250ms, 5s, 10min or 2h") },
    [SETTING_SIZE] = { size_units, N_("a size like 64KiB, 8MiB or 1GiB") },
    [SETTING_NUMBER] = { number_units, N_("a whole number") },
    [SETTING_YES] = { NULL, "" },
};

/* One fill on its way. */
struct filler {
    struct arena *arena;
    const struct setting *table;
    const struct tree *tree;
    void *settings;
    struct error *err;
};

static size_t section_length(const struct setting *setting)
{
    const char *slash = strchr(setting->path, '/');

    assert(slash && !strchr(slash + 1, '/'));
    return (size_t)(slash - setting->path);
}

static const char *setting_name(const struct setting *setting)
{
    return setting->path + section_length(setting) + 1;
}

static bool is_in_section(const struct setting *setting, const char *section)
{
    size_t length = section_length(setting);

    return strlen(section) == length && strncmp(setting->path, section, length) == 0;
}

static size_t rows_count(const struct setting *table)
{
    size_t count = 0;

    while (table[count].path)
        count++;
    return count;
}

/* The settings of one section, or with NULL the sections and `others`; ends in NULL. */
static const char *const *words_of(const struct filler *filler, const char *section, const char *const *others)
{
    size_t others_count = 0, count = 0;
    const char **words;

    while (others && others[others_count])
        others_count++;
    words = arena_array(filler->arena, rows_count(filler->table) + others_count + 1, sizeof *words);
    for (const struct setting *setting = filler->table; setting->path; setting++)
        if (section && is_in_section(setting, section))
            words[count++] = setting_name(setting);
        else if (!section && (count == 0 || !is_in_section(setting, words[count - 1])))
            words[count++] = arena_copy(filler->arena, setting->path, section_length(setting));
    for (size_t i = 0; i < others_count; i++)
        words[count++] = others[i];
    return words;
}

static bool is_section(const struct filler *filler, const char *name)
{
    for (const struct setting *setting = filler->table; setting->path; setting++)
        if (is_in_section(setting, name))
            return true;
    return false;
}

/* Everything in the file is known. */
static int names_check(const struct filler *filler, const char *const *others)
{
    if (tree_expect(filler->tree, words_of(filler, NULL, others), filler->err) < 0)
        return filler->err->code;
    for (const struct tree *section = filler->tree->child; section; section = section->next)
        if (is_section(filler, section->name) &&
            tree_expect(section, words_of(filler, section->name, NULL), filler->err) < 0)
            return filler->err->code;
    return 0;
}

/* In the largest unit that it is a whole number of. */
static const char *quantity_text(struct arena *arena, const struct quantity_unit *units, uint64_t quantity)
{
    const struct quantity_unit *best = units;

    for (; quantity > 0 && units->name; units++)
        if (quantity % units->worth == 0)
            best = units;
    return arena_printf(arena, "%" PRIu64 "%s", quantity / best->worth, best->name);
}

/* Where the file says something wrong, or the place that `setting` has in it. */
static int setting_error(const struct filler *filler, const struct setting *setting, const char *text)
{
    return error_set(filler->err, ERR_REJECT, "%s: %s", setting->path, text);
}

static int quantity_fill(const struct filler *filler, const struct setting *setting, const char *text, void *place)
{
    const struct quantity_unit *units = types[setting->type].units;
    uint64_t quantity;

    if (!quantity_parse(text, units, &quantity) || quantity < setting->least || quantity > setting->most)
        return setting_error(filler, setting,
                             arena_printf(filler->arena, _("must be %s, from %s to %s (%s)"),
                                          _(types[setting->type].example),
                                          quantity_text(filler->arena, units, setting->least),
                                          quantity_text(filler->arena, units, setting->most), _(setting->meaning)));
    if (setting->type == SETTING_SIZE) {
        *(uint64_t *)place = quantity;
    } else {
        assert(setting->most <= UINT32_MAX);
        *(uint32_t *)place = (uint32_t)quantity;
    }
    return 0;
}

static int setting_fill(const struct filler *filler, const struct setting *setting, const char *text)
{
    void *place = (char *)filler->settings + setting->offset;

    if (types[setting->type].units)
        return quantity_fill(filler, setting, text, place);
    if (setting->type == SETTING_TEXT) {
        *(const char **)place = arena_copy(filler->arena, text, strlen(text));
        return 0;
    }
    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
        return setting_error(filler, setting,
                             arena_printf(filler->arena, _("must be yes or no (%s)"), _(setting->meaning)));
    *(bool *)place = strcmp(text, "yes") == 0;
    return 0;
}

static const struct tree *setting_node(const struct filler *filler, const struct setting *setting)
{
    for (const struct tree *section = filler->tree->child; section; section = section->next)
        if (is_in_section(setting, section->name))
            return tree_child(section, setting_name(setting));
    return NULL;
}

int settings_fill(struct arena *arena, const struct setting *table, const struct tree *tree, const char *const *others,
                  void *settings, struct error *err)
{
    struct filler filler = { .arena = arena, .table = table, .tree = tree, .settings = settings, .err = err };

    if (names_check(&filler, others) < 0)
        return err->code;
    for (const struct setting *setting = table; setting->path; setting++) {
        const struct tree *node = setting_node(&filler, setting);
        const char *text = setting->otherwise;

        if (node && tree_text(node, &text, err) < 0)
            return err->code;
        if (!text)
            return setting_error(&filler, setting, arena_printf(arena, _("must be given (%s)"), _(setting->meaning)));
        if (setting_fill(&filler, setting, text) < 0)
            return err->code;
    }
    return 0;
}
