#include "shell/pg.h"

#include "shell/text.h"

#include <stdio.h>
#include <string.h>

/* PostgreSQL 15, appendix A. The first match wins. */
static const struct {
    const char *prefix;
    int code;
} sqlstates[] = {
    { "08", ERR_RETRY },                       /* the connection */
    { "57", ERR_RETRY },                       /* shut down, restarted, cancelled by a person or a statement timeout */
    { "40", ERR_RETRY },                       /* deadlock, serialization */
    { "55P03", ERR_RETRY },                    /* lock not available */
    { "55006", ERR_RETRY },                    /* object in use */
    { "53", ERR_RETRY },                       /* disk full, out of memory, too many connections */
    { "25P02", ERR_RETRY },                    /* not run: an earlier unit had failed in its transaction */
    { "25006", ERR_RETRY },                    /* read-only: a standby that is not yet promoted */
    { "22", ERR_REJECT },                      /* bad value */
    { "23", ERR_REJECT },                      /* broken constraint */
    { "44", ERR_REJECT },                      /* a view's check option */
    { "54000", ERR_REJECT },                   /* a value too long for an index */
    { "P0", ERR_REJECT },                      /* a trigger of the database's owner said no */
    { "09", ERR_REJECT },                      /* in a trigger */
    { "27", ERR_REJECT },                      /* changed by a trigger meanwhile */
    { "38", ERR_REJECT },                      /* in a function in another language */
    { "39", ERR_REJECT },    { "", ERR_STOP }, /* what nobody thought about */
};

int pg_sqlstate_code(const char *sqlstate)
{
    size_t i = 0;

    while (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) != 0)
        i++;
    return sqlstates[i].code;
}

static const char *field(const PGresult *result, int code)
{
    const char *text = PQresultErrorField(result, code);

    return text ? text : "";
}

/* Whether the message was written by whoever wrote a function or trigger, by RAISE or in another language, or is about
 * what such a function does that nobody thought about: a statement put together from values may be quoted in it. */
static bool is_foreign(const PGresult *failure, const char *sqlstate)
{
    static const char *const classes[] = { "P0", "38", "39" };

    if (strcmp(field(failure, PG_DIAG_SOURCE_FUNCTION), "exec_stmt_raise") == 0 ||
        (pg_sqlstate_code(sqlstate) == ERR_STOP && field(failure, PG_DIAG_CONTEXT)[0] != '\0'))
        return true;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

/* Copies the message of a bad value without what stands between its first and last quote, which is the value. Other
 * languages quote with other letters: what is not plain in the end is not shown at all. */
static void copy_unquoted(char *to, size_t size, const char *message)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;()/_-\"";
    const char *first = strchr(message, '"'), *last = strrchr(message, '"');

    if (!first)
        snprintf(to, size, "%s", message);
    else
        snprintf(to, size, "%.*s\"...\"%s", (int)(first - message), message, last + 1);
    if ((first && first == last) || to[strspn(to, plain)] != '\0')
        snprintf(to, size, "%s", _("a value was refused (PostgreSQL's log shows it)"));
}

int pg_error_set(struct error *err, const PGresult *failure)
{
    const char *sqlstate = field(failure, PG_DIAG_SQLSTATE), *message = field(failure, PG_DIAG_MESSAGE_PRIMARY);
    char text[400];

    if (sqlstate[0] == '\0') /* libpq's own complaint, which knows no state */
        snprintf(text, sizeof text, "%s", _("libpq gave no reason"));
    else if (is_foreign(failure, sqlstate))
        snprintf(text, sizeof text, "%s",
                 _("refused by a trigger or function of the database, whose message is not shown as it "
                   "may hold personal values (PostgreSQL's log has it)"));
    else if (strncmp(sqlstate, "22", 2) == 0)
        copy_unquoted(text, sizeof text, message);
    else
        snprintf(text, sizeof text, "%s", message);
    return error_set(err, pg_sqlstate_code(sqlstate), "PostgreSQL %s: %s", sqlstate[0] ? sqlstate : "error", text);
}
