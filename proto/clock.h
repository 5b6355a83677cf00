/* Time: monotonic for durations, wall clock only for what people read. */
#ifndef PROTO_CLOCK_H
#define PROTO_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

int64_t clock_ms(void);      /* monotonic milliseconds */
double clock_seconds(void);  /* monotonic seconds, for measurements */
int64_t clock_wall_ms(void); /* milliseconds since 1970 */

/* A condition that can be waited for until clock_ms() is `until`; false: it is. */
void clock_condition(pthread_cond_t *c);
bool clock_wait(pthread_cond_t *c, pthread_mutex_t *locked, int64_t until);

#endif
