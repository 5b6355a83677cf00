/* A job inside the worker: see work.h. */
#include "worker/work.h"

#include <stdlib.h>

work *work_new(void)
{
    return calloc(1, sizeof(work));
}

void work_free(work **at)
{
    work *w = *at;
    if (!w)
        return;
    task_done(&w->task);
    job_done(&w->job);
    wire_message_done(&w->message);
    free(w);
    *at = NULL;
}
