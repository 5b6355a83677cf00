/* The one list of kernels. From it come every backend's prototypes, its function table, and the
 * declaration of each kernel's check, so that a kernel without a reference or a test does not link.
 *
 *     K(name, cpu)
 *
 * cpu: HAVE when kernels/cpu defines cpu_<name>, FALL when ref_<name> serves. kernels/ref and
 * kernels/cuda define all of them.
 *
 * Every kernel is `void <backend>_<name>(dev *, const <name>_args *)`. Arguments were checked by
 * op_* (ops.c), so kernels trust shapes. On a dry device a kernel takes its scratch and returns.
 * Results for one sample never depend on the other samples, on the number of threads or on
 * band_rows. */
#ifndef KERNELS_TABLE_H
#define KERNELS_TABLE_H

#include "kernels/dev.h"

#define KERNELS(K)                                                                                 \
    K(reserve, HAVE)                                                                               \
    K(pack, HAVE)                                                                                  \
    K(conv2d, HAVE)                                                                                \
    K(group_norm, HAVE)                                                                            \
    K(layer_norm, HAVE)                                                                            \
    K(attention, HAVE)                                                                             \
    K(geglu, HAVE)                                                                                 \
    K(activate, HAVE)                                                                              \
    K(add, HAVE)                                                                                   \
    K(pixel_shuffle, HAVE)                                                                         \
    K(pixel_unshuffle, FALL)                                                                       \
    K(resize_nearest, HAVE)                                                                        \
    K(timestep_embedding, FALL)                                                                    \
    K(embed, FALL)                                                                                 \
    K(emphasis, FALL)                                                                              \
    K(gather, FALL)                                                                                \
    K(step, FALL)                                                                                  \
    K(pixels_in, FALL)                                                                             \
    K(pixels_out, FALL)                                                                            \
    K(preview, FALL)                                                                               \
    K(finite, FALL)

typedef enum {
    ACT_NONE,
    ACT_SILU,
    ACT_GELU,
    ACT_QUICK_GELU,
    ACT_LEAKY_RELU, /* v < 0 ? 0.2 v : v */
    ACT_COUNT
} activation;

/* A matrix of the model in the form one backend wants it. Shapes are always set; data is NULL on a
 * dry device. Lives in the arena it was packed into. */
typedef struct {
    int64_t out, in; /* channels */
    int k;           /* 1 or 3 */
    bool winograd;   /* a 3x3 matrix may take four times the memory even beyond winograd_most */
    bool doubled;    /* 3x3, of a nearest x2: kept so that conv2d can do both at once, if it can */
    int layout;      /* the backend's own: plain, blocked, Winograd … */
    void *data;
    size_t bytes;
} weight;

/* reserve: the form of a weight: from out, in, k and winograd to layout and bytes. */
typedef struct {
    weight *w;
    int stride; /* the stride it will be used with: Winograd needs 1 */
} reserve_args;

/* A weight that has its memory, and its matrix [out][in][k][k] in the file: F32, F16 or BF16,
 * unaligned. It is packed times 2^exponent. A weight may be made of several such matrices, each an
 * item with some of its output channels: from `first` on, `count` of them (0: all), multiples of
 * PACK_CHANNELS but for the last count. */
enum { PACK_CHANNELS = 32 };

typedef struct {
    weight w;
    const void *source;
    dtype type;
    int exponent;
    int64_t first, count;
} pack_item;

static inline int64_t pack_count(const pack_item *item)
{
    return item->count ? item->count : item->w.out;
}

/* pack: fills n weights at once: many are too small to be shared by threads. */
typedef struct {
    int n;
    const pack_item *item;
} pack_args;

/* conv2d: out = act(conv(x ++ x2, w) + bias) + residual.
 * x [n,h,w,i] and the first i2 channels of x2 (optional) count as one tensor of i+i2 channels. The
 * result goes to the o channels of out from out_at on; others of out are left alone, and may be
 * those that x2 gives.
 * slope [1,1,1,o] (optional, act NONE): PReLU, v < 0 ? v * slope[o] : v, in place of act.
 * k 3: stride 1 pads 1 all round; stride 2 pads 1 all round, or only right and bottom by 1
 * (pad_after). k 1: stride 1, no padding. fp32, sums in a fixed order. */
typedef struct {
    tensor out, x, x2;
    int64_t x2_channels, out_at;
    const weight *w;
    tensor bias, slope; /* [1,1,1,o], optional; bias of the device's storage type, with zeros behind
                           it up to a multiple of 16 bytes; slope F32 */
    tensor residual;    /* like out, optional; may be out itself */
    activation act;
    int stride;
    bool pad_after;
    bool doubled; /* x is made twice as high and wide first (nearest): stride 1, no x2. Only where
                     the backend says that it does (backend.h) */
} conv2d_args;

/* group_norm: y = act((v - mean) / sqrt(var + eps) * scale + shift), v = (x ++ x2) + add[n][add_at
 * + c]; mean and variance over h, w and the c/groups channels of a group. Sums: per row, rows added
 * in order. */
typedef struct {
    tensor out, x, x2; /* x2 optional: out has the channels of both */
    tensor add;        /* [n,1,1,>=c], optional */
    int64_t add_at;
    tensor scale, shift; /* [1,1,1,c] */
    int groups;
    double eps;
    activation act;
} group_norm_args;

/* layer_norm: over the last dimension. */
typedef struct {
    tensor out, x, scale, shift;
    double eps;
} layer_norm_args;

/* attention: softmax(q k^T / sqrt(head)) v per head, out [n,1,tq,heads*head]. The queries are the
 * first heads*head channels of q [n,1,tq,>=], keys and values those of k and v [n,1,tk,>=] from
 * k_at and v_at on; the three may be one tensor. Keys at or beyond keys[i] of sample i are ignored
 * (keys NULL: all tk). causal: key j <= query i. */
typedef struct {
    tensor out, q, k, v; /* k and v of one shape */
    int64_t k_at, v_at;
    int heads, head; /* channels of a head */
    bool causal;
    const int32_t *keys; /* host, n entries, 1..tk */
} attention_args;

/* geglu: x [.., 2c] -> a * gelu(b), a the first half, b the second; gelu with erf. */
typedef struct {
    tensor out, x;
} geglu_args;

/* activate: out = act(x), element by element; out may be x. */
typedef struct {
    tensor out, x;
    activation act;
} activate_args;

/* add: out = scale * a + b, rounded once; b like a, or [1,h,w,c] for every sample of a. out may be
 * a. */
typedef struct {
    tensor out, a, b;
    float scale;
} add_args;

/* pixel_shuffle: x [n,h,w,c*r*r] -> out [n,h*r,w*r,c], base [n,h,w,c] (optional):
 *     out[y*r+i][x*r+j][k] = x[y][x][(k*r+i)*r+j] + base[y][x][k] */
typedef struct {
    tensor out, x, base;
    int factor; /* r */
} pixel_shuffle_args;

/* pixel_unshuffle, the way back: x [n,h,w,c] -> out [n,H,W,c*r*r], H and W h/r and w/r rounded up;
 * beyond its last row and column x is mirrored there (of a single one: repeated). */
typedef struct {
    tensor out, x;
    int factor; /* r */
} pixel_unshuffle_args;

/* resize_nearest: out[y][x] = in[floor(y*h/H)][floor(x*w/W)], exact in integers. */
typedef struct {
    tensor out, x;
} resize_nearest_args;

/* timestep_embedding: out [n,1,1,c]: cos then sin of t * 10000^(-i/(c/2)), the
 * angle in fp32 as the models were trained. */
typedef struct {
    tensor out;
    const double *t; /* host, n entries */
} timestep_embedding_args;

/* embed: out [n,1,t,c] = table[ids[n][t]] + position[t]; the table stays in the file's type. */
typedef struct {
    tensor out;
    const int32_t *ids; /* host, n*t entries, each below the rows of the table */
    tensor table;       /* [1,1,rows,c] F32, F16 or BF16 */
    tensor position;    /* [1,1,t,c] F32 */
} embed_args;

/* emphasis: x [n,1,t,c] times weight[n*t + j] token by token, then times mean(before) / mean(after)
 * over the whole tensor (n > 1: the chunks of one text). All weights 1: x unchanged to the bit. In
 * place. */
typedef struct {
    tensor x;
    const double *weights; /* host, n*t */
} emphasis_args;

/* gather: channels first .. first+c-1 of out[i] = scale * the first c channels of source[i]; n
 * samples of one height and width. The other channels of out stay. */
typedef struct {
    tensor out;           /* [n,h,w,>=first+c] */
    const tensor *source; /* n tensors [1,h,w,>=c] */
    int64_t first, c;
    float scale;
} gather_args;

enum { STEP_PREDICTIONS = 8, STEP_HISTORY = 4, STEP_CHANNELS = 16 };
/* Terms of a step, in the order in which they are added. */
enum {
    STEP_X,
    STEP_PREDICTION,
    STEP_PAST = STEP_PREDICTION + STEP_PREDICTIONS,
    STEP_NOISE = STEP_PAST + STEP_HISTORY,
    STEP_INIT,
    STEP_CHANGE, /* what holding changes in the x0 prediction */
    STEP_TERMS
};

/* What a mask can hold. */
enum { STEP_HOLD_DENOISED, STEP_HOLD_X, STEP_HOLD_INPUT, STEP_HOLDS };

/* Holds a value to what is known where the mask m (1 = repaint) is small; in double:
 *     known = init * term init + noise * term noise
 *     m'    = m^exponent
 *     v     = (1 - m') known + m' value
 * With contrast p > 0 the length of v over the channels of its pixel is replaced by one between
 * those of its two parts:
 *     v ((1 - m') |known|^p + m' |value|^p)^(1/p) / (|v| + 1e-5) */
typedef struct {
    bool on;
    float init, noise;
    double exponent, contrast;
} step_hold;

/* step: every sampler's update. With old values on the right, term by term, fp32:
 *     denoised    = sum coef_denoised[i] * term[i], held      when given
 *     change      = denoised - that sum before it was held: a term of the sums below
 *     x'          = sum coef_x[i] * term[i], held
 *     history'[j] = sum coef_history[j][i] * term[i]          for the j that are stored
 *     input       = x' * input_scale, held                    when given: the UNet's next input
 * Terms with coefficient 0 are not read; a term whose tensor is not given must have it. Nothing is
 * held unless its hold is on; where the mask is 1 a hold without contrast changes no bit.
 *
 * For a prediction eps with denoised = a x + b eps, a coefficient of eps divided by b is that of
 * the change: the sum is then the one of the eps that belongs to the held x0 prediction. */
typedef struct {
    tensor x; /* in and out, [1,h,w,c], c <= STEP_CHANNELS */
    tensor prediction[STEP_PREDICTIONS], history[STEP_HISTORY], noise, init;
    tensor mask; /* [1,h,w,1], 0 to 1; needed by a hold */
    tensor denoised, input;
    float coef_x[STEP_TERMS], coef_history[STEP_HISTORY][STEP_TERMS], coef_denoised[STEP_TERMS];
    bool stored[STEP_HISTORY];
    float input_scale;
    step_hold hold[STEP_HOLDS];
} step_row;

typedef struct {
    int n;
    const step_row *row;
} step_args;

/* The numbers that stand for a picture's bytes in a network: -1..1, cut to bytes, or 0..1, rounded
 * (halves to even). */
typedef enum { PIXELS_SIGNED, PIXELS_UNIT } pixel_range;

/* pixels_in: U8 [n,h,w,3] -> F32 v/255*2-1, or v/255.
 * pixels_out: F32 [n,h,w,3] -> U8 trunc(clamp((v+1)/2, 0, 1) * 255), or round(clamp(v, 0, 1) *
 * 255); out may have fewer rows and columns than x: the last ones are left away. */
typedef struct {
    tensor out, x;
    pixel_range range;
} pixels_in_args;
typedef pixels_in_args pixels_out_args;

/* preview: latent [1,h,w,4] -> U8 [1,h,w,3] by a 4x3 matrix, then as pixels_out. */
typedef struct {
    tensor out, x;
    float matrix[4][3];
} preview_args;

/* finite: sets flag[i] to whether every value of sample i is finite. */
typedef struct {
    tensor x;
    bool *flag; /* host, n entries; left alone when dry */
} finite_args;

#define KERNEL_PROTOTYPES(name, cpu)                                                               \
    void ref_##name(dev *d, const name##_args *a);                                                 \
    void cpu_##name(dev *d, const name##_args *a);                                                 \
    void cuda_##name(dev *d, const name##_args *a);
KERNELS(KERNEL_PROTOTYPES)
#undef KERNEL_PROTOTYPES

typedef struct kernel_table {
#define KERNEL_SLOT(name, cpu) void (*name)(dev *, const name##_args *);
    KERNELS(KERNEL_SLOT)
#undef KERNEL_SLOT
} kernel_table;

extern const kernel_table kernel_table_ref, kernel_table_cpu;

#endif
