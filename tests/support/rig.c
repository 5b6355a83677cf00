/* Rig: see rig.h. */
#include "tests/support/rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/half.h"
#include "tests/support/fixture.h"

bool rig_device(const char *text, dev_options *options)
{
    char name[32];
    int ordinal = 0, end = 0;
    if (sscanf(text, "%31[a-z]%n:%d%n", name, &end, &ordinal, &end) < 1 || text[end] || ordinal < 0)
        return false;
    options->backend = dev_backend(name);
    options->ordinal = ordinal;
    return options->backend != NULL;
}

int rig_numbers(const char *text, int64_t *number, int room, int64_t least, int64_t most)
{
    int n = 0;
    for (;; text++) {
        char *end;
        const long long value = strtoll(text, &end, 10);
        if (end == text || (*end && *end != ',') || value < least || value > most || n == room)
            return 0;
        number[n++] = value;
        if (!*end)
            return n;
        text = end;
    }
}

const char *const *rig_backends(void)
{
    static const char *both[] = {"ref", "cpu", NULL}, *one[] = {NULL, NULL};
    one[0] = getenv("OVERPAINT_BACKEND");
    return one[0] ? one : both;
}

double rig_tolerance(const rig *r, double fp32)
{
    return r->d->storage == F32 ? fp32 : 4e-3;
}

const char *const rig_archs[] = {"tiny", "tiny3", NULL};

static void end(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

rig rig_open(const char *arch, dev_options options)
{
    char path[1024], why[256];
    err e = {0};
    rig r = {.d = dev_new(&options, why)};
    if (!r.d)
        end(options.backend, why);
    r.m = model_load(r.d, fixture_shared(arch, path), &e);
    if (!r.m)
        end(arch, e.text);
    return r;
}

void rig_close(rig *r)
{
    model_free(&r->m);
    dev_free(&r->d);
}

void rig_check(const rig *r)
{
    if (r->d->status != DEV_OK)
        end(r->d->name, r->d->error);
}

tensor rig_tensor(rig *r, const float *values, int64_t n, int64_t h, int64_t w, int64_t c)
{
    tensor t = dev_tensor(r->d, r->d->storage, n, h, w, c);
    if (values)
        dev_upload_floats(r->d, t, values);
    return t;
}

float *rig_values(rig *r, tensor t)
{
    rig_check(r);
    const int64_t count = tensor_count(t);
    void *stored = malloc(tensor_bytes(t));
    float *values = malloc((size_t)count * sizeof *values);
    if (!stored || !values)
        end("values", "no memory");
    dev_download(r->d, stored, t);
    rig_check(r);
    for (int64_t i = 0; i < count; i++)
        values[i] = load_float(stored, t.type, i);
    free(stored);
    return values;
}
