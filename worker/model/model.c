/* A model: see model.h. */
#include "worker/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/weights.h"

/* File or folder name without folder part, trailing slashes and extension. */
static void name_from_path(char *name, size_t size, const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    static const char extension[] = ".safetensors";
    size_t cut = sizeof extension - 1;
    if (end - start > cut && strncmp(path + end - cut, extension, cut) == 0)
        end -= cut;
    snprintf(name, size, "%.*s", (int)(end - start), path + start);
}

static void free_networks(void *arg)
{
    model *m = arg;
    clip_done(&m->text);
    unet_free(&m->unet);
    vae_free(&m->vae);
    vae_free(&m->wide);
}

/* It has its memory from the start: a picture that needs it is the last step of a job, which is no
 * place to run out of memory, or to find that the file has changed. */
static void load_wide(model *m, params *p)
{
    params_finish(p); /* what waits is meant for F16 */
    const dtype storage = dev_store_as(p->d, BF16);
    m->wide = vae_load(&m->config, p, (vae_form){.only_decoder = true});
    params_finish(p);
    dev_store_as(p->d, storage);
}

static void load_networks(void *arg, params *p)
{
    model *m = arg;
    if (clip_load(&m->text, &m->config, p) == ERR_OK)
        m->unet = unet_load(&m->config, p);
    const bool narrow = p->d->storage == F16;
    if (p->e->code == ERR_OK)
        m->vae = vae_load(&m->config, p, (vae_form){.stream = narrow ? VAE_F16_STREAM : 0});
    if (narrow && p->e->code == ERR_OK)
        load_wide(m, p);
}

static model *load(dev *d, const char *path, memory_mode mode, const weights_origin *origin, err *e)
{
    err local = {0};
    if (!e)
        e = &local;
    checkpoint *file = NULL;
    model *m = calloc(1, sizeof *m);
    if (!m) {
        err_set(e, ERR_NO_MEMORY, "%s: no memory for the model", path);
        return NULL;
    }
    m->parts.mode = mode;
    if ((size_t)snprintf(m->path, sizeof m->path, "%s", path) >= sizeof m->path) {
        err_set(e, ERR_TOO_LARGE, "the path of the model has %zu characters, expected at most %zu",
                strlen(path), sizeof m->path - 1);
        goto out;
    }
    name_from_path(m->name, sizeof m->name, path);
    file = checkpoint_open(path, e);
    if (file && model_config_read(&m->config, file, e) == ERR_OK)
        weights_load(&m->weights, d,
                     &(weights_source){file, &m->parts, m, load_networks, free_networks, origin},
                     e);

out:
    checkpoint_free(&file);
    if (e->code != ERR_OK)
        model_free(&m);
    return m;
}

model *model_load(dev *d, const char *path, err *e)
{
    return model_load_as(d, path, MEMORY_HIGH, e);
}

model *model_load_as(dev *d, const char *path, memory_mode mode, err *e)
{
    return load(d, path, mode, NULL, e);
}

model *model_copy(dev *d, const model *from, const dev *other, err *e)
{
    return load(d, from->path, MEMORY_HIGH,
                &(weights_origin){other, from->weights.base, from->weights.used}, e);
}

void model_free(model **m)
{
    if (!*m)
        return;
    free_networks(*m);
    parts_close(&(*m)->parts);
    arena_done(&(*m)->weights);
    free(*m);
    *m = NULL;
}

/* ---------------------------------------------------------------- the UNet alone */

typedef struct {
    const model_config *config;
    unet *unet;
} unet_loading;

static void take_unet(void *arg, params *p)
{
    unet_loading *l = arg;
    l->unet = unet_load(l->config, p);
}

static void forget_unet(void *arg)
{
    unet_loading *l = arg;
    unet_free(&l->unet);
}

int unet_copy_load(unet_copy *to, dev *d, const model *m, const dev *other, err *e)
{
    unet_loading l = {.config = &m->config};
    const model_piece whole = parts_range(&m->parts, PART_UNET);
    const weights_origin origin = {other, m->weights.base + whole.at, whole.bytes};
    checkpoint *file = checkpoint_open(m->path, e);
    *to = (unet_copy){0};
    d->options.winograd_most = other->options.winograd_most;
    if (file)
        weights_load(&to->weights, d,
                     &(weights_source){file, NULL, &l, take_unet, forget_unet, &origin}, e);
    checkpoint_free(&file);
    to->unet = l.unet;
    if (e->code != ERR_OK)
        unet_copy_done(to);
    return e->code;
}

void unet_copy_done(unet_copy *c)
{
    unet_free(&c->unet);
    arena_done(&c->weights);
}

static bool decode(dev *d, model *m, const vae *v, tensor latent, uint8_t *px)
{
    const model_config *c = &m->config;
    bool finite = true;
    size_t mark = dev_mark(d);
    parts_enter(&m->parts, d, v == m->wide ? PART_WIDE : PART_DECODER);
    tensor z = op_gather(d, NEW, &latent, 1, c->latent_channels, (float)(1.0 / c->latent_scale));
    tensor pixels = vae_decode(d, NEW, v, z); /* [1,H,W,3] */
    op_finite(d, pixels, &finite);
    dev_download(d, px, op_pixels_out(d, NEW, pixels));
    dev_release(d, mark);
    return finite;
}

bool model_decode(dev *d, model *m, tensor latent, uint8_t *px)
{
    bool finite = decode(d, m, m->vae, latent, px);
    if (!finite && m->wide) {
        const dtype storage = dev_store_as(d, BF16);
        finite = decode(d, m, m->wide, latent, px);
        dev_store_as(d, storage);
    }
    return finite;
}
