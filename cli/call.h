/* call.h: one run of `selaras`: which subcommand, with which options and arguments.
 *
 * Every option of every subcommand is one row of a table in call.c, every subcommand one row in main.c; help, checks
 * and suggestions walk them. */
#ifndef SELARAS_CALL_H
#define SELARAS_CALL_H

#include "proto/arena.h"
#include "proto/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses. */
enum { STATUS_OK, STATUS_WRONG, STATUS_USAGE };

enum option_name {
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_AGENT,
    OPTION_DATABASE,
    OPTION_RECORD,
    OPTION_RECORD_NUMBER,
    OPTION_AGENCY,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_VERDICT,
    OPTION_KIND,
    OPTION_LIMIT,
    OPTION_REVEAL,
    OPTION_BROKER_FILE,
    OPTION_AGENT_FILE,
    OPTION_CATALOG_FILE,
    OPTION_GROUND,
    OPTION_RECORDS,
    OPTION_ALL,
    OPTION_JSON_LINES,
    OPTION_NO_PAGER,
    OPTION_OFFLINE,
    OPTION_TABLE,
    OPTION_SAMPLES,
    OPTION_YES,
    OPTION_COUNT,
};
#define OPTION(name) (1u << OPTION_##name)

/* Whom a command talks to, and so which options say where that is. */
#define NEEDS_NOTHING 0u
#define NEEDS_BROKER OPTION(SOCKET)
#define NEEDS_DAEMON (OPTION(SOCKET) | OPTION(AGENT)) /* the broker or an agent */
#define NEEDS_DATABASE OPTION(DATABASE)

struct call;
struct command {
    const char *name;      /* one or two words */
    const char *arguments; /* as usage shows them */
    int least, most;       /* how many there are */
    int (*run)(struct call *call);
    const char *help; /* one line */
    unsigned needs;   /* NEEDS_ */
    unsigned options; /* OPTION() its own; --json and --help every command has */
};

struct call {
    const struct command *command;
    const char *options[OPTION_COUNT]; /* NULL: not given; "" for one that takes no value */
    char **arguments;
    int argument_count;
    struct arena *arena;
};

/* Finds the command among `commands` (ends in a row without name) and reads the rest of the line. Returns -1 when `ret`
 * is to be run; otherwise everything is said (help, or what is wrong with the line) and it is the exit status. */
int call_parse(const struct command *commands, int argc, char **argv, struct arena *arena, struct call *ret);
bool call_has(const struct call *call, enum option_name option);
/* Says `err` on standard error, after the command's name. Returns STATUS_WRONG. */
int call_fail(const struct call *call, const struct error *err);
/* The same for a line that cannot be meant. Returns STATUS_USAGE. */
int call_misused(const struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The option's value as a number from `least` to `most`, `otherwise` when it is not given. ERR_REJECT names the option.
 */
must_check int call_number(const struct call *call, enum option_name option, uint64_t least, uint64_t most,
                           uint64_t otherwise, uint64_t *ret, struct error *err);
/* A number from 1 on, written in digits alone. */
bool number_parse(const char *text, uint64_t *ret);
/* The control socket to ask: --socket, the agent's of --agent, SELARAS_SOCKET, or the broker's. */
const char *call_socket(const struct call *call);
/* The libpq connection string: --database, SELARAS_DATABASE, or the usual name. */
const char *call_database(const struct call *call);

#endif
