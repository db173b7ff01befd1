#define SD_JOURNAL_SUPPRESS_LOCATION /* the file and line of this file say nothing */

#include "shell/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 2048, FIELD_BYTES_MAX = 192, FIELDS_MAX = 8 };

/* The one thing in a process that is everywhere; set once, before anything is said. */
static struct {
    const char *program;
    const char *agency;
    enum log_level most;
    bool to_journal;
} log_state = { .program = "selaras", .most = LOG_NOTE };

/* systemd says which stream standard error was when it started us: if it still is, it is the journal's. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           device == status.st_dev && inode == status.st_ino;
}

void log_start(const char *program, const char *agency, enum log_level most)
{
    log_state.program = program;
    log_state.agency = agency;
    log_state.most = most;
    log_state.to_journal = stderr_is_journal();
}

/* What others said may stand in a line (an error text, a file's name): it must not make a second line or paint the
 * terminal. */
static void make_plain(char *line)
{
    for (; *line; line++)
        if ((unsigned char)*line < ' ' || *line == 0x7f)
            *line = ' ';
}

static struct iovec field(char *to, const char *name, const char *value)
{
    int length = snprintf(to, FIELD_BYTES_MAX, "%s=%s", name, value);

    make_plain(to);
    return (struct iovec){ to, (size_t)(length < FIELD_BYTES_MAX ? length : FIELD_BYTES_MAX - 1) };
}

static bool write_journal(enum log_level level, const struct log_about *about, const char *line)
{
    char message[sizeof "MESSAGE=" + LINE_BYTES_MAX], texts[FIELDS_MAX][FIELD_BYTES_MAX], digits[16], position[24];
    struct iovec fields[FIELDS_MAX];
    int count = 0;

    snprintf(digits, sizeof digits, "%d", level);
    snprintf(position, sizeof position, "%" PRIu64, about->position);
    fields[count++] = (struct iovec){ message, (size_t)snprintf(message, sizeof message, "MESSAGE=%s", line) };
    const struct {
        const char *name, *value;
    } rest[] = {
        { "PRIORITY", digits },
        { "SYSLOG_IDENTIFIER", log_state.program },
        { "SELARAS_AGENCY", about->agency },
        { "SELARAS_TABLE", about->table },
        { "SELARAS_TYPE", about->type },
        { "SELARAS_POSITION", about->position > 0 ? position : NULL },
    };

    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        if (rest[i].value) {
            fields[count] = field(texts[count], rest[i].name, rest[i].value);
            count++;
        }
    assert(count <= FIELDS_MAX);
    return sd_journal_sendv(fields, count) >= 0;
}

static const char *level_word(enum log_level level)
{
    switch (level) {
    case LOG_ERROR:
        return "error: ";
    case LOG_WARN:
        return "warning: ";
    default:
        return "";
    }
}

/* Local time, because it is a person at that place who reads it. */
static void write_stderr(enum log_level level, const char *line)
{
    struct timeval now;
    struct tm local;
    char time[32];

    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &local);
    strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S", &local);
    fprintf(stderr, "%s.%03ld %s: %s%s\n", time, (long)now.tv_usec / 1000, log_state.program, level_word(level), line);
}

static void write_line(enum log_level level, const struct log_about *about, const char *fmt, va_list arguments)
{
    char line[LINE_BYTES_MAX];
    int prefix;

    if (level > log_state.most)
        return;
    prefix = snprintf(line, sizeof line, "%.63s%s", about->agency ? about->agency : "", about->agency ? ": " : "");
    vsnprintf(line + prefix, sizeof line - (size_t)prefix, fmt, arguments);
    make_plain(line);
    if (!log_state.to_journal || !write_journal(level, about, line))
        write_stderr(level, line);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    struct log_about about = { .agency = log_state.agency };
    va_list arguments;

    va_start(arguments, fmt);
    write_line(level, &about, fmt, arguments);
    va_end(arguments);
}

void log_about(enum log_level level, const struct log_about *about, const char *fmt, ...)
{
    struct log_about whole = *about;
    va_list arguments;

    if (!whole.agency)
        whole.agency = log_state.agency;
    va_start(arguments, fmt);
    write_line(level, &whole, fmt, arguments);
    va_end(arguments);
}
