/* previewing.h: a preview on its way. For the core's own files alone. */
#ifndef SELARAS_PREVIEWING_H
#define SELARAS_PREVIEWING_H

#include "daemon/preview.h"
#include "daemon/work.h"

enum { PREVIEW_SAMPLES_MOST = 20, PREVIEW_NUMBERS_FROM = 62 };

/* What earlier pages have said of records: which one an identifier names by then, which one a row that others may refer
 * to is, and whether a record has a row of the agency. 16 bytes each, by a hash that nobody can aim at. */
struct preview_memory {
    struct preview_known {
        uint64_t hash, record;
    } * slots;
    size_t used, size; /* a power of two */
};
uint64_t preview_recall(const struct preview_memory *memory, uint64_t hash);
void preview_remember(struct preview_memory *memory, uint64_t hash, uint64_t record);

struct preview {
    struct arena *arena;
    void *request;
    uint16_t agency; /* id */
    uint32_t samples;
    struct peer shadow; /* the agency as it would be */
    bool *taken;        /* by its blocks: would be fed and is not yet */
    uint16_t *order;    /* its blocks: what others refer to comes before what refers to it, as in a load */
    /* As it was when this began: else it counts what is not there any more. */
    enum agency_mode mode;
    struct text modes, blocks;
    uint32_t incarnation;
    /* How far it is. */
    uint16_t block;  /* of `order`: whose rows come next; behind the last: what it lacks */
    struct text key; /* behind this one */
    uint16_t type;
    uint64_t after;
    bool yields;          /* a batch of the agencies comes next */
    uint64_t next_record; /* numbers for records that there are not */
    struct preview_memory memory;
    struct preview_result result;
};

/* The block whose rows come next; NULL behind the last. */
const struct agency_block *preview_block(const struct preview *preview);
/* The page of rows that was found: what must be looked up for it, and then what becomes of each. */
void preview_want_records(struct broker *broker, struct work *work);
/* Whether more must be looked up: which record one is that a person has said to be another one. */
bool preview_wants_same(struct work *work);
void preview_decide(struct broker *broker, struct work *work);
/* Records that it lacks. */
void preview_fill(struct broker *broker, struct work *work);

#endif
