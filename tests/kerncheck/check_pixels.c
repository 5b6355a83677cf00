/* pixels_in, pixels_out, preview. The first two are exact: they decide the bytes of pictures. */
#include <math.h>

#include "tests/kerncheck/check.h"

enum { OUT, X };

static void draw_picture(session *s, int64_t size[3])
{
    static const int shapes[][3] = {{1, 512, 512}, {4, 512, 512}};
    const int *real = real_shape(s, shapes[0], 2, 3);
    const int64_t most[3] = {SAMPLES_MOST, 129, 129};
    draw_sizes(&s->random, 3, size, most, 40000);
    for (int i = 0; real && i < 3; i++)
        size[i] = real[i];
}

static trial picture_trial(session *s, const int64_t size[3],
                           void (*call)(dev *, const trial *, const tensor *, const weight *,
                                        int64_t))
{
    trial t = trial_new(s, 0, call);
    trial_shape(&t, "%lldx%lldx%lld", (long long)size[0], (long long)size[1], (long long)size[2]);
    return t;
}

static void call_in(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    tensor out = at[OUT];
    (*(const pixel_range *)t->own == PIXELS_UNIT ? op_unit_in : op_pixels_in)(d, &out, at[X]);
}

void check_pixels_in(session *s)
{
    int64_t size[3];
    draw_picture(s, size);
    pixel_range range = draw_bool(&s->random) ? PIXELS_UNIT : PIXELS_SIGNED;
    trial t = picture_trial(s, size, call_in);
    t.own = &range;
    trial_in(&t, X, BATCHED, tensor_of(NULL, U8, size[0], size[1], size[2], 3));
    trial_out(&t, OUT, BATCHED, floats(size[0], size[1], size[2], 3));
    trial_run(&t);
}

static void call_out(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    tensor out = at[OUT];
    (*(const pixel_range *)t->own == PIXELS_UNIT ? op_unit_out : op_pixels_out)(d, &out, at[X]);
}

void check_pixels_out(session *s)
{
    static const float special[] = {NAN, INFINITY, -INFINITY, -1, 1, 0, 1e30f};
    int64_t size[3];
    draw_picture(s, size);
    pixel_range range = draw_bool(&s->random) ? PIXELS_UNIT : PIXELS_SIGNED;
    trial t = picture_trial(s, size, call_out);
    t.own = &range;
    tensor x = trial_in(&t, X, BATCHED, floats(size[0], size[1], size[2], 3));
    float *v = x.data;
    for (int64_t i = 0; i < tensor_count(x); i += 1 + draw_below(&s->random, 50))
        v[i] = draw_bool(&s->random) ? special[draw_below(&s->random, 7)]
                                     : (float)draw_below(&s->random, 256) / 255 * 2 - 1;
    if (range == PIXELS_UNIT && s->shape < 0) { /* it may cut */
        size[1] -= draw_below(&s->random, size[1]);
        size[2] -= draw_below(&s->random, size[2]);
    }
    trial_out(&t, OUT, BATCHED, tensor_of(NULL, U8, size[0], size[1], size[2], 3));
    trial_run(&t);
}

static void call_preview(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first)
{
    (void)w;
    (void)first;
    const float(*matrix)[3] = t->own;
    tensor out = at[OUT];
    op_preview(d, &out, at[X], matrix);
}

void check_preview(session *s)
{
    int64_t size[3];
    float matrix[4][3];
    draw_picture(s, size);
    for (int i = 0; i < 12; i++)
        matrix[i / 3][i % 3] = (float)(draw_unit(&s->random) - 0.5);
    trial t = picture_trial(s, size, call_preview);
    t.own = matrix;
    t.levels = 1; /* the sum may round either way */
    trial_in(&t, X, BATCHED, floats(size[0], size[1], size[2], 4));
    trial_out(&t, OUT, BATCHED, tensor_of(NULL, U8, size[0], size[1], size[2], 3));
    trial_run(&t);
}
