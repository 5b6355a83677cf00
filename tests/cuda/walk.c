/* walk: see walk.h. */
#include "tests/cuda/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "worker/model/clip.h"
#include "worker/model/unet.h"
#include "worker/model/vae.h"
#include "worker/model/weights.h"

enum { CONTEXT_TOKENS = 77 };

/* The table comes first: a kernel gets from its device to the notes. */
typedef struct {
    kernel_table table;
    walk *to;
    dtype type;     /* of feature maps */
    tensor doubled; /* what a nearest x2 has just made */
} notes;

typedef struct {
    model_config config;
    clip text;
    unet *unet;
    vae *vae;
} networks;

static void end(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void add_plan(walk *w, const plan_shape *s)
{
    char name[SHAPE_NAME_BYTES], other[SHAPE_NAME_BYTES];
    plan_shape_name(s, name);
    for (int i = 0; i < w->plans; i++) {
        plan_shape_name(&w->plan[i], other);
        if (strcmp(name, other) == 0)
            return;
    }
    if (w->plans == WALK_SHAPES)
        end(name, "too many shapes");
    w->plan[w->plans++] = *s;
}

static void add_product(walk *w, const product_shape *s)
{
    char name[SHAPE_NAME_BYTES], other[SHAPE_NAME_BYTES];
    product_shape_name(s, name);
    for (int i = 0; i < w->products; i++) {
        product_shape_name(&w->product[i], other);
        if (strcmp(name, other) == 0)
            return;
    }
    if (w->products == WALK_SHAPES)
        end(name, "too many shapes");
    w->product[w->products++] = *s;
}

static notes *notes_of(const dev *d)
{
    return (notes *)d->kernels;
}

static void note_conv2d(dev *d, const conv2d_args *a)
{
    notes *n = notes_of(d);
    conv_call call[SHAPE_CALLS];
    bool unfinished;
    int calls = conv_calls(a, n->type, call, &unfinished);
    for (int i = 0; i < calls; i++)
        if (call[i].is_product)
            add_product(n->to, &call[i].product);
        else
            add_plan(n->to, &call[i].plan);
    if (tensor_given(n->doubled) && a->w->k == 3 && tensor_same_shape(a->x, n->doubled)) {
        plan_shape up = upsample_of(&call[0].plan);
        add_plan(n->to, &up);
    }
    n->doubled = (tensor){0};
}

static void note_resize(dev *d, const resize_nearest_args *a)
{
    bool twice = a->out.dim[1] == 2 * a->x.dim[1] && a->out.dim[2] == 2 * a->x.dim[2];
    notes_of(d)->doubled = twice ? a->out : (tensor){0};
}

static void note_attention(dev *d, const attention_args *a)
{
    plan_shape s;
    if (attention_shape_of(a, notes_of(d)->type, &s))
        add_plan(notes_of(d)->to, &s);
}

static void load(void *arg, params *p)
{
    networks *n = arg;
    if (n->config.text_layers && clip_load(&n->text, &n->config, p) != ERR_OK)
        return;
    n->unet = unet_load(&n->config, p);
    if (p->e->code == ERR_OK)
        n->vae = vae_load(&n->config, p, (vae_form){0});
}

static void release(void *arg)
{
    networks *n = arg;
    if (n->config.text_layers)
        clip_done(&n->text);
    unet_free(&n->unet);
    vae_free(&n->vae);
}

static model_config config_of(const char *name)
{
    const model_config *known = fixture_config(name);
    if (known)
        return *known;
    model_config c = *fixture_config("sd15");
    c.text_layers = 0;
    c.heads = 0; /* 64 channels each */
    if (strcmp(name, "sd21") == 0) {
        c.context = 1024;
    } else if (strcmp(name, "sdxl") == 0) {
        c.context = 2048;
        c.levels = 3;
        c.attention[0] = false;
    } else {
        end(name, "no such model");
    }
    return c;
}

static void forward(dev *d, const networks *n, walk_picture p)
{
    const model_config *c = &n->config;
    int64_t h = p.height / c->factor, w = p.width / c->factor;
    size_t mark = dev_mark(d);
    if (c->text_layers)
        clip_encode(d, NEW, &n->text, NULL, 1, 1);
    vae_encode(d, NEW, n->vae, dev_tensor(d, F32, 1, p.height, p.width, 3));
    tensor x = dev_tensor(d, F32, 1, h, w, c->in_channels);
    tensor context = dev_tensor(d, F32, 1, 1, CONTEXT_TOKENS, c->context);
    tensor times = unet_times(d, NEW, n->unet, &(double){0}, 1);
    unet_forward(d, NEW, n->unet, x, tensor_sample(times, 0), unet_text(d, NEW, n->unet, context),
                 NULL);
    tensor z = dev_tensor(d, F32, 1, h, w, c->latent_channels);
    vae_decode(d, NEW, n->vae, z);
    notes_of(d)->type = BF16; /* the second way, for pictures that F16 is too small for */
    vae_decode(d, NEW, n->vae, z);
    dev_release(d, mark);
}

/* A checkpoint without values: the dry walk needs names and shapes only. */
static checkpoint *hollow(const model_config *c, err *e)
{
    char path[] = "/tmp/overpaint-walk-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        end(path, "no temporary file");
    close(fd);
    const fixture f = {.config = c, .type = F16, .zeros = true};
    checkpoint *file = fixture_write(&f, path, e) == ERR_OK ? checkpoint_open(path, e) : NULL;
    unlink(path);
    return file;
}

void walk_add(walk *w, walk_picture p)
{
    char why[256];
    err e = {0};
    arena weights = {0};
    networks n = {.config = config_of(p.name)};
    checkpoint *file = hollow(&n.config, &e);
    dev *d = dev_new(&(dev_options){.backend = "cpu", .threads = 1, .dry = true}, why);
    if (!d)
        end(p.name, why);
    if (!file || weights_load(&weights, d, &(weights_source){file, NULL, &n, load, release, NULL},
                              &e) != ERR_OK)
        end(p.name, e.text);
    notes own = {.table = *d->kernels, .to = w, .type = F16};
    own.table.conv2d = note_conv2d;
    own.table.resize_nearest = note_resize;
    own.table.attention = note_attention;
    const kernel_table *kernels = d->kernels;
    d->kernels = &own.table;
    forward(d, &n, p);
    if (d->status != DEV_OK)
        end(p.name, d->error);
    d->kernels = kernels;
    release(&n);
    arena_done(&weights);
    dev_free(&d);
    checkpoint_free(&file);
}
