/* row_view.h: how the rows of published tables look to the blocks of the mapping.
 *
 * A table says in a message of its own how its columns stand; from then on its rows are read by that. Pure. */
#ifndef SELARAS_ROW_VIEW_H
#define SELARAS_ROW_VIEW_H

#include "agents/postgres/pgoutput.h"
#include "agents/postgres/touched.h"

/* How a published table looks to one block: the place of each of the block's columns in it. */
struct block_view {
    uint16_t block;
    uint16_t *places;
    bool keyed; /* the replica identity holds the whole local key */
};

struct table_view {
    struct table_view *next;
    uint32_t id;
    uint16_t column_count;
    char identity;
    bool *key_columns;
    struct block_view *blocks;
    uint16_t block_count;
};

/* What was left out because it could not be translated, and where the first was (never the value). */
struct problems {
    uint32_t count;
    struct error first;
};

/* Zeros and a mapping, which is bound, are a set of views. */
struct views {
    const struct mapping *mapping;
    struct table_view *tables;
};

/* Remembers how a table looks from here on; it is copied. ERR_STOP when a mapped column is not there. */
must_check int views_describe(struct views *views, const struct pgoutput_relation *relation, struct error *err);
void views_free(struct views *views);

/* The table of an insert, update or delete. ERR_STOP: it was not described, or the row does not fit its description;
 * ERR_LOST: the key that the row had is not said. */
must_check int views_find(const struct views *views, const struct pgoutput_message *message,
                          const struct table_view **ret, struct error *err);
/* ERR_LOST when one of the tables that a message truncates is mapped; ERR_RELOAD when all such may be loaded anew
 * (`reload`), and then one of them. */
must_check int views_truncate(const struct views *views, const struct pgoutput_message *message,
                              const struct table_view **ret, struct error *err);

/* What a message did to a row, as one block sees it. A row without a key is no record of the block: it has none, does
 * not belong, or is not there. `arena` gets all of it. */
struct seen_change {
    struct seen old, row;
};
struct seen_change view_change(struct arena *arena, const struct mapping *mapping, const struct table_view *table,
                               const struct block_view *view, const struct pgoutput_message *message,
                               struct problems *problems);
/* Notes what was left out of a block's table. */
void problem_note(struct problems *problems, const struct mapping_block *block, const char *what);

#endif
