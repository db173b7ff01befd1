#include "shell/pg_connect.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The dsn's own `options` with ours behind them, which win. NULL when the dsn cannot be parsed. */
static char *session_options(const char *dsn)
{
    static const char ours[] = "-c DateStyle=ISO -c TimeZone=UTC -c bytea_output=hex -c search_path=";
    PQconninfoOption *options = PQconninfoParse(dsn, NULL);
    const char *given = "";
    char *all;

    if (!options)
        return NULL;
    for (PQconninfoOption *option = options; option->keyword; option++)
        if (strcmp(option->keyword, "options") == 0 && option->val)
            given = option->val;
    if (asprintf(&all, "%s %s", given, ours) < 0)
        abort();
    PQconninfoFree(options);
    return all;
}

/* libpq takes the last of what is given twice: defaults stand before the dsn, what we insist on behind it. */
PGconn *pg_connect_start(const char *dsn, const char *application)
{
    enum { SETTING_COUNT = 9 };
    char *options = session_options(dsn);
    const struct {
        const char *keyword, *value;
    } settings[SETTING_COUNT] = {
        { "gssencmode", "disable" },   { "keepalives_idle", "20" },         { "keepalives_interval", "10" },
        { "keepalives_count", "3" },   { "tcp_user_timeout", "50000" },     { "dbname", dsn },
        { "client_encoding", "UTF8" }, { "application_name", application }, { "options", options },
    };
    const char *keywords[SETTING_COUNT + 1] = { NULL }, *values[SETTING_COUNT + 1] = { NULL };
    PGconn *conn;

    if (!options)
        return NULL;
    for (int i = 0; i < SETTING_COUNT; i++) {
        keywords[i] = settings[i].keyword;
        values[i] = settings[i].value;
    }
    conn = PQconnectStartParams(keywords, values, 1);
    if (!conn)
        abort();
    free(options);
    return conn;
}

enum { WAIT_MS = 10000 }; /* of each step */

bool pg_connect_wait(PGconn *conn)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        struct pollfd fd = { .fd = PQsocket(conn), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT };

        if (fd.fd < 0 || poll(&fd, 1, WAIT_MS) <= 0)
            return false;
        status = PQconnectPoll(conn);
    }
    return status == PGRES_POLLING_OK;
}

void text_line(char *to, size_t size, const char *from)
{
    size_t length = 0;

    for (; *from && length + 1 < size; from++) {
        bool space = strchr(" \t\n", *from);

        if (!space || (length > 0 && to[length - 1] != ' '))
            to[length++] = space ? ' ' : *from;
    }
    while (length > 0 && to[length - 1] == ' ')
        length--;
    to[length] = '\0';
}
