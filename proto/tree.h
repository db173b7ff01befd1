/* tree.h: a configuration file as read: names, values and children, nothing decided yet.
 *
 * shell/zpl.c fills it from ZPL (RFC 4/ZPL, https://rfc.zeromq.org/spec/4) through czmq's zconfig; catalog, mapping and
 * settings are built from it, so that none of them knows czmq. */
#ifndef SELARAS_TREE_H
#define SELARAS_TREE_H

#include "proto/arena.h"
#include "proto/error.h"

struct tree {
    const char *name;
    const char *value; /* "" when it has none */
    const struct tree *child;
    const struct tree *next;
    const struct tree *parent; /* NULL for the root */
};

/* The first child of this name, or NULL. */
const struct tree *tree_child(const struct tree *tree, const char *name);
/* "record/resident/fields/nik", without the root's name. Allocated in `arena`. */
const char *tree_path(struct arena *arena, const struct tree *tree);
/* ERR_REJECT when a child's name is not among `known` (ends in NULL) or stands twice; names the path and, for an
 * unknown one, the nearest known word. */
must_check int tree_expect(const struct tree *tree, const char *const *known, struct error *err);
/* ERR_REJECT when two children have one name: zconfig lets duplicates pass. */
must_check int tree_unique(const struct tree *tree, struct error *err);
/* The value of child `name`, or `otherwise` when there is no such child. */
const char *tree_get(const struct tree *tree, const char *name, const char *otherwise);
/* The word of `words` (ends in NULL) with the smallest edit distance to `word`, or NULL when none is near enough to
 * be meant (more than half of its letters differ). */
const char *nearest_word(const char *word, const char *const *words);

#endif
