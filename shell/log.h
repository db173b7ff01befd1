/* log.h: what a sysadmin reads: one line per decision, with structured fields under systemd.
 *
 * To the journal when started by systemd (sd_journal_sendv), else to standard error with a time. Personal values never
 * reach it: callers name agency, table, record number and position, nothing else. */
#ifndef SELARAS_LOG_H
#define SELARAS_LOG_H

#include <stdint.h>

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_DETAIL = 7 };

/* `program` is "selaras-broker" or "selaras-agent"; `agency` stands in every line of an agent, NULL for the broker. */
void log_start(const char *program, const char *agency, enum log_level most);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a line is about, as fields of the journal of their own: what is not known stays NULL or 0. */
struct log_about {
    const char *agency; /* SELARAS_AGENCY; NULL: the one of log_start() */
    const char *table;  /* SELARAS_TABLE: as the mapping names it */
    const char *type;   /* SELARAS_TYPE: of record */
    uint64_t position;  /* SELARAS_POSITION: the whole feed position, as the ledger and --json have it */
};
void log_about(enum log_level level, const struct log_about *about, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
