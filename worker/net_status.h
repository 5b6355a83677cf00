/* What a worker says about its devices, as messages. */
#ifndef WORKER_NET_STATUS_H
#define WORKER_NET_STATUS_H

#include "proto/wire.h"
#include "worker/service.h"

enum { NET_MODELS_MAX = 256 };

typedef struct {
    size_t devices, models;
    Overpaint__DeviceStatus device[SERVICE_DEVICES_MAX], *device_at[SERVICE_DEVICES_MAX];
    engine_status status[SERVICE_DEVICES_MAX];
    Overpaint__Telemetry telemetry[SERVICE_DEVICES_MAX];
    Overpaint__RowStatus row[SERVICE_DEVICES_MAX][ENGINE_ROWS_MAX];
    Overpaint__RowStatus *row_at[SERVICE_DEVICES_MAX][ENGINE_ROWS_MAX];
    char *resident_at[SERVICE_DEVICES_MAX][ENGINE_MODELS_MAX];
    char (*name)[256]; /* of the models it can load */
    char *model_at[NET_MODELS_MAX];
} net_status;

/* `with_models`: also lists the models folder. The messages point into `s`. */
void net_status_fill(net_status *s, service *from, bool with_models);
void net_status_done(net_status *s);

#endif
