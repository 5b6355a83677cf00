/* crew: a few threads that do small pieces of CPU work in order of arrival (decoding and encoding
 * pictures, tokenising), so that neither the engine nor the net thread waits for them. */
#ifndef WORKER_CREW_H
#define WORKER_CREW_H

#include <stdbool.h>

#include "proto/err.h"

typedef struct crew crew;
typedef void crew_work(void *arg);

crew *crew_new(int threads, err *e);
void crew_free(crew **c); /* does what is queued, then ends */

/* false: no memory; the caller does it itself or gives up. */
bool crew_do(crew *c, crew_work *fn, void *arg);

#endif
