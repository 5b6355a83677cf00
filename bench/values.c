/* Values: see values.h. */
#include "bench/values.h"

#include <stdlib.h>

float *values_random(int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x);
    uint32_t state = 1;
    for (int64_t i = 0; x && i < n; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return x;
}

tensor values_tensor(dev *d, dtype type, int64_t n, int64_t h, int64_t w, int64_t c)
{
    tensor t = dev_tensor(d, type, n, h, w, c);
    float *x = values_random(tensor_count(t));
    if (x)
        dev_upload_floats(d, t, x);
    else
        dev_fail(d, DEV_NO_MEMORY, "no memory for inputs");
    free(x);
    return t;
}
