/* sandbox.h: what a child may do that reads a file which people sent us, with a program that was not made for enemies:
 * read that file, its own libraries, and write to its output. */
#ifndef SELARAS_CSV_SANDBOX_H
#define SELARAS_CSV_SANDBOX_H

#include <stdint.h>

struct sandbox {
    uint64_t memory_bytes, time_s;
    int file; /* open for reading */
};

/* In the child, before it becomes that program: whatever else is open is closed when it does. A kernel or a system call
 * filter without Landlock leaves out the part about files. */
void sandbox_enter(const struct sandbox *sandbox);

#endif
