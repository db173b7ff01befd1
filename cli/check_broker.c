/* What a broker needs before it starts. */
#include "cli/answer.h"
#include "cli/checks.h"
#include "cli/query.h"
#include "daemon/settings.h"
#include "shell/key.h"
#include "shell/text.h"
#include "shell/zpl.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { POSTGRESQL_LEAST = 150000 };

struct subject {
    const struct call *call;
    struct arena *arena;
    const char *path;
    struct broker_settings settings;
    struct db_rights rights;
};

static int check_file(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    struct subject *subject = context;

    (void)note;
    return broker_settings_read(subject->arena, subject->path, &subject->settings, err);
}

static int check_key(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    struct subject *subject = context;
    struct key key;
    char hex[65];

    if (key_read(subject->settings.key, &key, err) < 0)
        return err->code;
    key_hex(key.public_key, hex);
    key_wipe(&key);
    snprintf(note, CHECK_NOTE_MAX, _("agents need its public key: %s"), hex);
    return 0;
}

static int check_catalog(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    struct subject *subject = context;
    const char *path = subject->settings.catalog;
    const struct catalog *catalog;
    const struct tree *tree;
    const char *text;
    size_t length;

    if (file_read(subject->arena, path, &text, &length, err) < 0 ||
        zpl_parse(subject->arena, path, text, length, &tree, err) < 0)
        return err->code;
    if (catalog_build(subject->arena, tree, text, length, &catalog, err) < 0)
        return error_wrap(err, "%s", path);
    snprintf(note, CHECK_NOTE_MAX, _("version %" PRIu32), catalog->version);
    return 0;
}

static int check_database(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    struct subject *subject = context;

    if (db_rights(subject->settings.database, subject->arena, &subject->rights, err) < 0)
        return err->code;
    if (subject->rights.version < POSTGRESQL_LEAST)
        return error_set(err, ERR_STOP, _("PostgreSQL %d is too old: 15 or later is needed"),
                         subject->rights.version / 10000);
    if (strcmp(subject->rights.encoding, "UTF8"))
        return error_set(err, ERR_STOP,
                         _("its encoding is %s: make it with createdb --encoding UTF8 --template template0"),
                         subject->rights.encoding);
    snprintf(note, CHECK_NOTE_MAX, _("PostgreSQL %d, as role %s"), subject->rights.version / 10000,
             subject->rights.role);
    return 0;
}

static int check_schema(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    const struct db_rights *rights = &((struct subject *)context)->rights;

    if (rights->schema && !rights->may_write)
        return error_set(err, ERR_STOP, _("role %s may not write to schema selaras: connect as the role that made it"),
                         rights->role);
    if (!rights->schema && !rights->may_create)
        return error_set(
            err, ERR_STOP,
            _("role %s may not make schema selaras. Ask the database's owner to run: GRANT CREATE ON DATABASE "
              "... TO %s;"),
            rights->role, rights->role);
    snprintf(note, CHECK_NOTE_MAX, "%s",
             rights->schema ? _("is there") : _("will be made when the broker first starts"));
    return 0;
}

/* Whether a broker answers on the control socket of these settings. */
static bool broker_runs(const struct subject *subject)
{
    static const char *const arguments[] = { "status" };
    scoped(answer_free) struct json_object *answer = NULL;
    struct error err;

    return answer_ask_at(subject->call, subject->settings.control, arguments, 1, &answer, &err) == 0;
}

/* Tries to listen where the broker will. Returns 0 or errno. */
static int listen_try(const struct addrinfo *address)
{
    int on = 1;
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
    int failure = 0;

    if (fd < 0)
        return errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* as ZeroMQ does */
    if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, 1) < 0)
        failure = errno;
    close(fd);
    return failure;
}

static int endpoint_try(struct arena *arena, const char *endpoint, struct error *err)
{
    struct addrinfo hints = { .ai_family = AF_INET,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    const char *host = endpoint + strlen("tcp://");
    const char *port = strrchr(host, ':');
    struct addrinfo *found;
    int failure;

    if (!port || port == host)
        return error_set(err, ERR_REJECT,
                         _("%s has no port: write it as tcp://ADDRESS:PORT, or tcp://*:PORT for all addresses"),
                         endpoint);
    host = arena_copy(arena, host, (size_t)(port++ - host));
    failure = getaddrinfo(strcmp(host, "*") ? host : NULL, port, &hints, &found);
    if (failure)
        return error_set(err, ERR_REJECT, _("%s: %s. Write an address of this host"), endpoint, gai_strerror(failure));
    failure = listen_try(found);
    freeaddrinfo(found);
    if (!failure)
        return 0;
    return error_set(err, ERR_STOP, _("cannot listen on %s: %s. See who does: ss -ltnp 'sport = :%s'"), endpoint,
                     strerror(failure), port);
}

static int check_endpoint(void *context, char note[CHECK_NOTE_MAX], struct error *err)
{
    const struct subject *subject = context;

    if (broker_runs(subject)) {
        snprintf(note, CHECK_NOTE_MAX, _("the broker is running"));
        return 0;
    }
    if (strncmp(subject->settings.endpoint, "tcp://", strlen("tcp://")))
        return error_set(err, ERR_REJECT,
                         _("%s is no endpoint: write it as tcp://ADDRESS:PORT, or tcp://*:PORT for all addresses"),
                         subject->settings.endpoint);
    if (endpoint_try(subject->arena, subject->settings.endpoint, err) < 0)
        return err->code;
    snprintf(note, CHECK_NOTE_MAX, _("%s is free"), subject->settings.endpoint);
    return 0;
}

#define FILE_CHECK N_("configuration")
#define DATABASE_CHECK N_("database")

static const struct check checks[] = {
    { FILE_CHECK, NULL, check_file },
    { N_("key"), FILE_CHECK, check_key },
    { N_("catalog"), FILE_CHECK, check_catalog },
    { DATABASE_CHECK, FILE_CHECK, check_database },
    { N_("schema"), DATABASE_CHECK, check_schema },
    { N_("endpoint"), FILE_CHECK, check_endpoint },
    { 0 },
};

bool check_broker_file(const struct call *call, struct output *output, const char *path)
{
    struct subject subject = { .call = call, .arena = call->arena, .path = path };

    return checks_run(output, path, checks, &subject);
}
