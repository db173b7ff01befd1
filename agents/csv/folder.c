#include "agents/csv/folder.h"

#include "agents/csv/form.h"
#include "shell/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_MAX = 1000 }; /* files offered at once; the others when these are gone */
enum { SUB_TAKEN, SUB_REFUSED, SUB_CORRECTIONS, SUB_COUNT };
const char *const folder_names[] = { "diterima", "ditolak", "koreksi", NULL };

struct folder {
    struct loop *loop;
    const char *path;
    loop_ready *changed;
    void *context;
    int fd, subs[SUB_COUNT], watch;
    mode_t mode; /* of the folder: files of ours may be read by whom it may */
    struct loop_source *source, *quiet;
    char *names[NAMES_MAX];
    int count;
    bool more; /* there was no room for all names */
    char next[FILE_NAME_MAX + 1];
};

static int folder_error(const struct folder *folder, int code, const char *what, struct error *err)
{
    return error_set(err, code, _("agent/folder %s: %s: %s; selaras-agent --prepare says what is needed"), folder->path,
                     what, strerror(errno));
}

/* ---- names ---- */

static void name_add(struct folder *folder, const char *name)
{
    for (int i = 0; i < folder->count; i++)
        if (strcmp(folder->names[i], name) == 0)
            return;
    if (file_name_kind(name) == FILE_OTHER)
        return;
    if (folder->count == NAMES_MAX) {
        folder->more = true;
        return;
    }
    folder->names[folder->count++] = strdup(name);
    if (!folder->names[folder->count - 1])
        abort();
}

void folder_leave(struct folder *folder, const char *name)
{
    for (int i = 0; i < folder->count; i++)
        if (strcmp(folder->names[i], name) == 0) {
            free(folder->names[i]);
            folder->names[i] = folder->names[--folder->count];
            return;
        }
}

/* ---- what lies there ---- */

static void scan(struct folder *folder);

static void on_quiet(void *context)
{
    struct folder *folder = context;

    loop_remove(&folder->quiet);
    scan(folder);
    folder->changed(folder->context);
}

static void look_again(struct folder *folder)
{
    if (!folder->quiet)
        folder->quiet = loop_timer(folder->loop, FOLDER_QUIET_MS, true, on_quiet, folder);
}

static int64_t age_ms(const struct stat *status)
{
    return (loop_time_us() - (status->st_mtim.tv_sec * INT64_C(1000000) + status->st_mtim.tv_nsec / 1000)) / 1000;
}

/* What lies there: files at rest are offered, of others the end is awaited, unless inotify tells of it first. */
static void scan(struct folder *folder)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    bool restless = false;

    if (!list) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(list))) {
        struct stat status;

        if (file_name_kind(entry->d_name) == FILE_OTHER ||
            fstatat(folder->fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(status.st_mode))
            continue;
        if (age_ms(&status) >= 0 && age_ms(&status) < FOLDER_QUIET_MS)
            restless = true;
        else
            name_add(folder, entry->d_name);
    }
    closedir(list);
    if (restless)
        look_again(folder);
}

static void on_event(void *context)
{
    struct folder *folder = context;
    _Alignas(struct inotify_event) char bytes[16 * 1024];
    ssize_t length;

    while ((length = read(folder->watch, bytes, sizeof bytes)) > 0) {
        for (const char *at = bytes; at < bytes + length;) {
            const struct inotify_event *event = (const void *)at;

            if (event->mask & IN_Q_OVERFLOW)
                scan(folder);
            else if (event->len > 0 && !(event->mask & IN_ISDIR))
                name_add(folder, event->name);
            at += sizeof *event + event->len;
        }
    }
    folder->changed(folder->context);
}

/* Which of two files comes first: the one saved before the other, and of two saved in the same moment, as far as their
 * makers' clocks can tell, the one that came into the folder before. */
static int age_order(const struct stat *left, const struct stat *right)
{
    const struct timespec *pairs[][2] = { { &left->st_mtim, &right->st_mtim }, { &left->st_ctim, &right->st_ctim } };

    for (int i = 0; i < 2; i++) {
        const struct timespec *l = pairs[i][0], *r = pairs[i][1];

        if (l->tv_sec != r->tv_sec)
            return l->tv_sec < r->tv_sec ? -1 : 1;
        if (l->tv_nsec != r->tv_nsec)
            return l->tv_nsec < r->tv_nsec ? -1 : 1;
    }
    return 0;
}

bool folder_next(struct folder *folder, const char **ret_name)
{
    struct stat status, oldest;
    bool found = false;

    if (folder->count == 0 && folder->more) {
        folder->more = false;
        scan(folder);
    }
    for (int i = 0; i < folder->count;) {
        const char *name = folder->names[i];
        int order;

        if (fstatat(folder->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
            folder_leave(folder, name);
            continue;
        }
        i++;
        order = found ? age_order(&status, &oldest) : -1;
        if (order > 0 || (order == 0 && strcmp(name, folder->next) > 0))
            continue;
        found = true;
        oldest = status;
        snprintf(folder->next, sizeof folder->next, "%s", name);
    }
    *ret_name = folder->next;
    return found;
}

bool folder_settles(const struct folder *folder)
{
    return folder->quiet;
}

int folder_file(struct folder *folder, const char *name, struct stat *ret, bool *ret_plain)
{
    int fd = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    *ret_plain = fd >= 0 || errno == ENOENT;
    if (fd < 0)
        return -1;
    if (fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_nlink == 1)
        return fd;
    *ret_plain = false;
    close(fd);
    return -1;
}

static bool same_state(const struct stat *left, const struct stat *right)
{
    return left->st_ino == right->st_ino && left->st_size == right->st_size &&
           left->st_mtim.tv_sec == right->st_mtim.tv_sec && left->st_mtim.tv_nsec == right->st_mtim.tv_nsec;
}

bool folder_rewritten(int fd, const struct stat *read)
{
    struct stat status;

    return fstat(fd, &status) < 0 || !same_state(&status, read);
}

void folder_wait(struct folder *folder, const char *name)
{
    folder_leave(folder, name);
    look_again(folder);
}

/* ---- what becomes of it ---- */

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

/* A new file that may be read by whom the folder may. */
static int create(const struct folder *folder, int sub, const char *name)
{
    int fd = openat(sub, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0 && fchmod(fd, (folder->mode & 0060) | 0600) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int note_write(struct folder *folder, int sub, const char *name, const struct buffer *note, struct error *err)
{
    int fd = create(folder, sub, name);

    if (fd < 0)
        return folder_error(folder, ERR_RETRY, "writing a note", err);
    if (write_all(fd, note->bytes, note->length) < 0 || fsync(fd) < 0) {
        folder_error(folder, ERR_RETRY, "writing a note", err);
        close(fd);
        unlinkat(sub, name, 0);
        return err->code;
    }
    close(fd);
    return 0;
}

/* Whether `name` is free in `sub`, with and without a text beside it. */
static bool is_free(int sub, const char *name)
{
    struct stat status;
    char text[620];

    snprintf(text, sizeof text, "%s.txt", name);
    return fstatat(sub, name, &status, AT_SYMLINK_NOFOLLOW) < 0 && fstatat(sub, text, &status, AT_SYMLINK_NOFOLLOW) < 0;
}

static void target_name(int sub, const char *name, int64_t time_us, char target[600])
{
    time_t seconds = (time_t)(time_us / 1000000);
    char stamp[32];
    struct tm parts;
    int tries = 0;

    localtime_r(&seconds, &parts);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &parts);
    do {
        snprintf(target, 600, tries ? "%s-%d_%s" : "%s%.0d_%s", stamp, tries, name);
    } while (!is_free(sub, target) && ++tries < 10000);
}

/* Whoever rewrote it while we looked elsewhere still writes into what we moved: it goes back, to be taken once it is
 * whole. Under another name when its own is taken again: then both are. */
static int put_back(struct folder *folder, int sub, const char *target, const char *name, struct error *err)
{
    if (renameat2(sub, target, folder->fd, name, RENAME_NOREPLACE) < 0 &&
        renameat2(sub, target, folder->fd, target, RENAME_NOREPLACE) < 0)
        return folder_error(folder, ERR_RETRY, "moving a file back", err);
    folder_wait(folder, name);
    return 0;
}

/* The text is written first: when it cannot be, the file is still there, and nobody loses the reasons. */
int folder_put(struct folder *folder, const char *name, const struct stat *read, bool taken, int64_t time_us,
               const struct buffer *note, struct error *err)
{
    int sub = folder->subs[taken ? SUB_TAKEN : SUB_REFUSED];
    char target[600], text[620];
    struct stat status;

    folder_leave(folder, name);
    if (fstatat(folder->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (!same_state(&status, read)) { /* saved again meanwhile: that may have been told of already */
        if (status.st_ino == read->st_ino)
            folder_wait(folder, name);
        else
            name_add(folder, name);
        return 0;
    }
    target_name(sub, name, time_us, target);
    snprintf(text, sizeof text, "%s.txt", target);
    if (note->length > 0 && note_write(folder, sub, text, note, err) < 0)
        return err->code;
    if (renameat2(folder->fd, name, sub, target, RENAME_NOREPLACE) < 0) {
        folder_error(folder, ERR_RETRY, "moving a file", err);
        unlinkat(sub, text, 0);
        return err->code;
    }
    if (fstatat(sub, target, &status, AT_SYMLINK_NOFOLLOW) == 0 && !same_state(&status, read))
        return put_back(folder, sub, target, name, err);
    return 0;
}

/* ---- corrections ---- */

static const char *temporary(char place[128], const char *block)
{
    snprintf(place, 128, ".%s.csv.tmp", block);
    return place;
}

int folder_write_begin(struct folder *folder, const char *block, int *ret_fd, struct error *err)
{
    int sub = folder->subs[SUB_CORRECTIONS];
    char name[128];

    unlinkat(sub, temporary(name, block), 0);
    *ret_fd = create(folder, sub, name);
    return *ret_fd < 0 ? folder_error(folder, ERR_RETRY, "writing corrections", err) : 0;
}

int folder_write(int fd, const struct buffer *bytes, struct error *err)
{
    if (write_all(fd, bytes->bytes, bytes->length) < 0)
        return error_set(err, ERR_RETRY, _("writing corrections: %s"), strerror(errno));
    return 0;
}

int folder_write_end(struct folder *folder, const char *block, int fd, struct error *err)
{
    int sub = folder->subs[SUB_CORRECTIONS];
    char name[128], final[128];
    bool good = fsync(fd) == 0;

    snprintf(final, sizeof final, "%s.csv", block);
    good = close(fd) == 0 && good && renameat(sub, temporary(name, block), sub, final) == 0 && fsync(sub) == 0;
    return good ? 0 : folder_error(folder, ERR_RETRY, "writing corrections", err);
}

/* ---- beginning and end ---- */

static int sub_open(struct folder *folder, int i, struct error *err)
{
    bool made = mkdirat(folder->fd, folder_names[i], 0700) == 0;

    folder->subs[i] = openat(folder->fd, folder_names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder->subs[i] < 0 || (made && fchmod(folder->subs[i], (folder->mode & 0070) | 0700) < 0))
        return folder_error(folder, ERR_STOP, folder_names[i], err);
    if (faccessat(folder->subs[i], ".", W_OK, 0) < 0)
        return folder_error(folder, ERR_STOP, folder_names[i], err);
    return 0;
}

static int open_all(struct folder *folder, struct error *err)
{
    struct stat status;

    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0 || fstat(folder->fd, &status) < 0 || faccessat(folder->fd, ".", R_OK | W_OK | X_OK, 0) < 0)
        return folder_error(folder, ERR_STOP, "opening it", err);
    folder->mode = status.st_mode;
    for (int i = 0; i < SUB_COUNT; i++)
        if (sub_open(folder, i, err) < 0)
            return err->code;
    folder->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (folder->watch < 0 ||
        inotify_add_watch(folder->watch, folder->path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
        return folder_error(folder, ERR_RETRY, "watching it", err);
    return 0;
}

int folder_open(struct loop *loop, const char *path, loop_ready *changed, void *context, struct folder **ret,
                struct error *err)
{
    struct folder *folder = calloc(1, sizeof *folder);

    if (!folder)
        abort();
    *folder = (struct folder){ .loop = loop,
                               .path = path,
                               .changed = changed,
                               .context = context,
                               .fd = -1,
                               .subs = { -1, -1, -1 },
                               .watch = -1 };
    if (open_all(folder, err) < 0) {
        folder_close(&folder);
        return err->code;
    }
    folder->source = loop_fd(loop, folder->watch, true, false, on_event, folder);
    scan(folder); /* after the watch is set: nothing falls between */
    *ret = folder;
    return 0;
}

void folder_close(struct folder **folder)
{
    if (!*folder)
        return;
    loop_remove(&(*folder)->source);
    loop_remove(&(*folder)->quiet);
    for (int i = 0; i < SUB_COUNT; i++)
        if ((*folder)->subs[i] >= 0)
            close((*folder)->subs[i]);
    if ((*folder)->watch >= 0)
        close((*folder)->watch);
    if ((*folder)->fd >= 0)
        close((*folder)->fd);
    for (int i = 0; i < (*folder)->count; i++)
        free((*folder)->names[i]);
    free(*folder);
    *folder = NULL;
}
