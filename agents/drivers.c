/* The drivers by name. */
#include "agents/driver.h"

#include <string.h>

static const struct driver_ops *const drivers[] = { &postgres_driver, &csv_driver };
const char *const driver_names[] = { "postgres", "csv", NULL };

const struct driver_ops *driver_named(const char *name)
{
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}
