/* What the CPU backend packs, to the bit: a panel and a Winograd filter written out as simd.h and
 * cpu.h define them, one value at a time. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cpu/cpu.h"
#include "kernels/half.h"
#include "kernels/ops.h"

enum { WEIGHTS = 32 << 20 };

typedef struct {
    int64_t out, in;
    int k, stride;
} shape;

/* One more than whole vectors and panels, one less, and sides that a model has. */
static const shape shapes[] = {{1, 1, 1, 1},   {31, 17, 1, 1}, {33, 64, 1, 1}, {96, 33, 1, 1},
                               {3, 5, 3, 1},   {64, 31, 3, 1}, {40, 33, 3, 2}, {32, 32, 3, 1},
                               {65, 47, 3, 1}, {4, 48, 3, 1},  {64, 49, 3, 2}, {70, 97, 3, 1},
                               {320, 80, 3, 1}};

/* A matrix of numbers of every size, none of them NaN, one byte off every alignment. */
static char *file_of(int64_t count, dtype type)
{
    size_t size = dtype_bytes(type);
    char *bytes = malloc((size_t)count * size + 1);
    uint32_t state = 7;
    assert_non_null(bytes);
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        uint32_t value = state ^ state >> 15;
        if (type == F32)
            value = (value & 0x8fffffff) | 0x30000000;
        else
            value &= type == F16 ? 0xbbff : 0xbfff; /* no exponent of ones only */
        memcpy(bytes + 1 + (size_t)i * size, &value, size);
    }
    return bytes;
}

/* What was reserved and packed among others. */
typedef struct {
    shape s;
    weight w;
    char *file;
    dtype type;
    int exponent;
} packed;

static float value_of(const packed *p, int64_t o, int64_t i, int64_t tap)
{
    const int64_t taps = (int64_t)p->s.k * p->s.k;
    if (o >= p->s.out)
        return 0;
    return ldexpf(load_float(p->file + 1, p->type, (o * p->s.in + i) * taps + tap), p->exponent);
}

static void expect_panels(const packed *p)
{
    const shape s = p->s;
    const float *got = p->w.data;
    int64_t taps = (int64_t)s.k * s.k;
    for (int64_t panel = 0; panel < panels_of(s.out); panel++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t i = 0; i < s.in; i++)
                for (int64_t j = 0; j < PANEL; j++, got++) {
                    float wanted = value_of(p, panel * PANEL + j, i, tap);
                    assert_memory_equal(got, &wanted, sizeof wanted);
                }
}

/* Row y of G, for a point p: (1, p, p^2) / the product of its distances to the others. */
static double transform(int y, int j)
{
    static const double point[5] = {0, WINOGRAD_A, -WINOGRAD_A, WINOGRAD_B, -WINOGRAD_B};
    if (y == 5)
        return j == 2;
    double distance = 1;
    for (int i = 0; i < 5; i++)
        distance *= i == y ? 1 : point[y] - point[i];
    return (j == 0 ? 1 : j == 1 ? point[y] : point[y] * point[y]) / distance;
}

/* (G g G^T)[y][x] of one filter, rounded once. */
static float transformed(const float g[9], int y, int x)
{
    double half[3];
    for (int j = 0; j < 3; j++)
        half[j] = transform(y, 0) * (double)g[j] + transform(y, 1) * (double)g[3 + j] +
                  transform(y, 2) * (double)g[6 + j];
    return (float)(half[0] * transform(x, 0) + half[1] * transform(x, 1) +
                   half[2] * transform(x, 2));
}

static void expect_winograd(const packed *p)
{
    const shape s = p->s;
    int64_t plane = panels_of(s.out) * s.in * PANEL;
    for (int64_t o = 0; o < panels_of(s.out) * PANEL; o++)
        for (int64_t i = 0; i < s.in; i++) {
            float g[9];
            for (int tap = 0; tap < 9; tap++)
                g[tap] = value_of(p, o, i, tap);
            const float *at = (const float *)p->w.data + (o / PANEL * s.in + i) * PANEL + o % PANEL;
            for (int e = 0; e < WINOGRAD_IN; e++) {
                float wanted = transformed(g, e / 6, e % 6);
                assert_memory_equal(at + e * plane, &wanted, sizeof wanted);
            }
        }
}

static packed reserve(dev *d, arena *to, shape s, dtype type, int exponent)
{
    packed p = {.s = s,
                .w = {.out = s.out, .in = s.in, .k = s.k},
                .file = file_of(s.out * s.in * s.k * s.k, type),
                .type = type,
                .exponent = exponent};
    op_reserve(d, &p.w, to, s.stride);
    bool winograd = s.k == 3 && s.stride == 1 && s.in >= 32 && s.in <= d->options.winograd_most;
    assert_int_equal(p.w.layout, winograd ? LAYOUT_WINOGRAD : LAYOUT_PANELS);
    return p;
}

static void check_all(const char *isa, int threads)
{
    enum { SHAPES = sizeof shapes / sizeof *shapes, COUNT = 3 * SHAPES };
    char why[256] = "";
    arena to;
    packed all[COUNT];
    pack_item item[COUNT];
    dev_options o = {.backend = "cpu", .isa = isa, .threads = threads, .winograd_most = 80};
    dev *d = dev_new(&o, why);
    if (!d)
        fail_msg("%s", why);
    assert_true(arena_init(&to, WEIGHTS, false));
    memset(to.base, 0xff, WEIGHTS); /* every value must be written, zeros too */
    for (int i = 0; i < COUNT; i++) {
        all[i] = reserve(d, &to, shapes[i / 3], (dtype)(i % 3), i % 2 ? i % 7 - 5 : 0);
        item[i] = (pack_item){.w = all[i].w,
                              .source = all[i].file + 1,
                              .type = all[i].type,
                              .exponent = all[i].exponent};
    }
    op_pack_all(d, item, COUNT);
    assert_int_equal(d->status, DEV_OK);
    for (int i = 0; i < COUNT; i++) {
        const packed *p = &all[i];
        (p->w.layout == LAYOUT_WINOGRAD ? expect_winograd : expect_panels)(p);
        free(p->file);
    }
    assert_int_equal((unsigned char)to.base[to.used], 0xff);
    arena_done(&to);
    dev_free(&d);
}

static void test_best(void **state)
{
    (void)state;
    check_all(NULL, 1);
    check_all(NULL, 3);
}

static void test_avx2(void **state)
{
    (void)state;
    check_all("avx2", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_best), cmocka_unit_test(test_avx2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
