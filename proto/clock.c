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
