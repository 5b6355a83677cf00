/* Pictures made by the real programs on the emulated GPU: near the CPU's, and the same bytes alone,
 * in a larger batch and on another GPU. Small and few, because a UNet call takes seconds there; all
 * golden pictures are `OVERPAINT_BACKEND=cuemu process_golden`. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/farm.h"
#include "tests/support/picture.h"
#include "worker/image/decode.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum { SECONDS = 540 };
static const double PSNR_LEAST = 40; /* dB, against the CPU's */

static const char *const first[] = {"prompt", "a red fox", "seed", "5", "steps", "4", NULL};
/* Another sampler and a longer prompt: other timesteps and other counts of keys in the batch. */
static const char *const second[] = {
    "prompt", "a blue bird, BREAK, on a branch", "seed", "6", "steps", "3", "sampler", "euler_a",
    NULL};

static image decode(const farm_file *f)
{
    image i = {0};
    err e = {0};
    if (image_decode(&i, f->bytes, f->size, &image_default_limits, &e))
        fail_msg("%s", e.text);
    return i;
}

static void assert_near(const farm_file *got, const farm_file *want)
{
    image a = decode(got), b = decode(want);
    const double psnr = picture_psnr(&a, &b);
    print_message("PSNR %.1f dB\n", psnr);
    assert_true(psnr >= PSNR_LEAST);
    image_done(&a);
    image_done(&b);
}

/* Is the other job's row in a batch with this one's? */
static bool is_shared(farm *f, const overpaint_id *a, const overpaint_id *b)
{
    return farm_runs(f, 0, a, 1) && farm_runs(f, 0, b, 1);
}

static void pictures_are_right_and_the_same(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 1, .seconds = SECONDS});
    farm_file alone = farm_make(f, first);
    const overpaint_id a = farm_submit(f, f->o, first), b = farm_submit(f, f->o, second);
    FARM_UNTIL(f, is_shared(f, &a, &b));
    farm_file together = farm_result(f, f->o, &a), other = farm_result(f, f->o, &b);
    farm_same(&alone, &together, "alone and in a batch");

    process_signal(&f->worker[0], SIGTERM);
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 0);
    farm_wait_workers(f, 0);
    f->options.worker = WORDS("--threads", "1");
    farm_start_worker(f, 0);
    farm_wait_workers(f, 1);
    farm_file first_on_cpu = farm_make(f, first), second_on_cpu = farm_make(f, second);
    assert_near(&alone, &first_on_cpu);
    assert_near(&other, &second_on_cpu);
    farm_file_done(&alone);
    farm_file_done(&together);
    farm_file_done(&other);
    farm_file_done(&first_on_cpu);
    farm_file_done(&second_on_cpu);
    f->passed = true;
}

/* Devices of the worker that have evaluated something. */
static int used_devices(farm *f)
{
    int used = 0;
    size_t w, d;
    json_t *s = farm_status(f), *worker, *device;
    json_array_foreach(json_object_get(s, "workers"), w, worker)
        json_array_foreach(json_object_get(worker, "devices"), d, device) used +=
        json_integer_value(json_object_get(device, "evaluations")) > 0;
    json_decref(s);
    return used;
}

/* Of two GPUs one has read the file. */
static void assert_copied(farm *f)
{
    char *log = process_read(f->worker[0].err, NULL);
    const char *copied = strstr(log, "model_copied device=cuemu:");
    assert_non_null(copied);
    assert_non_null(strstr(copied, " by=\"" CARRIER));
    free(log);
}

/* One worker, one engine a GPU: the same job on both at once; then one engine with both. */
static void two_gpus_give_the_same(void **state)
{
    setenv("OVERPAINT_VENDOR_DEVICES", "2", 1);
    farm *f = farm_open(state, &(farm_options){.workers = 1,
                                               .seconds = SECONDS,
                                               .worker = WORDS("--device", "cuemu:0,cuemu:1")});
    const overpaint_id a = farm_submit(f, f->o, first), b = farm_submit(f, f->o, first);
    farm_file one = farm_result(f, f->o, &a), other = farm_result(f, f->o, &b);
    farm_same(&one, &other, "on two GPUs");
    FARM_UNTIL(f, used_devices(f) == 2);
    farm_file_done(&other);
    assert_copied(f);

    process_signal(&f->worker[0], SIGTERM);
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 0);
    farm_wait_workers(f, 0);
    f->options.worker = WORDS("--device", "cuemu:0,cuemu:1", "--cfg-parallel");
    farm_start_worker(f, 0);
    farm_wait_workers(f, 1);
    other = farm_make(f, first);
    farm_same(&one, &other, "with a half of the guidance on each of two GPUs");
    assert_true(used_devices(f) == 1); /* they are one */
    assert_copied(f);
    farm_file_done(&one);
    farm_file_done(&other);
    unsetenv("OVERPAINT_VENDOR_DEVICES");
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {farm_test(pictures_are_right_and_the_same),
                                       farm_test(two_gpus_give_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
