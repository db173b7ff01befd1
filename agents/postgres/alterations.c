#include "agents/postgres/alterations.h"

#include <stdlib.h>

static struct alteration *found_or_new(struct alterations *alterations, const struct mapping_block *block, int field)
{
    for (uint32_t i = 0; i < alterations->count; i++)
        if (alterations->list[i].block == block && alterations->list[i].field == field)
            return &alterations->list[i];
    if (alterations->count == alterations->capacity) {
        alterations->capacity = alterations->capacity ? 2 * alterations->capacity : 8;
        alterations->list = realloc(alterations->list, alterations->capacity * sizeof *alterations->list);
        if (!alterations->list)
            abort();
    }
    alterations->list[alterations->count] = (struct alteration){ .block = block, .field = field };
    return &alterations->list[alterations->count++];
}

void alterations_note(struct alterations *alterations, const struct mapping_block *block, int field)
{
    found_or_new(alterations, block, field)->count++;
}

const char *alteration_column(const struct alteration *alteration)
{
    const struct mapping_block *block = alteration->block;

    return alteration->field == ALTERED_ROWS ? NULL : block->columns[block->fields[alteration->field].columns[0]];
}

void alterations_free(struct alterations *alterations)
{
    free(alterations->list);
    *alterations = (struct alterations){ 0 };
}
