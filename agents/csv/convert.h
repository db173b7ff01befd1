/* convert.h: a workbook made into a list by Debian's xlsx2csv, a child process with limits on the loop. */
#ifndef SELARAS_CSV_CONVERT_H
#define SELARAS_CSV_CONVERT_H

#include "agents/csv/refusal.h"
#include "shell/loop.h"

#include <stddef.h>

#define CONVERT_PROGRAM "/usr/bin/xlsx2csv"
enum { CONVERT_MS = 120000 };

struct convert;

/* Called once, from the loop. `text` is given away; NULL when `why` is not REFUSAL_KIND_COUNT. */
typedef void convert_done(void *context, char *text, size_t length, enum refusal_kind why);

/* Reads the workbook from `fd` (kept open by the caller until done). `page` "": its first. Rows end in a line feed,
 * cells are separated by semicolons, dates are 1945-08-17. ERR_RETRY when no process can be made. */
must_check int convert_start(struct loop *loop, int fd, const char *page, size_t most_bytes, convert_done *done,
                             void *context, struct convert **ret, struct error *err);
/* Ends the child too. Allowed inside `done`. */
void convert_free(struct convert **convert);

#endif
