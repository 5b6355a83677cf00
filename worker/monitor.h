/* monitor: asks the system about the hardware of all devices every few seconds, on a thread of its
 * own, for the driver may take its time. Whoever wants the numbers gets the last ones at once. */
#ifndef WORKER_MONITOR_H
#define WORKER_MONITOR_H

#include "kernels/telemetry.h"
#include "proto/err.h"

typedef struct monitor monitor;

typedef struct {
    char name[32]; /* for the log */
    char hardware[TELEMETRY_ID_BYTES];
} monitor_device;

typedef struct {
    int devices;
    monitor_device device[TELEMETRY_DEVICES_MAX];
    const char *nvml;  /* see telemetry_open */
    int64_t period_ms; /* 0: 2 s */
} monitor_options;

/* ERR_NO_MEMORY. Everything else that does not work is only not known. */
monitor *monitor_new(const monitor_options *o, err *e);

/* Ends the thread. One that hangs in the driver is waited for a moment, then left behind. */
void monitor_free(monitor **m);

/* The last reading; nothing is known before the first, and when the driver hangs. */
void monitor_get(monitor *m, int device, telemetry *to);

#endif
