/* titles.h: the first row of a list, and by what its cells are separated: nobody says that, so the titles that are
 * wanted tell. Pure. */
#ifndef SELARAS_CSV_TITLES_H
#define SELARAS_CSV_TITLES_H

#include "proto/message.h"

enum { TITLES_MAX = 1024 };

struct titles {
    const char **written; /* as the file has them */
    int *wanted;          /* of each the index of the wanted one that it is; -1: none */
    uint32_t count;       /* 0: nothing can be read so */
    bool many;            /* there are more than TITLES_MAX */
    char separator;
};

/* The separator is the one that finds most of the wanted titles; of equals the one that makes most columns. Titles are
 * compared without regard to case and white space. */
struct titles titles_read(struct arena *arena, const struct buffer *header, const char *const *wanted,
                          uint16_t wanted_count);

/* White space: around a cell, and for libcsv between a cell and its separator. */
bool text_white(char letter);
int titles_space(unsigned char letter);

#endif
