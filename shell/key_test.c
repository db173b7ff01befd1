#include "shell/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    char folder[64], path[128];
};

static int scene_open(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    strcpy(scene->folder, "/tmp/key_test.XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof scene->path, "%s/key", scene->folder);
    *state = scene;
    return 0;
}

static int scene_close(void **state)
{
    struct scene *scene = *state;

    unlink(scene->path);
    rmdir(scene->folder);
    free(scene);
    return 0;
}

/* Replaces the file's content, if any, by `text`. */
static void write_text(const struct scene *scene, const char *text)
{
    FILE *file = fopen(scene->path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(scene->path, 0600), 0);
}

static void a_key_is_read_as_it_was_written(void **state)
{
    struct scene *scene = *state;
    struct key key, other;
    struct stat status;
    struct error err;

    key_make(&key);
    umask(0);
    assert_int_equal(key_write(scene->path, &key, &err), 0);
    assert_int_equal(stat(scene->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(key_read(scene->path, &other, &err), 0);
    assert_memory_equal(&key, &other, sizeof key);
    key_make(&other);
    assert_memory_not_equal(&key, &other, sizeof key);
    key_wipe(&other);
    for (size_t i = 0; i < sizeof other; i++)
        assert_int_equal(((const uint8_t *)&other)[i], 0);
}

static void a_key_is_never_overwritten(void **state)
{
    struct scene *scene = *state;
    struct key key;
    struct error err;

    key_make(&key);
    assert_int_equal(key_write(scene->path, &key, &err), 0);
    assert_int_equal(key_write(scene->path, &key, &err), ERR_REJECT);
    assert_non_null(strstr(err.text, scene->path));
}

static void a_key_that_others_may_read_is_refused_with_the_remedy(void **state)
{
    static const mode_t modes[] = { 0640, 0604, 0620 };
    struct scene *scene = *state;
    struct key key;
    struct error err;

    key_make(&key);
    assert_int_equal(key_write(scene->path, &key, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(chmod(scene->path, modes[i]), 0);
        assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
        assert_non_null(strstr(err.text, "chmod 0600"));
    }
}

static void a_credential_of_systemd_may_show_a_group(void **state)
{
    struct scene *scene = *state;
    struct key key;
    struct error err;

    key_make(&key);
    assert_int_equal(key_write(scene->path, &key, &err), 0);
    setenv("CREDENTIALS_DIRECTORY", scene->folder, 1);
    assert_int_equal(chmod(scene->path, 0440), 0);
    assert_int_equal(key_read(scene->path, &key, &err), 0);
    assert_int_equal(chmod(scene->path, 0444), 0);
    assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
    assert_int_equal(chmod(scene->path, 0440), 0);
    scene->folder[strlen(scene->folder) - 1] = '\0'; /* a folder whose name only begins like it */
    setenv("CREDENTIALS_DIRECTORY", scene->folder, 1);
    assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
    memcpy(scene->folder, scene->path, strlen(scene->path) - strlen("/key"));
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_secret_of_another_key_is_refused(void **state)
{
    struct scene *scene = *state;
    struct key key, other;
    struct error err;

    key_make(&key);
    key_make(&other);
    memcpy(key.secret_key, other.secret_key, sizeof key.secret_key);
    assert_int_equal(key_write(scene->path, &key, &err), 0);
    assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "does not belong"));
}

static void what_is_no_key_file_is_refused_without_showing_it(void **state)
{
    struct scene *scene = *state;
    char good[160], bad[200], public_hex[65], secret_hex[65];
    struct key key;
    struct error err;

    key_make(&key);
    key_hex(key.public_key, public_hex);
    key_hex(key.secret_key, secret_hex);
    snprintf(good, sizeof good, "public %s\nsecret %s", public_hex, secret_hex);
    write_text(scene, good); /* the last newline may be missing */
    assert_int_equal(key_read(scene->path, &key, &err), 0);
    for (int i = 0; i < 6; i++) {
        snprintf(bad, sizeof bad, "%s\n", good);
        switch (i) {
        case 0:
            strcat(bad, "x");
            break;
        case 1:
            bad[20] = 'g';
            break;
        case 2:
            bad[71] = ' ';
            break;
        case 3:
            bad[100] = '\0';
            break;
        case 4:
            bad[0] = '\0';
            break;
        default:
            bad[strlen(bad) - 1] = 'a';
        }
        write_text(scene, bad);
        assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
        assert_null(strstr(err.text, bad[0] ? bad + 80 : "?"));
    }
    unlink(scene->path);
    assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
    assert_int_equal(key_read(scene->folder, &key, &err), ERR_STOP);
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    struct scene *scene = *state;
    struct key key;
    struct error err;

    assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
    assert_non_null(strstr(err.text, "make one with `selaras key new`"));
    assert_int_equal(mkfifo(scene->path, 0600), 0);
    alarm(20); /* opening a FIFO may wait for ever for a writer */
    assert_int_equal(key_read(scene->path, &key, &err), ERR_STOP);
    alarm(0);
    assert_non_null(strstr(err.text, "is no file"));
}

static void hexadecimal_is_read_back(void **state)
{
    uint8_t key[32], back[32];
    char hex[65];
    struct error err;

    (void)state;
    for (int i = 0; i < 32; i++)
        key[i] = (uint8_t)(i * 37 + 11);
    key_hex(key, hex);
    assert_int_equal(strlen(hex), 64);
    assert_int_equal(key_parse(hex, back, &err), 0);
    assert_memory_equal(key, back, 32);
    hex[0] = 'A';
    assert_int_equal(key_parse(hex, back, &err), 0);
    assert_int_equal(back[0] >> 4, 10);
    hex[63] = 'x';
    assert_int_equal(key_parse(hex, back, &err), ERR_REJECT);
    hex[63] = '\0';
    assert_int_equal(key_parse(hex, back, &err), ERR_REJECT);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        test(a_key_is_read_as_it_was_written),
        test(a_key_is_never_overwritten),
        test(a_key_that_others_may_read_is_refused_with_the_remedy),
        test(a_credential_of_systemd_may_show_a_group),
        test(a_secret_of_another_key_is_refused),
        test(what_is_no_key_file_is_refused_without_showing_it),
        test(what_is_no_file_is_refused_at_once),
        test(hexadecimal_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
