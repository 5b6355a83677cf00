/* Time: monotonic for durations, wall clock only for what people read. */
#ifndef PROTO_CLOCK_H
#define PROTO_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);      /* monotonic milliseconds */
double clock_seconds(void);  /* monotonic seconds, for measurements */
int64_t clock_wall_ms(void); /* milliseconds since 1970 */

#endif
