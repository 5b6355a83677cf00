/* Telemetry on a thread of its own: see monitor.h. The one idea: the thread alone talks to the
 * driver; the others see copies under a lock that is never held meanwhile. */
#include "worker/monitor.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/clock.h"
#include "proto/log.h"

enum {
    PERIOD_MS = 2000,
    STALE_PERIODS = 5,  /* a reading older than that says nothing about now */
    PATIENCE_MS = 3000, /* how long monitor_free waits for the driver */
    LIBRARY_BYTES = 1024,
};

struct monitor {
    monitor_options options;
    char nvml[LIBRARY_BYTES];
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t change;
    bool stopping, ended;
    bool abandoned;  /* nobody waits for the thread any more: it frees the monitor */
    int64_t read_ms; /* when `last` was read; 0: not yet */
    telemetry last[TELEMETRY_DEVICES_MAX];
};

/* ---------------------------------------------------------------- the thread */

/* Errors of a GPU are an event in the log, once each. */
static void log_xids(const monitor *m, const telemetry *before, const telemetry *now)
{
    for (int i = 0; i < m->options.devices; i++)
        if (now[i].xid_errors > before[i].xid_errors)
            log_event(LOG_WARN, "monitor", "xid", "device=%s last=%llu count=%llu",
                      m->options.device[i].name, (unsigned long long)now[i].last_xid,
                      (unsigned long long)now[i].xid_errors);
}

/* Publishes a reading and waits for the time of the next; false: there will be none. */
static bool publish(monitor *m, const telemetry *now)
{
    const size_t size = (size_t)m->options.devices * sizeof *now;
    pthread_mutex_lock(&m->lock);
    memcpy(m->last, now, size);
    m->read_ms = clock_ms();
    while (!m->stopping && clock_wait(&m->change, &m->lock, m->read_ms + m->options.period_ms))
        ;
    const bool more = !m->stopping;
    pthread_mutex_unlock(&m->lock);
    return more;
}

static telemetry_reader *open_reader(const monitor *m)
{
    const char *hardware[TELEMETRY_DEVICES_MAX];
    char why[TELEMETRY_WHY_BYTES], text[TELEMETRY_WHY_BYTES];
    for (int i = 0; i < m->options.devices; i++)
        hardware[i] = m->options.device[i].hardware;
    telemetry_reader *r = telemetry_open(hardware, m->options.devices, m->nvml, why);
    if (why[0])
        log_event(LOG_INFO, "monitor", "no_telemetry", "text=%s",
                  log_quote(text, sizeof text, why));
    return r;
}

static void release(monitor *m)
{
    pthread_cond_destroy(&m->change);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static void *monitor_main(void *arg)
{
    monitor *m = arg;
    telemetry now[2][TELEMETRY_DEVICES_MAX] = {0};
    telemetry_reader *r = open_reader(m);
    for (int i = 0; r; i ^= 1) {
        telemetry_read(r, now[i]);
        log_xids(m, now[!i], now[i]);
        if (!publish(m, now[i]))
            break;
    }
    telemetry_close(&r);
    pthread_mutex_lock(&m->lock);
    m->ended = true;
    const bool abandoned = m->abandoned;
    pthread_cond_broadcast(&m->change);
    pthread_mutex_unlock(&m->lock);
    if (abandoned)
        release(m);
    return NULL;
}

/* ---------------------------------------------------------------- life */

static bool anything_to_ask(const monitor_options *o)
{
    for (int i = 0; i < o->devices; i++)
        if (o->device[i].hardware[0])
            return true;
    return false;
}

monitor *monitor_new(const monitor_options *o, err *e)
{
    assert(o->devices >= 0 && o->devices <= TELEMETRY_DEVICES_MAX);
    monitor *m = calloc(1, sizeof *m);
    if (!m) {
        err_set(e, ERR_NO_MEMORY, "no memory for the monitor");
        return NULL;
    }
    m->options = *o;
    if (!m->options.period_ms)
        m->options.period_ms = PERIOD_MS;
    snprintf(m->nvml, sizeof m->nvml, "%s", o->nvml ? o->nvml : "");
    pthread_mutex_init(&m->lock, NULL);
    clock_condition(&m->change);
    if (anything_to_ask(o))
        m->running = !pthread_create(&m->thread, NULL, monitor_main, m);
    return m;
}

/* true: the thread has ended; false: it will release the monitor when it comes back. */
static bool stop(monitor *m)
{
    const int64_t until = clock_ms() + PATIENCE_MS;
    const pthread_t thread = m->thread;
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_broadcast(&m->change);
    while (!m->ended && clock_wait(&m->change, &m->lock, until))
        ;
    const bool ended = m->ended;
    m->abandoned = !ended;
    pthread_mutex_unlock(&m->lock);
    if (ended)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread);
    return ended;
}

void monitor_free(monitor **at)
{
    monitor *m = *at;
    *at = NULL;
    if (m && (!m->running || stop(m)))
        release(m);
}

void monitor_get(monitor *m, int device, telemetry *to)
{
    assert(device >= 0 && device < m->options.devices);
    const int64_t stale_ms = STALE_PERIODS * m->options.period_ms;
    pthread_mutex_lock(&m->lock);
    const bool known = m->read_ms && clock_ms() - m->read_ms <= stale_ms;
    *to = known ? m->last[device] : (telemetry){0};
    pthread_mutex_unlock(&m->lock);
}
