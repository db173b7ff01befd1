#include "shell/control.h"

#include "proto/cursor.h"
#include "proto/pack.h"
#include "shell/text.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PACKET_BYTES_MAX = 128 * 1024, ANSWER_BYTES_MAX = 64 * 1024 * 1024 };

struct ask {
    const char *path;
    int fd;
    int64_t deadline_ms;
    char *packet; /* PACKET_BYTES_MAX */
    struct buffer text;
    bool ok, more;
};

/* "selaras-broker" for .../broker.socket, "selaras-agent@dinsos" for .../agent-dinsos.socket. */
static const char *service(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int length = (int)strcspn(name, ".");

    if (strncmp(name, "agent-", 6) == 0)
        return arena_printf(arena, "selaras-agent@%.*s", length - 6, name + 6);
    return arena_printf(arena, "selaras-%.*s", length, name);
}

static int ask_connect(struct ask *ask, struct arena *arena, int timeout_ms, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

    if (strlen(ask->path) >= sizeof address.sun_path)
        return error_set(err, ERR_REJECT, _("%s: the path of a socket has at most %zu bytes"), ask->path,
                         sizeof address.sun_path - 1);
    strcpy(address.sun_path, ask->path);
    ask->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (ask->fd < 0)
        return error_set(err, ERR_RETRY, _("cannot make a socket: %s"), strerror(errno));
    setsockopt(ask->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(ask->fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    if (errno == EACCES || errno == EPERM)
        return error_set(err, ERR_REJECT,
                         _("%s: you may not ask this service: use sudo, or be a member of the group \"selaras\""),
                         ask->path);
    if (errno == ENOENT || errno == ECONNREFUSED)
        return error_set(err, ERR_RETRY, _("%s: nobody listens there; start the service: systemctl start %s"),
                         ask->path, service(arena, ask->path));
    return error_set(err, ERR_RETRY, _("%s: cannot connect: %s"), ask->path, strerror(errno));
}

static int ask_send(struct ask *ask, const char *const *arguments, int count, struct error *err)
{
    struct buffer packet = { 0 };
    msgpack_packer packer;
    ssize_t sent;

    if (count > CONTROL_ARGUMENTS_MAX)
        return error_set(err, ERR_REJECT, _("a request has at most %d words"), CONTROL_ARGUMENTS_MAX);
    pack_start(&packer, &packet);
    msgpack_pack_array(&packer, (size_t)count);
    for (int i = 0; i < count; i++)
        pack_text(&packer, (struct text){ arguments[i], (uint32_t)strlen(arguments[i]) });
    if (packet.length > CONTROL_BYTES_MAX) {
        buffer_free(&packet);
        return error_set(err, ERR_REJECT, _("a request has at most %d bytes"), CONTROL_BYTES_MAX);
    }
    sent = send(ask->fd, packet.bytes, packet.length, MSG_NOSIGNAL);
    buffer_free(&packet);
    if (sent < 0)
        return error_set(err, ERR_RETRY, _("%s: cannot ask: %s"), ask->path, strerror(errno));
    return 0;
}

/* Waits until a packet is there; a signal does not cut the time short. */
static int ask_wait(const struct ask *ask, struct error *err)
{
    struct pollfd ready = { .fd = ask->fd, .events = POLLIN };

    for (;;) {
        int64_t left_ms = ask->deadline_ms - loop_monotonic_ms();
        int count = left_ms > 0 ? poll(&ready, 1, (int)left_ms) : 0;

        if (count > 0)
            return 0;
        if (count == 0)
            return error_set(err, ERR_RETRY,
                             _("%s: no answer in time; the service may be busy: ask again, or look at its log"),
                             ask->path);
        if (errno != EINTR)
            return error_set(err, ERR_RETRY, _("%s: cannot wait: %s"), ask->path, strerror(errno));
    }
}

static int ask_receive(struct ask *ask, struct error *err)
{
    struct cursor cursor;
    struct text text;
    ssize_t length;

    if (ask_wait(ask, err) < 0)
        return err->code;
    length = recv(ask->fd, ask->packet, PACKET_BYTES_MAX, MSG_TRUNC);
    if (length <= 0 || length > PACKET_BYTES_MAX)
        return error_set(err, ERR_RETRY, _("%s: the service ended the conversation; look at its log"), ask->path);
    cursor_start(&cursor, "answer", ask->packet, (size_t)length, NULL);
    cursor_tuple(&cursor, "answer", 3);
    ask->ok = cursor_bool(&cursor, "ok");
    ask->more = cursor_bool(&cursor, "more");
    text = cursor_text(&cursor, "text");
    cursor_leave(&cursor);
    if (cursor_finish(&cursor, err) < 0)
        return err->code;
    if (ask->text.length + text.length > ANSWER_BYTES_MAX)
        return error_set(err, ERR_REJECT, _("%s: the answer is too long"), ask->path);
    buffer_reserve(&ask->text, text.length);
    if (text.length > 0)
        memcpy(ask->text.bytes + ask->text.length, text.bytes, text.length);
    ask->text.length += text.length;
    return 0;
}

static int ask_run(struct ask *ask, struct arena *arena, const char *const *arguments, int count, int timeout_ms,
                   const char **ret, struct error *err)
{
    const char *text;

    if (ask_connect(ask, arena, timeout_ms, err) < 0 || ask_send(ask, arguments, count, err) < 0)
        return err->code;
    do {
        if (ask_receive(ask, err) < 0)
            return err->code;
    } while (ask->more);
    text = arena_copy(arena, ask->text.bytes, ask->text.length);
    if (!ask->ok)
        return error_set(err, ERR_REJECT, "%s", text);
    *ret = text;
    return 0;
}

int control_ask(struct arena *arena, const char *path, const char *const *arguments, int count, int timeout_ms,
                const char **ret, struct error *err)
{
    struct ask ask = { .path = path, .fd = -1, .deadline_ms = loop_monotonic_ms() + timeout_ms };
    int code;

    ask.packet = malloc(PACKET_BYTES_MAX);
    if (!ask.packet)
        abort();
    code = ask_run(&ask, arena, arguments, count, timeout_ms, ret, err);
    if (ask.fd >= 0)
        close(ask.fd);
    buffer_free(&ask.text);
    free(ask.packet);
    return code;
}
