/* service: everything of a worker but its connection. A work goes in, events come out:
 * STARTED, PROGRESS (any number), COMPLETE (exactly one, which gives the work back).
 *
 * Threads: service_* are called by the net thread; events are made by the engines and the crew and
 * wait in a list, with a descriptor that becomes readable. */
#ifndef WORKER_SERVICE_H
#define WORKER_SERVICE_H

#include "kernels/telemetry.h"
#include "worker/engine.h"
#include "worker/work.h"

enum { SERVICE_DEVICES_MAX = 16 };

typedef enum { EVENT_STARTED, EVENT_PROGRESS, EVENT_COMPLETE } service_event_kind;

typedef struct service_event {
    struct service_event *next;
    service_event_kind kind;
    job_id id;
    uint64_t lease;
    work_progress progress;
    uint8_t *preview; /* a PNG file, or NULL */
    size_t preview_size;
    work *work; /* COMPLETE: the taker's now */
} service_event;

typedef struct {
    int devices;
    dev_options device[SERVICE_DEVICES_MAX];
    bool cfg_parallel;     /* two devices form one engine (devices is even): see partner.h */
    const char *models;    /* folder */
    const char *cache;     /* folder for what may be made again (hashes of models); NULL: none */
    int64_t memory_budget; /* bytes for each device; 0: see engine_options */
    memory_mode memory;    /* how much of a model is on the device */
    int crew;              /* threads; 0: 2 */
    const char *nvml;      /* library that is asked about GPUs, see telemetry.h; NULL: none */
} service_options;

typedef struct service service;

service *service_new(const service_options *o, err *e);
void service_free(service **s); /* works inside come out nowhere: take them first, or lose them */

int service_take(service *s, work *w,
                 err *e); /* fails only for lack of memory: w stays the caller's */
void service_cancel(service *s,
                    work *w); /* w is inside; it comes back COMPLETE with ERR_CANCELLED */

int service_descriptor(const service *s);
service_event *service_next(service *s); /* NULL: none now */
void service_event_free(service_event **ev);

int service_devices(const service *s);
void service_status(service *s, int device, engine_status *status);
/* What is known of the device's hardware now; never waits for it. */
void service_telemetry(service *s, int device, telemetry *to);
models *service_models(service *s);

#endif
