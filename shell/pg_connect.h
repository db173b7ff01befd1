/* pg_connect.h: how pg.c opens a connection: the connection string and what we insist on. */
#ifndef SELARAS_PG_CONNECT_H
#define SELARAS_PG_CONNECT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts connecting as pg_open() says. NULL when `dsn` is no connection string. */
PGconn *pg_connect_start(const char *dsn, const char *application);
/* For programs without a loop: waits until it is up. False when it is not, or does not answer within 10 s. */
bool pg_connect_wait(PGconn *conn);
/* Makes one line of libpq's several. */
void text_line(char *to, size_t size, const char *from);

#endif
