/* Readings of hardware: see telemetry.h. The one idea: a device's name says who is asked about it,
 * and each of the two sources gives what it knows and leaves the rest alone. */
#include "kernels/telemetry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/machine.h"
#include "kernels/nvml.h"

typedef struct {
    bool is_machine, is_gpu;
    nvml_gpu gpu;
} source;

struct telemetry_reader {
    int devices;
    source device[TELEMETRY_DEVICES_MAX];
    machine machine;
    nvml *nvml;
};

/* Finds the GPU, and loads the library for the first one; `why`: when there was none before. */
static void find_gpu(telemetry_reader *r, source *s, const char *pci, const char *library,
                     char *why)
{
    char another[TELEMETRY_WHY_BYTES];
    char *told = why[0] ? another : why;
    if (!r->nvml && !why[0])
        r->nvml = nvml_open(library, told);
    s->is_gpu = r->nvml && nvml_find(r->nvml, &s->gpu, pci, told);
}

telemetry_reader *telemetry_open(const char *const *hardware, int devices, const char *library,
                                 char *why)
{
    assert(devices >= 0 && devices <= TELEMETRY_DEVICES_MAX);
    telemetry_reader *r = calloc(1, sizeof *r);
    why[0] = 0;
    if (!r)
        return NULL;
    r->devices = devices;
    for (int i = 0; i < devices; i++) {
        source *s = &r->device[i];
        s->is_machine = !strcmp(hardware[i], TELEMETRY_MACHINE);
        if (!s->is_machine && hardware[i][0] && library && library[0])
            find_gpu(r, s, hardware[i], library, why);
    }
    return r;
}

void telemetry_read(telemetry_reader *r, telemetry *to)
{
    telemetry of_machine = {0};
    bool read = false;
    for (int i = 0; i < r->devices; i++) {
        source *s = &r->device[i];
        to[i] = (telemetry){0};
        if (s->is_gpu)
            nvml_read(r->nvml, &s->gpu, &to[i]);
        if (!s->is_machine)
            continue;
        if (!read)
            machine_read(&r->machine, &of_machine);
        read = true;
        to[i] = of_machine;
    }
}

void telemetry_close(telemetry_reader **at)
{
    telemetry_reader *r = *at;
    if (!r)
        return;
    for (int i = 0; i < r->devices; i++)
        if (r->device[i].is_gpu)
            nvml_forget(r->nvml, &r->device[i].gpu);
    nvml_close(&r->nvml);
    free(r);
    *at = NULL;
}
