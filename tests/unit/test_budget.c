/* What a job with an upscaler takes of the memory budget: both of its networks together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/support/fixture.h"
#include "tests/support/jobs.h"
#include "worker/model/plan.h"
#include "worker/model/upscaler.h"
#include "worker/run.h"

enum { SIDE = 256, TOKENS = 77 };

static const char upscaler_name[] = "animevideov3-x4";

/* Weights, and the scratch of a job of SIDE x SIDE pixels. */
typedef struct {
    int64_t weights, scratch;
} need;

static need need_of_model(dev *dry)
{
    char path[1024];
    model *m = model_load(dry, fixture_shared("tiny", path), NULL);
    assert_non_null(m);
    const need n = {(int64_t)m->weights.peak,
                    (int64_t)model_measure(dry, m, SIDE, SIDE, 1, TOKENS).peak};
    model_free(&m);
    return n;
}

static need need_of_upscaler(dev *dry)
{
    model_file file;
    assert_int_equal(upscalers_find(GOLDEN_DIR, upscaler_name, &file, NULL), 0);
    upscaler *u = upscaler_load(dry, file.path, NULL);
    assert_non_null(u);
    const need n = {(int64_t)u->weights.peak,
                    (int64_t)upscaler_measure(dry, u, RUN_TILE_SIDE, RUN_TILE_SIDE).scratch};
    upscaler_free(&u);
    return n;
}

/* An img2img job whose picture is enlarged first, under this budget. */
static work *enlarged_within(int64_t budget)
{
    service *s = jobs_service("cpu", 1, 0, budget);
    work *w = jobs_make("img2img", (const char *const[]){"input", "100x100", "width", "256",
                                                         "height", "256", "steps", "2",
                                                         "img2img-upscaler", upscaler_name, NULL});
    jobs_run(s, &w, 1);
    service_free(&s);
    return w;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void both_networks_count(void **state)
{
    (void)state;
    char why[256];
    dev *dry = dev_new(&(dev_options){.backend = "cpu", .threads = 1, .dry = true}, why);
    assert_non_null(dry);
    const need m = need_of_model(dry), u = need_of_upscaler(dry);
    dev_free(&dry);
    const int64_t weights = m.weights + u.weights, scratch = larger(m.scratch, u.scratch);
    const int64_t rest = 4 << 20; /* latents, contexts and what is rounded up */

    work *w = enlarged_within(weights + scratch + rest);
    jobs_assert_done(w);
    work_free(&w);

    /* each network fits, but not what is needed beside the other's weights */
    w = enlarged_within(weights + scratch - 1);
    assert_int_equal(w->error.code, ERR_NO_MEMORY);
    assert_non_null(strstr(w->error.text, "the memory budget is"));
    assert_null(strstr(w->error.text, "other jobs"));
    work_free(&w);

    /* the weights of the two alone do not fit: nobody else is there to be waited for */
    w = enlarged_within(larger(m.weights + m.scratch, u.weights + u.scratch) + (1 << 20));
    assert_int_equal(w->error.code, ERR_NO_MEMORY);
    assert_null(strstr(w->error.text, "other jobs"));
    work_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_networks_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
