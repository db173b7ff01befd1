#include "agents/csv/intake.h"

#include "agents/csv/convert.h"
#include "shell/log.h"
#include "shell/text.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 1024 * 1024 };

enum stage { STAGE_NONE, STAGE_READ, STAGE_CONVERT, STAGE_IMPORT, STAGE_REFUSE };

struct intake {
    struct loop *loop;
    const struct driver_options *options;
    const struct mapping *mapping;
    struct state *state;
    struct folder *folder;
    loop_ready *wake;
    void *context;

    enum stage stage;
    char name[256];
    char owner[64];
    struct file_name said;
    struct stat status;
    int64_t saved_us;
    int fd;
    char *text;
    size_t length;
    crypto_hash_sha256_state hash;
    uint8_t digest[HASH_BYTES];
    struct convert *convert;
    struct import *import;
    struct refusals refusals;
    struct arena *arena; /* of the file */
    char refused[512];   /* the last one: name and first reason */
};

/* As its maker's clock said. One that is ahead of ours must not make lists to come look old. */
static int64_t saved_time_us(const struct stat *status, int64_t now_us)
{
    int64_t saved_us = status->st_mtim.tv_sec * INT64_C(1000000) + status->st_mtim.tv_nsec / 1000;

    return saved_us < now_us ? saved_us : now_us;
}

static struct log_about about_list(const struct intake *intake)
{
    const struct mapping_block *block = intake->said.block >= 0 ? &intake->mapping->blocks[intake->said.block] : NULL;

    return (struct log_about){ .table = block ? block->table : NULL, .type = block ? block->type_name : NULL };
}

static const char *block_name(const struct intake *intake)
{
    return intake->said.block >= 0 ? intake->mapping->blocks[intake->said.block].name : "?";
}

static void clear(struct intake *intake)
{
    import_free(&intake->import);
    convert_free(&intake->convert);
    if (intake->fd >= 0)
        close(intake->fd);
    intake->fd = -1;
    free(intake->text);
    intake->text = NULL;
    intake->length = 0;
    intake->stage = STAGE_NONE;
    arena_reset(intake->arena);
    intake->refusals.count = 0;
}

static void refuse_file(struct intake *intake, enum refusal_kind kind, const char *word, uint64_t number)
{
    refuse(&intake->refusals, kind, 0, 0, word, number, 0);
    intake->stage = STAGE_REFUSE;
}

/* ---- beginning ---- */

/* A list that was saved in the future was so before our clock was set back: then none is known to be older. */
static int check_older(struct intake *intake, int64_t now_us, struct error *err)
{
    struct state_list list;

    if (state_list(intake->state, intake->arena, block_name(intake), &list, err) < 0)
        return err->code;
    if (list.known && intake->saved_us < list.saved_us && list.saved_us <= now_us)
        refuse_file(intake, REFUSAL_OLDER, "", 0);
    return 0;
}

static int begin(struct intake *intake, const char *name, int64_t now_us, struct error *err)
{
    bool plain;

    clear(intake);
    intake->said = file_name_read(intake->mapping, intake->options->forms, name);
    if (intake->said.kind == FILE_OTHER) {
        folder_leave(intake->folder, name);
        return 0;
    }
    memcpy(intake->name, name, strlen(name) + 1);
    memset(&intake->status, 0, sizeof intake->status);
    intake->fd = folder_file(intake->folder, name, &intake->status, &plain);
    if (!plain) {
        log_write(LOG_WARN, _("a file in the folder is no plain file, so it is left where it is"));
        folder_leave(intake->folder, name);
        return 0;
    }
    if (intake->fd < 0 && errno == ENOENT) {
        folder_leave(intake->folder, name);
        return 0;
    }
    intake->saved_us = saved_time_us(&intake->status, now_us);
    intake->stage = STAGE_READ;
    crypto_hash_sha256_init(&intake->hash);
    if (intake->said.block < 0)
        refuse_file(intake, REFUSAL_NAME, forms_names(intake->arena, intake->mapping, intake->options->forms), 0);
    else if ((uint64_t)intake->status.st_size > intake->options->list_bytes)
        refuse_file(intake, REFUSAL_LARGE, "", intake->options->list_bytes / 1024 / 1024);
    else if (check_older(intake, now_us, err) < 0)
        return err->code;
    return 0;
}

/* ---- reading ---- */

/* Who saved the list, where a file says that: one that came by a service's hand or an administrator's does not. */
static const char *owner_of(struct intake *intake)
{
    const struct passwd *user =
        intake->status.st_uid == 0 || intake->status.st_uid == geteuid() ? NULL : getpwuid(intake->status.st_uid);

    if (!user || !text_is_utf8(user->pw_name, strlen(user->pw_name)))
        return NULL;
    snprintf(intake->owner, sizeof intake->owner, "%s", user->pw_name);
    return intake->owner;
}

static void import_begin(struct intake *intake, bool outbox)
{
    const struct form *form = &intake->options->forms[intake->said.block];
    struct import_options options = { .mapping = intake->mapping,
                                      .form = form,
                                      .block = (uint16_t)intake->said.block,
                                      .name = intake->name,
                                      .owner = owner_of(intake),
                                      .saved_us = intake->saved_us,
                                      .bytes = (uint64_t)intake->status.st_size,
                                      .complete = form->complete || intake->said.complete,
                                      .workbook = intake->said.kind == FILE_XLSX,
                                      .outbox = outbox,
                                      .rows_most = intake->options->list_rows };

    memcpy(options.digest, intake->digest, HASH_BYTES);
    intake->import = import_new(intake->state, &options, intake->text, intake->length, &intake->refusals);
    intake->text = NULL;
    intake->stage = STAGE_IMPORT;
}

static void on_converted(void *context, char *text, size_t length, enum refusal_kind why)
{
    struct intake *intake = context;

    convert_free(&intake->convert);
    if (why != REFUSAL_KIND_COUNT) {
        refuse_file(intake, why, "", 0);
    } else {
        intake->text = text;
        intake->length = length;
        intake->stage = STAGE_IMPORT;
    }
    intake->wake(intake->context);
}

static int read_end(struct intake *intake, struct error *err)
{
    const struct form *form = &intake->options->forms[intake->said.block];

    crypto_hash_sha256_final(&intake->hash, intake->digest);
    intake->stage = STAGE_IMPORT;
    if (intake->said.kind != FILE_XLSX)
        return 0;
    free(intake->text);
    intake->text = NULL;
    intake->length = 0;
    intake->stage = STAGE_CONVERT;
    if (lseek(intake->fd, 0, SEEK_SET) < 0)
        return error_set(err, ERR_RETRY, _("reading a list: %s"), strerror(errno));
    return convert_start(intake->loop, intake->fd, form->page, intake->options->list_bytes, on_converted, intake,
                         &intake->convert, err);
}

/* What was read may be the half of one list and the half of another: the file is taken when it is at rest again. */
static bool rewritten(struct intake *intake)
{
    if (!folder_rewritten(intake->fd, &intake->status))
        return false;
    folder_wait(intake->folder, intake->name);
    clear(intake);
    return true;
}

static int read_step(struct intake *intake, struct error *err)
{
    ssize_t got;

    intake->text = realloc(intake->text, intake->length + READ_BYTES);
    if (!intake->text)
        abort();
    got = read(intake->fd, intake->text + intake->length, READ_BYTES);
    if (got < 0)
        return errno == EINTR ? 0 : error_set(err, ERR_RETRY, _("reading a list: %s"), strerror(errno));
    crypto_hash_sha256_update(&intake->hash, (const uint8_t *)intake->text + intake->length, (size_t)got);
    intake->length += (size_t)got;
    if (intake->length > intake->options->list_bytes)
        refuse_file(intake, REFUSAL_LARGE, "", intake->options->list_bytes / 1024 / 1024);
    else if (got == 0 && !rewritten(intake))
        return read_end(intake, err);
    return 0;
}

/* ---- the end ---- */

static void note_add(struct buffer *note, const char *text)
{
    buffer_add(note, text, strlen(text));
}

/* What its makers should know of a list that was taken. */
static void note_taken(const struct intake *intake, const struct import_result *result, struct buffer *note)
{
    struct arena *arena = arena_new();

    if (result->keyless > 0)
        note_add(note, arena_printf(arena,
                                    "%" PRIu32 " baris tanpa kunci tidak dipakai; yang pertama baris %" PRIu32 ".\r\n"
                                    "%" PRIu32 " rows without a key were left out; the first is line %" PRIu32 ".\r\n",
                                    result->keyless, result->keyless_line, result->keyless, result->keyless_line));
    if (*result->ignored)
        note_add(note, arena_printf(arena,
                                    "Kolom yang tidak dikenal dan tidak dipakai: %s\r\n"
                                    "Columns that are not known and not used: %s\r\n",
                                    result->ignored, result->ignored));
    (void)intake;
    arena_free(&arena);
}

static int taken(struct intake *intake, int64_t now_us, struct error *err)
{
    const struct import_result *result = import_result(intake->import);
    struct log_about about = about_list(intake);
    struct buffer note = { 0 };
    int code;

    log_about(LOG_NOTE, &about,
              _("list %s taken: %" PRIu32 " rows%s, %" PRIu32 " new, %" PRIu32 " changed, %" PRIu32 " removed%s"),
              block_name(intake), result->rows, result->complete ? _(", complete") : "", result->inserts,
              result->updates, result->deletes, result->keyless > 0 ? _("; some have no key and were left out") : "");
    note_taken(intake, result, &note);
    intake->refused[0] = '\0';
    code = folder_put(intake->folder, intake->name, &intake->status, true, now_us, &note, err);
    buffer_free(&note);
    clear(intake);
    return code;
}

static int refused(struct intake *intake, int64_t now_us, struct error *err)
{
    const char *first = refusals_first(intake->arena, &intake->refusals);
    struct log_about about = about_list(intake);
    struct buffer note = { 0 };
    int code;

    log_about(LOG_WARN, &about, _("list %s refused for %" PRIu32 " reasons; the first: %s"), block_name(intake),
              intake->refusals.count, first);
    snprintf(intake->refused, sizeof intake->refused, "%.200s: %.300s", intake->name, first);
    refusals_write(&intake->refusals, intake->name, &note);
    code = folder_put(intake->folder, intake->name, &intake->status, false, now_us, &note, err);
    buffer_free(&note);
    clear(intake);
    return code;
}

static int import_some(struct intake *intake, int64_t now_us, bool outbox, struct error *err)
{
    enum import_end end;

    if (!intake->import && rewritten(intake)) /* while it was converted */
        return 0;
    if (!intake->import)
        import_begin(intake, outbox);
    if (import_step(intake->import, now_us, &end, err) < 0)
        return err->code;
    if (end == IMPORT_TAKEN)
        return taken(intake, now_us, err);
    if (end == IMPORT_REFUSED)
        intake->stage = STAGE_REFUSE;
    return 0;
}

int intake_step(struct intake *intake, int64_t now_us, bool outbox, bool *ret_more, struct error *err)
{
    const char *name;

    *ret_more = intake->stage != STAGE_CONVERT;
    switch (intake->stage) {
    case STAGE_NONE:
        *ret_more = folder_next(intake->folder, &name);
        return *ret_more ? begin(intake, name, now_us, err) : 0;
    case STAGE_READ:
        return read_step(intake, err);
    case STAGE_CONVERT:
        return 0;
    case STAGE_IMPORT:
        return import_some(intake, now_us, outbox, err);
    case STAGE_REFUSE:
        return refused(intake, now_us, err);
    }
    return 0;
}

bool intake_begun(const struct intake *intake)
{
    return intake->import;
}

bool intake_waits(const struct intake *intake)
{
    const char *name;

    return intake->stage != STAGE_NONE || folder_settles(intake->folder) || folder_next(intake->folder, &name);
}

void intake_restart(struct intake *intake)
{
    clear(intake);
}

const char *intake_refused(const struct intake *intake)
{
    return intake->refused[0] ? intake->refused : NULL;
}

struct intake *intake_new(struct loop *loop, const struct driver_options *options, const struct mapping *mapping,
                          struct state *state, struct folder *folder, loop_ready *wake, void *context)
{
    struct intake *intake = calloc(1, sizeof *intake);

    if (!intake)
        abort();
    *intake = (struct intake){ .loop = loop,
                               .options = options,
                               .mapping = mapping,
                               .state = state,
                               .folder = folder,
                               .wake = wake,
                               .context = context,
                               .fd = -1,
                               .arena = arena_new() };
    intake->refusals.arena = intake->arena;
    return intake;
}

void intake_free(struct intake **intake)
{
    if (!*intake)
        return;
    clear(*intake);
    arena_free(&(*intake)->arena);
    free(*intake);
    *intake = NULL;
}
