/* A stand-in for libnvidia-ml: a few GPUs whose values and failures are settings. The one idea: a
 * setting is a text by name, from nvml_stand_in_set or from the environment (OVERPAINT_NVML_USED
 * is "used"), looked up anew in every call; a value without one is not supported.
 *
 * bus            PCI bus ids, between commas; the first GPU is number 0
 * used, total    bytes; busy: percent; celsius; milliwatts; ecc: uncorrected errors
 * xid            numbers of errors, between commas: each is one event
 *                  all with the GPU's number behind them for the second one: used1, …
 * fail           the call that fails, or "all"
 * hang_ms        how long asking for the memory takes
 *
 * Written from the NVML API Reference Guide. With STAND_IN_OLD it is a library without the calls
 * that came later. */
#include "tests/vendor/nvml.h"

#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    TIMEOUT = 10,
    UNKNOWN = 999,
    GPUS = 2,
    SETS = 4,
    SETTINGS = 24,
    NAME_BYTES = 16,
    TEXT_BYTES = 512,
    XID_EVENT = 8
};

typedef struct {
    int number;
} gpu;

typedef struct {
    bool used;
    const gpu *watched;
} event_set;

typedef struct {
    gpu *device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} event_data;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of these */
static struct {
    char name[NAME_BYTES], value[TEXT_BYTES];
} setting[SETTINGS];
static gpu gpus[GPUS] = {{0}, {1}};
static event_set sets[SETS];
static int initialised;

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, gpu **device);
int nvmlDeviceGetMemoryInfo(gpu *device, unsigned long long memory[3]);
int nvmlDeviceGetUtilizationRates(gpu *device, unsigned rates[2]);
int nvmlDeviceGetTemperature(gpu *device, int sensor, unsigned *celsius);
int nvmlDeviceGetPowerUsage(gpu *device, unsigned *milliwatts);
int nvmlDeviceGetTotalEccErrors(gpu *device, int type, int counter, unsigned long long *count);
int nvmlEventSetCreate(event_set **set);
int nvmlEventSetFree(event_set *set);
int nvmlDeviceRegisterEvents(gpu *device, unsigned long long types, event_set *set);
int nvmlEventSetWait_v2(event_set *set, event_data *data, unsigned timeout_ms);

/* ---------------------------------------------------------------- settings */

static void store(const char *name, const char *value)
{
    int i = 0;
    while (setting[i].name[0] && strcmp(setting[i].name, name) != 0)
        if (++i == SETTINGS)
            abort();
    snprintf(setting[i].name, NAME_BYTES, "%s", name);
    snprintf(setting[i].value, TEXT_BYTES, "%s", value);
}

static const char *from_environment(const char *name)
{
    char variable[TEXT_BYTES] = "OVERPAINT_NVML_";
    size_t length = strlen(variable);
    for (; *name; name++)
        variable[length++] = (char)toupper((unsigned char)*name);
    const char *value = getenv(variable);
    return value ? value : "";
}

/* "": there is none. Copied, because another thread may set it. */
static bool look_up(const char *name, const gpu *of, char value[TEXT_BYTES])
{
    char whole[NAME_BYTES];
    snprintf(whole, sizeof whole, of && of->number ? "%s%d" : "%s", name, of ? of->number : 0);
    const char *found = NULL;
    for (int i = 0; i < SETTINGS && setting[i].name[0]; i++)
        if (!strcmp(setting[i].name, whole))
            found = setting[i].value;
    snprintf(value, TEXT_BYTES, "%s", found ? found : from_environment(whole));
    return value[0] != 0;
}

void nvml_stand_in_set(const char *name, const char *value)
{
    pthread_mutex_lock(&lock);
    store(name, value ? value : from_environment(name));
    pthread_mutex_unlock(&lock);
}

int nvml_stand_in_held(void)
{
    pthread_mutex_lock(&lock);
    int held = initialised;
    for (int i = 0; i < SETS; i++)
        held += sets[i].used;
    pthread_mutex_unlock(&lock);
    return held;
}

/* ---------------------------------------------------------------- calls */

/* What a call says before it looks at anything: it fails on purpose, or came too early. */
static int refused(const char *call)
{
    char fails[TEXT_BYTES];
    if (look_up("fail", NULL, fails) && (!strcmp(fails, "all") || !strcmp(fails, call)))
        return UNKNOWN;
    return initialised || !strcmp(call, "nvmlInit_v2") ? SUCCESS : UNINITIALIZED;
}

static int number_of(const char *call, const gpu *device, const char *name,
                     unsigned long long *number)
{
    char value[TEXT_BYTES];
    pthread_mutex_lock(&lock);
    int rc = refused(call);
    if (!rc && device != &gpus[0] && device != &gpus[1])
        rc = INVALID_ARGUMENT;
    if (!rc && !look_up(name, device, value))
        rc = NOT_SUPPORTED;
    if (!rc)
        *number = strtoull(value, NULL, 10);
    pthread_mutex_unlock(&lock);
    return rc;
}

int nvmlInit_v2(void)
{
    pthread_mutex_lock(&lock);
    const int rc = refused(__func__);
    initialised += !rc;
    pthread_mutex_unlock(&lock);
    return rc;
}

int nvmlShutdown(void)
{
    pthread_mutex_lock(&lock);
    const int rc = initialised ? SUCCESS : UNINITIALIZED; /* ends it, whatever should fail */
    initialised -= !rc;
    pthread_mutex_unlock(&lock);
    return rc;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, gpu **device)
{
    char value[TEXT_BYTES], *rest = value;
    int found = GPUS;
    pthread_mutex_lock(&lock);
    int rc = refused(__func__);
    look_up("bus", NULL, value);
    for (int i = 0; i < GPUS && rest; i++) {
        const char *one = strsep(&rest, ",");
        if (!strcmp(one, bus))
            found = i;
    }
    if (!rc && found == GPUS)
        rc = NOT_FOUND;
    if (!rc)
        *device = &gpus[found];
    pthread_mutex_unlock(&lock);
    return rc;
}

int nvmlDeviceGetMemoryInfo(gpu *device, unsigned long long memory[3])
{
    unsigned long long total, used, hang_ms = 0;
    int rc = number_of(__func__, device, "total", &total);
    rc = rc ? rc : number_of(__func__, device, "used", &used);
    if (!rc && !number_of(__func__, device, "hang_ms", &hang_ms))
        usleep((useconds_t)hang_ms * 1000);
    if (rc)
        return rc;
    memory[0] = total;
    memory[1] = total - used;
    memory[2] = used;
    return SUCCESS;
}

#ifndef STAND_IN_OLD

/* A number where the library gives 32 bits. */
static int small_number(const char *call, const gpu *device, const char *name, unsigned *number)
{
    unsigned long long value;
    const int rc = number_of(call, device, name, &value);
    if (!rc)
        *number = (unsigned)value;
    return rc;
}

int nvmlDeviceGetUtilizationRates(gpu *device, unsigned rates[2])
{
    const int rc = small_number(__func__, device, "busy", &rates[0]);
    if (!rc)
        rates[1] = 0;
    return rc;
}

int nvmlDeviceGetTemperature(gpu *device, int sensor, unsigned *celsius)
{
    return sensor ? INVALID_ARGUMENT : small_number(__func__, device, "celsius", celsius);
}

int nvmlDeviceGetPowerUsage(gpu *device, unsigned *milliwatts)
{
    return small_number(__func__, device, "milliwatts", milliwatts);
}

int nvmlDeviceGetTotalEccErrors(gpu *device, int type, int counter, unsigned long long *count)
{
    if (type != 1 || counter != 0) /* uncorrected, volatile */
        return INVALID_ARGUMENT;
    return number_of(__func__, device, "ecc", count);
}

int nvmlEventSetCreate(event_set **set)
{
    pthread_mutex_lock(&lock);
    int rc = refused(__func__), i = 0;
    while (i < SETS && sets[i].used)
        i++;
    if (!rc && i == SETS)
        rc = UNKNOWN;
    if (!rc) {
        sets[i] = (event_set){.used = true};
        *set = &sets[i];
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int nvmlEventSetFree(event_set *set)
{
    pthread_mutex_lock(&lock);
    const int rc = set >= sets && set < sets + SETS && set->used ? SUCCESS : INVALID_ARGUMENT;
    if (!rc)
        set->used = false;
    pthread_mutex_unlock(&lock);
    return rc;
}

int nvmlDeviceRegisterEvents(gpu *device, unsigned long long types, event_set *set)
{
    pthread_mutex_lock(&lock);
    int rc = refused(__func__);
    if (!rc && (types != XID_EVENT || !set->used))
        rc = INVALID_ARGUMENT;
    if (!rc)
        set->watched = device;
    pthread_mutex_unlock(&lock);
    return rc;
}

/* The first of the numbers, which is taken away. */
static int take_event(const event_set *set, event_data *data)
{
    char waiting[TEXT_BYTES], name[NAME_BYTES], *rest;
    if (!set->watched || !look_up("xid", set->watched, waiting))
        return TIMEOUT;
    data->device = &gpus[set->watched->number];
    data->type = XID_EVENT;
    data->data = strtoull(waiting, &rest, 10);
    snprintf(name, sizeof name, set->watched->number ? "xid%d" : "xid", set->watched->number);
    store(name, *rest == ',' ? rest + 1 : "");
    return SUCCESS;
}

int nvmlEventSetWait_v2(event_set *set, event_data *data, unsigned timeout_ms)
{
    if (timeout_ms)
        abort(); /* the product must never wait here */
    pthread_mutex_lock(&lock);
    int rc = refused(__func__);
    if (!rc)
        rc = take_event(set, data);
    pthread_mutex_unlock(&lock);
    return rc;
}

#endif
