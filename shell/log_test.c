#define SD_JOURNAL_SUPPRESS_LOCATION

#include "shell/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cmocka.h>

static char said[8192];

/* Standard error goes to a file for the time of one call. */
static const char *caught(void (*say)(void))
{
    FILE *file = tmpfile();
    int old = dup(STDERR_FILENO);
    size_t length;

    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    say();
    fflush(stderr);
    dup2(old, STDERR_FILENO);
    close(old);
    rewind(file);
    length = fread(said, 1, sizeof said - 1, file);
    said[length] = '\0';
    fclose(file);
    return said;
}

static void say_four(void)
{
    log_write(LOG_ERROR, "table %s", "penduduk");
    log_write(LOG_WARN, "slow");
    log_write(LOG_NOTE, "up");
    log_write(LOG_DETAIL, "fetched 3");
}

/* Without the time, which is the only thing that changes. */
static const char *untimed(const char *line)
{
    static const char shape[] = "dddd-dd-dd dd:dd:dd.ddd ";

    for (size_t i = 0; i < sizeof shape - 1; i++)
        assert_true(shape[i] == 'd' ? line[i] >= '0' && line[i] <= '9' : line[i] == shape[i]);
    return line + sizeof shape - 1;
}

static void a_line_has_time_program_agency_and_level(void **state)
{
    char *line, *rest;

    (void)state;
    log_start("selaras-agent", "dinsos", LOG_NOTE);
    caught(say_four);
    line = strtok_r(said, "\n", &rest);
    assert_string_equal(untimed(line), "selaras-agent: error: dinsos: table penduduk");
    line = strtok_r(NULL, "\n", &rest);
    assert_string_equal(untimed(line), "selaras-agent: warning: dinsos: slow");
    line = strtok_r(NULL, "\n", &rest);
    assert_string_equal(untimed(line), "selaras-agent: dinsos: up");
    assert_null(strtok_r(NULL, "\n", &rest)); /* details were not asked for */
}

static void say_about(void)
{
    log_about(LOG_NOTE, &(struct log_about){ .agency = "dinkes" }, "its link is up");
    log_write(LOG_DETAIL, "detail");
}

static void a_broker_names_the_agency_it_speaks_of(void **state)
{
    char *line, *rest;

    (void)state;
    log_start("selaras-broker", NULL, LOG_DETAIL);
    caught(say_about);
    line = strtok_r(said, "\n", &rest);
    assert_string_equal(untimed(line), "selaras-broker: dinkes: its link is up");
    line = strtok_r(NULL, "\n", &rest);
    assert_string_equal(untimed(line), "selaras-broker: detail");
}

static void say_bad(void)
{
    log_write(LOG_NOTE, "one\ntwo\033[31m\x7f%5000s!", "");
}

static void what_others_said_makes_no_second_line(void **state)
{
    (void)state;
    log_start("selaras-broker", NULL, LOG_NOTE);
    caught(say_bad);
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    assert_null(strchr(said, '\033'));
    assert_true(strlen(said) < 2200);
}

/* The stream it was started with is not the one that standard error is now. */
static void another_stream_than_the_journals_is_written_to(void **state)
{
    (void)state;
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_start("selaras-broker", NULL, LOG_NOTE);
    caught(say_about);
    assert_non_null(strstr(said, "its link is up"));
    unsetenv("JOURNAL_STREAM");
}

/* In the place of libsystemd's: what log.c gives to the journal, a field a line. */
static char told[8192];

int sd_journal_sendv(const struct iovec *fields, int count)
{
    for (int i = 0; i < count; i++)
        snprintf(told + strlen(told), sizeof told - strlen(told), "%.*s\n", (int)fields[i].iov_len,
                 (const char *)fields[i].iov_base);
    return 0;
}

/* Under systemd standard error is the journal's own stream, which it names. */
static const char *told_the_journal(const char *program, const char *agency, void (*say)(void))
{
    struct stat status;
    char stream[64];

    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    told[0] = '\0';
    log_start(program, agency, LOG_NOTE);
    unsetenv("JOURNAL_STREAM");
    say();
    return told;
}

static void the_journal_gets_level_program_and_agency_as_fields(void **state)
{
    (void)state;
    assert_string_equal(told_the_journal("selaras-agent", "dinsos", say_four),
                        "MESSAGE=dinsos: table penduduk\nPRIORITY=3\nSYSLOG_IDENTIFIER=selaras-agent\n"
                        "SELARAS_AGENCY=dinsos\n"
                        "MESSAGE=dinsos: slow\nPRIORITY=4\nSYSLOG_IDENTIFIER=selaras-agent\nSELARAS_AGENCY=dinsos\n"
                        "MESSAGE=dinsos: up\nPRIORITY=5\nSYSLOG_IDENTIFIER=selaras-agent\nSELARAS_AGENCY=dinsos\n");
}

static void say_of_nobody(void)
{
    log_write(LOG_NOTE, "up");
    log_about(LOG_NOTE, &(struct log_about){ .agency = "dinkes" }, "its link is up");
}

static void a_brokers_line_has_an_agency_only_when_it_is_about_one(void **state)
{
    (void)state;
    assert_string_equal(told_the_journal("selaras-broker", NULL, say_of_nobody),
                        "MESSAGE=up\nPRIORITY=5\nSYSLOG_IDENTIFIER=selaras-broker\n"
                        "MESSAGE=dinkes: its link is up\nPRIORITY=5\nSYSLOG_IDENTIFIER=selaras-broker\n"
                        "SELARAS_AGENCY=dinkes\n");
}

static void say_of_a_row(void)
{
    log_about(
        LOG_WARN,
        &(struct log_about){ .table = "public.penduduk", .type = "resident", .position = (UINT64_C(2) << 48) + 7 },
        "left out");
    log_about(LOG_WARN, &(struct log_about){ .agency = "dinkes", .table = "a\nMESSAGE=b" }, "left out");
}

/* Whoever looks for one table's lines, or for those about one entry, finds them: journalctl SELARAS_TABLE=... */
static void what_a_line_is_about_stands_in_fields_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(told_the_journal("selaras-agent", "dinsos", say_of_a_row),
                        "MESSAGE=dinsos: left out\nPRIORITY=4\nSYSLOG_IDENTIFIER=selaras-agent\nSELARAS_AGENCY=dinsos\n"
                        "SELARAS_TABLE=public.penduduk\nSELARAS_TYPE=resident\nSELARAS_POSITION=562949953421319\n"
                        "MESSAGE=dinkes: left out\nPRIORITY=4\nSYSLOG_IDENTIFIER=selaras-agent\nSELARAS_AGENCY=dinkes\n"
                        "SELARAS_TABLE=a MESSAGE=b\n");
}

static void what_others_said_makes_no_field_of_its_own(void **state)
{
    (void)state;
    told_the_journal("selaras-broker", NULL, say_bad);
    assert_memory_equal(told, "MESSAGE=one two", strlen("MESSAGE=one two"));
    assert_null(strchr(told, '\033'));
    assert_non_null(strstr(told, "\nPRIORITY=5\nSYSLOG_IDENTIFIER=selaras-broker\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_program_agency_and_level),
        cmocka_unit_test(a_broker_names_the_agency_it_speaks_of),
        cmocka_unit_test(what_others_said_makes_no_second_line),
        cmocka_unit_test(the_journal_gets_level_program_and_agency_as_fields),
        cmocka_unit_test(a_brokers_line_has_an_agency_only_when_it_is_about_one),
        cmocka_unit_test(what_a_line_is_about_stands_in_fields_of_its_own),
        cmocka_unit_test(what_others_said_makes_no_field_of_its_own),
        cmocka_unit_test(another_stream_than_the_journals_is_written_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
