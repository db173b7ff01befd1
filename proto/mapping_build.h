/* mapping_build.h: what the parts that build a mapping share: mapping.c (blocks), mapping_fields.c, mapping_where.c. */
#ifndef SELARAS_MAPPING_BUILD_H
#define SELARAS_MAPPING_BUILD_H

#include "proto/mapping.h"

struct builder {
    struct arena *arena;
    struct error *err;
};

/* A block while it is built: `columns` grows. */
struct block_builder {
    const struct builder *builder;
    const struct tree *tree;
    const char **columns;
    struct mapping_block *block;
};

/* A copy: the mapping outlives the tree that it was read from. */
const char *kept(const struct builder *builder, const char *text);
/* Whether the node's name may name a block or field. */
must_check int name_check(const struct builder *builder, const struct tree *tree);
/* The text of child `name`, which must be there. */
must_check int text_build(const struct builder *builder, const struct tree *tree, const char *name, const char **ret);
/* A name in the agency's database: whatever it likes, but not so long that it would be cut. */
must_check int identifier_check(const struct builder *builder, const struct tree *tree, const char *name);
/* A section: no value of its own, no child twice, 1 to `most` children. */
must_check int section_check(const struct builder *builder, const struct tree *tree, size_t most);

/* The place of a column among the block's, where it is put if it is not there. `at` is where it is named. */
must_check int column_place(struct block_builder *build, const struct tree *at, const char *name, uint16_t *ret);

/* mapping_fields.c: sections "constants" (may be missing) and "fields". */
must_check int fields_build(struct block_builder *build);
/* mapping_where.c: section "where" (may be missing). */
must_check int where_build(struct block_builder *build);
/* What the condition of `delete = set` comes to must lead out of the block. */
must_check int where_check_delete(const struct block_builder *build);
bool blocks_share_table(const struct mapping_block *left, const struct mapping_block *right);
/* Whether a constant within the keys tells their records apart. */
bool constants_differ(const struct mapping_block *left, const struct mapping_block *right);
/* Whether the newest block may stand on one table with each one before it; marks those that share rows. */
must_check int tables_check(struct mapping *mapping, const struct tree *tree, struct error *err);

#endif
