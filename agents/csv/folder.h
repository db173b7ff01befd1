/* folder.h: the folder that clerks save their lists into, and what becomes of the files.
 *
 * A file is taken once whoever writes it has closed it (inotify), or when it has been lying there unchanged for a
 * moment. What was taken goes to diterima/, what was refused to ditolak/, corrections stand in koreksi/. Folders are
 * held open and names never followed through a link. */
#ifndef SELARAS_CSV_FOLDER_H
#define SELARAS_CSV_FOLDER_H

#include "proto/message.h"
#include "shell/loop.h"

#include <sys/stat.h>

enum { FOLDER_QUIET_MS = 2000 }; /* a file found lying there must not have changed for so long */

struct folder;

/* Opens `path` and makes the folders in it. `changed` is called from the loop when there may be something to take.
 * ERR_STOP with the remedy when it is not there or may not be written. */
must_check int folder_open(struct loop *loop, const char *path, loop_ready *changed, void *context, struct folder **ret,
                           struct error *err);
void folder_close(struct folder **folder);

/* The oldest file that may be taken, of those that end as lists do; false: none now. `ret_name` is borrowed until the
 * next call. */
bool folder_next(struct folder *folder, const char **ret_name);
/* Whether something lies there of which it is not known yet whether it is whole. */
bool folder_settles(const struct folder *folder);
/* Opens it for reading: -1 when it is no plain file of one name (then *ret_plain is false) or not there any more. */
int folder_file(struct folder *folder, const char *name, struct stat *ret, bool *ret_plain);
/* Whether the file is not any more as `read`, which folder_file() gave: somebody writes into it. */
bool folder_rewritten(int fd, const struct stat *read);
/* It is none of ours: not offered again until it changes. */
void folder_leave(struct folder *folder, const char *name);
/* It is being written: offered again when its writer has closed it, or when it has come to rest. */
void folder_wait(struct folder *folder, const char *name);
/* Moves the file that was `read` to diterima/ or ditolak/, its name after `time_us`, with a text file beside it when
 * `note` has any. A file that has meanwhile taken its name, or was written anew, stays and is offered again. ERR_RETRY.
 */
must_check int folder_put(struct folder *folder, const char *name, const struct stat *read, bool taken, int64_t time_us,
                          const struct buffer *note, struct error *err);

/* A corrections file on its way: written beside, then put in place of the one before. */
must_check int folder_write_begin(struct folder *folder, const char *block, int *ret_fd, struct error *err);
must_check int folder_write(int fd, const struct buffer *bytes, struct error *err);
/* Closes `fd` whatever comes of it. */
must_check int folder_write_end(struct folder *folder, const char *block, int fd, struct error *err);

/* The folders that --prepare names. */
extern const char *const folder_names[];

#endif
