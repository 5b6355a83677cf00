/* cudnn_program: convolutions and their gradients with respect to the input, as sums of products: a
 * row is what the window sees of one pixel, a column the weights of one channel, both in the order
 * tap, channel. The two differ in which pixels a tap joins and in what side of the weights is
 * summed over. */
#include <stdlib.h>
#include <string.h>

#include "tests/vendor/cudnn_program.h"
#include "tests/vendor/vendor.h"

typedef struct {
    const program_launch *launch;
    const program *program;
    const program_tensor *in, *weights, *out;
    int64_t channels; /* of `in`: summed over */
    int sum_side;     /* the dimension of the weights that is: 1, of a gradient 0 */
    float *values, *others;
} convolution;

/* The row or column of `in` that a tap shows an output; -1 when it is outside. */
static int64_t seen(const convolution *c, int side, int64_t out, int64_t tap)
{
    const program *p = c->program;
    int64_t reach = tap * p->dilation[side], at;
    if (p->kind == PROGRAM_CONVOLUTION) {
        at = out * p->stride[side] - p->before[side] + reach;
    } else {
        at = out + p->before[side] - reach;
        if (at % p->stride[side])
            return -1;
        at /= p->stride[side];
    }
    return at < c->in->dim[2 + side] ? at : -1;
}

static void read_window(const void *from, int64_t pixel, float *to)
{
    const convolution *c = from;
    int64_t x = pixel % c->out->dim[3], y = pixel / c->out->dim[3] % c->out->dim[2];
    int64_t row = pixel / c->out->dim[3] / c->out->dim[2];
    for (int64_t i = 0; i < c->weights->dim[2]; i++)
        for (int64_t j = 0; j < c->weights->dim[3]; j++, to += c->channels) {
            int64_t in_y = seen(c, 0, y, i), in_x = seen(c, 1, x, j);
            if (in_y < 0 || in_x < 0)
                memset(to, 0, (size_t)c->channels * sizeof *to);
            else
                numbers_read(to, c->in->type, c->launch->at[c->program->in],
                             program_place(c->in, row, 0, in_y, in_x), c->in->stride[1],
                             c->channels);
        }
}

static void read_weights(const void *from, int64_t channel, float *to)
{
    const convolution *c = from;
    const program_tensor *w = c->weights;
    for (int64_t i = 0; i < w->dim[2]; i++)
        for (int64_t j = 0; j < w->dim[3]; j++, to += c->channels)
            numbers_read(to, w->type, c->launch->at[c->program->weights],
                         program_place(w, 0, 0, i, j) + channel * w->stride[!c->sum_side],
                         w->stride[c->sum_side], c->channels);
}

/* Steps of 0 where there is one for all. */
static void read_pixel(const program_tensor *t, const void *at, const int64_t pixel[PROGRAM_DIMS],
                       int64_t n, float *to)
{
    int64_t place = 0;
    for (int i = 0; i < PROGRAM_DIMS; i++)
        place += t->dim[i] == 1 ? 0 : pixel[i] * t->stride[i];
    numbers_read(to, t->type, at, place, t->dim[1] == 1 ? 0 : t->stride[1], n);
}

/* The sums of a pixel, what is added to them, and one rounding a tensor. */
static void put_pixel(const void *from, int64_t pixel, const float *sum)
{
    const convolution *c = from;
    const program *p = c->program;
    int64_t n = c->out->dim[1], w = c->out->dim[3], h = c->out->dim[2];
    const int64_t at[PROGRAM_DIMS] = {pixel / w / h, 0, pixel / w % h, pixel % w};
    memcpy(c->values, sum, (size_t)n * sizeof *sum);
    numbers_round(c->values, p->tensor[p->sum].type, n);
    for (int i = 0; i < p->additions; i++) {
        const program_addition *a = &p->addition[i];
        read_pixel(&p->tensor[a->other], c->launch->at[a->other], at, n, c->others);
        for (int64_t j = 0; j < n; j++)
            c->values[j] = a->of_sum * c->values[j] + a->of_other * c->others[j];
        numbers_round(c->values, p->tensor[a->to].type, n);
    }
    numbers_write(c->launch->at[p->out], c->out->type,
                  program_place(c->out, at[0], 0, at[2], at[3]), c->out->stride[1], n, c->values);
}

bool program_convolve(const program_launch *l)
{
    const program *p = &l->program;
    convolution c = {.launch = l,
                     .program = p,
                     .in = &p->tensor[p->in],
                     .weights = &p->tensor[p->weights],
                     .out = &p->tensor[p->out],
                     .channels = p->tensor[p->in].dim[1],
                     .sum_side = p->kind == PROGRAM_CONVOLUTION};
    size_t channels = (size_t)c.out->dim[1];
    c.values = malloc(2 * channels * sizeof *c.values);
    if (!c.values)
        return false;
    c.others = c.values + channels;
    const sums s = {.rows = c.out->dim[0] * c.out->dim[2] * c.out->dim[3],
                    .columns = c.out->dim[1],
                    .length = c.channels * c.weights->dim[2] * c.weights->dim[3],
                    .row = read_window,
                    .column = read_weights,
                    .put = put_pixel,
                    .from = &c,
                    .order = p->order};
    vendor_spend(sums_time(&s));
    bool good = sums_run(&s);
    free(c.values);
    return good;
}
