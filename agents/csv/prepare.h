/* prepare.h: the folders that an agency with lists needs, and whose they must be. */
#ifndef SELARAS_CSV_PREPARE_H
#define SELARAS_CSV_PREPARE_H

#include "agents/driver.h"

/* See driver_ops.prepare. */
must_check int csv_prepare(const struct driver_options *options, const struct mapping *mapping, const char *dsn,
                           bool apply, FILE *out, struct error *err);

#endif
