/* log.h: what a sysadmin reads: one line per decision, with structured fields under systemd.
 *
 * To the journal when started by systemd (sd_journal_sendv), else to standard error with a time. Personal values never
 * reach it: callers name agency, table, record number and position, nothing else. */
#ifndef SELARAS_LOG_H
#define SELARAS_LOG_H

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_DETAIL = 7 };

/* `program` is "selaras-broker" or "selaras-agent"; `agency` stands in every line of an agent, NULL for the broker. */
void log_start(const char *program, const char *agency, enum log_level most);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same about one agency (SELARAS_AGENCY=). */
void log_agency(enum log_level level, const char *agency, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
