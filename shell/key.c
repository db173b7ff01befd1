#include "shell/key.h"

#include "shell/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum {
    Z85_SIZE = 41,       /* 32 bytes as libzmq spells them, and NUL */
    KEY_FILE_BYTES = 144 /* "public " and "secret ", 64 digits and a newline each */
};

void key_make(struct key *ret)
{
    char public_z85[Z85_SIZE], secret_z85[Z85_SIZE];

    if (zmq_curve_keypair(public_z85, secret_z85) != 0) /* only a libzmq without CURVE says no */
        abort();
    zmq_z85_decode(ret->public_key, public_z85);
    zmq_z85_decode(ret->secret_key, secret_z85);
    explicit_bzero(secret_z85, sizeof secret_z85);
}

void key_wipe(struct key *key)
{
    explicit_bzero(key, sizeof *key);
}

void key_hex(const uint8_t key[32], char ret[65])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 32; i++) {
        ret[2 * i] = digits[key[i] >> 4];
        ret[2 * i + 1] = digits[key[i] & 15];
    }
    ret[64] = '\0';
}

/* -1 when it is no hexadecimal digit. */
static int digit(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    if (letter >= 'a' && letter <= 'f')
        return letter - 'a' + 10;
    if (letter >= 'A' && letter <= 'F')
        return letter - 'A' + 10;
    return -1;
}

static bool hex_read(const char *hex, uint8_t ret[32])
{
    for (int i = 0; i < 32; i++) {
        int high = digit(hex[2 * i]), low = high < 0 ? -1 : digit(hex[2 * i + 1]);

        if (low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

int key_parse(const char *hex, uint8_t ret[32], struct error *err)
{
    uint8_t key[32];

    if (strlen(hex) != 64 || !hex_read(hex, key))
        return error_set(err, ERR_REJECT, _("a public key is 64 hexadecimal digits, as `selaras key new` prints it"));
    memcpy(ret, key, sizeof key);
    return 0;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

/* A new file is only there for good when its folder is written too. */
static bool sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool synced = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    free(copy);
    return synced;
}

int key_write(const char *path, const struct key *key, struct error *err)
{
    char text[KEY_FILE_BYTES + 1], public_hex[65], secret_hex[65];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool written;

    if (fd < 0 && errno == EEXIST)
        return error_set(err, ERR_REJECT, _("%s exists already; a key in use is never overwritten: move it away first"),
                         path);
    if (fd < 0)
        return error_set(err, ERR_STOP, _("%s: cannot create the key file: %s"), path, strerror(errno));
    key_hex(key->public_key, public_hex);
    key_hex(key->secret_key, secret_hex);
    snprintf(text, sizeof text, "public %s\nsecret %s\n", public_hex, secret_hex);
    written = fchmod(fd, 0600) == 0 && write_all(fd, text, KEY_FILE_BYTES) && fsync(fd) == 0;
    written = close(fd) == 0 && written && sync_folder(path);
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret_hex, sizeof secret_hex);
    if (written)
        return 0;
    error_set(err, ERR_STOP, _("%s: cannot write the key file: %s"), path, strerror(errno));
    unlink(path);
    return err->code;
}

/* From version 254 on systemd gives a credential to its service by an ACL, which shows as a group that may read. */
static bool is_credential(const char *path)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t length = folder ? strlen(folder) : 0;

    return length > 0 && strncmp(path, folder, length) == 0 && path[length] == '/';
}

static int check_mode(int fd, const char *path, struct error *err)
{
    struct stat status;
    mode_t others = is_credential(path) ? 0037 : 0077;

    if (fstat(fd, &status) != 0)
        return error_set(err, ERR_STOP, _("%s: cannot look at the key file: %s"), path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERR_STOP, _("%s is no file; make a key with `selaras key new`"), path);
    if (status.st_mode & others)
        return error_set(err, ERR_STOP, _("%s may be read or written by others (mode %04o); run: chmod 0600 %s"), path,
                         status.st_mode & 07777u, path);
    return 0;
}

/* Exactly what key_write() wrote. */
static bool key_text(const char *text, struct key *ret)
{
    return strncmp(text, "public ", 7) == 0 && hex_read(text + 7, ret->public_key) &&
           strncmp(text + 71, "\nsecret ", 8) == 0 && hex_read(text + 79, ret->secret_key);
}

static bool key_belongs(const struct key *key)
{
    char public_z85[Z85_SIZE], secret_z85[Z85_SIZE];
    uint8_t public_key[32];

    zmq_z85_encode(secret_z85, key->secret_key, sizeof key->secret_key);
    if (zmq_curve_public(public_z85, secret_z85) != 0)
        abort();
    explicit_bzero(secret_z85, sizeof secret_z85);
    zmq_z85_decode(public_key, public_z85);
    return memcmp(public_key, key->public_key, sizeof public_key) == 0;
}

/* A last newline that an editor took away does no harm. */
static bool is_whole(const char *text, ssize_t length)
{
    return (length == KEY_FILE_BYTES && text[length - 1] == '\n') || length == KEY_FILE_BYTES - 1;
}

static int read_file(int fd, const char *path, struct key *ret, struct error *err)
{
    char text[KEY_FILE_BYTES + 2] = ""; /* one byte more than there may be */
    struct key key;
    ssize_t length = read(fd, text, KEY_FILE_BYTES + 1);
    int code = 0;

    if (length < 0)
        code = error_set(err, ERR_STOP, _("%s: cannot read the key file: %s"), path, strerror(errno));
    else if (!is_whole(text, length) || !key_text(text, &key))
        code =
            error_set(err, ERR_STOP,
                      _("%s is no key file: it must be two lines, \"public\" and \"secret\", each with 64 hexadecimal "
                        "digits; make one with `selaras key new`"),
                      path);
    else if (!key_belongs(&key))
        code = error_set(err, ERR_STOP,
                         _("%s: the secret key does not belong to the public key; restore the file or make a new key"),
                         path);
    else
        *ret = key;
    explicit_bzero(text, sizeof text);
    key_wipe(&key);
    return code;
}

static const char *remedy(int failure)
{
    if (failure == ENOENT)
        return _("; make one with `selaras key new`");
    if (failure == EACCES)
        return _("; it must belong to the user who reads it: chown it to the service's user (selaras), or use sudo");
    return "";
}

int key_read(const char *path, struct key *ret, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hold us up */
    int code;

    if (fd < 0)
        return error_set(err, ERR_STOP, _("%s: cannot read the key file: %s%s"), path, strerror(errno), remedy(errno));
    code = check_mode(fd, path, err);
    if (code == 0)
        code = read_file(fd, path, ret, err);
    close(fd);
    return code;
}
