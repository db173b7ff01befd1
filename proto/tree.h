/* tree.h: a configuration file as read: names, values and children, nothing decided yet.
 *
 * shell/zpl.c fills it from ZPL (RFC 4/ZPL, https://rfc.zeromq.org/spec/4) through czmq's zconfig; catalog, mapping and
 * settings are built from it, so that none of them knows czmq. */
#ifndef SELARAS_TREE_H
#define SELARAS_TREE_H

#include "proto/arena.h"
#include "proto/error.h"

#include <stdbool.h>
#include <stdint.h>

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
 * unknown one, the nearest known word. So is a value of `tree` itself: nobody would read it. */
must_check int tree_expect(const struct tree *tree, const char *const *known, struct error *err);
/* ERR_REJECT when two children have one name: zconfig lets duplicates pass. */
must_check int tree_unique(const struct tree *tree, struct error *err);
/* The value of child `name`, or `otherwise` when there is no such child. */
const char *tree_get(const struct tree *tree, const char *name, const char *otherwise);
/* The word of `words` (ends in NULL) with the smallest edit distance to `word`, or NULL when none is near enough to
 * be meant (more than half of its letters differ). */
const char *nearest_word(const char *word, const char *const *words);

/* ERR_REJECT with the path before the text: "record/resident/fields/nik/type: ...". */
int tree_error(const struct tree *tree, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
/* As error_set, ending in "; did you mean ...?" when a word of `words` is near, else in what they are. */
int word_error(struct error *err, int code, const char *word, const char *const *words, const char *fmt, ...)
    __attribute__((format(printf, 5, 6), cold));
/* As tree_error, for a `word` that should be one of `words`: there is no agency "dinkess"; did you mean "dinkes"? */
int tree_unknown(const struct tree *tree, const char *what, const char *word, const char *const *words,
                 struct error *err) __attribute__((cold));
/* The value of `tree`. ERR_REJECT with the path when it has none, or when something stands below it, which nobody would
 * read; so it is with the functions below. */
must_check int tree_text(const struct tree *tree, const char **ret, struct error *err);
/* Which of `words` (ends in NULL) the value of `tree` is. ERR_REJECT with the path when it is none of them. */
must_check int tree_word(const struct tree *tree, const char *const *words, unsigned *ret, struct error *err);
/* Child `name` is "yes" or "no"; `otherwise` when there is no such child. */
must_check int tree_yes(const struct tree *tree, const char *name, bool otherwise, bool *ret, struct error *err);
/* The value of `tree`, a whole decimal number from `least` to `most`. */
must_check int tree_number(const struct tree *tree, uint64_t least, uint64_t most, uint64_t *ret, struct error *err);
/* The words of its value, separated by blanks; *ret ends in NULL. ERR_REJECT when there is none or one stands twice. */
must_check int tree_list(struct arena *arena, const struct tree *tree, const char *const **ret, size_t *ret_count,
                         struct error *err);
/* A whole number with a unit behind it ("30min"), times what that unit is worth; a unit "" lets a number stand alone.
 * False when it is no such thing or beyond 64 bits. `units` ends in a NULL name. */
struct quantity_unit {
    const char *name;
    uint64_t worth;
};
bool quantity_parse(const char *text, const struct quantity_unit *units, uint64_t *ret);
/* How many children it has. */
size_t tree_count(const struct tree *tree);

/* Whether it may name an agency, block, field or type: [a-z][a-z0-9_]*, at most `most` bytes. */
enum { AGENCY_NAME_BYTES = 32, NAME_BYTES = 63 };
bool name_is_valid(const char *name, size_t most);

#endif
