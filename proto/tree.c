#include "proto/tree.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORD_BYTES_MAX = 64, /* a longer one is never taken for a known word */
    PATH_BYTES_MAX = 256,
    HINT_BYTES_MAX = 192,
    LIST_WORDS_MAX = 1024,
};

const struct tree *tree_child(const struct tree *tree, const char *name)
{
    for (const struct tree *child = tree->child; child; child = child->next)
        if (strcmp(child->name, name) == 0)
            return child;
    return NULL;
}

const char *tree_get(const struct tree *tree, const char *name, const char *otherwise)
{
    const struct tree *child = tree_child(tree, name);

    return child ? child->value : otherwise;
}

size_t tree_count(const struct tree *tree)
{
    size_t count = 0;

    for (const struct tree *child = tree->child; child; child = child->next)
        count++;
    return count;
}

const char *tree_path(struct arena *arena, const struct tree *tree)
{
    const char *path = tree->parent ? tree->name : "";

    for (const struct tree *above = tree->parent; above && above->parent; above = above->parent)
        path = arena_printf(arena, "%s/%s", above->name, path);
    return path;
}

/* Writes the path and ": ", of a long one the end: errors have no arena. */
static void path_prefix(const struct tree *tree, char out[PATH_BYTES_MAX])
{
    size_t at = PATH_BYTES_MAX - 1;

    out[at] = 0;
    if (!tree->parent)
        return;
    at -= 2;
    memcpy(out + at, ": ", 2);
    for (; tree->parent; tree = tree->parent) {
        size_t length = strlen(tree->name);

        if (length + 4 > at) { /* room for "..." */
            at -= 3;
            memcpy(out + at, "...", 3);
            break;
        }
        at -= length;
        memcpy(out + at, tree->name, length);
        if (tree->parent->parent)
            out[--at] = '/';
    }
    memmove(out, out + at, PATH_BYTES_MAX - at);
}

int tree_error(const struct tree *tree, struct error *err, const char *fmt, ...)
{
    char path[PATH_BYTES_MAX], text[sizeof err->text];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    path_prefix(tree, path);
    return error_set(err, ERR_REJECT, "%s%s", path, text);
}

static unsigned least(unsigned left, unsigned right)
{
    return left < right ? left : right;
}

/* How many letters must be put in, taken out, replaced or swapped with their neighbour (optimal string alignment). */
static unsigned edit_distance(const char *left, size_t left_length, const char *right, size_t right_length)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    for (unsigned x = 0; x <= right_length; x++)
        row[x] = x;
    for (unsigned y = 1; y <= left_length; y++) {
        unsigned *oldest = before;

        before = above;
        above = row;
        row = oldest;
        row[0] = y;
        for (unsigned x = 1; x <= right_length; x++) {
            bool same = left[y - 1] == right[x - 1];

            row[x] = least(least(above[x], row[x - 1]) + 1, above[x - 1] + !same);
            if (x > 1 && y > 1 && left[y - 1] == right[x - 2] && left[y - 2] == right[x - 1])
                row[x] = least(row[x], before[x - 2] + 1);
        }
    }
    return row[right_length];
}

const char *nearest_word(const char *word, const char *const *words)
{
    size_t length = strlen(word);
    const char *nearest = NULL;
    unsigned nearest_distance = (unsigned)length / 2 + 1;

    if (length == 0 || length > WORD_BYTES_MAX)
        return NULL;
    for (; *words; words++) {
        size_t candidate_length = strlen(*words);
        unsigned distance;

        if (candidate_length > WORD_BYTES_MAX)
            continue;
        distance = edit_distance(word, length, *words, candidate_length);
        if (distance < nearest_distance) {
            nearest = *words;
            nearest_distance = distance;
        }
    }
    return nearest;
}

/* "; did you mean "x"?", or "; known: x, y", or nothing when those are too many to tell. */
static void hint_write(const char *word, const char *const *words, char out[HINT_BYTES_MAX])
{
    const char *nearest = nearest_word(word, words);
    size_t length;

    out[0] = 0;
    if (nearest) {
        snprintf(out, HINT_BYTES_MAX, "; did you mean \"%s\"?", nearest);
        return;
    }
    if (!*words)
        return;
    length = (size_t)snprintf(out, HINT_BYTES_MAX, "; known: ");
    for (const char *const *known = words; *known; known++) {
        length += (size_t)snprintf(out + length, HINT_BYTES_MAX - length, "%s%s", known == words ? "" : ", ", *known);
        if (length >= HINT_BYTES_MAX) {
            out[0] = 0;
            return;
        }
    }
}

int word_error(struct error *err, int code, const char *word, const char *const *words, const char *fmt, ...)
{
    char text[sizeof err->text], hint[HINT_BYTES_MAX];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    hint_write(word, words, hint);
    return error_set(err, code, "%.*s%s", (int)(sizeof err->text - 1 - strlen(hint)), text, hint);
}

static int name_order(const void *left, const void *right)
{
    const struct tree *const *left_tree = left, *const *right_tree = right;

    return strcmp((*left_tree)->name, (*right_tree)->name);
}

/* By sorting: a table of codes can have thousands of children. */
int tree_unique(const struct tree *tree, struct error *err)
{
    size_t count = tree_count(tree), i = 0;
    const struct tree *twice = NULL;
    const struct tree **sorted;

    if (count < 2)
        return 0;
    sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        abort();
    for (const struct tree *child = tree->child; child; child = child->next)
        sorted[i++] = child;
    qsort(sorted, count, sizeof *sorted, name_order);
    for (i = 1; i < count && !twice; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            twice = sorted[i];
    free(sorted);
    return twice ? tree_error(twice, err, "stands here twice") : 0;
}

static bool is_among(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

int tree_expect(const struct tree *tree, const char *const *known, struct error *err)
{
    char path[PATH_BYTES_MAX];

    if (*tree->value)
        return tree_error(tree, err, "has a value, but is a section");
    for (const struct tree *child = tree->child; child; child = child->next) {
        if (is_among(child->name, known))
            continue;
        path_prefix(child, path);
        return word_error(err, ERR_REJECT, child->name, known, "%sis not known here", path);
    }
    return tree_unique(tree, err);
}

int tree_unknown(const struct tree *tree, const char *what, const char *word, const char *const *words,
                 struct error *err)
{
    char path[PATH_BYTES_MAX];

    path_prefix(tree, path);
    return word_error(err, ERR_REJECT, word, words, "%sthere is no %s \"%s\"", path, what, word);
}

int tree_text(const struct tree *tree, const char **ret, struct error *err)
{
    if (tree->child)
        return tree_error(tree->child, err, "does not belong below \"%s\"", tree->name);
    if (!*tree->value)
        return tree_error(tree, err, "has no value");
    *ret = tree->value;
    return 0;
}

int tree_word(const struct tree *tree, const char *const *words, unsigned *ret, struct error *err)
{
    char path[PATH_BYTES_MAX];
    const char *word = "";

    if (tree_text(tree, &word, err) < 0)
        return err->code;
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0) {
            *ret = i;
            return 0;
        }
    path_prefix(tree, path);
    return word_error(err, ERR_REJECT, word, words, "%s\"%s\" is not known here", path, word);
}

int tree_yes(const struct tree *tree, const char *name, bool otherwise, bool *ret, struct error *err)
{
    static const char *const words[] = { "no", "yes", NULL };
    const struct tree *child = tree_child(tree, name);
    unsigned word = otherwise;

    if (child && tree_word(child, words, &word, err) < 0)
        return err->code;
    *ret = word;
    return 0;
}

/* The digits at the start of `text`; NULL when there are none or too many, else where they end. */
static const char *digits_read(const char *text, uint64_t *ret)
{
    const char *digit = text;

    *ret = 0;
    for (; *digit >= '0' && *digit <= '9'; digit++)
        if (__builtin_mul_overflow(*ret, UINT64_C(10), ret) ||
            __builtin_add_overflow(*ret, (uint64_t)(*digit - '0'), ret))
            return NULL;
    return digit > text ? digit : NULL;
}

int tree_number(const struct tree *tree, uint64_t smallest, uint64_t most, uint64_t *ret, struct error *err)
{
    const char *text = "", *end;
    uint64_t number;

    if (tree_text(tree, &text, err) < 0)
        return err->code;
    end = digits_read(text, &number);
    if (!end || *end || number < smallest || number > most)
        return tree_error(tree, err, "must be a whole number from %" PRIu64 " to %" PRIu64, smallest, most);
    *ret = number;
    return 0;
}

bool quantity_parse(const char *text, const struct quantity_unit *units, uint64_t *ret)
{
    uint64_t number;
    const char *unit = digits_read(text, &number);

    for (; unit && units->name; units++)
        if (strcmp(units->name, unit) == 0)
            return !__builtin_mul_overflow(number, units->worth, ret);
    return false;
}

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t';
}

int tree_list(struct arena *arena, const struct tree *tree, const char *const **ret, size_t *ret_count,
              struct error *err)
{
    size_t count = 0;
    const char **words;
    const char *at = "";

    if (tree_text(tree, &at, err) < 0)
        return err->code;
    words = arena_array(arena, strlen(at) / 2 + 2, sizeof *words);
    while (*at) {
        const char *start = at;

        while (*at && !is_blank(*at))
            at++;
        if (at > start) {
            const char *word = arena_copy(arena, start, (size_t)(at - start));

            if (is_among(word, words))
                return tree_error(tree, err, "\"%s\" stands here twice", word);
            if (count == LIST_WORDS_MAX)
                return tree_error(tree, err, "has more than %d words", LIST_WORDS_MAX);
            words[count++] = word;
        }
        while (is_blank(*at))
            at++;
    }
    if (count == 0)
        return tree_error(tree, err, "has no value");
    *ret = words;
    *ret_count = count;
    return 0;
}

bool name_is_valid(const char *name, size_t most)
{
    size_t length = 0;

    for (; name[length]; length++) {
        bool letter = name[length] >= 'a' && name[length] <= 'z';
        bool later = (name[length] >= '0' && name[length] <= '9') || name[length] == '_';

        if (length == most || !(letter || (later && length > 0)))
            return false;
    }
    return length > 0;
}
