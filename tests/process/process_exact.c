/* --exact of the real programs: one job on workers of every mode, and a job that goes from a worker
 * of one mode to one of another. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/command/command.h"
#include "tests/support/farm.h"
#include "tests/support/picture.h"
#include "worker/image/decode.h"

static const char *const subject[] = {"steps", "6", "seed", "7", "prompt", "a red fox", NULL};
static const char *const company[] = {"steps", "9", "seed", "8", "prompt", "a bird AND snow", NULL};

static void start(farm *f, int i, const char *mode)
{
    f->options.worker = WORDS("--threads", "1", "--exact", mode);
    farm_start_worker(f, i);
}

/* What the class of a worker's device says of this; "": nothing. */
static void assert_class(farm *f, const char *mode)
{
    json_t *s = farm_status(f);
    const json_t *worker = json_array_get(json_object_get(s, "workers"), 0);
    const json_t *device = json_array_get(json_object_get(worker, "devices"), 0);
    const char *class = json_string_value(json_object_get(device, "class"));
    assert_non_null(class);
    assert_non_null(strstr(class, mode));
    assert_int_equal(strstr(class, "exact") != NULL, *mode != 0);
    json_decref(s);
}

/* The job among others, on a worker of this mode. */
static farm_file make_with(farm *f, const char *mode, const char *class)
{
    start(f, 0, mode);
    farm_wait_workers(f, 1);
    assert_class(f, class);
    const overpaint_id other = farm_submit(f, f->o, company);
    farm_file made = farm_make(f, subject), more = farm_result(f, f->o, &other);
    farm_file_done(&more);
    process_signal(&f->worker[0], SIGTERM);
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 0);
    farm_wait_workers(f, 0);
    return made;
}

static image decode(const farm_file *f)
{
    image i = {0};
    err e = {0};
    if (image_decode(&i, f->bytes, f->size, &image_default_limits, &e))
        fail_msg("%s", e.text);
    return i;
}

static bool says_off(farm *f, const farm_file *file)
{
    char path[PROCESS_PATH];
    FILE *to = fopen(farm_path(f, path, "made.png"), "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(file->bytes, 1, file->size, to), file->size);
    assert_int_equal(fclose(to), 0);
    const farm_outcome said = farm_command(f, WORDS("info", path));
    farm_expect(&said, EXIT_OK, "");
    return strstr(said.out, "\nExact: off\n") != NULL;
}

static void every_mode(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 0});
    farm_file on = make_with(f, "on", ""), pairs = make_with(f, "pairs", ", exact pairs"),
              off = make_with(f, "off", ", exact off");
    farm_same(&on, &pairs, "in pairs");
    assert_false(says_off(f, &on));
    assert_true(says_off(f, &off));
    image a = decode(&on), b = decode(&off); /* on a CPU nothing else changes */
    assert_memory_equal(a.px, b.px, (size_t)a.w * a.h * a.channels);
    image_done(&a);
    image_done(&b);
    farm_file_done(&on);
    farm_file_done(&pairs);
    farm_file_done(&off);
    f->passed = true;
}

/* Its worker was killed, and the other one is of another class: the job is done, and that is told.
 */
static void from_one_class_to_another(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = 0});
    char id_text[37], path[PROCESS_PATH];
    start(f, 0, "on");
    farm_wait_workers(f, 1);
    const overpaint_id id = farm_submit(
        f, f->o, WORDS("steps", "30", "seed", "7", "sampler", "Euler a", "prompt", "a fox"));
    FARM_UNTIL(f, farm_runs(f, 0, &id, 3));
    start(f, 1, "off");
    farm_wait_workers(f, 2);
    process_kill(&f->worker[0]);
    overpaint_id_text(&id, id_text);
    const farm_outcome said = farm_command(
        f, WORDS("result", id_text, "--json", "--output", farm_path(f, path, "made.png")));
    farm_expect(&said, EXIT_OK, "");
    assert_non_null(strstr(said.out, "\"class_changed\":true"));
    assert_non_null(strstr(said.out, ", exact off"));
    assert_non_null(strstr(said.out, ", Exact: off, "));
    f->passed = true;
}

static void bad_modes(void **state)
{
    farm *f = farm_open(state, &(farm_options){.workers = -1});
    process_start(&f->worker[0], f->folder, "bad", "overpaint-worker",
                  WORDS("--endpoint", f->endpoint, "--models", f->folder, "--exact", "often"));
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 2);
    char *text = process_read(f->worker[0].err, NULL);
    assert_non_null(strstr(text, "--exact is \"often\", expected one of on, pairs, off"));
    free(text);
    process_start(&f->worker[0], f->folder, "apart", "overpaint-worker",
                  WORDS("--endpoint", f->endpoint, "--models", f->folder, "--exact", "pairs",
                        "--cfg-parallel", "--device", "cpu:0,cpu:1"));
    assert_int_equal(process_wait(&f->worker[0], f->deadline), 2);
    text = process_read(f->worker[0].err, NULL);
    assert_non_null(strstr(text, "--cfg-parallel takes them apart"));
    free(text);
    const farm_outcome said =
        farm_command(f, WORDS("up", "--models", f->folder, "--exact", "often"));
    farm_expect(&said, EXIT_BAD, "--exact is \"often\", expected one of on, pairs, off");
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(every_mode),
        farm_test(from_one_class_to_another),
        farm_test(bad_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
