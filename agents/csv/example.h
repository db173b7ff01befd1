/* example.h: one row of the last list taken, to be shown with what the mapping makes of it. */
#ifndef SELARAS_CSV_EXAMPLE_H
#define SELARAS_CSV_EXAMPLE_H

#include "agents/driver.h"

/* driver_ops.example. Reads the list itself, not what is known of it: a mapping that is new is tried on it. */
must_check int csv_example(const struct driver_options *options, const struct mapping *mapping, uint16_t index,
                           struct arena *arena, struct value *columns, bool *ret_found, struct error *err);

#endif
