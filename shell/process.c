#include "shell/process.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void process_clean_environment(void)
{
    char **at = environ;

    while (*at) {
        const char *end = strchr(*at, '=');
        char name[128];
        size_t length = end ? (size_t)(end - *at) : 0;

        if ((strncmp(*at, "PG", 2) != 0 && strncmp(*at, "ZSYS_", 5) != 0) || length == 0 || length >= sizeof name) {
            at++;
            continue;
        }
        memcpy(name, *at, length);
        name[length] = '\0';
        unsetenv(name); /* closes the gap: the next one is here now */
    }
}

void process_keep_memory(void)
{
    enum { KEEP_BYTES = 8 * 1024 * 1024, MAP_BYTES = 4 * 1024 * 1024 };

    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    mallopt(M_MMAP_THRESHOLD, MAP_BYTES);
}
