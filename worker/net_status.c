/* Device status as messages: see net_status.h. */
#include "worker/net_status.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 16384 };

static void fill_rows(net_status *s, int d)
{
    const engine_status *from = &s->status[d];
    for (int i = 0; i < from->rows; i++) {
        Overpaint__RowStatus *row = &s->row[d][i];
        overpaint__row_status__init(row);
        row->has_id = row->has_picture = row->has_step = row->has_steps = 1;
        row->id = wire_id_bytes(&from->row[i].id);
        row->picture = (uint32_t)from->row[i].picture;
        row->sampler = (char *)catalog_sampler(from->row[i].sampler)->name;
        row->step = (uint32_t)from->row[i].step;
        row->steps = (uint32_t)from->row[i].steps;
        s->row_at[d][i] = row;
    }
    s->device[d].n_row = (size_t)from->rows;
    s->device[d].row = s->row_at[d];
}

static void fill_device(net_status *s, int d)
{
    const engine_status *from = &s->status[d];
    Overpaint__DeviceStatus *to = &s->device[d];
    overpaint__device_status__init(to);
    to->name = (char *)from->name;
    to->device_class = (char *)from->class_name;
    to->has_memory_bytes = to->has_budget_bytes = to->has_steps = 1;
    to->memory_bytes = from->memory_bytes;
    to->budget_bytes = from->budget_bytes;
    to->steps = from->evaluations;
    to->memory_mode = (char *)memory_mode_words[from->memory];
    for (int i = 0; i < from->models; i++)
        s->resident_at[d][i] = (char *)from->model[i];
    to->n_model = (size_t)from->models;
    to->model = s->resident_at[d];
    fill_rows(s, d);
    s->device_at[d] = to;
}

/* A device of which nothing is known has no telemetry at all. */
static void fill_telemetry(net_status *s, int d, const telemetry *from)
{
    Overpaint__Telemetry *to = &s->telemetry[d];
    bool any = false;
    overpaint__telemetry__init(to);
#define COPY(name)                                                                                 \
    any |= to->has_##name = from->has_##name;                                                      \
    to->name = from->name;
    TELEMETRY_VALUES(COPY)
#undef COPY
    s->device[d].telemetry = any ? to : NULL;
}

void net_status_fill(net_status *s, service *from, bool with_models)
{
    s->devices = (size_t)service_devices(from);
    for (int d = 0; d < (int)s->devices; d++) {
        telemetry known;
        service_status(from, d, &s->status[d]);
        service_telemetry(from, d, &known);
        fill_device(s, d);
        fill_telemetry(s, d, &known);
    }
    s->models = 0;
    s->name = with_models ? calloc(NET_MODELS_MAX, sizeof *s->name) : NULL;
    if (s->name)
        s->models = (size_t)models_list(service_models(from), s->name, NET_MODELS_MAX);
    size_t bytes = 0; /* what does not fit the header is left out: the broker may still send it */
    for (size_t i = 0; i < s->models; i++) {
        s->model_at[i] = s->name[i];
        bytes += strlen(s->name[i]) + 4;
        if (bytes > NAME_BYTES_MAX)
            s->models = i;
    }
}

void net_status_done(net_status *s)
{
    free(s->name);
    s->name = NULL;
}
