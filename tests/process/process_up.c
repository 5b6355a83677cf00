/* `overpaint up` as a user runs it: ready, a picture, a job that was left behind, a child that was
 * killed, and an end that leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/command/command.h"
#include "proto/clock.h"
#include "tests/support/farm.h"
#include "tests/support/picture.h"

enum { CHILDREN_MAX = 8, TEXT = 512 };

static bool file_says(const char *path, const char *part)
{
    char *text = process_read(path, NULL);
    const bool found = text && strstr(text, part);
    free(text);
    return found;
}

static void wait_until(const farm *t, const char *path, const char *part)
{
    while (!file_says(path, part)) {
        if (clock_seconds() > t->deadline)
            fail_msg("%s never says %s", path, part);
        usleep(5000);
    }
}

/* `overpaint up` with the farm's models, ready; it takes the place of the farm's broker, so that it
 * ends with the test. */
static farm *begin(void **state)
{
    char models[PROCESS_PATH], line[TEXT];
    farm *t = farm_open(state, &(farm_options){.workers = -1});
    farm_path(t, models, "models");
    process_start(&t->broker, t->folder, "up", "overpaint",
                  WORDS("up", "--models", models, "--threads", "2", "--memory-budget", "2G",
                        "--device", "cpu:0,cpu:1", "--cfg-parallel", "--endpoint", t->endpoint,
                        "--drain", "20"));
    snprintf(line, sizeof line, "ready %s\n", t->endpoint);
    wait_until(t, t->broker.out, line);
    return t;
}

/* The process ids of the children of `parent` whose command line holds `part`. */
static int children(pid_t parent, const char *part, pid_t *to)
{
    DIR *d = opendir("/proc");
    int count = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], text[TEXT] = "";
        int its_parent = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (!f)
            continue;
        const bool read = fscanf(f, "%*d (%*[^)]) %*c %d", &its_parent) == 1;
        fclose(f);
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        f = fopen(path, "r");
        if (f) {
            text[fread(text, 1, sizeof text - 1, f)] = 0;
            fclose(f);
        }
        if (read && its_parent == parent && strstr(text, part) && count < CHILDREN_MAX)
            to[count++] = atoi(e->d_name);
    }
    closedir(d);
    return count;
}

static bool is_alive(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    const bool read = f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1;
    if (f)
        fclose(f);
    return read && state != 'Z';
}

static void wait_for_death(const farm *t, pid_t pid)
{
    while (is_alive(pid)) {
        if (clock_seconds() > t->deadline)
            fail_msg("process %d lives on", (int)pid);
        usleep(5000);
    }
}

static void serves_and_drains(void **state)
{
    farm *t = begin(state);
    char out[PROCESS_PATH], up_log[PROCESS_PATH], id[64];
    pid_t broker, worker;
    assert_int_equal(children(t->broker.pid, "overpaint-broker", &broker), 1);
    assert_int_equal(children(t->broker.pid, "overpaint-worker", &worker), 1);

    farm_path(t, out, "a.png");
    farm_outcome r =
        farm_command(t, WORDS("txt2img", "--prompt", "a fox, a hat", "--width", "64", "--height",
                              "64", "--steps", "2", "--seed", "5", "--output", out));
    farm_expect(&r, EXIT_OK, "step 2 of 2");
    r = farm_command(t, WORDS("info", out));
    farm_expect(&r, EXIT_OK, "");
    assert_non_null(strstr(r.out, "Prompt: a fox, a hat\nSteps: 2\n"));
    assert_non_null(strstr(r.out, "\nSeed: 5\n"));

    r = farm_command(t, WORDS("img2img", out, "--prompt", "b", "--width", "64", "--height", "64",
                              "--steps", "4", "--detach"));
    farm_expect(&r, EXIT_OK, "");
    snprintf(id, sizeof id, "%.36s", r.out);
    farm_path(t, out, "b.jpg");
    r = farm_command(t, WORDS("result", id, "--output", out));
    farm_expect(&r, EXIT_OK, "");
    r = farm_command(t, WORDS("info", out));
    assert_non_null(strstr(r.out, "Denoising strength: 0.75\n"));
    r = farm_command(t, WORDS("cancel", id));
    farm_expect(&r, EXIT_UNKNOWN, id);

    r = farm_command(t, WORDS("status"));
    farm_expect(&r, EXIT_OK, "");
    assert_non_null(strstr(r.out, "ready"));
    assert_non_null(strstr(r.out, "\n  models: tiny"));
    r = farm_command(t, WORDS("up", "--models", t->folder));
    farm_expect(&r, EXIT_JOB, "another broker serves");

    process_signal(&t->broker, SIGTERM);
    snprintf(up_log, sizeof up_log, "%s", t->broker.out);
    assert_int_equal(process_wait(&t->broker, t->deadline), EXIT_OK);
    assert_false(is_alive(broker));
    assert_false(is_alive(worker));
    char *text = process_read(up_log, NULL);
    assert_ptr_equal(strstr(text, "ready"), text); /* its one line */
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
    t->passed = true;
}

static void restarts_what_is_killed(void **state)
{
    static const char *const names[] = {"overpaint-worker", "overpaint-broker"};
    farm *t = begin(state);
    char out[PROCESS_PATH], message[64];
    farm_path(t, out, "a.png");
    for (size_t i = 0; i < 2; i++) {
        pid_t before, after = 0;
        assert_int_equal(children(t->broker.pid, names[i], &before), 1);
        kill(before, SIGKILL);
        snprintf(message, sizeof message, "the %s ended by signal 9", names[i] + 10);
        wait_until(t, t->broker.err, message);
        farm_outcome r = farm_command(t, WORDS("status", "--wait", "30", "--json"));
        farm_expect(&r, EXIT_OK, "");
        r = farm_command(t, WORDS("txt2img", "--prompt", "x", "--width", "64", "--height", "64",
                                  "--steps", "1", "--output", out));
        farm_expect(&r, EXIT_OK, "");
        assert_int_equal(children(t->broker.pid, names[i], &after), 1);
        assert_int_not_equal(before, after);
    }
    t->passed = true;
}

static void dies_with_its_children(void **state)
{
    farm *t = begin(state);
    pid_t broker, worker;
    assert_int_equal(children(t->broker.pid, "overpaint-broker", &broker), 1);
    assert_int_equal(children(t->broker.pid, "overpaint-worker", &worker), 1);
    process_kill(&t->broker);
    wait_for_death(t, broker);
    wait_for_death(t, worker);
    t->passed = true;
}

static void gives_up_on_bad_options(void **state)
{
    farm *t = farm_open(state, &(farm_options){.workers = -1});
    farm_outcome r = farm_command(t, WORDS("up", "--models", t->folder, "--device", "toaster"));
    farm_expect(&r, EXIT_JOB, "toaster");
    farm_expect(&r, EXIT_JOB, "giving up");
    farm_expect(&r, EXIT_JOB, "no model in");
    t->passed = true;
}

/* Mean of a square of `side` pixels, channel by channel. */
static void mean_of(const image *x, int left, int top, int side, double mean[3])
{
    for (int c = 0; c < 3; c++) {
        mean[c] = 0;
        for (int i = 0; i < side * side; i++)
            mean[c] += x->px[((top + i / side) * x->w + left + i % side) * x->channels + c];
        mean[c] /= side * side;
    }
}

/* The model that comes along paints what it is asked for, from a sketch of something else. */
static void paints_with_the_demo_model(void **state)
{
    farm *t = farm_open(state, &(farm_options){.workers = -1});
    char out[PROCESS_PATH], line[TEXT];
    double corner[3], middle[3];
    process_start(&t->broker, t->folder, "up", "overpaint",
                  WORDS("up", "--demo", "--endpoint", t->endpoint));
    snprintf(line, sizeof line, "ready %s\n", t->endpoint);
    wait_until(t, t->broker.out, line);
    farm_path(t, out, "apple.png");
    farm_outcome r = farm_command(
        t, WORDS("img2img", GOLDEN_DIR "/../../examples/sketch.png", "--width", "64", "--height",
                 "64", "--prompt", "a red apple on a green background", "--denoising-strength", "1",
                 "--cfg-scale", "3", "--seed", "1", "--output", out));
    farm_expect(&r, EXIT_OK, "");
    image picture = picture_file(out);
    mean_of(&picture, 0, 0, 6, corner);
    mean_of(&picture, 24, 28, 16, middle);
    print_message("corner %.0f %.0f %.0f, middle %.0f %.0f %.0f\n", corner[0], corner[1], corner[2],
                  middle[0], middle[1], middle[2]);
    assert_true(corner[1] > corner[0] + 30 && corner[1] > corner[2] + 30); /* green */
    assert_true(middle[0] > middle[1] + 60 && middle[0] > middle[2] + 60); /* red */
    image_done(&picture);
    r = farm_command(t, WORDS("up", "--demo", "--models", t->folder));
    farm_expect(&r, EXIT_BAD, "no use for --models");
    t->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(paints_with_the_demo_model), farm_test(serves_and_drains),
        farm_test(restarts_what_is_killed),    farm_test(dies_with_its_children),
        farm_test(gives_up_on_bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
