/* settings.h: every setting is one row of a table: its name, type, unit, range and default. */
#ifndef SELARAS_SETTINGS_H
#define SELARAS_SETTINGS_H

#include "proto/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
    SETTING_TEXT,     /* const char * */
    SETTING_DURATION, /* uint32_t milliseconds; "250ms", "5s", "10min", "2h" */
    SETTING_SIZE,     /* uint64_t bytes; "64KiB", "8MiB", "1GiB" */
    SETTING_NUMBER,   /* uint32_t */
    SETTING_YES,      /* bool; "yes" or "no" */
};

struct setting {
    const char *path; /* "broker/endpoint" */
    enum setting_type type;
    size_t offset;         /* into the settings struct */
    uint64_t least, most;  /* in the type's unit; ignored for text and yes */
    const char *otherwise; /* default, as written in a file; NULL: must be given */
    bool reloads;          /* takes effect on SIGHUP */
    const char *meaning;   /* one line, for the man page and `selaras check` */
};

/* Fills `settings` (a struct of the program's own) from `tree` by `table` (ends in a row without path). Sections that
 * other code reads are named in `others` (ends in NULL). Unknown, duplicate, missing and out-of-range settings are
 * ERR_REJECT with the path, the nearest known word and what is allowed. Text is in `arena`. */
must_check int settings_fill(struct arena *arena, const struct setting *table, const struct tree *tree,
                             const char *const *others, void *settings, struct error *err);

#endif
