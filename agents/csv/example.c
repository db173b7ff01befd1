#include "agents/csv/example.h"

#include "agents/csv/convert.h"
#include "agents/csv/encoding.h"
#include "agents/csv/folder.h"
#include "agents/csv/form.h"
#include "agents/csv/sheet.h"
#include "shell/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_MAX = 1000 };

struct example {
    const struct driver_options *options;
    const struct mapping_block *block;
    struct form form;
    bool workbook;
    struct spelling *spellings;
    struct arena *arena;
    struct value *columns; /* of the best row so far */
    int most;              /* of its columns say something; -1: none yet */
    struct loop *loop;     /* while a workbook is converted */
    enum refusal_kind why;
    char *text;
    size_t length;
};

/* ---- the file ---- */

static void folder_shut(DIR **folder)
{
    if (*folder)
        closedir(*folder);
    *folder = NULL;
}

/* What was taken is named by when it was, then as its maker did. */
static struct file_name name_read(const struct driver_options *options, const struct mapping *mapping, const char *name)
{
    const char *after = strchr(name, '_');

    return after ? file_name_read(mapping, options->forms, after + 1) : (struct file_name){ .block = -1 };
}

/* Opens the list of this block that was moved there last; -1 without an error when there is none. */
static int newest_open(struct example *example, const struct mapping *mapping, uint16_t index, struct error *err)
{
    const char *path = arena_printf(example->arena, "%s/%s", example->options->folder, folder_names[0]);
    scoped(folder_shut) DIR *folder = opendir(path);
    struct timespec latest = { 0 };
    int newest = -1;

    err->code = 0;
    if (!folder) {
        if (errno != ENOENT)
            error_set(err, ERR_STOP, _("agent/folder %s: %s: %s; selaras-agent --prepare says what is needed"),
                      example->options->folder, folder_names[0], strerror(errno));
        return -1;
    }
    for (const struct dirent *entry; (entry = readdir(folder));) {
        struct file_name name = name_read(example->options, mapping, entry->d_name);
        struct stat status;
        int fd;

        if (name.kind == FILE_OTHER || name.block != list_of(mapping, index) ||
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode) ||
            status.st_ctim.tv_sec < latest.tv_sec ||
            (status.st_ctim.tv_sec == latest.tv_sec && status.st_ctim.tv_nsec < latest.tv_nsec))
            continue;
        fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (newest >= 0)
            close(newest);
        newest = fd;
        latest = status.st_ctim;
        example->workbook = name.kind == FILE_XLSX;
    }
    return newest;
}

static int read_all(struct example *example, int fd, struct error *err)
{
    size_t most = example->options->list_bytes;
    ssize_t got;

    example->text = malloc(most);
    if (!example->text)
        abort();
    while (example->length < most && (got = read(fd, example->text + example->length, most - example->length)) != 0) {
        if (got < 0)
            return error_set(err, ERR_RETRY, _("reading a list: %s"), strerror(errno));
        example->length += (size_t)got;
    }
    return 0;
}

static void on_converted(void *context, char *text, size_t length, enum refusal_kind why)
{
    struct example *example = context;

    example->text = text;
    example->length = length;
    example->why = why;
    loop_end(example->loop);
}

static int convert_all(struct example *example, int fd, struct refusals *refusals, struct error *err)
{
    struct convert *convert = NULL;
    int code;

    example->loop = loop_new();
    code = convert_start(example->loop, fd, example->form.page, example->options->list_bytes, on_converted, example,
                         &convert, err);
    if (code == 0)
        loop_run(example->loop);
    convert_free(&convert);
    loop_free(&example->loop);
    if (code == 0 && example->why != REFUSAL_KIND_COUNT)
        refuse(refusals, example->why, 0, 0, "", 0, 0);
    return code;
}

/* ---- its rows ---- */

static void on_row(void *context, const struct sheet_row *row)
{
    struct example *example = context;
    uint16_t count = example->block->column_count;
    struct value *columns = arena_array(example->arena, count, sizeof *columns);
    int set = 0;

    for (uint16_t i = 0; i < count; i++) {
        if (spelling_read(example->arena, example->spellings[i], row->cells[i], &columns[i]) != REFUSAL_KIND_COUNT)
            return;
        set += columns[i].state == VALUE_SET;
    }
    if (set <= example->most || !row_in(example->block, columns))
        return;
    for (uint16_t i = 0; i < count; i++) {
        example->columns[i] = columns[i];
        if (columns[i].state == VALUE_SET)
            example->columns[i].bytes = arena_copy(example->arena, columns[i].bytes, columns[i].length);
    }
    example->most = set;
}

/* One with its end, of the first ones; moves `*at` behind it. */
static bool next_line(const struct example *example, size_t *at, uint32_t number, struct text *ret)
{
    const char *line = example->text + *at, *feed;

    if (*at == example->length || number > LINES_MAX)
        return false;
    feed = memchr(line, '\n', example->length - *at);
    ret->bytes = line;
    ret->length = (uint32_t)(feed ? (size_t)(feed - line) + 1 : example->length - *at);
    *at += ret->length;
    return true;
}

static void read_rows(struct example *example, struct refusals *refusals)
{
    struct sheet_options options = { .titles = example->block->columns,
                                     .title_count = example->block->column_count,
                                     .rows_most = LINES_MAX,
                                     .short_rows = example->workbook };
    struct sheet *sheet = sheet_new(&options, refusals, on_row, example);
    struct encoding_scan scan = { 0 };
    size_t at = 0;
    struct refusals ignored = { .arena = example->arena }; /* it was taken once: it is text */
    uint32_t number = 0;
    enum encoding encoding;
    struct text text;

    while (next_line(example, &at, ++number, &text))
        encoding_scan(&scan, text.bytes, text.length, &ignored);
    encoding = encoding_decide(&scan, &ignored);
    at = number = 0;
    while (next_line(example, &at, ++number, &text))
        sheet_line(sheet, encoding_line(example->arena, encoding, number, text.bytes, text.length, &ignored));
    if (at == example->length)
        sheet_end(sheet);
    sheet_free(&sheet);
}

int csv_example(const struct driver_options *options, const struct mapping *mapping, uint16_t index,
                struct arena *arena, struct value *columns, bool *ret_found, struct error *err)
{
    struct example example = { .options = options,
                               .block = &mapping->blocks[index],
                               .form = options->forms[index],
                               .arena = arena,
                               .columns = columns,
                               .most = -1 };
    struct refusals refusals = { .arena = arena };
    int fd = newest_open(&example, mapping, index, err), code;

    *ret_found = false;
    if (fd < 0)
        return err->code;
    code = example.workbook ? convert_all(&example, fd, &refusals, err) : read_all(&example, fd, err);
    close(fd);
    if (example.workbook)
        example.form.decimal = '.';
    example.spellings = spellings_of(arena, example.block, &example.form);
    if (code == 0 && refusals.count == 0)
        read_rows(&example, &refusals);
    free(example.text);
    if (code == 0 && refusals.count > 0)
        return error_set(err, ERR_REJECT, _("mapping/%s: the last list taken cannot be read so: %s"),
                         example.block->name, refusals_first(arena, &refusals));
    *ret_found = example.most >= 0;
    return code;
}
