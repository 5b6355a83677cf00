/* The operations models are written in. Each checks its shapes once for all backends (assert:
 * shapes were decided when the model was loaded), takes its result from the scratch stack unless
 * `out` gives a place, counts FLOPs, and calls the backend. After a device error ops do nothing.
 *
 * `out` NEW means: from the scratch stack, with the shape that follows from the inputs. */
#ifndef KERNELS_OPS_H
#define KERNELS_OPS_H

#include "kernels/table.h"

#define NEW ((tensor *)0)

typedef struct {
    tensor x2, bias, slope, residual;
    activation act;
    int stride; /* 0 counts as 1 */
    bool pad_after;
    bool doubled; /* of x enlarged to twice its height and width (nearest); no x2, stride 1 */
    /* A dense connection, in place of x2, out and residual: the input is x and the first `grown`
     * channels of `growth`, the result goes to the channels behind them; returns growth. */
    tensor growth;
    int64_t grown;
} conv2d_options;

typedef struct {
    tensor x2, add;
    int64_t add_at; /* the first channel of `add` that counts */
    activation act;
    int groups; /* 0 counts as 32 */
    double eps; /* 0 counts as 1e-5 */
} group_norm_options;

/* A weight with out, in and k set gets its memory; op_pack_all fills n of them; op_pack does both
 * for one. */
void op_reserve(dev *d, weight *w, arena *to, int stride);
void op_pack_all(dev *d, const pack_item *item, int n);
void op_pack(dev *d, weight *w, arena *to, const void *source, dtype type, int stride);
tensor op_conv2d(dev *d, tensor *out, tensor x, const weight *w, conv2d_options o);
tensor op_linear(dev *d, tensor *out, tensor x, const weight *w, conv2d_options o); /* k is 1 */
tensor op_group_norm(dev *d, tensor *out, tensor x, tensor scale, tensor shift,
                     group_norm_options o);
tensor op_layer_norm(dev *d, tensor *out, tensor x, tensor scale, tensor shift, double eps);
tensor op_attention(dev *d, tensor *out, tensor q, tensor k, tensor v, int heads, bool causal,
                    const int32_t *keys);
/* The same of channels that lie in wider rows: all but `out` of what the kernel takes. */
tensor op_attend(dev *d, tensor *out, attention_args a);
tensor op_geglu(dev *d, tensor *out, tensor x);
tensor op_activate(dev *d, tensor *out, tensor x, activation act);
tensor op_add(dev *d, tensor *out, tensor a, tensor b);
tensor op_add_scaled(dev *d, tensor *out, tensor a, float scale, tensor b); /* scale * a + b */
tensor op_pixel_shuffle(dev *d, tensor *out, tensor x, int factor, tensor base);
tensor op_pixel_unshuffle(dev *d, tensor *out, tensor x, int factor);
tensor op_resize_nearest(dev *d, tensor *out, tensor x, int64_t h, int64_t w);
tensor op_timestep_embedding(dev *d, tensor *out, const double *t, int64_t n, int64_t c);
tensor op_embed(dev *d, tensor *out, const int32_t *ids, int64_t n, tensor table, tensor position);
void op_emphasis(dev *d, tensor x, const double *weights);
tensor op_gather(dev *d, tensor *out, const tensor *source, int64_t n, int64_t c, float scale);
/* The part of op_gather that writes, to channels first .. first+c-1 of a tensor that has more. */
void op_place(dev *d, tensor out, int64_t first, const tensor *source, int64_t c, float scale);
void op_step(dev *d, int n, const step_row *row);
tensor op_pixels_in(dev *d, tensor *out, tensor x); /* -1..1 */
tensor op_pixels_out(dev *d, tensor *out, tensor x);
tensor op_unit_in(dev *d, tensor *out, tensor x); /* 0..1; unit_out may cut rows and columns */
tensor op_unit_out(dev *d, tensor *out, tensor x);
tensor op_preview(dev *d, tensor *out, tensor x, const float matrix[4][3]);
void op_finite(dev *d, tensor x, bool *flag);

#endif
