/* tree_fixture.h: a tree from a few lines of ZPL, for tests of what is built from trees.
 *
 * Reads what tests write, four spaces a level, and checks nothing: files are read by shell/zpl.c, which needs czmq. */
#ifndef SELARAS_TREE_FIXTURE_H
#define SELARAS_TREE_FIXTURE_H

#include "proto/tree.h"

#include <string.h>

enum { FIXTURE_LEVELS_MAX = 16 };

/* The value of `name = value # comment`, without quotes. */
static inline const char *fixture_value(struct arena *arena, const char *at, const char *end)
{
    const char *equals = memchr(at, '=', (size_t)(end - at));
    const char *value;

    if (!equals)
        return "";
    value = equals + 1 + strspn(equals + 1, " ");
    if (*value == '"') {
        value++;
        end = memchr(value, '"', (size_t)(end - value));
    }
    return arena_copy(arena, value, (size_t)(end - value));
}

static inline const struct tree *tree_fixture(struct arena *arena, const char *text)
{
    struct tree *root = arena_alloc(arena, sizeof *root);
    struct tree *open[FIXTURE_LEVELS_MAX] = { root };         /* the newest node of each level */
    const struct tree **place[FIXTURE_LEVELS_MAX] = { NULL }; /* where the next one of a level goes */

    root->name = "root";
    root->value = "";
    place[1] = &root->child;
    while (*text) {
        const char *end = strchrnul(text, '\n');
        size_t blanks = strspn(text, " "), level = blanks / 4 + 1;
        const char *name = text + blanks;

        text = *end ? end + 1 : end;
        if (name < end && *name != '#') {
            struct tree *node = arena_alloc(arena, sizeof *node);

            *node = (struct tree){ .name = arena_copy(arena, name, strcspn(name, " =\n")),
                                   .value = fixture_value(arena, name, end),
                                   .parent = open[level - 1] };
            *place[level] = node;
            place[level] = &node->next;
            place[level + 1] = &node->child;
            open[level] = node;
        }
    }
    return root;
}

#endif
