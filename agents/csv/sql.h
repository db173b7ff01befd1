/* sql.h: SQLite statements, prepared once each. Errors become ours: a full disk or a busy file is ERR_RETRY, whatever
 * else is ERR_STOP. */
#ifndef SELARAS_CSV_SQL_H
#define SELARAS_CSV_SQL_H

#include "proto/record.h"

#include <sqlite3.h>

struct sql;

/* Opens or makes the file, durable at each commit. */
must_check int sql_open(const char *path, struct sql **ret, struct error *err);
void sql_close(struct sql **sql);
/* Several statements at once, without parameters. */
must_check int sql_script(struct sql *sql, const char *text, struct error *err);

/* The statement of this text, which is a constant: ready to be bound anew. */
sqlite3_stmt *sql_get(struct sql *sql, const char *text);
void sql_text(sqlite3_stmt *statement, int place, struct text text);
void sql_word(sqlite3_stmt *statement, int place, const char *word);
/* NULL bytes: NULL. */
void sql_bytes(sqlite3_stmt *statement, int place, const void *bytes, size_t length);
void sql_int(sqlite3_stmt *statement, int place, int64_t number);

/* 1: a row stands there, until the next call; 0: there is none (any more). */
must_check int sql_row(struct sql *sql, sqlite3_stmt *statement, struct error *err);
/* Runs it to its end. */
must_check int sql_run(struct sql *sql, sqlite3_stmt *statement, struct error *err);
/* Rows that the last sql_run changed. */
int sql_changed(const struct sql *sql);
/* A column of the present row, copied to `arena`; bytes NULL when it is NULL. */
struct text sql_column(struct arena *arena, sqlite3_stmt *statement, int column);

#endif
