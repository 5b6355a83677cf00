/* What the convolutions, matrix products and attentions of a model look like to the vendor's
 * libraries: shapes without pointers, the name each has in tuning tables and caches, and how
 * op_conv2d is taken apart into them. No CUDA type here: tests and tools use it anywhere. */
#ifndef KERNELS_CUDA_SHAPE_H
#define KERNELS_CUDA_SHAPE_H

#include "kernels/table.h"

enum { SHAPE_NAME_BYTES = 128, SHAPE_CALLS = 2 };
enum { UPSAMPLE_SIDE = 4 }; /* of the filter of an x2 upsample */

/* The numbers of rows that are batched together. A configuration serves all of them or none, so
 * that a picture does not depend on what it was batched with; it is picked by the order that the
 * heuristic has for the reference count: one picture with guidance. */
enum { BUCKETS = 5, REFERENCE_ROWS = 2 };
/* Where a number of rows says what a choice is for: not for that number alone, but for all. */
enum { EVERY_ROWS = 0 };
extern const int64_t bucket_rows[BUCKETS]; /* 1, 2, 4, 8, 16 */

typedef enum {
    SHAPE_CONV,     /* conv, then + residual, then + bias: the order of the precompiled kernels */
    SHAPE_UPSAMPLE, /* nearest x2 and a 3x3 convolution as one transposed 4x4 of stride 2; no bias
                     */
    SHAPE_ATTENTION
} shape_kind;

/* All but the number of rows. Channels are multiples of 8: weights are padded with zeros, so that a
 * pixel is whole 16-byte vectors and no kernel needs a padded copy as workspace. */
typedef struct {
    int64_t h, w, in, out; /* of the input; of an upsample the small one */
    int k, stride;
    bool pad_after;      /* only right and bottom by 1 */
    bool residual, bias; /* a residual only with a bias (of zeros): alone it has no ready kernel */
} conv_shape;

typedef struct {
    int64_t heads, d, tq, tk;
    int64_t q_row, kv_row; /* values from one token to the next */
    bool counted;          /* every row has its own number of keys */
} attention_shape;

typedef struct {
    shape_kind kind;
    dtype type; /* F16 or BF16; sums are fp32 */
    union {
        conv_shape conv;
        attention_shape attention;
    };
} plan_shape;

/* y [rows][tokens][out] = x [rows][tokens][in] times w [out][in], + bias, + residual: one product
 * a row, so that the algorithm is chosen by the row's own size. */
typedef struct {
    dtype type;
    int64_t tokens, in, out;
    int64_t w_row; /* values from one row of w to the next; w may begin within a row */
    bool residual, bias;
} product_shape;

/* "conv f16 64x64 320>640 k3 s1 +residual +bias": one line, no '='. Equal names, equal shapes. */
void plan_shape_name(const plan_shape *s, char name[SHAPE_NAME_BYTES]);
void product_shape_name(const product_shape *s, char name[SHAPE_NAME_BYTES]);

/* Side of the output, given that of the input. */
int64_t conv_shape_side(const conv_shape *c, shape_kind kind, int64_t side);

/* One call of a library on the way to op_conv2d's result. */
typedef struct {
    bool is_product; /* 1x1: a matrix product; else a convolution */
    union {
        product_shape product;
        plan_shape plan;
    };
    bool reads_x2;   /* its input is x2 alone */
    bool reads_both; /* its input is a packed copy of x ++ x2 */
    bool onto;       /* its residual is what the call before it has written */
} conv_call;

/* Channels as the libraries see them: rounded up to whole 16-byte vectors. */
int64_t whole_vectors(int64_t channels);

/* op_conv2d as library calls, in order; the number of them. A 1x1 over two inputs is two products,
 * the second added onto the first: that moves less memory than a copy of both side by side (and a
 * library handed a slice of wider pixels makes such a copy itself). A 3x3 over two inputs, which
 * only upscalers have, reads a copy, as do inputs that are no whole vectors. What the libraries
 * leave to do (activation, slope, and then the residual too; of an upsample also the bias) is
 * *unfinished. */
int conv_calls(const conv2d_args *a, dtype type, conv_call call[SHAPE_CALLS], bool *unfinished);

/* The way back: the nearest x2 and convolution, with its bias, that it is instead of. */
plan_shape doubling_of(const plan_shape *upsample);

/* Whether a name in a table (of a shape, or of one at a number of rows) is that of an upsample of
 * these channels, of pictures of any size. */
bool is_upsample_name(const char *name, dtype type, int64_t in, int64_t out);

/* The transposed convolution that does nearest x2 and then this 3x3 convolution at once. Its bias
 * is left to whoever reads the result: with it the kernel would have to be compiled. */
plan_shape upsample_of(const plan_shape *conv);

/* The sixteen taps of that transposed convolution from the nine of a channel pair: a small pixel
 * reaches a large one through every tap that nearest x2 would have shown it to. */
void upsample_taps(const float from[3][3], float to[UPSAMPLE_SIDE][UPSAMPLE_SIDE]);

/* The same product as a 1x1 convolution of one row of pixels. */
plan_shape product_as_conv(const product_shape *p);

/* op_attention's shape. False when cuDNN is not asked: causal attention is our own kernel's. */
bool attention_shape_of(const attention_args *a, dtype type, plan_shape *s);

#endif
