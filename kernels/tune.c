/* tune: see tune.h. How is the backend's own business. */
#include "kernels/tune.h"

#include <stdio.h>

#include "kernels/backend.h"

bool dev_tune(dev *d, const tune_options *o, tune_result *result, char *why)
{
    *result = (tune_result){0};
    if (d->backend->tune)
        return d->backend->tune(d, o, result, why);
    snprintf(why, WHY_BYTES, "%s: has nothing to tune: the shape alone decides which kernel it is",
             d->name);
    return false;
}
