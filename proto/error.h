/* error.h: why something did not work, and what its caller should do about it.
 *
 * A code, chosen where the error is born and never changed on the way; the text is for a sysadmin: what
 * happened, to which thing, what to do next. Functions that return errors do not log; the one place that decides
 * logs once. Something expected is no error: it is a value, an enum or NULL. */
#ifndef SELARAS_ERROR_H
#define SELARAS_ERROR_H

enum {
    ERR_RETRY = -1,  /* the world: wait, then do the same again */
    ERR_REJECT = -2, /* this message, row or file: refuse it, go on */
    ERR_STOP = -3,   /* us: say so and stop; a person is needed */
    ERR_DOUBT = -4,  /* a database is not the one it was: stop, and the broker must know; a person decides */
    ERR_LOST = -5,   /* changes of a database can never be known: the same */
    ERR_RELOAD = -6, /* the same, and its owner has said before that loading it anew is the answer */
};

struct error {
    int code;
    char text[512];
};

/* Sets code and text (cut at its size) and returns `code`, so that a failing function ends in one line. */
int error_set(struct error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4), cold));

/* Puts "prefix: " before the text and returns the code that is already there. */
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* Runs `destroy` on a variable when it leaves its scope; every destructor here takes T ** and accepts NULL inside. */
#define scoped(destroy) __attribute__((__cleanup__(destroy)))
#define must_check __attribute__((__warn_unused_result__))

#endif
