/* Rig: see rig.h. */
#include "tests/support/rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/fixture.h"

const char *const rig_backends[] = {"ref", "cpu", NULL};
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
    tensor t = dev_tensor(r->d, F32, n, h, w, c);
    if (values)
        dev_upload(r->d, t, values);
    return t;
}

float *rig_values(rig *r, tensor t)
{
    rig_check(r);
    float *values = malloc(tensor_bytes(t));
    if (!values)
        end("values", "no memory");
    dev_download(r->d, values, t);
    return values;
}
