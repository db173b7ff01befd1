#include "shell/control.h"

#include "proto/cursor.h"
#include "proto/pack.h"
#include "shell/text.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    REQUESTS_MAX = 32,           /* more wait in the socket's backlog */
    PATIENCE_MS = 10000,         /* for a peer to ask, and to take its answer */
    PIECE_BYTES_MAX = 60 * 1024, /* of text in one packet */
    GROUPS_MAX = 1024,           /* of one peer; who is in more is not looked up */
};

struct control {
    struct loop *loop;
    char *path;
    struct stat status; /* of the socket that we made */
    int fd;
    struct loop_source *source;
    control_handler *handler;
    void *context;
    bool has_group;
    gid_t group;
    struct control_request *requests;
    int request_count;
};

/* One connection: it asks once, is answered once and is closed. */
struct control_request {
    struct control *control; /* NULL: closed before the answer came */
    struct control_request *next;
    int fd;
    struct loop_source *source, *timer; /* while it asks, and while it takes its answer */
    char user[64];
    bool ok;
    char *text;
    size_t length, sent;
};

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* ---- Who asks ---- */

static bool peer_in_group(int fd, gid_t primary, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof groups;

    if (primary == group)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0)
        return false;
    for (size_t i = 0; i < size / sizeof groups[0]; i++)
        if (groups[i] == group)
            return true;
    return false;
}

/* The user who logged in, also behind sudo; `otherwise` where the system keeps no such thing. */
static uid_t login_uid(pid_t pid, uid_t otherwise)
{
    char path[64];
    unsigned uid;
    FILE *file;
    int read;

    snprintf(path, sizeof path, "/proc/%d/loginuid", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return otherwise;
    read = fscanf(file, "%u", &uid);
    fclose(file);
    return read == 1 && uid != (uid_t)-1 ? uid : otherwise;
}

static void name_user(uid_t uid, char *to, size_t size)
{
    const struct passwd *entry = getpwuid(uid);

    if (entry)
        snprintf(to, size, "%s", entry->pw_name);
    else
        snprintf(to, size, "uid %u", uid);
}

/* Whether the peer may ask; sets the request's user. */
static bool peer_known(struct control_request *request)
{
    const struct control *control = request->control;
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(request->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    name_user(login_uid(peer.pid, peer.uid), request->user, sizeof request->user);
    return peer.uid == 0 || peer.uid == geteuid() ||
           (control->has_group && peer_in_group(request->fd, peer.gid, control->group));
}

/* ---- One request ---- */

/* While there are as many as may be, nobody new is let in. */
static void listen_on(struct control *control)
{
    loop_fd_want(control->source, control->request_count < REQUESTS_MAX, false);
}

static void request_free(struct control_request *request)
{
    struct control *control = request->control;

    loop_remove(&request->source);
    loop_remove(&request->timer);
    if (request->fd >= 0)
        close(request->fd);
    if (control) {
        struct control_request **at = &control->requests;

        while (*at != request)
            at = &(*at)->next;
        *at = request->next;
        control->request_count--;
        listen_on(control);
    }
    free(request->text);
    free(request);
}

static void request_end(void *context)
{
    request_free(context);
}

/* The text goes out in pieces of whole letters, as each packet must be valid for itself. */
static size_t piece_length(const struct control_request *request)
{
    size_t end = request->length;

    if (end - request->sent > PIECE_BYTES_MAX) {
        end = request->sent + PIECE_BYTES_MAX;
        while (end > request->sent + 1 && ((unsigned char)request->text[end] & 0xc0) == 0x80)
            end--;
    }
    return end - request->sent;
}

/* Sends the next packet; `more` says whether that was not all. False, with errno, when it could not be sent. */
static bool send_piece(struct control_request *request, bool *more)
{
    struct buffer packet = { 0 };
    msgpack_packer packer;
    size_t length = piece_length(request);
    ssize_t sent;

    *more = request->sent + length < request->length;
    pack_start(&packer, &packet);
    msgpack_pack_array(&packer, 3);
    pack_bool(&packer, request->ok);
    pack_bool(&packer, *more);
    pack_text(&packer, (struct text){ request->text + request->sent, (uint32_t)length });
    sent = send(request->fd, packet.bytes, packet.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    buffer_free(&packet);
    if (sent < 0)
        return false;
    request->sent += length;
    return true;
}

static void answer_go_on(void *context)
{
    struct control_request *request = context;
    bool more = true;

    while (more) {
        if (send_piece(request, &more))
            continue;
        if (errno == EAGAIN || errno == EINTR)
            return;
        break;
    }
    request_free(request);
}

void control_answer(struct control_request **request, bool ok, const char *text)
{
    struct control_request *old = *request;

    *request = NULL;
    if (!old->control) {
        request_free(old);
        return;
    }
    assert(!old->text);
    old->ok = ok;
    old->length = strlen(text);
    old->text = allocated(strdup(text));
    old->source = loop_fd(old->control->loop, old->fd, false, true, answer_go_on, old);
    old->timer = loop_timer(old->control->loop, PATIENCE_MS, true, request_end, old);
}

/* Reads the verb and its arguments out of `packet`. -1 with the reason when it is no request. */
static int request_read(const char *packet, size_t length, struct text arguments[CONTROL_ARGUMENTS_MAX],
                        struct error *err)
{
    struct cursor cursor;
    int count;

    if (length > CONTROL_BYTES_MAX)
        return error_set(err, ERR_REJECT, _("a request has at most %d bytes"), CONTROL_BYTES_MAX);
    cursor_start(&cursor, "request", packet, length, NULL);
    count = (int)cursor_list(&cursor, "request", 1, CONTROL_ARGUMENTS_MAX, 1);
    for (int i = 0; i < count; i++)
        arguments[i] = cursor_text(&cursor, NULL);
    cursor_leave(&cursor);
    return cursor_finish(&cursor, err) < 0 ? err->code : count;
}

static void request_handle(struct control_request *request, const char *packet, size_t length)
{
    struct control *control = request->control;
    struct text arguments[CONTROL_ARGUMENTS_MAX];
    struct error err;
    int count;

    if (!peer_known(request)) {
        control_answer(
            &request, false,
            "only root, the service's own user and members of the group \"selaras\" may ask: use sudo, or have "
            "yourself added to the group");
        return;
    }
    count = request_read(packet, length, arguments, &err);
    if (count < 0)
        control_answer(&request, false, err.text);
    else
        control->handler(control->context, request, arguments, count, request->user);
}

/* The packet is read before anything is refused: closing a socket with something unread in it takes the answer away. */
static void request_ready(void *context)
{
    struct control_request *request = context;
    char *packet = allocated(malloc(CONTROL_BYTES_MAX + 1));
    ssize_t length = recv(request->fd, packet, CONTROL_BYTES_MAX + 1, MSG_DONTWAIT | MSG_TRUNC);

    if (length > 0) {
        loop_remove(&request->source);
        loop_remove(&request->timer);
        request_handle(request, packet, (size_t)length);
    } else if (length == 0 || errno != EAGAIN) {
        request_free(request);
    }
    free(packet);
}

static void control_ready(void *context)
{
    struct control *control = context;
    int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct control_request *request;

    if (fd < 0)
        return;
    request = allocated(calloc(1, sizeof *request));
    request->control = control;
    request->fd = fd;
    request->next = control->requests;
    control->requests = request;
    control->request_count++;
    request->source = loop_fd(control->loop, fd, true, false, request_ready, request);
    request->timer = loop_timer(control->loop, PATIENCE_MS, true, request_end, request);
    listen_on(control);
}

/* ---- The socket ---- */

/* An old socket of ours is one that nobody listens on any more. */
static int remove_old(const char *path, const struct sockaddr_un *address, struct error *err)
{
    struct stat status;
    int fd, problem = 0;

    if (lstat(path, &status) != 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return error_set(err, ERR_STOP, _("%s exists and is no socket; remove it"), path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        problem = errno;
    if (fd >= 0)
        close(fd);
    if (problem == 0 || problem == EAGAIN)
        return error_set(err, ERR_STOP, _("%s: another process listens there; is this service running already?"), path);
    if (problem != ECONNREFUSED || unlink(path) != 0)
        return error_set(err, ERR_STOP, _("%s: cannot replace the old socket: %s"), path,
                         strerror(problem != ECONNREFUSED ? problem : errno));
    return 0;
}

/* Never open to others, not even for a moment: hence the umask. There is one thread. */
static int bind_and_listen(int fd, const struct sockaddr_un *address)
{
    mode_t mask = umask(0117);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof *address);

    umask(mask);
    return bound == 0 ? listen(fd, REQUESTS_MAX) : -1;
}

static int socket_open(const char *path, int *ret, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return error_set(err, ERR_STOP, _("%s: the path of a socket has at most %zu bytes"), path,
                         sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    if (remove_old(path, &address, err) < 0)
        return err->code;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind_and_listen(fd, &address) != 0) {
        error_set(err, ERR_STOP, _("%s: cannot listen: %s; does the folder exist, and may this service write there?"),
                  path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return err->code;
    }
    *ret = fd;
    return 0;
}

int control_open(struct loop *loop, const char *path, control_handler *handler, void *context, struct control **ret,
                 struct error *err)
{
    const struct group *group = getgrnam("selaras");
    struct control *control;
    int fd = -1;

    if (socket_open(path, &fd, err) < 0)
        return err->code;
    control = allocated(calloc(1, sizeof *control));
    control->loop = loop;
    control->path = allocated(strdup(path));
    control->fd = fd;
    control->handler = handler;
    control->context = context;
    if (group) {
        control->has_group = true;
        control->group = group->gr_gid;
        if (chown(path, (uid_t)-1, group->gr_gid) != 0)
            control->has_group = false; /* then the file's mode keeps its members out anyway */
    }
    if (stat(path, &control->status) != 0)
        control->status.st_ino = 0;
    control->source = loop_fd(loop, fd, true, false, control_ready, control);
    *ret = control;
    return 0;
}

/* A request that its handler still holds stays until it is answered; then nobody hears it. */
static void request_orphan(struct control_request *request)
{
    bool held = !request->source && !request->timer;

    if (!held) {
        request_free(request);
        return;
    }
    request->control->requests = request->next;
    request->control->request_count--;
    request->control = NULL;
    close(request->fd);
    request->fd = -1;
}

void control_close(struct control **control)
{
    struct control *old = *control;
    struct stat status;

    if (!old)
        return;
    *control = NULL;
    while (old->requests)
        request_orphan(old->requests);
    loop_remove(&old->source);
    close(old->fd);
    if (stat(old->path, &status) == 0 && status.st_ino == old->status.st_ino && status.st_dev == old->status.st_dev)
        unlink(old->path);
    free(old->path);
    free(old);
}
