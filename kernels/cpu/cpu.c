/* The CPU backend: opens and closes what its kernels share. So far every kernel is the
 * reference's (FALL in the kernel list), so there is nothing to hold. */
#include <stdio.h>

#include "kernels/table.h"

bool cpu_open(dev *d, char *why)
{
    (void)why;
    snprintf(d->class_name, sizeof d->class_name, "cpu ref");
    return true;
}

void cpu_close(dev *d)
{
    (void)d;
}
