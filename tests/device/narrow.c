/* Narrow: see narrow.h. */
#include "tests/device/narrow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/half.h"
#include "tests/device/check_more.h"

enum { FAILURES_MOST = 5 };
enum { ALL = 1 << F32 | 1 << F16 | 1 << BF16, HALVES = 1 << F16 | 1 << BF16 };
static const float LARGEST = 60000, LARGEST_TERM = 16384;

const narrow_entry narrow_entries[] = {
    {"reserve", check_reserve, 0, 1, 0, false, false, 2, 0},
    {"pack", check_pack, 0, 1, 0, false, false, 4, 0},
    {"conv2d", check_conv2d, 8, 1, ALL, false, false, 20, 0}, /* by launchers only its end */
    {"group_norm", check_group_norm, 0, 8, HALVES, true, true, 2, 0x1e},
    {"tall_norm", check_tall_norm, 0, 8, 1 << F16, true, true, 1, 0},
    {"layer_norm", check_layer_norm, 0, 8, ALL, false, false, 2, 0xd},
    {"attention", check_attention, 4, 4096, ALL, false, true, 1,
     0x48}, /* weights are rounded too */
    {"flash", check_flash, 4, 1024, 1 << F16, false, true, 1, (1 << CHECK_FLASH_SHAPES) - 1},
    {"geglu", check_geglu, 0, 1, ALL, false, false, 2, 4},
    {"activate", check_activate, 0, 1, ALL, false, false, 2, 3},
    {"add", check_add, 0, 1, ALL, false, false, 2, 2},
    {"pixel_shuffle", check_pixel_shuffle, 0, 1, ALL, false, false, 2, 1},
    {"pixel_unshuffle", check_pixel_unshuffle, 0, 1, ALL, false, false, 2, 1},
    {"resize_nearest", check_resize_nearest, 0, 1, ALL, false, false, 2, 0},
    {"timestep_embedding", check_timestep_embedding, 0, 1, ALL, false, false, 2, 1},
    {"embed", check_embed, 0, 1, ALL, false, false, 2, 0},
    {"emphasis", check_emphasis, 0, 1, ALL, false, false, 2, 3},
    {"gather", check_gather, 0, 1, ALL, false, false, 2, 1},
    {"step", check_step, 0, 1, ALL, false, false, 2, 1},
    {"pixels_in", check_pixels_in, 0, 1, ALL, false, false, 2, 0},
    {"pixels_out", check_pixels_out, 0, 1, ALL, false, false, 2, 0},
    {"preview", check_preview, 0, 1, ALL, false, false, 2, 0},
    {"finite", check_finite, 0, 1, ALL, false, false, 2, 1},
};
const int narrow_count = sizeof narrow_entries / sizeof *narrow_entries;

static const double half_step[] = {[F32] = 0, [F16] = 0x1p-11, [BF16] = 0x1p-8};
static const double smallest[] = {[F32] = 0, [F16] = 0x1p-24, [BF16] = 0x1p-126};

const narrow_entry *narrow_of(const trial *t)
{
    for (int i = 0; i < narrow_count; i++)
        if (strcmp(narrow_entries[i].name, t->s->kernel) == 0)
            return &narrow_entries[i];
    return NULL;
}

/* ---- inputs ---- */

static bool is_float(dtype type)
{
    return type == F32 || type == F16 || type == BF16;
}

static void round_slot(tensor x, dtype type, float largest)
{
    for (int64_t i = 0; i < tensor_count(x); i++) {
        float v = load_float(x.data, x.type, i);
        if (isfinite(v) && fabsf(v) > largest)
            v = copysignf(largest, v);
        store_float(x.data, x.type, i, rounded_to(v, type));
    }
}

static void scale_slot(tensor x, float factor)
{
    float *v = x.data;
    for (int64_t i = 0; v && i < tensor_count(x); i++)
        v[i] *= factor;
}

/* The slack was found for more. */
static void make_quiet(trial *t)
{
    enum { FIRST = 1, LAST = 3 }; /* slots of the inputs */
    for (int i = FIRST; i <= LAST; i++)
        scale_slot(t->at[i].t, 0x1p-8f);
}

static double largest(tensor x)
{
    double most = 0;
    for (int64_t i = 0; i < tensor_count(x); i++)
        most = fmax(most, fabs((double)load_float(x.data, x.type, i)));
    return most;
}

/* Largest sum of |w| over what makes one output. */
static double largest_row(tensor w)
{
    const int64_t row = w.dim[1] * w.dim[2] * w.dim[3];
    double most = 0;
    for (int64_t o = 0; o < w.dim[0]; o++) {
        double sum = 0;
        for (int64_t i = 0; i < row; i++)
            sum += fabs((double)load_float(w.data, w.type, o * row + i));
        most = fmax(most, sum);
    }
    return most;
}

static void hold_sums(trial *t)
{
    const tensor w = t->at[t->matrix_slot].t;
    double most = 0;
    for (int i = 0; i < SLOTS; i++)
        if (t->at[i].in && t->at[i].batched)
            most = fmax(most, largest(t->at[i].t));
    const double sum = fmin(most, LARGEST_TERM) * largest_row(w);
    if (sum > LARGEST_TERM)
        scale_slot(w, (float)exp2(-ceil(log2(sum / LARGEST_TERM))));
}

void narrow_inputs(trial *t, dtype type, bool sums)
{
    const bool product = sums && t->matrix.k != 0;
    if (strstr(t->s->kernel, "_norm") && t->s->round % 2 == 1)
        make_quiet(t);
    if (product)
        hold_sums(t);
    for (int i = 0; i < SLOTS; i++)
        if (t->at[i].in && is_float(t->at[i].t.type) && type != F32)
            round_slot(t->at[i].t, type, product ? LARGEST_TERM : LARGEST);
}

/* ---- results ---- */

static double rms(const float *x, int64_t count)
{
    double squares = 0;
    for (int64_t i = 0; i < count; i++)
        squares += (double)x[i] * x[i];
    return sqrt(squares / (double)count);
}

/* The same float, where the type of the kernels cannot hold more: infinite. */
static bool same(float got, float expected, dtype type)
{
    return got == expected || (isnan(got) && isnan(expected)) ||
           (type == F16 && fabsf(expected) >= 65504 && fabsf(got) >= 65504);
}

static bool compare_row(const trial *t, dtype type, const float *got, const float *expected,
                        int64_t row, double slack, double *worst)
{
    const narrow_entry *e = narrow_of(t);
    const double step = half_step[type], size = rms(expected, row);
    for (int64_t i = 0; i < row; i++) {
        const double allowed = (t->tolerance + e->of_row * step) * size + e->slack * slack +
                               step * fabs((double)expected[i]) + (step > 0 ? smallest[type] : 0);
        const double error = fabs((double)got[i] - expected[i]);
        if (same(got[i], expected[i], type))
            continue;
        if (!(error <= allowed)) {
            trial_fail(t, "type %d: value %lld of a row is %.9g, expected %.9g within %.3g", type,
                       (long long)i, (double)got[i], (double)expected[i], allowed);
            return false;
        }
        *worst = fmax(*worst, error / allowed);
    }
    return true;
}

static bool compare_bytes(const trial *t, dtype type, const uint8_t *got, const uint8_t *expected,
                          int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (abs(got[i] - expected[i]) > t->levels) {
            trial_fail(t, "type %d: byte %lld is %d, expected %d", type, (long long)i, got[i],
                       expected[i]);
            return false;
        }
    return true;
}

static bool compare_slot(const trial *t, dtype type, int i, const outcome *got,
                         const outcome *expected, double *worst)
{
    const tensor shape = t->at[i].t;
    const int64_t count = tensor_count(shape), sample = count / shape.dim[0];
    const int64_t row = t->by_sample ? sample : shape.dim[3];
    if (shape.type == U8)
        return compare_bytes(t, type, got->out[i], expected->out[i], count);
    for (int64_t from = 0; from < count; from += row) {
        const double slack = t->at[i].batched ? t->slack[from / sample] : t->slack[0];
        if (!compare_row(t, type, (const float *)got->out[i] + from,
                         (const float *)expected->out[i] + from, row, slack, worst))
            return false;
    }
    return true;
}

static bool compare_slots(const trial *t, dtype type, const outcome *got, const outcome *expected,
                          double *worst)
{
    for (int i = 0; i < SLOTS; i++)
        if (t->at[i].out && !compare_slot(t, type, i, got, expected, worst))
            return false;
    return true;
}

static bool check_bits(const trial *t, narrow_run *run, int64_t first, unsigned way,
                       const char *what, const outcome *expected)
{
    outcome got;
    const bool good =
        run(t, first, way, &got) && compare_bits(t, t->s->subject[0].real, what, &got, expected);
    outcome_done(&got);
    return good;
}

static bool check_alone(const trial *t, narrow_run *run, const outcome *batch)
{
    const int64_t n = trial_samples(t);
    bool good = true;
    for (int64_t i = 0; i < n && n > 1 && !t->together && good; i++) {
        const trial one = trial_sample(t, i);
        const outcome part = trial_part(t, batch, i);
        good = check_bits(&one, run, i, 0, "a sample alone and in its batch", &part);
    }
    return good;
}

bool narrow_check(const trial *t, dtype type, narrow_run *run, unsigned ways, double *worst)
{
    outcome expected = {0}, got = {0};
    bool good = run_dry(t, t->s->ref.dry, 0, &expected) &&
                run_once(t, t->s->ref.real, 0, 0, &expected) && run(t, 0, 0, &got) &&
                compare_slots(t, type, &got, &expected, worst) && check_alone(t, run, &got);
    for (unsigned way = 1; ways >> way && good; way++)
        if (ways >> way & 1)
            good = check_bits(t, run, 0, way, "another way of running it", &got);
    outcome_done(&expected);
    outcome_done(&got);
    return good;
}

/* ---- programs ---- */

/* Each round has its own stream, so that one kernel alone gives the same trials. */
void narrow_kernel(session *s, int which, unsigned real)
{
    const narrow_entry *e = &narrow_entries[which];
    const long failures = s->failures;
    s->kernel = e->name;
    s->shape = -1;
    s->shapes = 0;
    for (int i = 0; i < s->rounds && s->failures < failures + FAILURES_MOST; i++) {
        s->round = i;
        s->random.state = s->seed * 0x100000001b3u + (uint64_t)which * 1000003u + (uint64_t)i;
        e->check(s);
    }
    s->round = 0;
    for (int i = 0; s->real && (i == 0 || i < s->shapes) && s->failures == failures; i++)
        if (real >> i & 1) {
            s->shape = i;
            e->check(s);
        }
    s->shape = -1;
}

bool narrow_options(session *s, int argc, char **argv, const char **device)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--real") == 0)
            s->real = true;
        else if (i + 1 == argc)
            return false;
        else if (strcmp(argv[i], "--seed") == 0)
            s->seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0)
            s->rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--kernel") == 0)
            s->only = argv[++i];
        else if (device && strcmp(argv[i], "--device") == 0)
            *device = argv[++i];
        else
            return false;
    }
    return true;
}
