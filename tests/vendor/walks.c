/* walks: see walks.h. Every op has a result of its own that is compared, because what a later op
 * makes of it would hide a mistake (a norm hides a factor). All numbers are exact in fp16, so that
 * `ref` starts from the same. */
#include "tests/vendor/walks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/half.h"
#include "tests/vendor/walk_ops.h"

static const char OUTSIDE[] = "opening or closing";
static const char *where = OUTSIDE;

static const weight weights[WEIGHTS] = {[THREE] = {.out = CHANNELS, .in = CHANNELS, .k = 3},
                                        [ONE] = {.out = CHANNELS, .in = CHANNELS, .k = 1},
                                        [BOTH] = {.out = CHANNELS, .in = 2 * CHANNELS, .k = 1},
                                        [IN_OUT] = {.out = LATENT, .in = LATENT, .k = 3}};

/* At most 2 in size, in 11 bits. */
static float soft(int a, int b, int64_t i)
{
    return (float)((int)(walk_scrambled(a, b, i) % 2047) - 1023) / 512;
}

/* Half of the channels nearly cancels the other half where the weights are the same: what is left
 * is what rounding makes of the order. */
static float hard(int a, int b, int64_t i)
{
    const bool second = i % CHANNELS >= PERIOD;
    const int64_t twin = second ? i - PERIOD : i;
    const float size = (float)(1 << walk_scrambled(a + 1, b, twin) % 8);
    const int m = 600 + (int)(walk_scrambled(a, b, twin) % 400);
    return (second ? -(float)(m + (int)(walk_scrambled(a, b, i) % 3) - 1) : (float)m) * size / 128;
}

/* Which rows are not finite. Of MAYBE: 0, 1, none; of PERHAPS: both, 0, none. So no answer is the
 * one that was there before. */
static bool is_missing(input which, int seed, int row)
{
    return which == MAYBE ? row == seed : row + seed < WALK_ROWS;
}

static float number_of(const bench *b, input which, int64_t i)
{
    const int seed = seed_of(b);
    switch (which) {
    case MASK: return (float)(walk_scrambled(which, seed, i) % 5) / 4;
    case ADDEND: return ldexpf(soft(which, seed, i), seed ? 0 : -6); /* not to hide a sum's order */
    case MAYBE:
    case PERHAPS: return is_missing(which, seed, (int)(i / 8)) ? NAN : 1;
    case X:
    case Y: return seed ? soft(which, seed, i) : hard(which, seed, i);
    default: return soft(which, seed, i);
    }
}

const char *walk_name(walk_kind kind)
{
    return walk_table[kind].name;
}

const char *walk_where(void)
{
    return where;
}

bool walk_is_on(void)
{
    return where != OUTSIDE;
}

/* ---------------------------------------------------------------- memory */

enum { SLAB = 1 << 15, APART = 64 };

static int64_t apart(int64_t count)
{
    return (count + APART - 1) / APART * APART;
}

/* Some of a slab, from a place on. */
static tensor part(tensor slab, int64_t at, input_shape s)
{
    tensor t = tensor_of(slab.data, slab.type, s.n, s.h, s.w, s.c);
    if (slab.data)
        t.data = (char *)slab.data + (size_t)at * dtype_bytes(slab.type);
    return t;
}

static int64_t size_of(input_shape s)
{
    return apart(s.n * s.h * s.w * s.c);
}

/* Inputs from the front, results from the end. */
static void share_out(bench *b)
{
    for (int i = 0; i < INPUTS; i++) {
        const input_shape s = walk_inputs[i];
        if (!(walk_table[b->kind].inputs & BIT(i)))
            continue;
        b->in[i] = part(b->slab[s.type], b->read[s.type], s);
        b->last[s.type] = b->read[s.type] + s.n * s.h * s.w * s.c;
        b->read[s.type] += size_of(s);
    }
    for (int i = 0; b->op[i].name; i++) {
        const input_shape s = b->op[i].out;
        b->made[s.type] += size_of(s);
        b->out[i] = part(b->slab[s.type], SLAB - b->made[s.type], s);
    }
}

static int64_t place_in(const bench *b, tensor t, input_type type)
{
    return ((char *)t.data - (char *)b->slab[type].data) / (int64_t)dtype_bytes(t.type);
}

static void fill(bench *b, input_type type)
{
    static float values[SLAB];
    static uint8_t bytes[SLAB];
    tensor read = b->slab[type];
    read.dim[3] = b->last[type];
    if (read.dim[3] == 0 || b->d->status != DEV_OK)
        return;
    for (int i = 0; i < INPUTS; i++)
        if (tensor_given(b->in[i]) && walk_inputs[i].type == type)
            for (int64_t j = 0, at = place_in(b, b->in[i], type); j < tensor_count(b->in[i]); j++) {
                bytes[at + j] = (uint8_t)walk_scrambled(i, seed_of(b), j);
                values[at + j] = number_of(b, (input)i, j);
            }
    if (type == BYTE)
        dev_upload(b->d, read, bytes);
    else
        dev_upload_floats(b->d, read, values);
}

static bool is_zero(const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && bytes[i] == 0)
        i++;
    return i == n;
}

/* What is written must not be what was there: results, and the scratch memory, are NaN before. The
 * staging memory, both halves of it, is filled by that, too. */
static void spoil(bench *b)
{
    static float values[SLAB];
    const size_t mark = dev_mark(b->d);
    const tensor made =
        part(b->slab[MAP], SLAB - b->made[MAP], (input_shape){MAP, 1, 1, 1, b->made[MAP]});
    const tensor scratch = dev_tensor(b->d, b->d->storage, 1, 1, 1, SLAB / 4);
    for (int i = 0; i < SLAB; i++)
        values[i] = NAN;
    if (b->d->status == DEV_OK) {
        dev_upload_floats(b->d, made, values);
        dev_upload_floats(b->d, scratch, values);
    }
    dev_release(b->d, mark);
}

/* False: what nobody has touched is not zero, as all that is kept begins. */
static bool read_results(bench *b, input_type type, float to[WALK_OPS][WALK_VALUES])
{
    static char bytes[SLAB * sizeof(float)];
    const size_t size = dtype_bytes(b->slab[type].type);
    if (b->made[type] == 0)
        return true;
    dev_download(b->d, bytes, b->slab[type]);
    for (int i = 0; b->op[i].name && b->d->status == DEV_OK; i++) {
        const tensor t = b->out[i];
        if (!tensor_given(t) || b->op[i].out.type != type)
            continue;
        for (int64_t j = 0, at = place_in(b, t, type); j < tensor_count(t); j++)
            to[i][j] =
                type == BYTE ? (float)(uint8_t)bytes[at + j] : load_float(bytes, t.type, at + j);
    }
    return b->d->status != DEV_OK || is_zero(bytes + (size_t)b->read[type] * size,
                                             (size_t)(SLAB - b->read[type] - b->made[type]) * size);
}

/* So does the memory of an arena, up to its end. */
static bool ends_with_zeros(dev *d, char *base)
{
    char bytes[64 * sizeof(float)] = {0};
    dev_download(
        d, bytes,
        tensor_of(base + ARENA_STEP - sizeof bytes, F32, 1, 1, 1, sizeof bytes / sizeof(float)));
    return d->status != DEV_OK || is_zero(bytes, sizeof bytes);
}

/* The same for channels that are PERIOD apart; of all sizes, so that sums have to be rounded. */
static void make_matrix(float *matrix, const weight *w, int seed)
{
    const int64_t taps = (int64_t)w->k * w->k;
    for (int64_t i = 0; i < w->out * w->in * taps; i++) {
        const int64_t tap = i % taps, channel = i / taps % w->in % PERIOD, out = i / taps / w->in;
        matrix[i] =
            ldexpf(soft(50 + seed, (int)channel, out * taps + tap), -2 - (int)(i % taps + out) % 4);
    }
}

static bool is_used(walk_kind kind, input_type type)
{
    bool used = false;
    for (int i = 0; i < INPUTS; i++)
        used |= (walk_table[kind].inputs & BIT(i)) && walk_inputs[i].type == type;
    for (const op *o = walk_table[kind].op; o->name; o++)
        used |= o->out.n > 0 && o->out.type == type;
    return used;
}

static void set_up(bench *b, dev *d, walk_kind kind)
{
    static float matrix[MATRIX];
    where = "setting up";
    *b = (bench){.d = d, .kind = kind, .op = walk_table[kind].op};
    memcpy(b->weight, weights, sizeof weights);
    if (walk_table[kind].weights && dev_arena(d, &b->arena, ARENA_STEP))
        for (int i = 0; i < WEIGHTS; i++)
            if (walk_table[kind].weights & BIT(i)) {
                make_matrix(matrix, &weights[i], i);
                op_pack(d, &b->weight[i], &b->arena, matrix, F32, 1);
            }
    const dtype type[TYPES] = {[MAP] = d->storage, [REAL] = F32, [BYTE] = U8};
    for (int i = 0; i < TYPES; i++)
        if (is_used(kind, (input_type)i))
            b->slab[i] = dev_keep(d, type[i], 1, 1, 1, SLAB);
    share_out(b);
}

static void take_down(bench *b)
{
    where = "closing";
    for (int i = 0; i < TYPES; i++)
        dev_drop(b->d, &b->slab[i]);
    arena_done(&b->arena);
    where = OUTSIDE;
}

static void walk(dev *d, void *arg)
{
    bench *b = arg;
    (void)d;
    b->next = b->finite[0];
    for (int i = 0; b->op[i].name; i++) {
        tensor out = b->out[i];
        out.dim[0] = b->rows;
        where = b->op[i].name;
        b->op[i].call(b, &out);
    }
    where = "playing"; /* unless it is done as it is */
}

/* False: what nobody has touched is not zero. */
static bool walk_once(bench *b, walk_results *to)
{
    float(*values)[WALK_VALUES] = to->value[b->time];
    bool untouched = true;
    b->first = b->time == WALK_ALONE ? WALK_ROWS - 1 : 0;
    b->rows = WALK_ROWS - b->first;
    where = "filling";
    for (int i = 0; i < TYPES && b->time != WALK_ALONE; i++) /* then they are there */
        fill(b, (input_type)i);
    where = "spoiling";
    spoil(b);
    for (int i = 0; i < WALK_ROWS; i++) { /* not what it should become */
        b->finite[0][i] = is_missing(MAYBE, seed_of(b), b->first + i);
        b->finite[1][i] = is_missing(PERHAPS, seed_of(b), b->first + i);
    }
    dev_run(b->d, walk, b);
    where = "reading";
    for (int i = 0; i < TYPES; i++)
        untouched &= read_results(b, (input_type)i, values);
    for (int i = 0, asked = 0; b->op[i].name; i++)
        if (!b->op[i].out.n) {
            for (int j = 0; j < b->rows; j++)
                values[i][j] = b->finite[asked][j] ? 1 : -1;
            asked++;
        }
    return untouched;
}

/* ---------------------------------------------------------------- results */

static int64_t values_of(const op *o)
{
    return o->out.n ? o->out.n * o->out.h * o->out.w * o->out.c : WALK_ROWS;
}

/* fp16 keeps 11 bits of every result; a byte may fall to either side. */
static bool is_near(const op *o, const float *got, const float *ref)
{
    double squares = 0;
    const int64_t n = values_of(o);
    for (int64_t i = 0; i < n; i++)
        squares += (double)ref[i] * ref[i];
    const double rms = sqrt(squares / (double)n);
    for (int64_t i = 0; i < n; i++) {
        const double most = o->out.type == BYTE ? 1 : 4e-3 * rms + 2e-3 * fabs(ref[i]);
        if (!(fabs((double)got[i] - ref[i]) <= most))
            return false;
    }
    return true;
}

static bool are_bytes(const op *o, const float *got, const float *want, int rows)
{
    return memcmp(got, want, (size_t)values_of(o) / WALK_ROWS * (size_t)rows * sizeof *got) == 0;
}

/* What this time has made. */
static bool is_right(const bench *b, const walk_results *got, const walk_results *ref, char *what)
{
    for (int i = 0; b->op[i].name; i++) {
        const op *o = &b->op[i];
        const float *made = got->value[b->time][i], *first = got->value[0][i];
        if (walk_is_soft(b->time) && !is_near(o, made, ref->value[b->time][i]))
            snprintf(what, WALK_WHAT, "%s, time %d: not near the reference", o->name, b->time);
        else if (b->time == WALK_AGAIN && !are_bytes(o, made, first, WALK_ROWS))
            snprintf(what, WALK_WHAT, "%s: played it has other bytes", o->name);
        else if (b->time == WALK_ALONE &&
                 !are_bytes(o, made, first + (WALK_ROWS - 1) * values_of(o) / WALK_ROWS, 1))
            snprintf(what, WALK_WHAT, "%s: a row alone has other bytes", o->name);
        else
            continue;
        return false;
    }
    return true;
}

bool walk_all(dev *d, walk_kind kind, walk_results *to, const walk_results *ref,
              char what[WALK_WHAT])
{
    bench b;
    bool right = true;
    memset(to, 0, sizeof *to);
    set_up(&b, d, kind);
    bool zeros = true;
    for (; right && zeros && b.time < WALK_TIMES && d->status == DEV_OK; b.time++) {
        zeros = walk_once(&b, to);
        right = d->status != DEV_OK || !ref || is_right(&b, to, ref, what);
    }
    where = "checking";
    zeros = zeros && (!b.arena.base || ends_with_zeros(d, b.arena.base)) &&
            (!d->scratch.base || !d->scratch.backed || ends_with_zeros(d, d->scratch.base));
    if (right && !zeros)
        snprintf(what, WALK_WHAT, "memory is not zero at first");
    right &= zeros;
    take_down(&b);
    if (right && d->status != DEV_OK)
        snprintf(what, WALK_WHAT, "%s", d->error);
    return right && d->status == DEV_OK;
}
