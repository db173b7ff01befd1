#include "agents/csv/form.h"

#include <fnmatch.h>
#include <string.h>

static int decimal_build(const struct tree *tree, struct form *form, struct error *err)
{
    static const char *const words[] = { ",", ".", NULL };
    const struct tree *decimal = tree_child(tree, "decimal");
    unsigned word = 0;

    if (decimal && tree_word(decimal, words, &word, err) < 0)
        return err->code;
    form->decimal = *words[word];
    return 0;
}

static int date_build(const struct tree *tree, struct form *form, struct error *err)
{
    static const char *const words[] = { "dmy", "ymd", NULL };
    const struct tree *date = tree_child(tree, "date");
    unsigned word = 0;

    if (date && tree_word(date, words, &word, err) < 0)
        return err->code;
    form->day_first = word == 0;
    return 0;
}

static int form_build(struct arena *arena, const struct tree *tree, struct form *form, struct error *err)
{
    static const char *const known[] = { "file", "page", "date", "decimal", "complete", NULL };
    const char *file = tree_get(tree, "file", form->file), *page = tree_get(tree, "page", "");

    if (tree_expect(tree, known, err) < 0 || date_build(tree, form, err) < 0 || decimal_build(tree, form, err) < 0 ||
        tree_yes(tree, "complete", false, &form->complete, err) < 0)
        return err->code;
    if (!*file || strchr(file, '/'))
        return tree_error(tree, err, "file must be a pattern of file names, like \"penerima*\"");
    form->file = arena_copy(arena, file, strlen(file));
    form->page = arena_copy(arena, page, strlen(page));
    return 0;
}

uint16_t list_of(const struct mapping *mapping, uint16_t block)
{
    const struct mapping_block *blocks = mapping->blocks;
    uint16_t first = 0;

    while (strcmp(blocks[first].table, blocks[block].table) != 0 ||
           strcmp(blocks[first].schema, blocks[block].schema) != 0)
        first++;
    return first;
}

bool list_shared(const struct mapping *mapping, uint16_t block)
{
    for (uint16_t i = 0; i < mapping->block_count; i++)
        if (i != block && list_of(mapping, i) == list_of(mapping, block))
            return true;
    return false;
}

/* The form that is said for one block of a list is that of all of them. */
static int form_share(const struct tree *tree, const struct mapping *mapping, uint16_t said, struct form *forms,
                      struct error *err)
{
    for (uint16_t i = 0; i < mapping->block_count; i++) {
        if (i == said || list_of(mapping, i) != list_of(mapping, said))
            continue;
        if (tree_child(tree, mapping->blocks[i].name))
            return tree_error(tree_child(tree, mapping->blocks[said].name), err,
                              "block %s is of the same list: say it once", mapping->blocks[i].name);
        forms[i] = forms[said];
    }
    return 0;
}

int forms_build(struct arena *arena, const struct tree *tree, const struct mapping *mapping, const struct form **ret,
                struct error *err)
{
    struct form *forms = arena_array(arena, mapping->block_count, sizeof *forms);
    const char **names = arena_array(arena, mapping->block_count + 1u, sizeof *names);

    for (uint16_t i = 0; i < mapping->block_count; i++) {
        names[i] = mapping->blocks[i].name;
        forms[i] = (struct form){
            .file = arena_printf(arena, "%s*", mapping->blocks[i].table), .page = "", .day_first = true, .decimal = ','
        };
    }
    *ret = forms;
    if (!tree)
        return 0;
    if (tree_expect(tree, names, err) < 0)
        return err->code;
    for (uint16_t i = 0; i < mapping->block_count; i++) {
        const struct tree *child = tree_child(tree, names[i]);

        if (child && (form_build(arena, child, &forms[i], err) < 0 || form_share(tree, mapping, i, forms, err) < 0))
            return err->code;
    }
    return 0;
}

/* ---- names of files ---- */

static const char *ending_of(const char *name)
{
    const char *point = strrchr(name, '.');

    return point ? point : "";
}

/* Lock and temporary files of spreadsheets, editors and those who copy. */
static bool is_temporary(const char *name)
{
    static const char *const patterns[] = { ".*", "~*", "*~", "*.tmp", "*.part", "*.crdownload", NULL };

    for (int i = 0; patterns[i]; i++)
        if (fnmatch(patterns[i], name, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

enum file_kind file_name_kind(const char *name)
{
    const char *ending = ending_of(name);

    if (is_temporary(name) || strlen(name) > FILE_NAME_MAX)
        return FILE_OTHER;
    return strcasecmp(ending, ".csv") == 0 ? FILE_CSV : strcasecmp(ending, ".xlsx") == 0 ? FILE_XLSX : FILE_OTHER;
}

struct file_name file_name_read(const struct mapping *mapping, const struct form *forms, const char *name)
{
    const char *ending = ending_of(name);
    struct file_name read = { .kind = file_name_kind(name), .block = -1 };
    char stem[FILE_NAME_MAX + 1];

    if (read.kind == FILE_OTHER)
        return read;
    memcpy(stem, name, (size_t)(ending - name));
    stem[ending - name] = '\0';
    for (uint16_t i = 0; i < mapping->block_count; i++)
        if (list_of(mapping, i) == i && fnmatch(forms[i].file, stem, FNM_CASEFOLD) == 0)
            read.block = read.block == -1 ? i : -2;
    read.complete = strcasestr(stem, "lengkap") || strcasestr(stem, "complete");
    return read;
}

const char *forms_names(struct arena *arena, const struct mapping *mapping, const struct form *forms)
{
    const char *names = "";

    for (uint16_t i = 0; i < mapping->block_count; i++)
        if (list_of(mapping, i) == i)
            names = arena_printf(arena, "%s%s%s", names, i > 0 ? ", " : "", forms[i].file);
    return names;
}
