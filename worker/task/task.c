/* Tasks outside the device: see task.h. The one idea: a task is a row of a table that says what it
 * needs; preparing and composing are the same walk for all of them. */
#include "worker/task/task.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/infotext.h"

typedef struct {
    bool served;       /* this worker can do it */
    bool from_picture; /* starts from an input picture */
    bool prompts;
} task_row;

static const task_row rows[TASK_COUNT] = {
    [TASK_NOOP] = {.served = true},
    [TASK_TXT2IMG] = {.served = true, .prompts = true},
    [TASK_IMG2IMG] = {.served = true, .prompts = true, .from_picture = true},
};

/* ---------------------------------------------------------------- preparing */

/* The bytes of a picture given by path, malloc'ed; the limit is checked before anything is read. */
static int read_file(const char *path, uint8_t **bytes, size_t *size, err *e)
{
    struct stat st;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, ERR_NOT_FOUND, "cannot open the picture %s: %s", path, strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        rc = err_set(e, ERR_INVALID, "%s is not a file", path);
    else if ((uint64_t)st.st_size > image_default_limits.bytes)
        rc = err_set(e, ERR_TOO_LARGE, "the picture %s has %lld bytes, at most %zu are allowed",
                     path, (long long)st.st_size, image_default_limits.bytes);
    else if (!(*bytes = malloc((size_t)st.st_size + 1)))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %lld bytes of %s", (long long)st.st_size,
                     path);
    size_t got = 0;
    while (!rc && got < (size_t)st.st_size) {
        ssize_t n = read(fd, *bytes + got, (size_t)st.st_size - got);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0 || errno != EINTR)
            rc = err_set(e, ERR_IO, "reading %s: %s", path,
                         n ? strerror(errno) : "it became shorter");
    }
    *size = got;
    close(fd);
    return rc;
}

/* The input picture, upright and over the background colour, at its own size. */
static int load_input(image *out, const job *j, err *e)
{
    const job_picture *in = &j->input[0];
    uint8_t *owned = NULL;
    const uint8_t *bytes = in->bytes;
    size_t size = in->size;
    image decoded = {0};
    int rc = in->path[0] ? read_file(in->path, &owned, &size, e) : 0;
    if (owned)
        bytes = owned;
    if (!rc)
        rc = image_decode(&decoded, bytes, size, &image_default_limits, e);
    if (!rc)
        rc = image_flatten(out, &decoded, j->background, e);
    image_done(&decoded);
    free(owned);
    return rc;
}

static int prepare_picture(task *t, const job *j, err *e)
{
    image flat = {0};
    int rc = load_input(&flat, j, e);
    if (!rc) {
        job_size(j, flat.w, flat.h, &t->width, &t->height);
        rc = image_fit(&t->init, &flat, j->resize, t->width, t->height, e);
    }
    image_done(&flat);
    return rc;
}

static int prepare_text(token_chunks *out, const char *text, const tokenizer *words, err *e)
{
    prompt p = {0};
    int rc = prompt_parse(&p, text ? text : "", e);
    if (!rc)
        rc = token_chunks_make(out, words, &p, e);
    prompt_done(&p);
    return rc;
}

int task_prepare(task *t, const job *j, const tokenizer *words, err *e)
{
    const task_row *row = &rows[j->task];
    int rc = 0;
    *t = (task){.from_picture = row->from_picture, .pictures = j->batch_size * j->n_iter};
    if (!row->served)
        return err_set(e, ERR_INVALID, "task %s is not supported yet", task_name(j->task));
    if (j->task == TASK_NOOP) {
        t->pictures = 0;
        return 0;
    }
    job_steps(j, &t->steps, &t->t_enc);
    t->untouched = t->from_picture && t->steps == 0;
    if (t->from_picture)
        rc = prepare_picture(t, j, e);
    else
        job_size(j, 0, 0, &t->width, &t->height);
    if (!rc && row->prompts)
        rc = prepare_text(&t->positive, j->prompt, words, e);
    if (!rc && row->prompts)
        rc = prepare_text(&t->negative, j->negative_prompt, words, e);
    if (rc)
        task_done(t);
    return rc;
}

void task_done(task *t)
{
    image_done(&t->init);
    token_chunks_done(&t->positive);
    token_chunks_done(&t->negative);
    *t = (task){0};
}

int task_fit(const task *t, const job *j, const model_config *c, err *e)
{
    if (t->width % c->factor || t->height % c->factor)
        return err_set(e, ERR_INVALID, "size is %dx%d, expected multiples of %d for this model",
                       t->width, t->height, c->factor);
    if (j->clip_skip > c->text_layers)
        return err_set(e, ERR_INVALID, "clip skip is %d, the model's text encoder has %d layers",
                       j->clip_skip, c->text_layers);
    if (c->in_channels != c->latent_channels)
        return err_set(
            e, ERR_INVALID,
            "the model takes %d channels, expected %d: inpainting models are not supported yet",
            c->in_channels, c->latent_channels);
    return 0;
}

/* ---------------------------------------------------------------- composing */

/* What "Schedule type" shows, by the web UI's rule: the schedule that was asked for or that the
 * sampler prefers by itself; "Automatic" where Automatic is the plain schedule of the model. */
static const char *schedule_shown(const job *j)
{
    const sampler_row *row = catalog_sampler(j->sampler);
    const bool prefers = row->fallback != SCHEDULE_UNIFORM && !row->timesteps;
    return catalog_schedule(j->scheduler == SCHEDULE_AUTOMATIC && prefers ? row->fallback
                                                                          : j->scheduler);
}

/* Settings that infotext shows, in the web UI's order. */
static int add_settings(infotext *text, const task *t, const job *j, int64_t seed,
                        const char *model, const char *hash, err *e)
{
    char size[32], seed_text[24], short_hash[11];
    snprintf(size, sizeof size, "%dx%d", t->width, t->height);
    snprintf(seed_text, sizeof seed_text, "%lld", (long long)seed);
    snprintf(short_hash, sizeof short_hash, "%.10s", hash);
    int rc = infotext_add_number(text, "Steps", j->steps, e);
    rc = rc ? rc : infotext_add(text, "Sampler", catalog_sampler(j->sampler)->name, e);
    rc = rc ? rc : infotext_add(text, "Schedule type", schedule_shown(j), e);
    rc = rc ? rc : infotext_add_number(text, "CFG scale", j->cfg_scale, e);
    rc = rc ? rc : infotext_add(text, "Seed", seed_text, e);
    rc = rc ? rc : infotext_add(text, "Size", size, e);
    if (!rc && *hash)
        rc = infotext_add(text, "Model hash", short_hash, e);
    rc = rc ? rc : infotext_add(text, "Model", model, e);
    if (!rc && t->from_picture)
        rc = infotext_add_number(text, "Denoising strength", j->denoising_strength, e);
    if (!rc && j->clip_skip > 1)
        rc = infotext_add_number(text, "Clip skip", j->clip_skip, e);
    rc = rc ? rc : infotext_add(text, "RNG", j->rng == RNG_CPU ? "CPU" : "NV", e);
    return rc ? rc : infotext_add(text, "Version", "overpaint " OVERPAINT_VERSION, e);
}

int task_infotext(char **out, const task *t, const job *j, int index, const char *model,
                  const char *hash, err *e)
{
    infotext text = {.prompt = j->prompt, .negative_prompt = j->negative_prompt};
    int rc = add_settings(&text, t, j, j->seed + index, model, hash, e);
    if (!rc)
        rc = infotext_write(&text, out, e);
    text.prompt = text.negative_prompt = NULL; /* the job's */
    infotext_done(&text);
    return rc;
}

int task_compose(task_picture *out, const task *t, const job *j, int index, const image *picture,
                 const char *model, const char *hash, err *e)
{
    *out = (task_picture){.seed = j->seed + index, .width = picture->w, .height = picture->h};
    int rc = task_infotext(&out->info, t, j, index, model, hash, e);
    if (!rc)
        rc = image_encode(&out->bytes, &out->size, picture, j->format, j->quality, out->info, e);
    if (rc)
        task_picture_done(out);
    return rc;
}

void task_picture_done(task_picture *p)
{
    free(p->bytes);
    free(p->info);
    *p = (task_picture){0};
}
