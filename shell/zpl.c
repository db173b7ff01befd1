#include "shell/zpl.h"

#include "proto/value.h"
#include "shell/text.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_BYTES_MAX = 1024 * 1024,
    LINE_BYTES_MAX = 1024, /* zconfig reads beyond its memory on a longer line */
    LINES_MAX = 16384,     /* zconfig_destroy goes one call deeper for each */
};

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Reads until `size` bytes are there or the file ends. */
static ssize_t read_fully(int fd, char *bytes, size_t size)
{
    size_t length = 0;

    while (length < size) {
        ssize_t got = read(fd, bytes + length, size - length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

/* What cannot be read, and what to do about the commonest reason. */
static int read_failed(const char *path, int failure, struct error *err)
{
    return error_set(err, ERR_STOP, _("%s: cannot be read: %s%s"), path, strerror(failure),
                     failure == EACCES ? "; run this as a user who may (sudo), or let the user of the service read the "
                                         "file and enter its folder"
                                       : "");
}

/* Standard input, of which nobody says how long it is. */
static int input_read(struct arena *arena, const char **ret_text, size_t *ret_length, struct error *err)
{
    char *text = arena_alloc(arena, FILE_BYTES_MAX + 2);
    ssize_t length = read_fully(STDIN_FILENO, text, FILE_BYTES_MAX + 1);

    if (length < 0)
        return read_failed("-", errno, err);
    if (length > FILE_BYTES_MAX)
        return error_set(err, ERR_STOP, _("-: is longer than %d bytes"), FILE_BYTES_MAX);
    text[length] = 0;
    *ret_text = text;
    *ret_length = (size_t)length;
    return 0;
}

static int file_read_from(struct arena *arena, const char *path, int fd, const char **ret_text, size_t *ret_length,
                          struct error *err)
{
    struct stat status;
    ssize_t length;
    char *text;

    if (fd < 0 || fstat(fd, &status) < 0)
        return read_failed(path, errno, err);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERR_STOP, _("%s: is not a file"), path);
    if (status.st_size > FILE_BYTES_MAX)
        return error_set(err, ERR_STOP, _("%s: is longer than %d bytes"), path, FILE_BYTES_MAX);
    text = arena_alloc(arena, (size_t)status.st_size + 2);
    length = read_fully(fd, text, (size_t)status.st_size + 1);
    if (length < 0)
        return read_failed(path, errno, err);
    if (length > status.st_size)
        return error_set(err, ERR_STOP, _("%s: was written to while it was read: try again"), path);
    text[length] = 0;
    *ret_text = text;
    *ret_length = (size_t)length;
    return 0;
}

int file_read(struct arena *arena, const char *path, const char **ret_text, size_t *ret_length, struct error *err)
{
    scoped(fd_close) int fd = -1;

    if (strcmp(path, "-") == 0)
        return input_read(arena, ret_text, ret_length, err);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return file_read_from(arena, path, fd, ret_text, ret_length, err);
}

/* What zconfig would take without a word and read as something else, or NULL. */
static const char *line_fault(const char *line, size_t length)
{
    const char *end = line + length;
    const char *at = line + strspn(line, " ");

    if (length > LINE_BYTES_MAX)
        return _("is longer than 1024 bytes");
    if (at < end && *at == '\t')
        return _("is indented by a tab: use 4 spaces a level");
    while (at < end && *at != '=' && *at != '#')
        at++;
    if (at == end || *at == '#')
        return NULL;
    for (at++; at < end && (*at == ' ' || *at == '\t'); at++)
        continue;
    if (at == end || *at == '"' || *at == '\'')
        return NULL;
    if (*at == '#')
        return _("has a comment where its value should be: put a value that starts with # in quotation marks");
    at = memchr(at, '#', (size_t)(end - at));
    if (at && at[-1] != ' ' && at[-1] != '\t')
        return _("has a # within its value, where a comment would start: put the value in quotation marks");
    return NULL;
}

/* `text` ends in NUL at `length`. */
static int lines_check(const char *name, const char *text, size_t length, struct error *err)
{
    unsigned number = 1;

    for (const char *line = text; line < text + length; number++) {
        const char *end = memchr(line, '\n', (size_t)(text + length - line));
        size_t line_length = (size_t)((end ? end : text + length) - line);
        const char *fault = line_fault(line, line_length);

        if (!text_is_utf8(line, line_length))
            fault = _("is not UTF-8 without NUL");
        if (number > LINES_MAX)
            fault = _("is one more than a file may have");
        if (fault)
            return error_set(err, ERR_REJECT, _("%s: line %u: %s"), name, number, fault);
        line += line_length + (end != NULL);
    }
    return 0;
}

/* zconfig says why by zclock_log, which prints to standard output, of which glibc lets a program put another in its
 * place. */
static zconfig_t *load_quietly(const char *text, size_t length, char **ret_log)
{
    zchunk_t *chunk = zchunk_new(text, length);
    FILE *output = stdout;
    size_t log_length;
    FILE *log = open_memstream(ret_log, &log_length);
    zconfig_t *config;

    if (!chunk || !log)
        abort();
    stdout = log;
    config = zconfig_chunk_load(chunk);
    stdout = output;
    if (fclose(log) != 0 || !*ret_log)
        abort();
    zchunk_destroy(&chunk);
    return config;
}

/* What zconfig complains of, and what a sysadmin should hear of it. Its own text can hold the rest of the line, and
 * that a password. First match wins. */
static const struct {
    const char *theirs, *ours;
} complaints[] = {
    { "indent 4 spaces", N_("is indented by something else than 4 spaces a level") },
    { "indentation error", N_("is indented deeper than one level below the line above") },
    { "invalid syntax", N_("is neither \"name\" nor \"name = value\"") },
    { "missing", N_("has a quotation mark that is not closed") },
    { "'/'", N_("has a name that starts or ends with /") },
    { "", N_("cannot be understood") },
};

/* From "26-11-22 15:03:46 E (zconfig): (2) indent 4 spaces at once". */
static int complaint_error(const char *name, const char *log, struct error *err)
{
    static const char lead[] = "(zconfig): (";
    const char *at = strstr(log, lead);
    unsigned long line;
    char *behind;
    size_t i = 0;

    if (!at)
        return error_set(err, ERR_REJECT, _("%s: is not ZPL"), name);
    line = strtoul(at + strlen(lead), &behind, 10);
    behind += strspn(behind, ") ");
    while (strncmp(behind, complaints[i].theirs, strlen(complaints[i].theirs)) != 0)
        i++;
    return error_set(err, ERR_REJECT, _("%s: line %lu: %s"), name, line, _(complaints[i].ours));
}

/* Goes one call deeper per level only: a line of 1024 bytes has at most 256. */
static void tree_copy(struct arena *arena, zconfig_t *config, struct tree *tree)
{
    const struct tree **place = &tree->child;

    for (zconfig_t *child = zconfig_child(config); child; child = zconfig_next(child)) {
        struct tree *copy = arena_alloc(arena, sizeof *copy);
        const char *value = zconfig_value(child);

        *copy = (struct tree){ .name = arena_copy(arena, zconfig_name(child), strlen(zconfig_name(child))),
                               .value = value ? arena_copy(arena, value, strlen(value)) : "",
                               .parent = tree };
        tree_copy(arena, child, copy);
        *place = copy;
        place = &copy->next;
    }
}

int zpl_parse(struct arena *arena, const char *name, const char *text, size_t length, const struct tree **ret,
              struct error *err)
{
    struct tree *root;
    zconfig_t *config;
    char *log = NULL;

    if (length > FILE_BYTES_MAX)
        return error_set(err, ERR_REJECT, _("%s: is longer than %d bytes"), name, FILE_BYTES_MAX);
    if (lines_check(name, arena_copy(arena, text, length), length, err) < 0)
        return err->code;
    config = load_quietly(text, length, &log);
    if (!config)
        complaint_error(name, log, err);
    free(log);
    if (!config)
        return err->code;
    root = arena_alloc(arena, sizeof *root);
    *root = (struct tree){ .name = "root", .value = "" };
    tree_copy(arena, config, root);
    zconfig_destroy(&config);
    *ret = root;
    return 0;
}

int catalog_read(struct arena *arena, const char *path, const struct catalog **ret, struct error *err)
{
    const struct tree *tree = NULL;
    const char *text = NULL;
    size_t length = 0;

    if (file_read(arena, path, &text, &length, err) < 0 || zpl_parse(arena, path, text, length, &tree, err) < 0)
        return err->code;
    if (catalog_build(arena, tree, text, length, ret, err) < 0)
        return error_wrap(err, "%s", path);
    return 0;
}
