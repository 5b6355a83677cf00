/* The autoencoder against golden moments and pictures, and what its results must not depend on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/rig.h"

static const char *const cases[] = {"square", "wide", "odd", NULL};

/* Golden tensor [1,c,h,w] -> [1,h,w,c], malloc'ed, its shape in dim (n,h,w,c). */
static float *golden_picture(const checkpoint *golden, int64_t dim[4], const char *arch,
                             const char *name, const char *what)
{
    int64_t found[CHECKPOINT_DIMS];
    float *x = golden_floats(golden, found, "%s/%s/%s", arch, name, what);
    const int64_t order[4] = {found[0], found[2], found[3], found[1]};
    memcpy(dim, order, sizeof order);
    float *y = golden_nhwc(x, found[0], found[1], found[2], found[3]);
    free(x);
    return y;
}

typedef enum { ENCODE, DECODE } direction;
static const char *const inputs[] = {"image", "latent"}, *const outputs[] = {"moments", "decoded"};

/* The result for `n` copies of x; the golden latents are the decoder's input divided by 5. */
static float *run(rig *r, direction way, const float *x, const int64_t dim[4], int64_t n)
{
    size_t mark = dev_mark(r->d);
    int64_t count = dim[1] * dim[2] * dim[3];
    float *in = malloc((size_t)(n * count) * sizeof *in);
    assert_non_null(in);
    for (int64_t i = 0; i < n * count; i++)
        in[i] = way == DECODE ? 5 * x[i % count] : x[i % count];
    tensor t = rig_tensor(r, in, n, dim[1], dim[2], dim[3]);
    tensor y =
        way == DECODE ? vae_decode(r->d, NEW, r->m->vae, t) : vae_encode(r->d, NEW, r->m->vae, t);
    float *values = rig_values(r, y);
    free(in);
    dev_release(r->d, mark);
    return values;
}

static void check_golden(const checkpoint *golden, const char *backend, const char *arch)
{
    rig r = rig_open(arch, (dev_options){.backend = backend, .threads = 2});
    for (int i = 0; cases[i]; i++)
        for (direction way = ENCODE; way <= DECODE; way++) {
            int64_t in[4], out[4];
            float *x = golden_picture(golden, in, arch, cases[i], inputs[way]);
            float *want = golden_picture(golden, out, arch, cases[i], outputs[way]);
            float *got = run(&r, way, x, in, 1);
            double distance = golden_distance(got, want, out[1] * out[2] * out[3]);
            print_message("%s %s %s %s: %.2e\n", backend, arch, cases[i], outputs[way], distance);
            assert_true(distance <= rig_tolerance(&r, 2e-5));
            free(got);
            free(want);
            free(x);
        }
    rig_close(&r);
}

static void matches_golden(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("vae.safetensors");
    for (int i = 0; rig_backends()[i]; i++)
        for (int j = 0; rig_archs[j]; j++)
            check_golden(golden, rig_backends()[i], rig_archs[j]);
    checkpoint_free(&golden);
}

/* Every picture of a batch, every band height and every number of threads: the same bits. */
static void batches_bands_and_threads_change_nothing(void **state)
{
    (void)state;
    static const dev_options other[] = {
        {.backend = "cpu", .threads = 1, .band_rows = 1},
        {.backend = "cpu", .threads = 2, .band_rows = 5},
        {.backend = "cpu", .threads = 3, .band_rows = 512},
    };
    checkpoint *golden = golden_open("vae.safetensors");
    for (direction way = ENCODE; way <= DECODE; way++) {
        int64_t in[4], out[4];
        float *x = golden_picture(golden, in, "tiny3", "odd", inputs[way]);
        free(golden_picture(golden, out, "tiny3", "odd", outputs[way]));
        size_t bytes = (size_t)(out[1] * out[2] * out[3]) * sizeof(float);
        rig r = rig_open("tiny3", (dev_options){.backend = "cpu", .threads = 2});
        float *want = run(&r, way, x, in, 1);
        rig_close(&r);
        for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
            r = rig_open("tiny3", other[i]);
            float *two = run(&r, way, x, in, 2);
            assert_memory_equal(two, want, bytes);
            assert_memory_equal((char *)two + bytes, want, bytes);
            free(two);
            rig_close(&r);
        }
        free(want);
        free(x);
    }
    checkpoint_free(&golden);
}

static void dry_walk_knows_the_scratch(void **state)
{
    (void)state;
    for (direction way = ENCODE; way <= DECODE; way++) {
        dev_options options = {.backend = "cpu", .threads = 2};
        const int64_t picture[4] = {1, 96, 64, 3}, latent[4] = {1, 12, 8, 4};
        const int64_t *dim = way == ENCODE ? picture : latent;
        float *x = calloc((size_t)(dim[1] * dim[2] * dim[3]), sizeof *x);
        assert_non_null(x);
        rig r = rig_open("tiny", options);
        dev_reset_peak(r.d);
        free(run(&r, way, x, dim, 1));
        assert_int_equal(dev_mark(r.d), 0);
        size_t peak = r.d->counters.scratch_peak;
        rig_close(&r);

        options.dry = true;
        r = rig_open("tiny", options);
        dev_reset_peak(r.d);
        tensor t = rig_tensor(&r, NULL, 1, dim[1], dim[2], dim[3]);
        tensor y =
            way == DECODE ? vae_decode(r.d, NEW, r.m->vae, t) : vae_encode(r.d, NEW, r.m->vae, t);
        rig_check(&r);
        assert_int_equal(y.dim[1], way == DECODE ? 96 : 12);
        assert_int_equal(y.dim[3], way == DECODE ? 3 : 8);
        assert_int_equal(r.d->counters.scratch_peak, peak);
        rig_close(&r);
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_golden),
        cmocka_unit_test(batches_bands_and_threads_change_nothing),
        cmocka_unit_test(dry_walk_knows_the_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
