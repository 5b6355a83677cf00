/* Test models as files: see fixture.h. The one idea: a plan lists every tensor with the name it has
 * in the formula and the name, file and place it gets; then threads fill the files slice by slice.
 */
#include "tests/support/fixture.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/half.h"
#include "tests/support/places.h"

enum { NAME_MOST = 192, FILES_MOST = 3, SLICE = 1 << 18, THREADS_MOST = 16, PATH_MOST = 1200 };

/* What tiny and tiny9 have in common, and what all have. */
#define COMMON                                                                                     \
    .out_channels = 4, .heads = 8, .latent_channels = 4, .latent_scale = 0.18215,                  \
    .vocabulary = 49408, .positions = 77
#define TINY                                                                                       \
    COMMON, .levels = 4, .width = {64, 128, 128, 128}, .blocks = 2, .attention = {1, 1, 1, 0},     \
            .time_width = 256, .context = 64, .vae_levels = 4, .vae_width = {32, 64, 64, 64},      \
            .vae_blocks = 2, .factor = 8, .text_width = 64, .text_layers = 3, .text_heads = 1,     \
            .text_mlp = 256
#define TINY3                                                                                      \
    COMMON, .in_channels = 4, .levels = 3, .width = {64, 64, 128}, .blocks = 1,                    \
            .attention = {0, 1, 1}, .time_width = 256, .context = 128, .vae_levels = 3,            \
            .vae_width = {32, 64, 64}, .vae_blocks = 1, .factor = 4, .text_width = 128,            \
            .text_layers = 2, .text_heads = 2, .text_mlp = 512

typedef struct {
    const char *arch;
    model_config config;
    double loud;
} known;

static const known models[] = {
    {"tiny", .config = {TINY, .in_channels = 4}},
    {"tiny9", .config = {TINY, .in_channels = 9}},
    {"tiny3", .config = {TINY3}},
    {"loud", .config = {TINY3}, .loud = 3e4},
    {"louder", .config = {TINY3}, .loud = 3e6},
    {"sd15",
     .config = {COMMON, .in_channels = 4, .levels = 4, .width = {320, 640, 1280, 1280}, .blocks = 2,
                .attention = {1, 1, 1, 0}, .time_width = 1280, .context = 768, .vae_levels = 4,
                .vae_width = {128, 256, 512, 512}, .vae_blocks = 2, .factor = 8, .text_width = 768,
                .text_layers = 12, .text_heads = 12, .text_mlp = 3072}},
};

typedef struct {
    char name[NAME_MOST];   /* in the formula */
    char stored[NAME_MOST]; /* in the file */
    int64_t dim[4];
    int dims, stored_dims;
    int file;
    int64_t count, offset; /* elements; bytes from the start of the data */
    const char *type;      /* NULL: that of the model */
    bool nan;
    float gain;
} entry;

/* One file that is being written. */
typedef struct {
    const char *name; /* inside the folder; NULL: the path itself */
    char temporary[PATH_MOST], path[PATH_MOST];
    int fd;
    int64_t data; /* where the tensors begin */
} target;

typedef struct {
    const fixture *f;
    entry *entry;
    size_t count, capacity;
    target target[FILES_MOST];
    int targets;
    atomic_size_t next; /* entry to fill */
    atomic_int failed;  /* errno of a write */
} plan;

static const known *find_known(const char *arch)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (strcmp(models[i].arch, arch) == 0)
            return &models[i];
    return NULL;
}

const model_config *fixture_config(const char *arch)
{
    const known *k = find_known(arch);
    return k ? &k->config : NULL;
}

/* Whether a tensor of the autoencoder has to be larger for a larger inside: all that is added to
 * what its layers pass on, but no matrix that reads it. */
static bool is_inside(const char *name)
{
    static const char *const part[] = {".conv_in.",
                                       ".conv1.",
                                       ".conv2.",
                                       ".proj_out.",
                                       ".nin_shortcut.bias",
                                       ".upsample.conv.bias",
                                       ".downsample.conv.bias"};
    if (strncmp(name, "first_stage_model.", 18) != 0)
        return false;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (strstr(name, part[i]))
            return true;
    return false;
}

static void plan_add(void *arg, const char *name, const int64_t *dim, int dims)
{
    plan *p = arg;
    if (p->f->part && strncmp(name, p->f->part, strlen(p->f->part)) != 0)
        return;
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 1024;
        p->entry = realloc(p->entry, p->capacity * sizeof *p->entry);
        assert(p->entry);
    }
    entry *t = &p->entry[p->count++];
    *t = (entry){.dims = dims, .stored_dims = dims, .count = 1, .gain = 1};
    if (p->f->loud > 0 && is_inside(name))
        t->gain = (float)p->f->loud;
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(t->stored, sizeof t->stored, "%s", name);
    memcpy(t->dim, dim, sizeof t->dim);
    for (int i = 0; i < dims; i++)
        t->count *= dim[i];
}

static void plan_defect(plan *p, const fixture_defect *d)
{
    size_t i = 0;
    while (i < p->count && strcmp(p->entry[i].name, d->name) != 0)
        i++;
    if (d->dims == 0) {
        assert(i < p->count);
        memmove(&p->entry[i], &p->entry[i + 1], (p->count - i - 1) * sizeof *p->entry);
        p->count--;
        return;
    }
    plan_add(p, d->name, d->dim, d->dims);
    entry *t = &p->entry[p->count - 1];
    t->type = d->type;
    t->nan = d->nan;
    if (i < p->count - 1) {
        p->entry[i] = *t;
        p->count--;
    }
}

static int target_index(plan *p, const char *name)
{
    int i = 0;
    while (i < p->targets && strcmp(p->target[i].name, name) != 0)
        i++;
    if (i == p->targets) {
        assert(p->targets < FILES_MOST);
        p->target[p->targets++].name = name;
    }
    return i;
}

/* The name in a folder of this generation, from the newer VAE and older text names of the golden
 * list. */
static void name_generation(char *out, size_t size, const char *name, fixture_layout layout)
{
    static const char *const older[][2] = {{".to_q.", ".query."},
                                           {".to_k.", ".key."},
                                           {".to_v.", ".value."},
                                           {".to_out.0.", ".proj_attn."}};
    if (layout == FIXTURE_FOLDER_NEW && strncmp(name, "text_model.", 11) == 0)
        name += 11;
    snprintf(out, size, "%s", name);
    /* Only the autoencoder's attention begins with "encoder.mid" or "decoder.mid". */
    if (layout != FIXTURE_FOLDER_OLD || strncmp(name + 2, "coder.mid_block.attentions.", 27) != 0)
        return;
    for (int i = 0; i < 4; i++) {
        const char *at = strstr(name, older[i][0]);
        if (at)
            snprintf(out, size, "%.*s%s%s", (int)(at - name), name, older[i][1],
                     at + strlen(older[i][0]));
    }
}

/* Names, files and numbers of dimensions as diffusers itself writes them: its own list of the small
 * models. False: the list lacks a tensor. */
static bool plan_folder(plan *p, const json_t *names, err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        entry *t = &p->entry[i];
        const json_t *row = json_object_get(names, t->name);
        const char *name = json_string_value(json_array_get(row, 1));
        if (!name) {
            err_set(e, ERR_INVALID, "no name for %s in diffusers_names.json", t->name);
            return false;
        }
        name_generation(t->stored, sizeof t->stored, name, p->f->layout);
        t->stored_dims = (int)json_array_size(json_array_get(row, 2));
        t->file = target_index(p, json_string_value(json_array_get(row, 0)));
    }
    return true;
}

static int64_t stored_bytes(const plan *p, const entry *t)
{
    return t->count * (int64_t)dtype_bytes(p->f->type);
}

/* Header of one file, as the format's own writer spells it; sets the offsets and the bytes
 * of all tensors. Malloc'ed. */
static char *header_text(plan *p, int file, size_t *size, int64_t *bytes)
{
    static const char *const type_name[] = {[F32] = "F32", [F16] = "F16", [BF16] = "BF16"};
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    assert(out);
    int64_t offset = 0;
    fputs("{\"__metadata__\":{\"format\":\"pt\"}", out);
    for (size_t i = 0; i < p->count; i++) {
        entry *t = &p->entry[i];
        if (t->file != file)
            continue;
        t->offset = offset;
        offset += stored_bytes(p, t);
        fprintf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->stored,
                t->type ? t->type : type_name[p->f->type]);
        for (int d = 0; d < t->stored_dims; d++)
            fprintf(out, "%s%lld", d ? "," : "", (long long)t->dim[d]);
        fprintf(out, "],\"data_offsets\":[%lld,%lld]}", (long long)t->offset, (long long)offset);
    }
    fputc('}', out);
    fflush(out);
    for (size_t padding = -*size % 8; padding--;)
        fputc(' ', out);
    fclose(out);
    *bytes = offset;
    return text;
}

static bool write_all(int fd, const void *data, size_t size, int64_t at)
{
    while (size) {
        ssize_t wrote = pwrite(fd, data, size, at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        data = (const char *)data + wrote;
        size -= (size_t)wrote;
        at += wrote;
    }
    return true;
}

/* Folders, temporary file, header. */
static bool target_begin(plan *p, int file, const char *path)
{
    target *t = &p->target[file];
    snprintf(t->path, sizeof t->path, "%s%s%s", path, t->name ? "/" : "", t->name ? t->name : "");
    if (t->name) {
        char folder[PATH_MOST];
        snprintf(folder, sizeof folder, "%s", t->path);
        *strrchr(folder, '/') = 0;
        if ((mkdir(path, 0777) < 0 && errno != EEXIST) ||
            (mkdir(folder, 0777) < 0 && errno != EEXIST))
            return false;
    }
    if (snprintf(t->temporary, sizeof t->temporary, "%s.%d", t->path, (int)getpid()) >= PATH_MOST)
        return errno = ENAMETOOLONG, false;
    t->fd = open(t->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (t->fd < 0)
        return false;
    size_t size = 0;
    int64_t bytes = 0;
    char *text = header_text(p, file, &size, &bytes);
    uint64_t length = size;
    t->data = (int64_t)(sizeof length + size);
    bool ok = write_all(t->fd, &length, sizeof length, 0) &&
              write_all(t->fd, text, size, sizeof length) && ftruncate(t->fd, t->data + bytes) == 0;
    free(text);
    return ok;
}

/* F16 bits, times the gain, to the type of the file, in place of the wider buffer. */
static const void *convert(const uint16_t *half, int64_t count, dtype type, float gain,
                           uint32_t *wide)
{
    uint16_t *narrow = (uint16_t *)wide;
    for (int64_t i = 0; type != F16 && i < count; i++) {
        float value = gain * f16_to_float(half[i]);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (type == F32)
            wide[i] = bits;
        else /* to nearest even */
            narrow[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
    return type == F16 ? (const void *)half : wide;
}

static void *fill(void *arg)
{
    plan *p = arg;
    uint16_t *half = malloc(SLICE * sizeof *half);
    uint32_t *wide = malloc(SLICE * sizeof *wide);
    size_t width = dtype_bytes(p->f->type), i;
    assert(half && wide);
    while ((i = atomic_fetch_add(&p->next, 1)) < p->count && !atomic_load(&p->failed)) {
        const entry *t = &p->entry[i];
        const target *to = &p->target[t->file];
        for (int64_t first = 0; first < t->count; first += SLICE) {
            int64_t count = t->count - first < SLICE ? t->count - first : SLICE;
            fixture_values(half, t->name, t->dim, t->dims, p->f->seed, first, count);
            for (int64_t k = 0; t->nan && k < count; k++)
                half[k] = 0x7e00;
            if (!write_all(to->fd, convert(half, count, p->f->type, t->gain, wide),
                           (size_t)count * width, to->data + t->offset + first * (int64_t)width))
                atomic_store(&p->failed, errno ? errno : EIO);
        }
    }
    free(half);
    free(wide);
    return NULL;
}

static void fill_by_threads(plan *p)
{
    pthread_t thread[THREADS_MOST];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int wanted = processors < THREADS_MOST ? (int)processors : THREADS_MOST, started = 0;
    while (started < wanted - 1 && pthread_create(&thread[started], NULL, fill, p) == 0)
        started++;
    fill(p);
    while (started)
        pthread_join(thread[--started], NULL);
}

static bool plan_write(plan *p, const char *path)
{
    for (int i = 0; i < p->targets; i++)
        if (!target_begin(p, i, path))
            return false;
    if (!p->f->zeros)
        fill_by_threads(p);
    if (p->failed)
        return errno = p->failed, false;
    for (int i = 0; i < p->targets; i++)
        if (rename(p->target[i].temporary, p->target[i].path) < 0)
            return false;
    return true;
}

/* The names in a diffusers folder, by model. */
static json_t *read_names(void)
{
    char file[1024];
    snprintf(file, sizeof file, "%s/diffusers_names.json", place_golden());
    return json_load_file(file, 0, NULL);
}

int fixture_write(const fixture *f, const char *path, err *e)
{
    int rc = 0;
    json_t *names = NULL;
    plan p = {.f = f, .target = {{.fd = -1}, {.fd = -1}, {.fd = -1}}};
    assert(f->type == F32 || f->type == F16 || f->type == BF16);
    assert(f->loud == 0 || f->type == F32);
    model_config_tensors(f->config, plan_add, &p);
    for (int i = 0; i < f->defects; i++)
        plan_defect(&p, &f->defect[i]);
    if (f->layout == FIXTURE_FILE) {
        p.targets = 1;
    } else {
        names = read_names();
        const char *like = f->config->levels == 3 ? "tiny3" : "tiny";
        if (!plan_folder(&p, json_object_get(names, like), e))
            rc = ERR_INVALID;
    }
    if (!rc && !plan_write(&p, path))
        rc = err_set(e, ERR_IO, "%.300s: %s", path, strerror(errno));
    for (int i = 0; i < p.targets; i++) {
        if (p.target[i].fd >= 0)
            close(p.target[i].fd);
        if (rc && p.target[i].fd >= 0)
            unlink(p.target[i].temporary);
    }
    free(p.entry);
    json_decref(names);
    return rc;
}

int fixture_model(const char *arch, uint64_t seed, const char *path, err *e)
{
    const known *k = find_known(arch);
    if (!k)
        return err_set(e, ERR_INVALID,
                       "no model is called %.60s; known: tiny, tiny3, tiny9, loud, louder, sd15",
                       arch);
    const fixture f = {
        .config = &k->config, .seed = seed, .type = k->loud > 0 ? F32 : F16, .loud = k->loud};
    return fixture_write(&f, path, e);
}

const char *fixture_shared(const char *arch, char *path)
{
    err e = {0};
    mkdir(place_models(), 0777);
    snprintf(path, 1024, "%s/%s.safetensors", place_models(), arch);
    if (access(path, R_OK) != 0 && fixture_model(arch, 1, path, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    return path;
}
