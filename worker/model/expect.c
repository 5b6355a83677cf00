/* Expectations of a file: see expect.h. */
#include "worker/model/expect.h"

#include <stdio.h>
#include <string.h>

static int shape_text(char *out, size_t size, const int64_t *dim, int dims)
{
    int used = snprintf(out, size, "[");
    for (int i = 0; i < dims; i++)
        used +=
            snprintf(out + used, size - (size_t)used, "%s%lld", i ? "," : "", (long long)dim[i]);
    return used + snprintf(out + used, size - (size_t)used, "]");
}

void expect_tensor(const checkpoint *file, problems *p, const char *name,
                   const int64_t dim[CHECKPOINT_DIMS], int dims)
{
    char found[96], expected[96];
    const checkpoint_tensor *t = checkpoint_find(file, name);
    if (!t) {
        problems_add(p, ERR_INVALID, "%s is missing", name);
        return;
    }
    if (t->type != F32 && t->type != F16 && t->type != BF16)
        problems_add(p, ERR_INVALID, "%s is %s, expected F32, F16 or BF16", name, t->type_name);
    /* A 1x1 convolution and a linear layer are the same numbers. */
    if (memcmp(t->dim, dim, sizeof t->dim) == 0)
        return;
    shape_text(found, sizeof found, t->dim, t->dims);
    shape_text(expected, sizeof expected, dim, dims);
    problems_add(p, ERR_INVALID, "%s is %s, expected %s", name, found, expected);
}
