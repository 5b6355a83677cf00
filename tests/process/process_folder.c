/* A folder of pictures through the command `overpaint`: jobs under way together, names kept,
 * nothing overwritten, and one picture's trouble is not the others'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/command/command.h"
#include "client/file.h"
#include "proto/clock.h"
#include "tests/support/farm.h"
#include "tests/support/on_fake.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { JOBS_MAX = 64 };

/* Holds jobs back until `hold` of them wait or all `total` were seen; then every one gets a
 * picture, but those whose input is "bad" fail. */
typedef struct {
    int hold, total, busy; /* busy: so many SUBMITs are refused first */
    int seen, waiting, most_waiting;
    job_id id[JOBS_MAX];
    bool bad[JOBS_MAX];
    char masks[400]; /* the masks that came, in order */
} desk;

static void answer_all(fake_broker *f, desk *d)
{
    for (int i = 0; i < d->waiting; i++)
        if (d->bad[i])
            fake_ended(f, NULL, &d->id[i], OVERPAINT__STATE__FAILED, "invalid");
        else
            fake_result(f, NULL, &d->id[i], on_fake_one_picture);
    d->waiting = 0;
}

static void take_job(fake_broker *f, wire_message *m)
{
    desk *d = f->arg;
    const job_id id = fake_id(m);
    job j;
    err e = {0};
    if (m->header->body_case == OVERPAINT__HEADER__BODY_CANCEL)
        fake_cancelled(f, m, &id);
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    if (d->busy-- > 0) {
        fake_reject(f, m, &id, "busy", 10);
        return;
    }
    if (wire_job_unpack(&j, m->header->submit->job, m, &e) || d->waiting == JOBS_MAX) {
        fake_reject(f, m, &id, "protocol", 0);
        return;
    }
    const job_picture *in = job_find_input(&j, INPUT_PICTURE),
                      *mask = job_find_input(&j, INPUT_MASK);
    const size_t used = strlen(d->masks);
    if (mask)
        snprintf(d->masks + used, sizeof d->masks - used, "%.*s;", (int)mask->size,
                 (const char *)mask->bytes);
    d->id[d->waiting] = id;
    d->bad[d->waiting++] = in->size == 3 && !memcmp(in->bytes, "bad", 3);
    d->seen++;
    d->most_waiting = d->waiting > d->most_waiting ? d->waiting : d->most_waiting;
    fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
    if (d->waiting >= d->hold || d->seen == d->total)
        answer_all(f, d);
    job_done(&j);
}

typedef struct {
    farm *farm;
    fake_broker broker;
    desk desk;
    char in[PROCESS_PATH], out[PROCESS_PATH], masks[PROCESS_PATH];
} scene;

static scene *begin(void **state, int hold, int total)
{
    static scene s;
    memset(&s, 0, sizeof s);
    s.farm = farm_open(state, &(farm_options){.workers = -1});
    s.desk.hold = hold;
    s.desk.total = total;
    farm_path(s.farm, s.in, "in");
    farm_path(s.farm, s.out, "out/results");
    farm_path(s.farm, s.masks, "masks");
    fake_start(&s.broker, take_job, &s.desk);
    return &s;
}

static void end(scene *s)
{
    fake_stop(&s->broker);
    s->farm->passed = true;
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[2 * PROCESS_PATH];
    err e = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file_make_folders(path, &e) || file_write(path, text, strlen(text), &e))
        fail_msg("%s", e.text);
}

static void must_hold(const char *folder, const char *name, const char *text)
{
    char path[2 * PROCESS_PATH];
    unsigned char *bytes;
    size_t size;
    err e = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file_read(path, 1000, &bytes, &size, &e))
        fail_msg("%s", e.text);
    assert_string_equal((char *)bytes, text);
    free(bytes);
}

static bool is_there(const char *folder, const char *name)
{
    char path[2 * PROCESS_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

#define RUN(s, ...) farm_command((s)->farm, WORDS(__VA_ARGS__, "--endpoint", (s)->broker.endpoint))

static void jobs_go_together(void **state)
{
    scene *s = begin(state, 16, 40);
    char name[40];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "%sp%02d.%s", i % 2 ? "sub/deep/" : "", i,
                 i % 3 ? "png" : "jpg");
        put(s->in, name, "a picture");
    }
    put(s->in, "notes.txt", "no picture");
    farm_outcome p = RUN(s, "img2img", s->in, "--prompt", "x", "--output", s->out);
    if (p.exit)
        fail_msg("exit %d: %s", p.exit, p.err);
    assert_int_equal(s->desk.most_waiting, 16); /* not one after the other, and not all */
    assert_int_equal(s->desk.seen, 40);
    on_fake_says(p.err, "40 pictures: 40 saved, 0 there already, 0 failed");
    on_fake_says(p.out, "out/results/sub/deep/p39.jpg\n");
    must_hold(s->out, "p00.jpg", "picture one");
    must_hold(s->out, "sub/deep/p39.jpg", "picture one");
    assert_false(is_there(s->out, "notes.txt"));

    put(s->out, "p00.jpg", "mine"); /* again: nothing is asked for, nothing overwritten */
    p = RUN(s, "img2img", s->in, "--prompt", "x", "--output", s->out);
    assert_int_equal(p.exit, EXIT_OK);
    on_fake_says(p.err, "40 pictures: 0 saved, 40 there already, 0 failed");
    on_fake_says(p.err, "p00.jpg is there already");
    assert_int_equal(s->desk.seen, 40);
    must_hold(s->out, "p00.jpg", "mine");
    end(s);
}

/* a-1.png is a picture of its own, not the first of several that a.png became. */
static void names_that_look_like_results(void **state)
{
    scene *s = begin(state, 1, 9);
    put(s->in, "a.png", "good");
    put(s->in, "a-1.png", "good");
    put(s->out, "a-1.png", "mine");
    farm_outcome p = RUN(s, "img2img", s->in, "--prompt", "x", "--output", s->out);
    assert_int_equal(p.exit, EXIT_OK);
    on_fake_says(p.err, "2 pictures: 1 saved, 1 there already");
    must_hold(s->out, "a.png", "picture one");
    must_hold(s->out, "a-1.png", "mine");
    end(s);
}

static void troubles_of_single_pictures(void **state)
{
    scene *s = begin(state, 1, 9);
    char link[2 * PROCESS_PATH];
    put(s->in, "a.png", "good");
    put(s->in, "b.png", "bad");
    put(s->in, "c.png", "");
    put(s->in, "e.png", "good");
    snprintf(link, sizeof link, "%s/d.png", s->in);
    assert_int_equal(symlink("nowhere", link), 0);
    farm_outcome p = RUN(s, "upscale", s->in, "--output", s->out);
    assert_int_equal(p.exit, EXIT_SOME);
    on_fake_says(p.err, "overpaint upscale: b.png: job ");
    on_fake_says(p.err, "overpaint upscale: c.png: input 0 is empty");
    on_fake_says(p.err, "overpaint upscale: d.png: No such file");
    on_fake_says(p.err, "5 pictures: 2 saved, 0 there already, 3 failed");
    must_hold(s->out, "a.png", "picture one");
    must_hold(s->out, "e.png", "picture one");
    assert_false(is_there(s->out, "b.png"));
    end(s);
}

/* With --json: an object a picture, a line each. */
static void json_lines(void **state)
{
    scene *s = begin(state, 1, 9);
    put(s->in, "a.png", "good");
    put(s->in, "b.png", "bad");
    put(s->in, "sub/c.png", "good");
    put(s->out, "a.webp", "mine");
    farm_outcome p =
        RUN(s, "img2img", s->in, "--prompt", "x", "--json", "--output", s->out, "--format", "webp");
    assert_int_equal(p.exit, EXIT_SOME);
    assert_string_equal(p.err, "");
    json_t *o[3];
    char *line = strtok(p.out, "\n");
    for (int i = 0; i < 3; i++, line = strtok(NULL, "\n")) {
        o[i] = line ? json_loads(line, 0, NULL) : NULL;
        assert_non_null(o[i]);
    }
    assert_null(line);
    const char *input, *there, *code, *path;
    assert_int_equal(json_unpack(o[0], "{s:s, s:s}", "input", &input, "there", &there), 0);
    assert_string_equal(input, "a.png");
    on_fake_says(there, "out/results/a.webp");
    assert_int_equal(json_unpack(o[1], "{s:s, s:{s:s}}", "input", &input, "error", "code", &code),
                     0);
    assert_string_equal(input, "b.png");
    assert_string_equal(code, "invalid");
    assert_int_equal(
        json_unpack(o[2], "{s:s, s:[{s:s}]}", "input", &input, "pictures", "path", &path), 0);
    assert_string_equal(input, "sub/c.png");
    on_fake_says(path, "out/results/sub/c.webp");
    for (int i = 0; i < 3; i++)
        json_decref(o[i]);
    end(s);
}

static void masks(void **state)
{
    scene *s = begin(state, 1, 9);
    char one[2 * PROCESS_PATH];
    put(s->in, "a.png", "good");
    put(s->in, "sub/b.jpg", "good");
    put(s->in, "c.png", "good");
    put(s->masks, "a.webp", "mask a");
    put(s->masks, "sub/b.png", "mask b");
    farm_outcome p =
        RUN(s, "inpaint", s->in, "--prompt", "x", "--output", s->out, "--mask", s->masks);
    assert_int_equal(p.exit, EXIT_SOME);
    on_fake_says(p.err, "c.png: there is no picture for it in ");
    assert_string_equal(s->desk.masks, "mask a;mask b;");
    assert_false(is_there(s->out, "c.png"));
    snprintf(one, sizeof one, "%s/a.webp", s->masks);
    p = RUN(s, "inpaint", s->in, "--prompt", "x", "--output", s->out, "--mask", one);
    assert_int_equal(p.exit, EXIT_OK); /* c.png, which was left */
    on_fake_says(p.err, "3 pictures: 1 saved, 2 there already");
    assert_string_equal(s->desk.masks, "mask a;mask b;mask a;");
    end(s);
}

static void a_full_service_is_waited_for(void **state)
{
    scene *s = begin(state, 1, 9);
    s->desk.busy = 3;
    put(s->in, "a.png", "good");
    put(s->in, "b.png", "good");
    farm_outcome p = RUN(s, "img2img", s->in, "--prompt", "x", "--output", s->out);
    assert_int_equal(p.exit, EXIT_OK);
    assert_int_equal(s->desk.seen, 2);
    assert_int_equal(on_fake_seen(&s->broker, OVERPAINT__HEADER__BODY_SUBMIT), 5);
    end(s);
}

static void refusals(void **state)
{
    scene *s = begin(state, 1, 9);
    char empty[PROCESS_PATH], file[2 * PROCESS_PATH], inside[2 * PROCESS_PATH];
    put(s->in, "a.png", "good");
    put(s->in, "a.jpg", "good");
    put(farm_path(s->farm, empty, "empty"), "notes.txt", "no picture");
    snprintf(file, sizeof file, "%s/a.png", s->in);
    snprintf(inside, sizeof inside, "%s/.", s->in);
    const struct {
        const char *words[14], *says;
        int exit;
    } rows[] = {
        {{"img2img", s->in, "--prompt", "x", "--detach"}, "--detach is for one picture", EXIT_BAD},
        {{"img2img", s->in, "--prompt", "x", "--output", s->out, "--preview", "p.png"},
         "--preview is for one picture",
         EXIT_BAD},
        {{"img2img", s->in, "--prompt", "x"}, "--output FOLDER is missing", EXIT_BAD},
        {{"img2img", s->in, "--output", s->out}, "--prompt TEXT", EXIT_BAD},
        {{"img2img", s->in, "--prompt", "x", "--output", file}, "is no folder", EXIT_BAD},
        {{"img2img", s->in, "--prompt", "x", "--output", inside}, "is the input folder", EXIT_BAD},
        {{"img2img", s->in, "--prompt", "x", "--output", s->out, "--steps", "0"},
         "img2img: steps is 0",
         EXIT_BAD},
        {{"img2img", s->in, "--prompt", "x", "--output", s->out, "--format", "webp"},
         "two pictures would both become",
         EXIT_BAD},
        {{"inpaint", s->in, "--prompt", "x", "--output", s->out, "--mask", "/no/mask.png"},
         "/no/mask.png",
         EXIT_FILE},
        {{"inpaint", s->in, "--prompt", "x", "--output", s->out, "--mask", s->in, "--sketch",
          s->in},
         "a mask and a sketch",
         EXIT_BAD},
        {{"img2img", empty, "--prompt", "x", "--output", s->out}, "has no picture", EXIT_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        farm_outcome p = farm_command(s->farm, rows[i].words);
        on_fake_says(p.err, rows[i].says);
        assert_int_equal(p.exit, rows[i].exit);
        assert_string_equal(p.out, "");
    }
    assert_int_equal(s->desk.seen, 0);
    end(s);
}

static void ctrl_c_cancels_what_is_under_way(void **state)
{
    scene *s = begin(state, JOBS_MAX, 0);
    process running = {0};
    char name[20];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "p%02d.png", i);
        put(s->in, name, "good");
    }
    farm_start_command(s->farm, &running, "interrupted",
                       WORDS("img2img", s->in, "--prompt", "x", "--output", s->out, "--endpoint",
                             s->broker.endpoint));
    on_fake_expect_seen(&s->broker, OVERPAINT__HEADER__BODY_SUBMIT, 16);
    process_signal(&running, SIGINT);
    assert_int_equal(process_wait(&running, s->farm->deadline), EXIT_CANCELLED);
    char *text = process_read(running.err, NULL);
    on_fake_says(text, "interrupted; 0 pictures saved, 20 not begun or cancelled");
    free(text);
    assert_int_equal(on_fake_seen(&s->broker, OVERPAINT__HEADER__BODY_CANCEL), 16);

    s->desk.waiting = 0;
    farm_outcome p =
        RUN(s, "img2img", s->in, "--prompt", "x", "--output", s->out, "--timeout", "0.3");
    assert_int_equal(p.exit, EXIT_LATE);
    on_fake_says(p.err, "out of time; 0 pictures saved");
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(jobs_go_together),
        farm_test(names_that_look_like_results),
        farm_test(troubles_of_single_pictures),
        farm_test(json_lines),
        farm_test(masks),
        farm_test(a_full_service_is_waited_for),
        farm_test(refusals),
        farm_test(ctrl_c_cancels_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
