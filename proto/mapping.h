/* mapping.h: how one agency's tables say what the catalog's fields say. It translates; it decides nothing.
 *
 * A block maps one table to one record type. A row becomes fields by row_read(), fields become columns by row_write();
 * both are pure and go through canonical values (value.h), so that what an agency writes its own way compares equal. */
#ifndef SELARAS_MAPPING_H
#define SELARAS_MAPPING_H

#include "proto/catalog.h"
#include "proto/message.h"

struct mapping_code {
    const char *local;
    const char *canonical;
};

struct mapping_field {
    const char *name;        /* the catalog's */
    int field;               /* index into the type's fields; set by mapping_bind */
    const uint16_t *columns; /* indexes into the block's columns, in the order of their parts */
    uint8_t column_count;
    const char *join; /* stands between the parts of several columns ("." in 64.02.06.1001) */
    bool trim;        /* white space at both ends is not part of the value */
    const struct mapping_code
        *codes; /* after mapping_bind in the catalog's spelling; the first of several is written */
    const struct mapping_code *code_lines; /* as the file has them */
    uint16_t code_count;
};

struct mapping_block {
    const char *name;
    const char *schema, *table;
    const char *type_name;
    const struct catalog_type *type; /* set by mapping_bind */
    const uint16_t *key;             /* indexes into `fields` of what makes the local key */
    uint8_t key_count;
    bool insert;
    enum delete_mode delete;
    const char *delete_column, *delete_value; /* for DELETE_SET */
    const char *const *columns;               /* every column that some field uses, once: the order of a row here */
    uint16_t column_count;
    struct mapping_field *fields;
    uint16_t field_count;
};

struct mapping {
    struct mapping_block *blocks;
    uint16_t block_count;
};

/* Builds a mapping from the `mapping` node of an agent's file. Strict: unknown and duplicate keys, a field or column
 * used twice, a key field that is not mapped, an unreadable word: ERR_REJECT with the path and the nearest word. */
must_check int mapping_build(struct arena *arena, const struct tree *tree, struct mapping *ret, struct error *err);

/* Ties names to the catalog's types and fields, and checks that codes are values of their field. ERR_STOP with the path
 * ("mapping/peserta_jkn/fields/premi") and the nearest field when the catalog has no such thing, when part of a group
 * is mapped and `agency` may write the group, or when a key field is no identifier. */
must_check int mapping_bind(struct arena *arena, struct mapping *mapping, const struct catalog *catalog,
                            const char *agency, struct error *err);

/* What hello declares of it. Borrows from the mapping. */
struct block *mapping_declare(struct arena *arena, const struct mapping *mapping);
int mapping_block_named(const struct mapping *mapping, struct text name);
/* Index into block->fields, or -1. */
int mapping_field_named(const struct mapping_block *block, struct text name);

/* Translates one row, `columns` in the block's order, to `fields` in the block's order (both the caller's arrays). A
 * field any of whose columns is absent is absent; one whose columns are all NULL is NULL. A value that cannot be
 * translated makes its field absent and counts: the return value is how many, and err->text names the first one's
 * table, column and reason, never the value. */
int row_read(struct arena *arena, const struct mapping_block *block, const struct value *columns, struct value *fields,
             struct error *err);
/* The other way. Absent fields leave their columns absent. ERR_REJECT, naming the column, when the value has no local
 * spelling (a code without an entry, the wrong number of parts). */
must_check int row_write(struct arena *arena, const struct mapping_block *block, const struct value *fields,
                         struct value *columns, struct error *err);
/* The local key of these fields: the key fields' values joined by U+001F, in `arena`; length 0 when one of them is not
 * set or holds U+001F, which row_read lets no key do. */
struct text row_key(struct arena *arena, const struct mapping_block *block, const struct value *fields);
/* A key's components back into the key fields' places of `fields`. Borrows from `key`. ERR_REJECT when their number is
 * wrong. */
must_check int row_unkey(struct arena *arena, const struct mapping_block *block, struct text key, struct value *fields,
                         struct error *err);

#endif
