/* zpl.h: reads a ZPL file through czmq's zconfig into a tree. */
#ifndef SELARAS_ZPL_H
#define SELARAS_ZPL_H

#include "proto/catalog.h"

/* The file's bytes (at most 1 MiB) in `arena`, NUL-terminated; "-" is standard input. ERR_STOP with path and reason
 * when it cannot be read. */
must_check int file_read(struct arena *arena, const char *path, const char **ret_text, size_t *ret_length,
                         struct error *err);

/* Parses ZPL text. zconfig prints syntax errors, with line numbers, on standard output: they are caught from there and
 * returned (ERR_REJECT, "catalog.zpl: line 12: ..."). `name` is what errors call the file. What zconfig would cut
 * or misread without a word is refused too. */
must_check int zpl_parse(struct arena *arena, const char *name, const char *text, size_t length,
                         const struct tree **ret, struct error *err);

/* The catalog in a file. */
must_check int catalog_read(struct arena *arena, const char *path, const struct catalog **ret, struct error *err);

#endif
