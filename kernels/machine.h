/* machine: memory and load of this machine, as Linux tells them (proc(5)). Part of telemetry. */
#ifndef KERNELS_MACHINE_H
#define KERNELS_MACHINE_H

#include "kernels/telemetry.h"

/* What all processors spent since the machine started, in units of the kernel's. */
typedef struct {
    uint64_t busy, all;
} machine_ticks;

/* Zeroed at first. */
typedef struct {
    bool has_before;
    machine_ticks before; /* of the reading before: load is what happened since then */
} machine;

void machine_read(machine *m, telemetry *to);

/* The two texts that it reads, /proc/meminfo and /proc/stat. What does not look like that gives
 * nothing, or false. */
void machine_memory(const char *text, telemetry *to);
bool machine_load(const char *text, machine_ticks *to);

#endif
