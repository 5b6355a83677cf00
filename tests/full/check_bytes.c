/* check_bytes: whether the bytes of a UNet call depend on how it is done: by its ops one after
 * another or as a record that is played, and with how many rows. The definition is each row alone,
 * op by op. For bringing up a GPU; every difference is printed, one line of JSON each. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/half.h"
#include "kernels/ops.h"
#include "proto/option.h"
#include "tests/support/rig.h"

enum { ROWS_MOST = 64, LISTS_MOST = 16, PLAYS = 4 };

typedef struct {
    const unet *of;
    tensor x, time, text, out;
    int32_t tokens[ROWS_MOST];
    bool finite[ROWS_MOST];
} call;

typedef struct {
    rig r;
    int64_t h, w;
    char *want; /* of every row alone */
    size_t row_bytes;
    int failures;
} check;

static void walk(dev *d, void *arg)
{
    call *c = arg;
    const size_t mark = dev_mark(d);
    unet_forward(d, &c->out, c->of, c->x, c->time, c->text, c->tokens);
    op_finite(d, c->out, c->finite);
    dev_release(d, mark);
}

/* Values of row `row`, which do not depend on the others. */
static void fill(dev *d, tensor to, int64_t row)
{
    tensor one = tensor_sample(to, row);
    uint32_t state = 77 + (uint32_t)row;
    float *x = malloc((size_t)tensor_count(one) * sizeof *x);
    assert(x);
    for (int64_t i = 0; i < tensor_count(one); i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    dev_upload_floats(d, one, x);
    free(x);
}

/* Rows first .. first+n-1: timesteps and lengths of text differ. */
static call make_call(check *k, int64_t first, int64_t n)
{
    dev *d = k->r.d;
    const model_config *m = &k->r.m->config;
    call c = {.of = k->r.m->unet,
              .x = dev_tensor(d, d->storage, first + n, k->h, k->w, m->in_channels),
              .time = dev_tensor(d, d->storage, first + n, 1, 1, unet_time_width(k->r.m->unet)),
              .text = dev_tensor(d, d->storage, first + n, 1, m->positions,
                                 unet_text_width(k->r.m->unet)),
              .out = dev_tensor(d, d->storage, n, k->h, k->w, m->out_channels)};
    for (int64_t i = first; i < first + n; i++) {
        fill(d, c.x, i);
        fill(d, c.time, i);
        fill(d, c.text, i);
        c.tokens[i - first] = (int32_t)(m->positions - i % 3);
    }
    c.x = tensor_sample(c.x, first);
    c.time = tensor_sample(c.time, first);
    c.text = tensor_sample(c.text, first);
    c.x.dim[0] = c.time.dim[0] = c.text.dim[0] = n;
    return c;
}

static void say(check *k, const char *what, int64_t rows, int64_t play, int64_t row, bool same)
{
    printf("{\"check\":\"%s\",\"rows\":%lld,\"time\":%lld,\"row\":%lld,\"same\":%s}\n", what,
           (long long)rows, (long long)play, (long long)row, same ? "true" : "false");
    fflush(stdout);
    k->failures += !same;
}

/* So that a call that writes nothing is found. */
static void spoil(check *k, const call *c, char *with)
{
    memset(with, 0xee, tensor_bytes(c->out));
    dev_upload(k->r.d, c->out, with);
}

static void read_rows(check *k, const call *c, char *to)
{
    dev_download(k->r.d, to, c->out);
    rig_check(&k->r);
}

/* What every row gives alone, op by op. Such a row must be finite, and none like the one before. */
static void define(check *k, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        const size_t mark = dev_mark(k->r.d);
        call c = make_call(k, i, 1);
        char *at = k->want + (size_t)i * k->row_bytes;
        walk(k->r.d, &c);
        read_rows(k, &c, at);
        if (!c.finite[0] || (i > 0 && !memcmp(at, at - k->row_bytes, k->row_bytes)))
            say(k, "alone", 1, 0, i, false);
        dev_release(k->r.d, mark);
    }
}

/* A call of n rows: op by op, then through dev_run: heard, recorded, and played with what is
 * recorded. Its first row says "same" for all when nothing differs. */
static void compare(check *k, int64_t n)
{
    const size_t mark = dev_mark(k->r.d);
    call c = make_call(k, 0, n);
    char *got = malloc((size_t)n * k->row_bytes);
    assert(got);
    for (int play = 0; play < PLAYS; play++) {
        const char *what = play ? "run" : "op by op";
        int64_t differ = 0;
        spoil(k, &c, got);
        if (play == 0)
            walk(k->r.d, &c);
        else
            dev_run(k->r.d, walk, &c);
        read_rows(k, &c, got);
        for (int64_t i = 0; i < n; i++)
            if (memcmp(got + (size_t)i * k->row_bytes, k->want + (size_t)i * k->row_bytes,
                       k->row_bytes)) {
                say(k, what, n, play, i, false);
                differ++;
            }
        if (differ == 0)
            say(k, what, n, play, 0, true);
    }
    free(got);
    dev_release(k->r.d, mark);
}

static int64_t most_of(const int64_t *number, int n)
{
    int64_t most = 0;
    for (int i = 0; i < n; i++)
        most = number[i] > most ? number[i] : most;
    return most;
}

int main(int argc, char **argv)
{
    const char *device, *arch, *list;
    dev_options options = {0};
    int64_t side;
    const option table[] = {
        {"device", OPTION_TEXT, &device, .fallback = "cpu", .help = "cpu, ref or cuda, or with :N"},
        {"arch", OPTION_TEXT, &arch, .fallback = "tiny", .help = "tiny, tiny3, tiny9 or sd15"},
        {"rows", OPTION_TEXT, &list, .argument = "LIST", .fallback = "1,2,4,8,16",
         .help = "at once"},
        {"cache", OPTION_TEXT, &options.cache, .argument = "FOLDER", .help = "for plans of GPUs"},
        {"side", OPTION_INT, &side, "8", 8, 512, .help = "of the latents"},
        {0}};
    err e = {0};
    option_result words;
    int64_t rows[LISTS_MOST];
    if (option_parse(table, argc, argv, &words, &e) != ERR_OK || words.help) {
        option_help(words.help ? stdout : stderr, "check_bytes [options]", table);
        return words.help ? 0 : 2;
    }
    const int n = rig_numbers(list, rows, LISTS_MOST, 1, ROWS_MOST);
    if (n == 0 || !rig_device(device, &options)) {
        fprintf(stderr, "check_bytes: %s\n", n ? "--device is not known" : "--rows is no list");
        return 2;
    }
    check k = {.r = rig_open(arch, options), .h = side, .w = side};
    k.row_bytes = (size_t)(side * side * k.r.m->config.out_channels) * dtype_bytes(k.r.d->storage);
    k.want = malloc((size_t)most_of(rows, n) * k.row_bytes);
    assert(k.want);
    define(&k, most_of(rows, n));
    for (int i = 0; i < n; i++)
        compare(&k, rows[i]);
    free(k.want);
    rig_close(&k.r);
    return k.failures ? 1 : 0;
}
