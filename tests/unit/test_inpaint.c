/* Inpainting models: what they see behind the latent and what they make of it, against an
 * independent implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/golden.h"
#include "tests/support/rig.h"
#include "worker/batch.h"
#include "worker/inpaint.h"

enum { LATENT_H = 2, LATENT_W = 3, FACTOR = 8, EXTRA = 5 };

/* All grey leaves the group norms almost no variance: the oracle's own fp32 is 8e-5 from its fp64.
 */
static const double GREY_TOLERANCE = 2e-4;

/* A rig with what the engine has around a device and a model. */
typedef struct {
    rig r;
    residents all;
    resident resident;
} studio;

static void studio_open(studio *s, const char *backend)
{
    s->r = rig_open("tiny9", (dev_options){.backend = backend, .threads = 2});
    s->all = (residents){.d = s->r.d};
    s->resident = (resident){.model = s->r.m};
}

static image golden_image(const checkpoint *golden, const char *name, int channels)
{
    int64_t dim[CHECKPOINT_DIMS];
    image i;
    err e = {0};
    float *values = golden_floats(golden, dim, "extra/%s", name);
    assert_int_equal(image_new(&i, (int)dim[1], (int)dim[0], channels, &e), 0);
    for (int64_t k = 0; k < dim[0] * dim[1] * channels; k++)
        i.px[k] = (uint8_t)values[k];
    free(values);
    return i;
}

static void check_extra(studio *s, const checkpoint *golden, const char *name, inpaint_view view)
{
    int64_t dim[CHECKPOINT_DIMS];
    err e = {0};
    tensor extra;
    view.h = LATENT_H;
    view.w = LATENT_W;
    float *nchw = golden_floats(golden, dim, "extra/%s", name);
    float *expected = golden_nhwc(nchw, 1, EXTRA, LATENT_H, LATENT_W);
    assert_int_equal(dim[2], LATENT_H);
    assert_int_equal(inpaint_extra(&s->all, &s->resident, &view, &extra, &e), 0);
    assert_int_equal(tensor_bytes(extra), LATENT_H * LATENT_W * EXTRA * sizeof(float));
    assert_int_equal(dev_mark(s->r.d), 0);
    const float *got = extra.data;
    const double distance = golden_distance(got, expected, LATENT_H * LATENT_W * EXTRA);
    print_message("%s %s: %.1e\n", s->r.d->name, name, distance);
    assert_true(distance <= (view.picture ? 2e-5 : GREY_TOLERANCE));
    for (int p = 0; p < LATENT_H * LATENT_W; p++) /* the mask itself is exact */
        assert_true(got[p * EXTRA] == expected[p * EXTRA]);
    dev_drop(s->r.d, &extra);
    assert_int_equal(s->r.d->kept, 0);
    free(nchw);
    free(expected);
}

static void masked_pictures(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("masked.safetensors");
    image picture = golden_image(golden, "picture", 3), mask = golden_image(golden, "mask", 1);
    const image *seen = &picture, *where = &mask;
    for (int i = 0; rig_backends()[i]; i++) {
        studio s;
        studio_open(&s, rig_backends()[i]);
        check_extra(&s, golden, "rounded/1",
                    (inpaint_view){.picture = seen, .mask = where, .weight = 1});
        check_extra(&s, golden, "rounded/0.4",
                    (inpaint_view){.picture = seen, .mask = where, .weight = 0.4});
        check_extra(&s, golden, "grey/0.7",
                    (inpaint_view){.picture = seen, .mask = where, .levels = true, .weight = 0.7});
        check_extra(&s, golden, "no-mask/0.4", (inpaint_view){.picture = seen, .weight = 0.4});
        check_extra(&s, golden, "no-picture", (inpaint_view){.weight = 1});
        rig_close(&s.r);
    }
    image_done(&picture);
    image_done(&mask);
    checkpoint_free(&golden);
}

/* ---------------------------------------------------------------- the network */

enum { ROWS = 2, STEPS = 4, H = 8, W = 5, C = 4, PIXELS = H * W, VALUES = PIXELS * C };

/* The golden rows, channels last. */
typedef struct {
    float *x, *context, *t, *eps;
    int64_t tokens, width;
} golden_rows;

static golden_rows rows_open(const checkpoint *golden)
{
    int64_t dim[CHECKPOINT_DIMS];
    golden_rows g = {.t = golden_floats(golden, dim, "unet9/t")};
    float *x = golden_floats(golden, dim, "unet9/x"), *eps;
    assert_true(dim[0] == ROWS && dim[1] == C + EXTRA && dim[2] == H && dim[3] == W);
    g.x = golden_nhwc(x, ROWS, C + EXTRA, H, W);
    eps = golden_floats(golden, dim, "unet9/eps");
    g.eps = golden_nhwc(eps, ROWS, C, H, W);
    g.context = golden_floats(golden, dim, "unet9/ctx");
    g.tokens = dim[1];
    g.width = dim[2];
    free(x);
    free(eps);
    return g;
}

static void rows_close(golden_rows *g)
{
    free(g->x);
    free(g->context);
    free(g->t);
    free(g->eps);
}

/* A sequence that is about to ask for golden row `i`. */
typedef struct {
    conditioning text, *texts[1];
    int same_text[STEPS];
    guidance guidance;
    tensor extra;
    seq *seq;
} asking;

static void asking_open(asking *a, rig *r, const golden_rows *g, int i)
{
    err e = {0};
    dev *d = r->d;
    const unet *u = r->m->unet;
    const size_t mark = dev_mark(d);
    tensor context =
        rig_tensor(r, g->context + i * g->tokens * g->width, 1, 1, g->tokens, g->width);
    a->text = (conditioning){.text = dev_keep(d, F32, 1, 1, g->tokens, unet_text_width(u)),
                             .tokens = (int)g->tokens};
    unet_text(d, &a->text.text, u, context);
    dev_release(d, mark);
    a->extra = dev_keep(d, F32, 1, H, W, EXTRA);
    a->texts[0] = &a->text;
    a->guidance = (guidance){.steps = STEPS, .rows = 1, .row = {{1, a->same_text}}};
    const seq_options o = {.sampler = SAMPLER_EULER,
                           .steps = STEPS,
                           .t_enc = STEPS - 1,
                           .h = H,
                           .w = W,
                           .extra = &a->extra,
                           .guidance = &a->guidance,
                           .texts = a->texts,
                           .time_width = unet_time_width(u)};
    a->seq = seq_new(d, &o, &e);
    assert_non_null(a->seq);
    unet_times(d, &a->seq->times, u, &(double){g->t[i]}, 1);
    a->seq->times_to = 1;
    for (int p = 0; p < PIXELS; p++) {
        const float *from = g->x + (i * PIXELS + p) * (C + EXTRA);
        memcpy((float *)a->seq->input.data + p * C, from, C * sizeof *from);
        memcpy((float *)a->extra.data + p * EXTRA, from + C, EXTRA * sizeof *from);
    }
}

static void asking_close(asking *a, dev *d)
{
    seq_free(d, &a->seq);
    dev_drop(d, &a->extra);
    dev_drop(d, &a->text.text);
}

static void nine_channels(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("masked.safetensors");
    golden_rows g = rows_open(golden);
    for (int i = 0; rig_backends()[i]; i++) {
        studio s;
        asking a[ROWS] = {0};
        bool finite[BATCH_ROWS_MAX];
        batch b = {.h = H, .w = W, .rows = ROWS, .tokens = (int)g.tokens};
        studio_open(&s, rig_backends()[i]);
        b.resident = &s.resident;
        for (int k = 0; k < ROWS; k++) {
            asking_open(&a[k], &s.r, &g, k);
            b.at[k].seq = a[k].seq;
        }
        batch_evaluate(&b, &s.all, finite);
        rig_check(&s.r);
        for (int k = 0; k < ROWS; k++) {
            const seq_row *row = &a[k].seq->row[0];
            const double distance =
                golden_distance(row->prediction.data, g.eps + k * VALUES, VALUES);
            print_message("%s row %d: %.1e\n", s.r.d->name, k, distance);
            assert_true(row->ready && finite[k] && distance <= 2e-5);
            asking_close(&a[k], s.r.d);
        }
        assert_int_equal(s.r.d->kept, 0);
        rig_close(&s.r);
    }
    rows_close(&g);
    checkpoint_free(&golden);
}

/* ---------------------------------------------------------------- failures */

static bool stop_at_once(void *arg)
{
    (void)arg;
    return true;
}

/* Nothing stays behind, and the device works on. */
static void stopped(void **state)
{
    (void)state;
    studio s;
    tensor extra;
    err e = {0};
    const inpaint_view view = {.h = LATENT_H, .w = LATENT_W, .weight = 1};
    studio_open(&s, "cpu");
    s.r.d->stop = stop_at_once;
    assert_int_equal(inpaint_extra(&s.all, &s.resident, &view, &extra, &e), ERR_CANCELLED);
    assert_false(tensor_given(extra));
    assert_int_equal(s.r.d->kept + dev_mark(s.r.d), 0);
    s.r.d->stop = NULL;
    assert_int_equal(inpaint_extra(&s.all, &s.resident, &view, &extra, &e), 0);
    dev_drop(s.r.d, &extra);
    rig_close(&s.r);
}

static void damaged_encoder(void **state)
{
    (void)state;
    static const char path[] = MODELS_DIR "/damaged9.safetensors";
    static const fixture_defect defect = {.name = "first_stage_model.encoder.conv_out.bias",
                                          .dims = 1,
                                          .dim = {8, 1, 1, 1},
                                          .nan = true};
    const fixture broken = {
        .config = fixture_config("tiny9"), .seed = 1, .type = F16, .defect = &defect, .defects = 1};
    const inpaint_view view = {.h = LATENT_H, .w = LATENT_W, .weight = 1};
    char why[256];
    err e = {0};
    tensor extra;
    assert_int_equal(fixture_write(&broken, path, &e), 0);
    studio s = {.r.d = dev_new(&(dev_options){.backend = "cpu", .threads = 2}, why)};
    assert_non_null(s.r.d);
    s.r.m = model_load(s.r.d, path, &e);
    unlink(path);
    assert_non_null(s.r.m);
    s.all.d = s.r.d;
    s.resident.model = s.r.m;
    assert_int_equal(inpaint_extra(&s.all, &s.resident, &view, &extra, &e), ERR_DEVICE);
    assert_non_null(strstr(e.text, "encoder of model damaged9 gave NaN"));
    assert_false(tensor_given(extra));
    assert_int_equal(s.r.d->kept, 0);
    rig_close(&s.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masked_pictures),
        cmocka_unit_test(nine_channels),
        cmocka_unit_test(stopped),
        cmocka_unit_test(damaged_encoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
