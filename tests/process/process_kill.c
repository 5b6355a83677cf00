/* Workers and brokers that die or stop: every job still has exactly one result, with the bytes of
 * an undisturbed run. OVERPAINT_KILLS and OVERPAINT_SEED make the storm longer or repeat it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "proto/clock.h"
#include "proto/err.h"
#include "tests/support/farm.h"

/* So many jobs in flight that the one worker, which has the model, would take more than 2 s for
 * them: only then does the broker give some to the other, which has to load it first. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KILLS = 6, IN_FLIGHT = 24 }; /* everything takes several times as long */
#else
enum { KILLS = 30, IN_FLIGHT = 100 };
#endif
enum { JOBS_MAX = 8192, SPREAD_MS = 400 };

/* The kinds of jobs in the stream. */
static const char *const kinds[][10] = {
    {"sampler", "Euler a", "steps", "6", "seed", "11"},
    {"sampler", "DPM++ 2M", "steps", "9", "seed", "12", "cfg_scale", "1"},
    {"sampler", "Heun", "steps", "5", "seed", "13", "prompt", "a castle on a hill"},
    {"sampler", "DDIM", "steps", "12", "seed", "14", "width", "72", "height", "56"},
    {"sampler", "DPM2 a", "steps", "4", "seed", "15", "negative_prompt", "blurry"},
};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

typedef struct {
    overpaint_id id;
    int kind, ends; /* how often the client was told that it ended */
    bool taken;
} entry;

typedef struct {
    farm *f;
    farm_file expected[KIND_COUNT];
    entry *job;
    int jobs, taken, again, most; /* jobs that ran more than once, and how often at most */
    uint64_t random;
} stream;

/* ---------------------------------------------------------------- a stream of jobs */

static void note_end(void *arg, const overpaint_progress *p)
{
    stream *s = arg;
    for (int i = s->jobs; p->state > OVERPAINT_RUNNING && i-- > 0;)
        if (!memcmp(&s->job[i].id, &p->id, sizeof p->id)) {
            s->job[i].ends++;
            return;
        }
}

static void stream_open(stream *s, farm *f)
{
    *s = (stream){.f = f, .job = calloc(JOBS_MAX, sizeof *s->job)};
    assert_non_null(s->job);
    for (int i = 0; i < KIND_COUNT; i++)
        s->expected[i] = farm_make(f, kinds[i]);
    overpaint_set_progress(f->o, note_end, s);
}

static void stream_close(stream *s)
{
    overpaint_set_progress(s->f->o, NULL, NULL);
    for (int i = 0; i < s->jobs; i++)
        assert_int_equal(s->job[i].ends, 1);
    for (int i = 0; i < KIND_COUNT; i++)
        farm_file_done(&s->expected[i]);
    free(s->job);
}

static void submit_next(stream *s)
{
    assert_true(s->jobs < JOBS_MAX);
    entry *e = &s->job[s->jobs];
    e->kind = s->jobs % KIND_COUNT;
    e->id = farm_submit(s->f, s->f->o, kinds[e->kind]);
    s->jobs++;
}

static int attempts_of(farm *f, const overpaint_id *id)
{
    json_t *r = json_loads(overpaint_result_json(f->o, id), 0, NULL);
    const int n = (int)json_integer_value(json_object_get(r, "attempts"));
    json_decref(r);
    assert_true(n > 0);
    return n;
}

/* Takes the results that are there. */
static void take_results(stream *s)
{
    for (int i = 0; i < s->jobs; i++) {
        entry *e = &s->job[i];
        if (e->taken || !e->ends)
            continue;
        if (overpaint_fetch(s->f->o, &e->id))
            fail_msg("a job in the storm: %s", overpaint_error(s->f->o));
        const int attempts = attempts_of(s->f, &e->id);
        s->again += attempts > 1;
        s->most = attempts > s->most ? attempts : s->most;
        farm_file got = farm_result(s->f, s->f->o, &e->id);
        farm_same(&s->expected[e->kind], &got, "a job in the storm");
        farm_file_done(&got);
        e->taken = true;
        s->taken++;
    }
}

static void turn(stream *s, int in_flight)
{
    while (s->jobs - s->taken < in_flight)
        submit_next(s);
    farm_turn(s->f, 10);
    take_results(s);
}

/* Nothing lost, nothing double: what the broker counted since it started. */
static void check_counters(farm *f, long long jobs)
{
    print_message("%s\n", overpaint_status_json(f->o, NULL));
    assert_int_equal(farm_count(f, "accepted"), jobs);
    assert_int_equal(farm_count(f, "finished"), jobs);
    /* An ACK may be lost with a connection: then the result is kept for its time. */
    assert_int_equal(farm_count(f, "results_acknowledged") + farm_total(f, "kept"), jobs);
    assert_int_equal(farm_count(f, "failed"), 0);
    assert_int_equal(farm_count(f, "cancelled"), 0);
    assert_int_equal(farm_count(f, "assigned"), jobs + farm_count(f, "requeued"));
    assert_int_equal(farm_total(f, "queued"), 0);
    assert_int_equal(farm_total(f, "running"), 0);
}

/* ---------------------------------------------------------------- the storm */

static uint64_t next_random(stream *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    return s->random ^= s->random << 17;
}

static long long from_environment(const char *name, long long fallback)
{
    const char *text = getenv(name);
    return text ? atoll(text) : fallback;
}

/* In mid-job, at a random moment after its first step. */
static void kill_worker(stream *s)
{
    while (!farm_runs(s->f, 0, NULL, 1))
        turn(s, IN_FLIGHT);
    const double at = clock_seconds() + (double)(next_random(s) % SPREAD_MS) / 1000;
    while (clock_seconds() < at)
        turn(s, IN_FLIGHT);
    process_kill(&s->f->worker[0]);
    farm_start_worker(s->f, 0);
}

static void test_thirty_kills(void **state)
{
    const long long kills = from_environment("OVERPAINT_KILLS", KILLS);
    farm *f = farm_open(state, &(farm_options){.workers = 2, .seconds = 90 + 3 * (double)kills});
    stream s;
    stream_open(&s, f);
    s.random = (uint64_t)from_environment("OVERPAINT_SEED", (long long)time(NULL)) | 1;
    print_message("seed %llu\n", (unsigned long long)s.random);
    for (long long k = 0; k < kills; k++)
        kill_worker(&s);
    while (s.taken < s.jobs)
        turn(&s, 0);
    print_message("%d jobs, %lld kills; %d ran again, at most %d times\n", s.jobs, kills, s.again,
                  s.most);
    assert_true(farm_count(f, "requeued") > 0);
    check_counters(f, s.jobs + KIND_COUNT);
    stream_close(&s);
    f->passed = true;
}

/* ---------------------------------------------------------------- one that stops, and goes on */

/* Longer than a lease lives: what it says afterwards is stale. */
static void test_stopped_and_continued(void **state)
{
    static const char *const settings[] = {"sampler", "Euler a", "steps", "120",
                                           "seed",    "21",      NULL};
    farm *f = farm_open(state, &(farm_options){.workers = 2});
    stream s;
    stream_open(&s, f);
    farm_file expected = farm_make(f, settings);
    entry *e = &s.job[s.jobs];
    s.jobs = 1;
    e->id = farm_submit(f, f->o, settings);
    FARM_UNTIL(f, farm_runs(f, 0, &e->id, 2) || farm_runs(f, 1, &e->id, 2));
    const int on = farm_runs(f, 1, &e->id, 2);
    process_signal(&f->worker[on], SIGSTOP);
    farm_file got = farm_result(f, f->o, &e->id);
    farm_same(&expected, &got, "after its worker was stopped");
    assert_int_equal(farm_count(f, "leases_expired") + farm_count(f, "workers_lost"), 1);
    const long long stale = farm_count(f, "stale");
    process_signal(&f->worker[on], SIGCONT);
    FARM_UNTIL(f, farm_count(f, "stale") > stale);
    farm_wait_workers(f, 2);
    check_counters(f, KIND_COUNT + 2);
    stream_close(&s); /* told once that it ended */
    farm_file_done(&expected);
    farm_file_done(&got);
    f->passed = true;
}

/* ---------------------------------------------------------------- the broker */

/* Clients send their jobs again by themselves, under the same ids: the library in this process, and
 * commands in the background. */
static void test_broker_killed(void **state)
{
    enum { COMMANDS = 2 };
    farm *f = farm_open(state, &(farm_options){.workers = 2});
    stream s;
    process command[COMMANDS] = {0};
    char out[COMMANDS][PROCESS_PATH], name[32];
    stream_open(&s, f);
    for (int i = 0; i < COMMANDS; i++) {
        snprintf(name, sizeof name, "command-%d.png", i);
        farm_path(f, out[i], name);
        name[9] = 0;
        farm_start_command(f, &command[i], name,
                           WORDS("txt2img", "--model", "tiny", "--prompt", "a fox", "--width", "64",
                                 "--height", "64", "--output", out[i], "--sampler", "Euler a",
                                 "--seed", "11", "--steps", i ? "60" : "6"));
    }
    while (s.jobs < 3 * KIND_COUNT)
        submit_next(&s);
    FARM_UNTIL(f, farm_runs(f, 0, NULL, 1) || farm_runs(f, 1, NULL, 1));
    process_kill(&f->broker);
    farm_start_broker(f);
    while (s.taken < s.jobs)
        turn(&s, 0);
    for (int i = 0; i < COMMANDS; i++)
        assert_int_equal(process_wait(&command[i], f->deadline), 0);
    farm_file file = {0};
    file.bytes = (unsigned char *)process_read(out[0], &file.size);
    farm_same(&s.expected[0], &file, "a command whose broker was killed"); /* the same settings */
    farm_file_done(&file);
    farm_wait_workers(f, 2);
    stream_close(&s);
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(test_thirty_kills),
        farm_test(test_stopped_and_continued),
        farm_test(test_broker_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
