/* cudnn_program: launching. Operands are checked when a launch is given to a stream, and again when
 * the stream gets there: memory may have been given back in between. */
#include <string.h>

#include "tests/vendor/cudnn_program.h"
#include "tests/vendor/vendor.h"

enum { WORKSPACE_ALIGNMENT = 256 };

static size_t bytes_of(const program_tensor *t)
{
    int64_t last = 0;
    for (int i = 0; i < PROGRAM_DIMS; i++)
        last += (t->dim[i] - 1) * t->stride[i];
    return (size_t)(last + 1) * number_bytes(t->type);
}

static bool overlap(const void *p, size_t n, const void *q, size_t m)
{
    return (const char *)p < (const char *)q + m && (const char *)q < (const char *)p + n;
}

/* What is added may be where the result goes, when it is laid out like it: each value is read
 * before it is written. */
static bool may_be_out(const program *p, int i)
{
    const program_tensor *t = &p->tensor[i], *out = &p->tensor[p->out];
    bool added = false;
    for (int j = 0; j < p->additions; j++)
        added |= p->addition[j].other == i;
    return added && t->type == out->type && memcmp(t->dim, out->dim, sizeof t->dim) == 0 &&
           memcmp(t->stride, out->stride, sizeof t->stride) == 0;
}

static bool is_stored(const program_tensor *t)
{
    return !t->between && !t->by_value;
}

static bool is_apart(const program_launch *l, int i)
{
    const program *p = &l->program;
    const program_tensor *t = &p->tensor[i], *out = &p->tensor[p->out];
    const void *at = l->at[i];
    bool apart = !overlap(l->workspace, (size_t)l->workspace_bytes, at, bytes_of(t)) &&
                 (i == p->out || !overlap(l->at[p->out], bytes_of(out), at, bytes_of(t)) ||
                  (at == l->at[p->out] && may_be_out(p, i)));
    if (!apart)
        vendor_report("cudnnBackendExecute: tensor %lld overlaps the result or the workspace",
                      (long long)t->id);
    return apart;
}

static bool is_operand(const program_launch *l, int i)
{
    static const char *const names[] = {"cudnnBackendExecute: an operand",
                                        "cudnnBackendExecute: the result"};
    const program_tensor *t = &l->program.tensor[i];
    return vendor_is_memory(l->at[i], bytes_of(t), (size_t)t->alignment,
                            names[i == l->program.out]) &&
           is_apart(l, i);
}

bool program_is_good(const program_launch *l)
{
    for (int i = 0; i < l->program.tensors; i++)
        if (is_stored(&l->program.tensor[i]) && !is_operand(l, i))
            return false;
    return l->workspace_bytes == 0 ||
           vendor_is_memory(l->workspace, (size_t)l->workspace_bytes, WORKSPACE_ALIGNMENT,
                            "cudnnBackendExecute: the workspace");
}

static void poison(const program_launch *l)
{
    if (l->workspace_bytes)
        memset(l->workspace, 0xff, (size_t)l->workspace_bytes);
}

void program_run(const void *launch)
{
    const program_launch *l = launch;
    if (atomic_load(&l->life->ended)) {
        vendor_report("cudnnBackendExecute: the plan has been destroyed before it runs");
        return;
    }
    if (!program_is_good(l))
        return;
    poison(l);
    if (!(l->program.kind == PROGRAM_ATTENTION ? program_attend(l) : program_convolve(l)))
        vendor_report("cudnnBackendExecute: no memory on the host");
    poison(l);
}
