/* Parameters: see params.h. The one idea: a tensor goes from the mapped file into the arena exactly
 * once, in the form the kernels read, and its pages of the file are let go at once, so that loading
 * never holds a model twice. The first problem is kept in p->e; later calls return empty values. */
#include "worker/model/params.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/half.h"

enum { NAME_BYTES = 256, SHAPE_BYTES = 96 };

/* Packed at once at most; a load is stopped in between. */
static const size_t WAITING_BYTES = (size_t)256 << 20;

static bool failed(const params *p)
{
    return p->e->code != ERR_OK;
}

err_code params_code(const dev *d)
{
    return d->status == DEV_NO_MEMORY ? ERR_NO_MEMORY
           : d->status == DEV_STOPPED ? ERR_CANCELLED
                                      : ERR_DEVICE;
}

/* Device trouble becomes the error of the load. */
static void check_device(params *p, const char *name)
{
    if (p->d->status != DEV_OK)
        err_set(p->e, params_code(p->d), "%s: %s", name, p->d->error);
}

/* "F16 [320, 4, 3, 3]" */
static const char *describe(const checkpoint_tensor *t, char text[SHAPE_BYTES])
{
    int used = snprintf(text, SHAPE_BYTES, "%s [", t->type_name);
    for (int i = 0; i < t->dims && used < SHAPE_BYTES; i++)
        used += snprintf(text + used, (size_t)(SHAPE_BYTES - used), "%s%lld", i ? ", " : "",
                         (long long)t->dim[i]);
    if (used < SHAPE_BYTES)
        snprintf(text + used, (size_t)(SHAPE_BYTES - used), "]");
    return text;
}

static void refuse(params *p, const checkpoint_tensor *t, const char *expected)
{
    char text[SHAPE_BYTES];
    err_set(p->e, ERR_INVALID, "%s: tensor %s is %s, expected %s", checkpoint_path(p->file),
            t->name, describe(t, text), expected);
}

/* The tensor "<prefix><suffix>"; NULL when it is absent, which is an error if it is required. */
static const checkpoint_tensor *find(params *p, const char *prefix, const char *suffix,
                                     bool required)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    const checkpoint_tensor *t = checkpoint_find(p->file, name);
    if (!t && required)
        err_set(p->e, ERR_INVALID, "%s: tensor %s is missing", checkpoint_path(p->file), name);
    return t;
}

/* Nothing is read from the file any more, or ever. */
static bool reads_nothing(const params *p)
{
    return p->d->options.dry || p->places || failed(p);
}

static bool is_real(dtype type)
{
    return type == F32 || type == F16 || type == BF16;
}

/* A tensor of the arena; no data on a dry device. */
static tensor take(params *p, dtype type, int64_t rows, int64_t c)
{
    tensor v = tensor_of(NULL, type, 1, 1, rows, c);
    bool ok;
    v.data = arena_take(p->to, tensor_bytes(v), &ok);
    if (!ok)
        check_device(p, checkpoint_path(p->file));
    if (!ok)
        err_set(p->e, ERR_NO_MEMORY, "%s: the weights need more than the %zu bytes kept for them",
                checkpoint_path(p->file), p->to->capacity);
    return v;
}

/* `data` holds t in the type of `to`. */
static void upload(params *p, tensor to, const checkpoint_tensor *t, const void *data)
{
    if (reads_nothing(p))
        return;
    dev_upload(p->d, to, data);
    check_device(p, t->name);
    checkpoint_release(p->file, t);
}

/* The tensor times 2^exponent in the type of `to`, whatever the file has. */
static void fill(params *p, tensor to, int exponent, const checkpoint_tensor *t)
{
    if ((t->type == to.type && exponent == 0) || reads_nothing(p)) {
        upload(p, to, t, t->data);
        return;
    }
    float *wide = malloc((size_t)tensor_count(to) * sizeof *wide);
    if (!wide) {
        err_set(p->e, ERR_NO_MEMORY, "%s: no memory to convert tensor %s", checkpoint_path(p->file),
                t->name);
        return;
    }
    for (int64_t i = 0; i < tensor_count(to); i++)
        wide[i] = ldexpf(load_float(t->data, t->type, i), exponent);
    dev_upload_floats(p->d, to, wide);
    free(wide);
    check_device(p, t->name);
    checkpoint_release(p->file, t);
}

static tensor take_as_f32(params *p, const checkpoint_tensor *t, int64_t rows, int64_t c)
{
    tensor v = take(p, F32, rows, c);
    fill(p, v, 0, t);
    return v;
}

/* Is it a vector of `c` numbers? c 0: of any length. */
static bool is_vector(params *p, const checkpoint_tensor *t, int64_t c)
{
    char expected[64] = "a vector of F32, F16 or BF16";
    if (t->dims == 1 && is_real(t->type) && t->dim[0] > 0 && (c == 0 || t->dim[0] == c))
        return true;
    if (c)
        snprintf(expected, sizeof expected, "%lld values of F32, F16 or BF16", (long long)c);
    refuse(p, t, expected);
    return false;
}

static tensor take_vector(params *p, const checkpoint_tensor *t, int64_t c)
{
    return is_vector(p, t, c) ? take_as_f32(p, t, 1, t->dim[0]) : (tensor){0};
}

static bool is_convolution(const checkpoint_tensor *t)
{
    bool square = t->dims == 2 ||
                  (t->dims == 4 && t->dim[2] == t->dim[3] && (t->dim[2] == 1 || t->dim[2] == 3));
    return square && is_real(t->type) && t->dim[0] > 0 && t->dim[1] > 0;
}

void params_finish(params *p)
{
    if (p->waiting.count == 0 || failed(p))
        return;
    op_pack_all(p->d, p->waiting.item, p->waiting.count);
    check_device(p, p->waiting.source[0]->name);
    for (int i = 0; i < p->waiting.count; i++)
        checkpoint_release(p->file, p->waiting.source[i]);
    p->waiting.count = 0;
    p->waiting.bytes = 0;
}

void params_done(params *p)
{
    params_finish(p);
    if (!p->parts || failed(p))
        return;
    parts_loaded(p->parts, p->d);
    check_device(p, checkpoint_path(p->file));
}

int params_piece(params *p, model_part of, bool turns)
{
    params_finish(p);
    if (!p->parts || failed(p))
        return 0;
    p->to = parts_next(p->parts, p->d, of, turns);
    check_device(p, checkpoint_path(p->file));
    return p->parts->next - 1;
}

/* The matrix is the weight's output channels from `first` on. */
static void pack_later(params *p, const weight *w, const checkpoint_tensor *t, int64_t first)
{
    if (reads_nothing(p))
        return;
    p->waiting.item[p->waiting.count] = (pack_item){.w = *w,
                                                    .source = t->data,
                                                    .type = t->type,
                                                    .exponent = p->scaling.out - p->scaling.in,
                                                    .first = first,
                                                    .count = t->dim[0]};
    p->waiting.source[p->waiting.count++] = t;
    p->waiting.bytes += w->bytes / (size_t)w->out * (size_t)t->dim[0];
    if (p->waiting.count == PARAMS_WAITING || p->waiting.bytes > WAITING_BYTES)
        params_finish(p);
}

static int kernel_side(const checkpoint_tensor *t)
{
    return t->dims == 4 ? (int)t->dim[2] : 1;
}

/* May it lie beside others that read `in` channels? */
static bool lies_beside(params *p, const checkpoint_tensor *t, int64_t in)
{
    char expected[96];
    if (t->dim[1] == in && kernel_side(t) == 1 && t->dim[0] % PACK_CHANNELS == 0)
        return true;
    snprintf(expected, sizeof expected, "[a multiple of %d, %lld], to lie beside others",
             PACK_CHANNELS, (long long)in);
    refuse(p, t, expected);
    return false;
}

/* The first one may be of any form as long as it is alone. */
static bool fits_beside(params *p, const joint *b, const checkpoint_tensor *t)
{
    const checkpoint_tensor *first = b->matrix[0];
    return b->count == 0 ||
           (lies_beside(p, first, first->dim[1]) && lies_beside(p, t, first->dim[1]));
}

static int64_t note_layer(params *p, joint *b, const char *prefix)
{
    const int64_t first = b->out;
    const checkpoint_tensor *t = failed(p) ? NULL : find(p, prefix, ".weight", true);
    if (!t)
        return first;
    if (!is_convolution(t)) {
        refuse(p, t, "[out, in], [out, in, 1, 1] or [out, in, 3, 3] of F32, F16 or BF16");
        return first;
    }
    if (b->count == PARAMS_BESIDE)
        err_set(p->e, ERR_TOO_LARGE, "%s: more than %d layers beside %s", checkpoint_path(p->file),
                PARAMS_BESIDE, t->name);
    if (failed(p) || !fits_beside(p, b, t))
        return first;
    b->matrix[b->count] = t;
    b->bias[b->count++] = find(p, prefix, ".bias", false);
    b->out += t->dim[0];
    return first;
}

/* The biases of all layers, zeros where one has none; not given when none has one. */
static tensor join_biases(params *p, const joint *b)
{
    bool any = false;
    for (int i = 0; i < b->count; i++)
        any |= b->bias[i] != NULL;
    if (!any)
        return (tensor){0};
    tensor all = take(p, p->d->storage, 1, b->out);
    char *at = all.data;
    for (int i = 0; i < b->count && !failed(p); i++) {
        tensor part = tensor_of(at, all.type, 1, 1, 1, b->matrix[i]->dim[0]);
        if (b->bias[i] && is_vector(p, b->bias[i], part.dim[3]))
            fill(p, part, p->scaling.out, b->bias[i]);
        at = at ? at + tensor_bytes(part) : NULL;
    }
    return all;
}

static conv join(params *p, int stride, const joint *b)
{
    conv c = {.stride = stride};
    if (failed(p))
        return c;
    const checkpoint_tensor *t = b->matrix[0];
    c.w = (weight){.out = b->out,
                   .in = t->dim[1],
                   .k = kernel_side(t),
                   .winograd = p->winograd,
                   .doubled = b->doubled};
    op_reserve(p->d, &c.w, p->to, stride);
    check_device(p, t->name);
    for (int64_t i = 0, first = 0; i < b->count; first += b->matrix[i++]->dim[0])
        pack_later(p, &c.w, b->matrix[i], first);
    if (!failed(p))
        c.bias = join_biases(p, b);
    return c;
}

static conv load_conv(params *p, int stride, bool doubled, const char *prefix)
{
    joint alone = {.doubled = doubled};
    note_layer(p, &alone, prefix);
    return join(p, stride, &alone);
}

/* The name that a caller's format and arguments make. */
#define FORMAT_NAME(name, format)                                                                  \
    char name[NAME_BYTES];                                                                         \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        vsnprintf(name, sizeof name, format, args);                                                \
        va_end(args);                                                                              \
    } while (0)

conv params_conv(params *p, int stride, const char *format, ...)
{
    FORMAT_NAME(prefix, format);
    return load_conv(p, stride, false, prefix);
}

conv params_doubled(params *p, const char *format, ...)
{
    FORMAT_NAME(prefix, format);
    return load_conv(p, 1, true, prefix);
}

conv params_linear(params *p, const char *format, ...)
{
    FORMAT_NAME(prefix, format);
    return load_conv(p, 1, false, prefix);
}

int64_t params_beside(params *p, joint *b, const char *format, ...)
{
    FORMAT_NAME(prefix, format);
    return note_layer(p, b, prefix);
}

conv params_join(params *p, const joint *b)
{
    return join(p, 1, b);
}

norm params_norm(params *p, const char *format, ...)
{
    FORMAT_NAME(prefix, format);
    norm n = {0};
    const checkpoint_tensor *scale = failed(p) ? NULL : find(p, prefix, ".weight", true);
    const checkpoint_tensor *shift = failed(p) ? NULL : find(p, prefix, ".bias", true);
    if (!scale || !shift)
        return n;
    n.scale = take_vector(p, scale, 0);
    if (!failed(p))
        n.shift = take_vector(p, shift, n.scale.dim[3]);
    return n;
}

tensor params_vector(params *p, const char *format, ...)
{
    FORMAT_NAME(name, format);
    const checkpoint_tensor *t = failed(p) ? NULL : find(p, name, "", true);
    return t ? take_vector(p, t, 0) : (tensor){0};
}

tensor params_table(params *p, bool as_f32, const char *format, ...)
{
    FORMAT_NAME(name, format);
    const checkpoint_tensor *t = failed(p) ? NULL : find(p, name, "", true);
    if (!t)
        return (tensor){0};
    if (t->dims != 2 || !is_real(t->type) || t->dim[0] < 1 || t->dim[1] < 1) {
        refuse(p, t, "a table [rows, width] of F32, F16 or BF16");
        return (tensor){0};
    }
    if (as_f32)
        return take_as_f32(p, t, t->dim[0], t->dim[1]);
    tensor v = take(p, t->type, t->dim[0], t->dim[1]);
    upload(p, v, t, t->data);
    return v;
}
