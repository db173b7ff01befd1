/* form.h: how the lists of one block look: what an agent's file says in its section `lists`. Pure. */
#ifndef SELARAS_CSV_FORM_H
#define SELARAS_CSV_FORM_H

#include "proto/mapping.h"

struct form {
    const char *file; /* pattern of the file's name without its ending */
    const char *page; /* of a workbook; "" for its first */
    bool day_first;   /* 17/08/1945; else 1945-08-17 */
    char decimal;     /* ',' or '.' */
    bool complete;    /* every list of this kind is complete: who is not in it is gone */
};

/* The blocks of one table are parts of one list: the first one of that which this block is of. */
uint16_t list_of(const struct mapping *mapping, uint16_t block);
/* Whether it has several. */
bool list_shared(const struct mapping *mapping, uint16_t block);

/* One form a block of the mapping, in its order. `tree` is the section, or NULL: then every form is as usual (file
 * named as the table, dates as 17/08/1945, decimal comma, complete only when the file says so). Blocks of one list have
 * the form that is said for one of them. ERR_REJECT with the path. */
must_check int forms_build(struct arena *arena, const struct tree *tree, const struct mapping *mapping,
                           const struct form **ret, struct error *err);

/* What the name of a file says. */
enum { FILE_NAME_MAX = 255 };
enum file_kind { FILE_OTHER, FILE_CSV, FILE_XLSX };
enum file_kind file_name_kind(const char *name);
struct file_name {
    enum file_kind kind; /* FILE_OTHER: none of ours, or a program's own */
    int block;           /* the first of its list; -1: no form has such a name; -2: several do */
    bool complete;       /* it says "lengkap" or "complete" */
};
struct file_name file_name_read(const struct mapping *mapping, const struct form *forms, const char *name);
/* "penerima*, bidan*", in `arena`. */
const char *forms_names(struct arena *arena, const struct mapping *mapping, const struct form *forms);

/* How the cells of one column are spelt. */
enum spelling_kind { SPELLING_TEXT, SPELLING_DIGITS, SPELLING_CODE, SPELLING_DATE, SPELLING_NUMBER, SPELLING_FLAG };
struct spelling {
    enum spelling_kind kind;
    bool day_first;
    char decimal;
};
/* Of each of the block's columns; the mapping is bound. */
struct spelling *spellings_of(struct arena *arena, const struct mapping_block *block, const struct form *form);
/* A cell as row_read() takes it: REFUSAL_KIND_COUNT, or why it cannot be. */
int spelling_read(struct arena *arena, struct spelling spelling, struct value cell, struct value *ret);
/* The other way: as a clerk would type it. */
struct value spelling_write(struct arena *arena, struct spelling spelling, struct value column);

#endif
