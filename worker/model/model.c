/* A model: see model.h. Loading walks the networks twice: once dry, which gives the exact size of
 * the arena, and once to pack. */
#include "worker/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void free_networks(model *m)
{
    clip_done(&m->text);
    unet_free(&m->unet);
    vae_free(&m->vae);
}

static int load_networks(model *m, dev *d, const checkpoint *file, err *e)
{
    params p = {.d = d, .file = file, .to = &m->weights, .e = e};
    if (clip_load(&m->text, &m->config, &p) == ERR_OK)
        m->unet = unet_load(&m->config, &p);
    if (e->code == ERR_OK)
        m->vae = vae_load(&m->config, &p);
    if (e->code != ERR_OK)
        free_networks(m);
    return e->code;
}

/* Loads onto a dry device; m->weights.peak is what the weights take. */
static int count(model *m, dev *d, const checkpoint *file, err *e)
{
    if (!arena_init(&m->weights, SIZE_MAX / 2, true))
        return err_set(e, ERR_NO_MEMORY, "%s: no memory to count the weights", m->path);
    return load_networks(m, d, file, e);
}

/* The bytes that the weights take on d, from a dry device with the same options; 0 with an error.
 */
static size_t count_for(model *m, const dev *d, const checkpoint *file, err *e)
{
    char why[256];
    dev_options options = d->options;
    options.dry = true;
    dev *dry = dev_new(&options, why);
    if (!dry) {
        err_set(e, ERR_DEVICE, "%s: %s", m->path, why);
        return 0;
    }
    size_t bytes = count(m, dry, file, e) == ERR_OK ? m->weights.peak : 0;
    free_networks(m);
    arena_done(&m->weights);
    dev_free(&dry);
    return bytes;
}

static int fill(model *m, dev *d, const checkpoint *file, err *e)
{
    if (d->options.dry)
        return count(m, d, file, e);
    size_t bytes = count_for(m, d, file, e);
    if (e->code != ERR_OK)
        return e->code;
    if (!arena_init(&m->weights, bytes, false))
        return err_set(e, ERR_NO_MEMORY, "%s: no address space for %zu bytes of weights", m->path,
                       bytes);
    return load_networks(m, d, file, e);
}

model *model_load(dev *d, const char *path, err *e)
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
    if ((size_t)snprintf(m->path, sizeof m->path, "%s", path) >= sizeof m->path) {
        err_set(e, ERR_TOO_LARGE, "the path of the model has %zu characters, expected at most %zu",
                strlen(path), sizeof m->path - 1);
        goto out;
    }
    name_from_path(m->name, sizeof m->name, path);
    file = checkpoint_open(path, e);
    if (file && model_config_read(&m->config, file, e) == ERR_OK)
        fill(m, d, file, e);

out:
    checkpoint_free(&file);
    if (e->code != ERR_OK)
        model_free(&m);
    return m;
}

void model_free(model **m)
{
    if (!*m)
        return;
    free_networks(*m);
    arena_done(&(*m)->weights);
    free(*m);
    *m = NULL;
}
