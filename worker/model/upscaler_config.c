/* The configuration of an upscaler: see upscaler_config.h. The one idea: a network is a list of
 * convolutions in the order of their use, and each family of names is a row of patterns; reading,
 * checking and loading all walk that one list. */
#include "worker/model/upscaler_config.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "worker/model/expect.h"

enum { WIDTH_MOST = 1024, BLOCKS_MOST = 256, DOUBLINGS_MOST = 3, SCALE_MOST = 8, COLOURS = 3 };

/* Names of RRDB. A # stands for the next number: block, dense block and convolution; block count;
 * step times doubling; for the last two what follows the doublings. */
static const struct {
    const char *first, *dense, *body, *up, *hr, *last;
    int step;
} families[] = {
    {"conv_first", "body.#.rdb#.conv#", "conv_body", "conv_up#", "conv_hr", "conv_last", 1},
    {"conv_first", "RRDB_trunk.#.RDB#.conv#", "trunk_conv", "upconv#", "HRconv", "conv_last", 1},
    {"model.0", "model.1.sub.#.RDB#.conv#.0", "model.1.sub.#", "model.#", "model.#", "model.#", 3},
};

static const char *const prefixes[] = {"", "params_ema.", "params.", "module.", "state_dict."};

/* prefix + pattern with its # replaced by a, b and c in turn. */
static void name_of(char *out, size_t size, const upscaler_config *c, const char *pattern, int a,
                    int b, int d)
{
    const int number[] = {a, b, d};
    size_t used = (size_t)snprintf(out, size, "%s", c->prefix), next = 0;
    for (; *pattern && used + 12 < size; pattern++)
        if (*pattern == '#')
            used += (size_t)snprintf(out + used, size - used, "%d", number[next++]);
        else
            used += (size_t)snprintf(out + used, size - used, "%c", *pattern);
}

/* ---- the list of layers ---- */

int upscaler_layers(const upscaler_config *c)
{
    if (c->kind == UPSCALER_SRVGG)
        return c->blocks + 2;
    return 1 + c->blocks * RRDB_DENSE * RRDB_CONVS + 1 + c->doublings + 2;
}

static upscaler_layer plain_layer(const upscaler_config *c, int i)
{
    int last = upscaler_layers(c) - 1;
    upscaler_layer l = {.in = i == 0 ? COLOURS : c->width,
                        .out = i == last ? COLOURS * c->scale * c->scale : c->width};
    name_of(l.name, sizeof l.name, c, "body.#", 2 * i, 0, 0);
    if (i != last)
        name_of(l.slope, sizeof l.slope, c, "body.#.weight", 2 * i + 1, 0, 0);
    return l;
}

static upscaler_layer dense_layer(const upscaler_config *c, int i)
{
    int conv = i % RRDB_CONVS, dense = i / RRDB_CONVS % RRDB_DENSE;
    upscaler_layer l = {.in = c->width + conv * c->growth,
                        .out = conv == RRDB_CONVS - 1 ? c->width : c->growth};
    name_of(l.name, sizeof l.name, c, families[c->family].dense, i / RRDB_CONVS / RRDB_DENSE,
            dense + 1, conv + 1);
    return l;
}

upscaler_layer upscaler_layer_at(const upscaler_config *c, int i)
{
    assert(i >= 0 && i < upscaler_layers(c));
    if (c->kind == UPSCALER_SRVGG)
        return plain_layer(c, i);
    int dense = c->blocks * RRDB_DENSE * RRDB_CONVS, step = families[c->family].step;
    if (i > 0 && i <= dense)
        return dense_layer(c, i - 1);
    const char *pattern = families[c->family].first;
    int number = 0, tail = i - dense - 1; /* 0: body, then the doublings, then the last two */
    upscaler_layer l = {.in = c->width, .out = c->width};
    if (i == 0) {
        l.in = COLOURS * c->unshuffle * c->unshuffle;
    } else if (tail == 0) {
        pattern = families[c->family].body;
        number = c->blocks;
    } else if (tail <= c->doublings) {
        pattern = families[c->family].up;
        number = step * tail;
    } else if (tail == c->doublings + 1) {
        pattern = families[c->family].hr;
        number = step * c->doublings + 2;
    } else {
        pattern = families[c->family].last;
        number = step * c->doublings + 4;
        l.out = COLOURS;
    }
    name_of(l.name, sizeof l.name, c, pattern, number, 0, 0);
    return l;
}

/* ---- reading ---- */

/* The size of a tensor's dimension, 0 if there is no such tensor. */
static int64_t side_of(const checkpoint *file, const char *layer, const char *part, int dims,
                       int dim)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", layer, part);
    const checkpoint_tensor *t = checkpoint_find(file, name);
    return t && t->dims == dims ? t->dim[dim] : 0;
}

/* The whole root of n, 0 if it has none up to SCALE_MOST. */
static int root_of(int64_t n)
{
    for (int i = 1; i <= SCALE_MOST; i++)
        if ((int64_t)i * i == n)
            return i;
    return 0;
}

/* The largest number up to `most` (from `first` on) that stands in `pattern` in some name of the
 * file; -1: none. */
static int largest(const upscaler_config *c, const checkpoint *file, const char *pattern, int step,
                   int first, int most)
{
    int found = -1;
    char name[96];
    for (int i = first; i <= most; i++) {
        name_of(name, sizeof name, c, pattern, step * i, 0, 0);
        strcat(name, ".");
        if (checkpoint_has(file, name))
            found = i;
    }
    return found;
}

static void read_rrdb(upscaler_config *c, const checkpoint *file, problems *p)
{
    char name[96], stem[64];
    const char *dense = families[c->family].dense;
    snprintf(stem, sizeof stem, "%.*s", (int)(strchr(dense, '#') + 1 - dense), dense);
    c->blocks = largest(c, file, stem, 1, 0, BLOCKS_MOST) + 1;
    if (c->family == 2) /* the trunk's last convolution is numbered like a block */
        c->blocks--;
    c->doublings =
        largest(c, file, families[c->family].up, families[c->family].step, 1, DOUBLINGS_MOST);
    c->doublings = c->doublings < 0 ? 0 : c->doublings;
    name_of(name, sizeof name, c, families[c->family].first, 0, 0, 0);
    int64_t colours = side_of(file, name, ".weight", 4, 1);
    c->width = (int)side_of(file, name, ".bias", 1, 0);
    name_of(name, sizeof name, c, dense, 0, 1, 1);
    c->growth = (int)side_of(file, name, ".bias", 1, 0);
    c->unshuffle = root_of(colours / COLOURS);
    if (colours % COLOURS || c->unshuffle == 0 || c->unshuffle > 1 << c->doublings ||
        (1 << c->doublings) % c->unshuffle) {
        problems_add(p, ERR_INVALID,
                     "not supported: %lld input channels and %d doublings, expected 3 channels, or"
                     " 12 or 48 and at least 1 or 2 doublings",
                     (long long)colours, c->doublings);
        return;
    }
    c->scale = (1 << c->doublings) / c->unshuffle;
}

static void read_srvgg(upscaler_config *c, const checkpoint *file, problems *p)
{
    char name[96];
    int last = largest(c, file, "body.#", 1, 0, 2 * BLOCKS_MOST);
    c->blocks = last / 2 - 1;
    c->unshuffle = 1;
    name_of(name, sizeof name, c, "body.#", last, 0, 0);
    int64_t out = side_of(file, name, ".weight", 4, 0);
    name_of(name, sizeof name, c, "body.#", 0, 0, 0);
    c->width = (int)side_of(file, name, ".bias", 1, 0);
    c->scale = out % COLOURS ? 0 : root_of(out / COLOURS);
    if (last < 2 || last % 2 || c->scale == 0)
        problems_add(p, ERR_INVALID,
                     "not supported: the last of %d layers gives %lld channels, expected an odd"
                     " number of layers and 3 times a square up to 64",
                     last + 1, (long long)out);
}

/* Finds prefix, kind and family. */
static bool find_kind(upscaler_config *c, const checkpoint *file)
{
    char name[96];
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        *c = (upscaler_config){.kind = UPSCALER_RRDB};
        snprintf(c->prefix, sizeof c->prefix, "%s", prefixes[i]);
        for (; c->family < (int)(sizeof families / sizeof *families); c->family++) {
            name_of(name, sizeof name, c, families[c->family].dense, 0, 1, 1);
            if (checkpoint_has(file, name))
                return true;
        }
        c->family = 0;
        c->kind = UPSCALER_SRVGG;
        name_of(name, sizeof name, c, "body.#.weight", 0, 0, 0);
        if (checkpoint_has(file, name))
            return true;
    }
    return false;
}

static void check_layer(const checkpoint *file, problems *p, const upscaler_layer *l)
{
    char name[80];
    snprintf(name, sizeof name, "%s.weight", l->name);
    expect_tensor(file, p, name, (int64_t[CHECKPOINT_DIMS]){l->out, l->in, 3, 3}, 4);
    snprintf(name, sizeof name, "%s.bias", l->name);
    expect_tensor(file, p, name, (int64_t[CHECKPOINT_DIMS]){l->out, 1, 1, 1}, 1);
    if (*l->slope)
        expect_tensor(file, p, l->slope, (int64_t[CHECKPOINT_DIMS]){l->out, 1, 1, 1}, 1);
}

static void read_sizes(upscaler_config *c, const checkpoint *file, problems *p)
{
    if (c->kind == UPSCALER_RRDB)
        read_rrdb(c, file, p);
    else
        read_srvgg(c, file, p);
    if (p->code != ERR_OK)
        return;
    bool dense = c->kind == UPSCALER_RRDB;
    if (c->width < 1 || c->width > WIDTH_MOST || c->blocks < dense || c->blocks > BLOCKS_MOST ||
        (dense && (c->growth < 1 || c->growth > WIDTH_MOST))) {
        problems_add(p, ERR_INVALID,
                     "not supported: %d blocks of width %d and growth %d, expected 1 to %d blocks"
                     " and 1 to %d channels",
                     c->blocks, c->width, c->growth, BLOCKS_MOST, WIDTH_MOST);
        return;
    }
    for (int i = 0; i < upscaler_layers(c); i++) {
        upscaler_layer l = upscaler_layer_at(c, i);
        check_layer(file, p, &l);
    }
}

int upscaler_config_read(upscaler_config *c, const checkpoint *file, err *e)
{
    problems p = {0};
    if (find_kind(c, file))
        read_sizes(c, file, &p);
    else
        problems_add(&p, ERR_INVALID,
                     "no upscaler that is known here: expected the tensors of ESRGAN or Real-ESRGAN"
                     " (body.0.rdb1.conv1, RRDB_trunk.0.RDB1.conv1, model.1.sub.0.RDB1.conv1.0) or"
                     " of SRVGGNetCompact (body.0.weight)");
    return problems_report(&p, checkpoint_path(file), e);
}
