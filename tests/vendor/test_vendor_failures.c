/* A GPU whose n-th call fails, for every n, while it is opened, makes all it can of a small walk,
 * and is closed. For want of memory: whatever failed says so, everything is given back, and the
 * next walk has the bytes of an undisturbed one. For good: the device is broken, says why, and can
 * still be closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/ops.h"
#include "tests/vendor/vendor.h"

/* Of a feature map; the channels are a multiple of what tensor cores take. */
enum { SIDE = 4, CHANNELS = 32, PIXELS = SIDE * SIDE, VALUES = PIXELS * CHANNELS };
/* A walk is done as it is, then captured, then played. */
enum { WALKS = 4 };

static const vendor_controls *vendor;
static char cache[] = "/tmp/overpaint_failures_XXXXXX";

/* ---------------------------------------------------------------- what a GPU is asked for */

typedef struct {
    dev *d;
    arena weights;
    weight conv, linear;
    tensor x, y, bias, scale, shift;
    bool finite;
} bench;

/* Numbers that a network could have. */
static void numbers(float *to, int count, int seed)
{
    for (int i = 0; i < count; i++)
        to[i] = (float)((i * 7 + seed * 13) % 31 - 15) / 64;
}

static tensor keep(dev *d, dtype type, int64_t h, int64_t w, int seed)
{
    float values[VALUES];
    tensor t = dev_keep(d, type, 1, h, w, CHANNELS);
    numbers(values, (int)(h * w * CHANNELS), seed);
    dev_upload_floats(d, t, values);
    return t;
}

static void set_up(bench *b, dev *d)
{
    static float matrix[CHANNELS * CHANNELS * 9];
    *b = (bench){.d = d,
                 .conv = {.out = CHANNELS, .in = CHANNELS, .k = 3},
                 .linear = {.out = CHANNELS, .in = CHANNELS, .k = 1}};
    numbers(matrix, CHANNELS * CHANNELS * 9, 1);
    if (dev_arena(d, &b->weights, ARENA_STEP)) {
        op_pack(d, &b->conv, &b->weights, matrix, F32, 1);
        op_pack(d, &b->linear, &b->weights, matrix, F32, 1);
    }
    b->x = keep(d, d->storage, SIDE, SIDE, 2);
    b->y = keep(d, d->storage, SIDE, SIDE, 3);
    b->bias = keep(d, d->storage, 1, 1, 4);
    b->scale = keep(d, F32, 1, 1, 5);
    b->shift = keep(d, F32, 1, 1, 6);
}

static void take_down(bench *b)
{
    tensor *kept[] = {&b->x, &b->y, &b->bias, &b->scale, &b->shift};
    for (int i = 0; i < 5; i++)
        dev_drop(b->d, kept[i]);
    arena_done(&b->weights);
}

static void walk(dev *d, void *arg)
{
    bench *b = arg;
    const double t[1] = {500};
    const size_t mark = dev_mark(d);
    tensor x = op_conv2d(d, NEW, b->x, &b->conv, (conv2d_options){.bias = b->bias});
    tensor e = op_timestep_embedding(d, NEW, t, 1, CHANNELS);
    x = op_group_norm(d, NEW, x, b->scale, b->shift,
                      (group_norm_options){.add = e, .groups = 4, .act = ACT_SILU});
    tensor tokens = x;
    tokens.dim[1] = 1;
    tokens.dim[2] = PIXELS;
    tensor q = op_linear(d, NEW, tokens, &b->linear, (conv2d_options){.bias = b->bias});
    tensor a = op_attention(d, NEW, q, tokens, tokens, 1, true, NULL);
    tensor y = b->y;
    y.dim[1] = 1;
    y.dim[2] = PIXELS;
    op_linear(d, &y, a, &b->linear, (conv2d_options){.residual = tokens});
    op_finite(d, y, &b->finite);
    dev_release(d, mark);
}

/* The bytes of the last of several walks; false: the device has failed. */
static bool make(dev *d, uint16_t to[VALUES])
{
    bench b;
    set_up(&b, d);
    for (int i = 0; i < WALKS && d->status == DEV_OK; i++)
        dev_run(d, walk, &b);
    dev_download(d, to, b.y);
    const bool good = d->status == DEV_OK;
    take_down(&b);
    if (good)
        assert_true(b.finite);
    return good;
}

static dev *open_device(const char *folder, char why[256])
{
    const dev_options o = {.backend = "cuemu", .scratch_bytes = 4 * ARENA_STEP, .cache = folder};
    why[0] = 0;
    return dev_new(&o, why);
}

/* ---------------------------------------------------------------- failures */

static void assert_unreported(long n)
{
    const char *report = vendor->reported();
    if (report)
        fail_msg("call %ld: reported: %s", n, report);
}

static void fail_at(long n, const char *kind)
{
    char text[64];
    snprintf(text, sizeof text, "%ld%s", n, kind);
    vendor->fail_at(text);
}

/* Want of memory at one call; true: it came to that. */
static bool survives(long n, const char *kind, const char *folder, const uint16_t want[VALUES])
{
    char why[256];
    uint16_t got[VALUES];
    fail_at(n, kind);
    dev *d = open_device(folder, why);
    const bool opened = d != NULL, made = opened && make(d, got);
    const bool met = vendor->calls() >= n;
    vendor->fail_at(NULL);
    if (!opened) {
        if (!met || (!strstr(why, "memory") && !strstr(why, "ALLOC")))
            fail_msg("call %ld: opening: %s", n, why);
        d = open_device(folder, why);
        assert_non_null(d);
    } else if (!made) {
        if (!met || d->status != DEV_NO_MEMORY || !d->error[0])
            fail_msg("call %ld: status %d: %s", n, d->status, d->error);
        dev_clear(d);
    }
    if (!made && !make(d, got))
        fail_msg("call %ld: the next walk: %s", n, d->error);
    if (memcmp(got, want, sizeof got))
        fail_msg("call %ld: other bytes", n);
    dev_free(&d);
    assert_int_equal(vendor->taken(), 0);
    assert_unreported(n);
    return met;
}

static void expected(const char *folder, uint16_t want[VALUES])
{
    char why[256];
    dev *d = open_device(folder, why);
    if (!d)
        fail_msg("%s", why);
    assert_true(make(d, want));
    dev_free(&d);
    assert_unreported(0);
}

/* The further on, the fewer are tried: `skipping` at a time more. */
static void sweep(const char *kind, const char *folder, int skipping)
{
    uint16_t want[VALUES];
    long n = 1, tried = 0;
    expected(folder, want);
    for (; survives(n, kind, folder, want); n += 1 + n / skipping)
        tried++;
    print_message("%ld calls%s, %ld tried\n", n, kind, tried);
    assert_true(tried > 20);
}

/* Every plan is read from the disk after the first start. */
static void any_call_finds_no_memory(void **state)
{
    (void)state;
    sweep("", cache, 100);
}

static void taking_finds_no_memory(void **state)
{
    (void)state;
    sweep(":memory", cache, 1000);
}

/* Without plans on the disk everything is chosen: the same, whatever finds no memory meanwhile. */
static void choosing_finds_no_memory(void **state)
{
    (void)state;
    sweep("", NULL, 12);
}

/* ---------------------------------------------------------------- a device that is lost */

/* In a process of its own, because what is lost stays so. Its exit code: 0, it came to that; 1: not
 * that far; 2: something is wrong. */
static int loses(long n)
{
    char why[256];
    uint16_t got[VALUES];
    fail_at(n, ":sticky");
    dev *d = open_device(cache, why);
    const bool made = d && make(d, got), met = vendor->calls() >= n;
    if (!d) {
        fprintf(stderr, "%s", strlen(why) > 8 && met ? "" : "opening fails without a reason\n");
        return strlen(why) > 8 && met ? 0 : 2;
    }
    for (int i = 0; i < 2 && !made; i++) {
        if (!met || d->status != DEV_BROKEN || !d->error[0]) {
            fprintf(stderr, "call %ld: status %d: %s\n", n, d->status, d->error);
            return 2;
        }
        dev_clear(d);
        make(d, got); /* it stays broken */
    }
    dev_free(&d);
    const char *report = vendor->reported();
    if (report)
        fprintf(stderr, "call %ld: reported: %s\n", n, report);
    return report ? 2 : !met;
}

static void lost_at_any_call(void **state)
{
    (void)state;
    long n = 1, tried = 0;
    for (int status = 0; !status; n += 1 + n / 20, tried++) {
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0)
            _exit(loses(n));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    }
    print_message("%ld calls, %ld tried\n", n, tried);
    assert_true(tried > 20);
}

/* ---------------------------------------------------------------- */

/* Loads the module, and fills the folder of plans. */
static int load(void **state)
{
    (void)state;
    void *module = dlopen(VENDOR_MODULE, RTLD_NOW | RTLD_LOCAL); /* dev_new will find the same */
    const vendor_controls *(*controls)(void) =
        module ? (const vendor_controls *(*)(void))dlsym(module, "overpaint_vendor") : NULL;
    vendor = controls ? controls() : NULL;
    if (!vendor || !mkdtemp(cache))
        return 1;
    uint16_t first[VALUES];
    expected(cache, first);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", cache);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_finds_no_memory),
        cmocka_unit_test(taking_finds_no_memory),
        cmocka_unit_test(choosing_finds_no_memory),
        cmocka_unit_test(lost_at_any_call),
    };
    return cmocka_run_group_tests(tests, load, clean);
}
