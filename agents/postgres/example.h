/* example.h: one row of a block, to be shown with what the mapping makes of it. */
#ifndef SELARAS_EXAMPLE_H
#define SELARAS_EXAMPLE_H

#include "agents/driver.h"

/* driver_ops.example. */
must_check int example_read(const struct driver_options *options, const struct mapping *mapping, uint16_t index,
                            struct arena *arena, struct value *columns, bool *ret_found, struct error *err);

#endif
