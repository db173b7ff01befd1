#include "agents/csv/sql.h"

#include "shell/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATEMENTS_MAX = 96 };

struct sql {
    sqlite3 *db;
    const char *path;
    struct {
        const char *text;
        sqlite3_stmt *statement;
    } prepared[STATEMENTS_MAX];
    int count;
};

static int sql_error(const struct sql *sql, int code, struct error *err)
{
    int primary = code & 0xff;
    bool moment =
        primary == SQLITE_FULL || primary == SQLITE_IOERR || primary == SQLITE_BUSY || primary == SQLITE_LOCKED;

    return error_set(err, moment ? ERR_RETRY : ERR_STOP, _("state file %s: %s"), sql->path,
                     sql->db ? sqlite3_errmsg(sql->db) : sqlite3_errstr(code));
}

/* It and what SQLite puts beside it are for the agent alone, whatever the umask. */
static int make_private(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && fchmod(fd, 0600) == 0;

    if (!good)
        error_set(err, errno == ENOSPC || errno == EIO ? ERR_RETRY : ERR_STOP,
                  _("state file %s: %s; selaras-agent --prepare says what is needed"), path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return good ? 0 : err->code;
}

int sql_open(const char *path, struct sql **ret, struct error *err)
{
    struct sql *sql = calloc(1, sizeof *sql);
    int code;

    if (!sql || !(sql->path = strdup(path)))
        abort();
    if (make_private(path, err) < 0) {
        sql_close(&sql);
        return err->code;
    }
    code = sqlite3_open_v2(path, &sql->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
    if (code != SQLITE_OK) {
        sql_error(sql, code, err);
    } else {
        sqlite3_busy_timeout(sql->db, 2000);
        if (sql_script(sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = FILE;", err) ==
            0) {
            *ret = sql;
            return 0;
        }
    }
    sql_close(&sql);
    return err->code;
}

void sql_close(struct sql **sql)
{
    if (!*sql)
        return;
    for (int i = 0; i < (*sql)->count; i++)
        sqlite3_finalize((*sql)->prepared[i].statement);
    sqlite3_close((*sql)->db);
    free((void *)(uintptr_t)(*sql)->path);
    free(*sql);
    *sql = NULL;
}

int sql_script(struct sql *sql, const char *text, struct error *err)
{
    int code = sqlite3_exec(sql->db, text, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : sql_error(sql, code, err);
}

sqlite3_stmt *sql_get(struct sql *sql, const char *text)
{
    int i = 0;

    while (i < sql->count && sql->prepared[i].text != text)
        i++;
    if (i == sql->count) {
        assert(i < STATEMENTS_MAX);
        sql->count++;
        sql->prepared[i].text = text;
        if (sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &sql->prepared[i].statement, NULL) !=
            SQLITE_OK)
            sql->count--; /* tried again; a statement NULL is told when it is run */
    }
    if (i == sql->count)
        return NULL;
    sqlite3_reset(sql->prepared[i].statement);
    sqlite3_clear_bindings(sql->prepared[i].statement);
    return sql->prepared[i].statement;
}

void sql_text(sqlite3_stmt *statement, int place, struct text text)
{
    sqlite3_bind_text(statement, place, text.length ? text.bytes : "", (int)text.length, SQLITE_TRANSIENT);
}

void sql_word(sqlite3_stmt *statement, int place, const char *word)
{
    sqlite3_bind_text(statement, place, word, -1, SQLITE_TRANSIENT);
}

void sql_bytes(sqlite3_stmt *statement, int place, const void *bytes, size_t length)
{
    if (bytes)
        sqlite3_bind_blob64(statement, place, bytes, length, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(statement, place);
}

void sql_int(sqlite3_stmt *statement, int place, int64_t number)
{
    sqlite3_bind_int64(statement, place, number);
}

int sql_row(struct sql *sql, sqlite3_stmt *statement, struct error *err)
{
    int code = statement ? sqlite3_step(statement) : sqlite3_errcode(sql->db);

    if (code == SQLITE_ROW)
        return 1;
    if (statement)
        sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : sql_error(sql, code, err);
}

int sql_run(struct sql *sql, sqlite3_stmt *statement, struct error *err)
{
    int code;

    while ((code = sql_row(sql, statement, err)) == 1)
        ;
    return code;
}

int sql_changed(const struct sql *sql)
{
    return sqlite3_changes(sql->db);
}

struct text sql_column(struct arena *arena, sqlite3_stmt *statement, int column)
{
    const void *bytes = sqlite3_column_blob(statement, column);
    int length = sqlite3_column_bytes(statement, column);

    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return (struct text){ 0 };
    return (struct text){ arena_copy(arena, bytes ? bytes : "", (size_t)length), (uint32_t)length };
}
