/* Clocks: see clock.h. */
#include "proto/clock.h"

#include <time.h>

static int64_t nanoseconds(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_ms(void)
{
    return nanoseconds(CLOCK_MONOTONIC) / 1000000;
}

double clock_seconds(void)
{
    return (double)nanoseconds(CLOCK_MONOTONIC) * 1e-9;
}

int64_t clock_wall_ms(void)
{
    return nanoseconds(CLOCK_REALTIME) / 1000000;
}

void clock_condition(pthread_cond_t *c)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool clock_wait(pthread_cond_t *c, pthread_mutex_t *locked, int64_t until)
{
    const struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    return pthread_cond_timedwait(c, locked, &at) == 0;
}
