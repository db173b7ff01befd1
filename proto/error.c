#include "proto/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, arguments);
    va_end(arguments);
    err->code = code;
    return code;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
    char inner[sizeof err->text];
    size_t prefix;
    va_list arguments;

    memcpy(inner, err->text, sizeof inner);
    va_start(arguments, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, arguments);
    va_end(arguments);
    prefix = strlen(err->text);
    snprintf(err->text + prefix, sizeof err->text - prefix, ": %s", inner);
    return err->code;
}
