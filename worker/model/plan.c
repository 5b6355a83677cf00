/* Plans: see plan.h. Nothing is estimated: the walks are the forward passes themselves. */
#include "worker/model/plan.h"

#include <string.h>

/* What the process has beside weights and scratch: code of the kernels, tables, stacks, heap. */
static const int64_t PROCESS_BYTES = (int64_t)48 << 20;

static const int winograd_choices[] = {1 << 20, 1280, 640, 320, 0}; /* input channels */

static void begin(dev *d)
{
    dev_clear(d);
    dev_reset_peak(d);
}

static model_cost end(dev *d, size_t mark, model_costs *all)
{
    model_cost c = {.scratch = d->counters.scratch_peak, .flops = d->counters.flops};
    dev_release(d, mark);
    if (c.scratch > all->peak)
        all->peak = c.scratch;
    return c;
}

void model_walk_step(dev *dry, const model *m, int width, int height, int rows, int tokens)
{
    const model_config *c = &m->config;
    const size_t mark = dev_mark(dry);
    tensor x =
        dev_tensor(dry, dry->storage, rows, height / c->factor, width / c->factor, c->in_channels);
    tensor text = dev_tensor(dry, dry->storage, rows, 1, tokens, unet_text_width(m->unet));
    tensor time = dev_tensor(dry, dry->storage, rows, 1, 1, unet_time_width(m->unet));
    unet_forward(dry, NEW, m->unet, x, time, text, NULL);
    dev_release(dry, mark);
}

model_costs model_measure(dev *dry, const model *m, int width, int height, int rows, int tokens)
{
    const model_config *c = &m->config;
    int64_t h = height / c->factor, w = width / c->factor;
    size_t mark = dev_mark(dry);
    model_costs all = {0};

    begin(dry);
    unet_text(dry, NEW, m->unet, clip_encode(dry, NEW, &m->text, NULL, 1, 1));
    all.text = end(dry, mark, &all);

    begin(dry);
    vae_encode(dry, NEW, m->vae, dev_tensor(dry, dry->storage, 1, height, width, 3));
    all.encode = end(dry, mark, &all);

    begin(dry);
    unet_times(dry, NEW, m->unet, &(double){0}, 1);
    end(dry, mark, &all);

    begin(dry);
    model_walk_step(dry, m, width, height, rows, tokens);
    all.step = end(dry, mark, &all);

    begin(dry);
    vae_decode(dry, NEW, m->vae, dev_tensor(dry, dry->storage, 1, h, w, c->latent_channels));
    all.decode = end(dry, mark, &all);
    return all;
}

int model_needs(model_plan_result *result, const dev_options *options, const char *path, int width,
                int height, int rows, err *e)
{
    err local = {0};
    if (!e)
        e = &local;
    char why[256];
    dev_options dry = *options;
    dry.dry = true;
    model *m = NULL;
    dev *d = dev_new(&dry, why);
    if (!d)
        return err_set(e, ERR_DEVICE, "%s: %s", path, why);
    m = model_load(d, path, e);
    if (!m)
        goto out;
    if (width % m->config.factor || height % m->config.factor) {
        err_set(e, ERR_INVALID, "size is %dx%d, expected multiples of %d", width, height,
                m->config.factor);
        goto out;
    }
    memcpy(result->weights, m->parts.bytes, sizeof result->weights);
    result->texts =
        (size_t)(rows * m->config.positions * unet_text_width(m->unet)) * dtype_bytes(d->storage);
    result->costs = model_measure(d, m, width, height, rows, m->config.positions);
out:
    model_free(&m);
    dev_free(&d);
    return e->code;
}

int model_plan(dev_options *options, const char *path, int64_t budget, int width, int height,
               int rows, model_plan_result *result, err *e)
{
    err local = {0};
    if (!e)
        e = &local;
    int64_t needed = 0;
    for (size_t i = 0; i < sizeof winograd_choices / sizeof *winograd_choices; i++) {
        options->winograd_most = winograd_choices[i];
        if (model_needs(result, options, path, width, height, rows, e) != ERR_OK)
            return e->code;
        needed = (int64_t)(result->weights[MEMORY_HIGH] + result->texts + result->costs.peak) +
                 PROCESS_BYTES;
        if (budget == 0 || needed <= budget)
            return ERR_OK;
    }
    return err_set(e, ERR_NO_MEMORY,
                   "%s: needs %lld MiB for one %dx%d picture, the memory budget is %lld MiB", path,
                   (long long)(needed >> 20), width, height, (long long)(budget >> 20));
}

int model_plan_served(dev_options *options, const char *path, int64_t budget,
                      model_plan_result *result, err *e)
{
    err tight = {0};
    int rc = model_plan(options, path, budget, PLAN_SIDE, PLAN_SIDE, PLAN_ROWS, result, &tight);
    if (rc == ERR_NO_MEMORY) {
        options->winograd_most = 0;
        return model_needs(result, options, path, PLAN_SIDE, PLAN_SIDE, PLAN_ROWS, e);
    }
    return rc ? err_set(e, tight.code, "%s", tight.text) : 0;
}
