/* mapping.h: how one agency's tables say what the catalog's fields say. It translates; it decides nothing.
 *
 * A block maps one table to one record type. A row becomes fields by row_read(), fields become columns by row_write();
 * both are pure and go through canonical values (value.h), so that what an agency writes its own way compares equal. */
#ifndef SELARAS_MAPPING_H
#define SELARAS_MAPPING_H

#include "proto/catalog.h"
#include "proto/message.h"
#include "proto/zone.h"

enum { KEY_COLUMNS_MAX = 16 }; /* of one block */

struct mapping_code {
    const char *local;
    const char *canonical;
};

/* What a code that the mapping does not list reads as. */
enum unknown_code { UNKNOWN_PARK, UNKNOWN_NULL };

struct mapping_field {
    const char *name;        /* the catalog's */
    int field;               /* index into the type's fields; set by mapping_bind */
    const uint16_t *columns; /* indexes into the block's columns, in the order of their parts */
    uint8_t column_count;    /* 0: a constant */
    const char *join;        /* stands between the parts of several columns ("." in 64.02.06.1001) */
    bool trim;               /* white space at both ends is not part of the value */
    const struct mapping_code
        *codes; /* after mapping_bind in the catalog's spelling; the first of several is written */
    const struct mapping_code *code_lines; /* as the file has them */
    uint16_t code_count;
    enum unknown_code unknown;
    const char *block;                  /* the block by whose keys a reference says what it is to; NULL: it is none */
    const struct mapping_block *refers; /* set by mapping_bind; NULL: it is no reference */
    const char *constant;               /* after mapping_bind in the catalog's spelling; NULL: it has columns */
    const char *constant_line;
};

/* A condition on one column: a row belongs to the block only when it holds. */
enum where_kind { WHERE_VALUES, WHERE_NULL, WHERE_NOT_NULL };
struct mapping_where {
    uint16_t column; /* index into the block's columns */
    enum where_kind kind;
    const char *const *values; /* as the agency's database spells them; the first is what a row gets that comes in */
    uint16_t value_count;
};

/* A column that a block only reads; -1: none. */
#define COLUMN_NONE (-1)

struct mapping_block {
    const char *name;
    const char *schema, *table;
    const char *type_name;
    const struct catalog_type *type; /* set by mapping_bind */
    bool generated;                  /* the local key is made by the agency's database: `key` is empty */
    const uint16_t *key;             /* indexes into `fields` of what makes the local key */
    uint8_t key_count;
    const uint16_t *key_columns; /* what a row is found by, in key order: indexes into `columns`, at least one */
    uint8_t key_column_count;
    bool insert;
    enum delete_mode delete;
    const char *delete_column, *delete_value; /* for DELETE_SET */
    uint32_t absence_s;                       /* how long a deletion waits for its re-insert; 0: not at all */
    bool reload;                              /* TRUNCATE with re-insert is a reload, not a deletion */
    const struct zone *zone;                  /* of times without one; NULL: UTC */
    int actor_column, ground_column;          /* indexes into `columns` of who changed a row and why */
    const char *const *columns;               /* every column that is used, once: the order of a row here */
    uint16_t column_count;
    uint16_t written_count; /* the first so many may be written; the others are only read */
    struct mapping_where *where;
    uint16_t where_count;
    struct mapping_field *fields;
    uint16_t field_count;
    bool shared; /* another block maps this table too, and does not exclude this one's rows: it never makes rows */
};

struct mapping {
    struct mapping_block *blocks;
    uint16_t block_count;
};

/* Builds a mapping from the `mapping` node of an agent's file. Strict: unknown and duplicate keys, a field or column
 * used twice, a key field that is not mapped, blocks on one table whose rows cannot be told apart, an unreadable word:
 * ERR_REJECT with the path and the nearest word. */
must_check int mapping_build(struct arena *arena, const struct tree *tree, struct mapping *ret, struct error *err);

/* Ties names to the catalog's types and fields, and checks that codes are values of their field. ERR_STOP with the path
 * ("mapping/peserta_jkn/fields/premi") and the nearest field when the catalog has no such thing, when part of a group
 * is mapped and `agency` may write the group, when a key field is no identifier or the key holds none whole, or when
 * the agency has no rows that a reference could be to. */
must_check int mapping_bind(struct arena *arena, struct mapping *mapping, const struct catalog *catalog,
                            const char *agency, struct error *err);

/* What hello declares of it. Borrows from the mapping. */
struct block *mapping_declare(struct arena *arena, const struct mapping *mapping);
int mapping_block_named(const struct mapping *mapping, struct text name);
/* Index into block->fields, or -1. */
int mapping_field_named(const struct mapping_block *block, struct text name);

/* Whether a row belongs to the block: every condition holds. A column that is absent meets none. Trailing blanks do
 * not count, as in a char(n). */
bool row_in(const struct mapping_block *block, const struct value *columns);
/* Translates one row, `columns` in the block's order, to `fields` in the block's order (both the caller's arrays). A
 * field any of whose columns is absent is absent; one whose columns are all NULL is NULL. A value that cannot be
 * translated makes its field absent and counts: the return value is how many, and err->text names the first one's
 * table, column and reason, never the value. */
int row_read(struct arena *arena, const struct mapping_block *block, const struct value *columns, struct value *fields,
             struct error *err);
/* The other way. Absent fields leave their columns absent. ERR_REJECT, naming the column, when the value has no local
 * spelling (a code without an entry, the wrong number of parts), is not the block's constant, or would take the row out
 * of the block. */
must_check int row_write(struct arena *arena, const struct mapping_block *block, const struct value *fields,
                         struct value *columns, struct error *err);
/* ERR_REJECT when a column that is set would take its row out of the block. */
must_check int row_stays(const struct mapping_block *block, const struct value *columns, struct error *err);
/* Gives the columns of the conditions that are still absent or NULL what a row of this block has, so that a row which
 * comes in is in. ERR_REJECT when a column that must not be NULL has no value. */
must_check int row_enter(const struct mapping_block *block, struct value *columns, struct error *err);
/* The local key of a row: the key fields' values, or the generated key columns', joined by U+001F, in `arena`. Either
 * array may be NULL when the other is what it takes. Length 0 when one of them is not set, or holds U+001F, which
 * row_read lets no key do. */
struct text row_key(struct arena *arena, const struct mapping_block *block, const struct value *columns,
                    const struct value *fields);
/* A key's components back into the key fields' places of `fields`, none for a generated key. Borrows from `key`.
 * ERR_REJECT when their number is wrong. */
must_check int row_unkey(struct arena *arena, const struct mapping_block *block, struct text key, struct value *fields,
                         struct error *err);
/* The values of the block's key_columns, in their order, of the row with this key. ERR_REJECT as row_write. */
must_check int row_key_columns(struct arena *arena, const struct mapping_block *block, struct text key,
                               struct value *ret, struct error *err);

#endif
