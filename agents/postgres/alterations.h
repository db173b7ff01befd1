/* alterations.h: what the agency's own triggers and cascades made of rows while the feed was applied.
 *
 * A row that they delete is a change and travels. Another value that they write stays where it is: were it sent, two
 * agencies whose triggers disagree would answer each other for ever. So it is counted, by table and column, for the
 * sysadmin to see. Pure. */
#ifndef SELARAS_ALTERATIONS_H
#define SELARAS_ALTERATIONS_H

#include "proto/mapping.h"

/* Bounded by the mapping. */
struct alteration {
    const struct mapping_block *block;
    int field;      /* index into the block's fields; ALTERED_ROWS: rows as a whole */
    uint64_t count; /* how many rows */
    bool told;      /* the log has it */
};
enum { ALTERED_ROWS = -1 };

/* Zeros are empty. */
struct alterations {
    struct alteration *list;
    uint32_t count, capacity;
};

void alterations_note(struct alterations *alterations, const struct mapping_block *block, int field);
/* The column's name, or NULL for rows as a whole. */
const char *alteration_column(const struct alteration *alteration);
void alterations_free(struct alterations *alterations);

#endif
