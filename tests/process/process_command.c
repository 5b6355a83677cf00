/* The command `overpaint` as a user or a script meets it, against a broker that does what the test
 * says: help, refusals, exit codes, JSON, names of files, Ctrl-C. */
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
#include "client/command/follow.h"
#include "client/settings.h"
#include "proto/clock.h"
#include "tests/support/farm.h"
#include "tests/support/on_fake.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define RUN(...)    farm_command(t, WORDS(__VA_ARGS__))

/* Of this test's folder; four of them live at a time. */
static const char *in_folder(const farm *t, const char *name)
{
    static char path[4][PROCESS_PATH];
    static int next;
    return farm_path(t, path[next++ % 4], name);
}

static farm *begin(void **state)
{
    return farm_open(state, &(farm_options){.workers = -1});
}

static void assert_file(const farm *t, const char *name, const char *content)
{
    char text[64] = "";
    FILE *f = fopen(in_folder(t, name), "rb");
    if (!f)
        fail_msg("%s is missing", name);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_string_equal(text, content);
    unlink(in_folder(t, name));
}

/* Exactly one JSON object on standard output, nothing on the other. */
static json_t *json_of(const farm_outcome *p)
{
    json_error_t e;
    json_t *o = json_loads(p->out, 0, &e);
    if (!o)
        fail_msg("no JSON (%s): %s", e.text, p->out);
    assert_string_equal(p->err, "");
    return o;
}

/* ---------------------------------------------------------------- no broker needed */

static void helps(void **state)
{
    farm *t = begin(state);
    static const char *const commands[] = {"up",       "img2img",  "txt2img",    "inpaint",
                                           "outpaint", "loopback", "sd-upscale", "upscale",
                                           "result",   "status",   "cancel",     "info"};
    farm_outcome p, own;
    p = RUN("--help");
    assert_int_equal(p.exit, EXIT_OK);
    for (size_t i = 0; i < COUNT(commands); i++) {
        on_fake_says(p.out, commands[i]);
        own = RUN(commands[i], "--help");
        assert_int_equal(own.exit, EXIT_OK);
        on_fake_says(own.out, "usage: overpaint ");
        on_fake_says(own.out, commands[i]);
        assert_string_equal(RUN("help", commands[i]).out, own.out);
        assert_string_equal(RUN(commands[i], "-h").out, own.out);
        if (strcmp(commands[i], "info") && strcmp(commands[i], "up"))
            on_fake_says(own.out, "--json");
    }
    p = RUN("img2img", "--help");
    for (int i = 0; settings[i].name; i++) {
        char word[64];
        bool img2img = false;
        for (int k = 0; settings[k].name; k++)
            img2img |= !strcmp(settings[i].name, settings[k].name) &&
                       setting_belongs(&settings[k], TASK_IMG2IMG);
        snprintf(word, sizeof word, "  --%s ", settings[i].name);
        if (img2img)
            on_fake_says(p.out, word);
        else
            assert_null(strstr(p.out, word));
    }
    p = RUN("--version");
    on_fake_says(p.out, "overpaint " OVERPAINT_VERSION);
    t->passed = true;
}

static void refuses_command_lines(void **state)
{
    farm *t = begin(state);
    static const struct {
        const char *words[10], *says;
    } bad[] = {
        {{NULL}, "usage: overpaint COMMAND"},
        {{"img2im"}, "nearest is \"img2img\""},
        {{"txt2img", "--stepz", "3"}, "nearest is --steps"},
        {{"txt2img", "--prompt", "x"}, "--output FILE is missing"},
        {{"txt2img", "--output", "a.png"}, "--prompt TEXT or --prompt-file"},
        {{"txt2img", "--prompt", "x", "--prompt-file", "y", "--detach"}, "exclude"},
        {{"txt2img", "--prompt", "x", "--output", "a.gif"}, "does not say the format"},
        {{"txt2img", "in.png", "--prompt", "x", "--detach"}, "unexpected word"},
        {{"img2img", "--prompt", "x", "--output", "a.png"}, "a word is missing"},
        {{"txt2img", "--prompt", "x", "--detach", "--sampler", "Eulr"}, "Euler"},
        {{"txt2img", "--prompt", "x", "--detach", "--steps", "x"}, "whole number"},
        {{"txt2img", "--prompt", "x", "--detach", "--rng", "amd"}, "nv|cpu"},
        {{"txt2img", "--prompt", "x", "--detach", "--steps", "0"}, "steps is 0, expected 1 to"},
        {{"txt2img", "--prompt", "x", "--detach", "--width", "9999"}, "width is 9999, expected"},
        {{"txt2img", "--prompt", "x", "--output", "/tmp", "--format", "png"}, "is a folder"},
        {{"result", "123", "--output", "a.png"}, "is no job id"},
        {{"cancel"}, "a word is missing"},
        {{"status", "--endpoint", "tcp://example.org:1"}, "encryption"},
        {{"up", "--workers", "99"}, "1 to 16"},
    };
    farm_outcome p;
    for (size_t i = 0; i < COUNT(bad); i++) {
        p = farm_command(t, bad[i].words);
        on_fake_says(p.err, bad[i].says);
        assert_int_equal(p.exit, EXIT_BAD);
        assert_string_equal(p.out, "");
    }
    p = RUN("txt2img", "--json", "--stepz", "3");
    assert_int_equal(p.exit, EXIT_BAD);
    json_t *o = json_of(&p);
    const char *code, *text;
    assert_int_equal(json_unpack(o, "{s:{s:s, s:s}}", "error", "code", &code, "text", &text), 0);
    assert_string_equal(code, "invalid");
    on_fake_says(text, "--steps");
    json_decref(o);
    t->passed = true;
}

static void tells_trouble_by_exit_code(void **state)
{
    farm *t = begin(state);
    farm_outcome p;
    p = RUN("status", "--endpoint", "ipc:///tmp/overpaint-nobody-here");
    assert_int_equal(p.exit, EXIT_NO_BROKER);
    on_fake_says(p.err, "overpaint up");
    p = RUN("img2img", "/no/such.png", "--prompt", "x", "--output", "a.png");
    assert_int_equal(p.exit, EXIT_FILE);
    on_fake_says(p.err, "/no/such.png");
    p = RUN("txt2img", "--prompt", "x", "--output", "/no/such/folder/a.png");
    assert_int_equal(p.exit, EXIT_FILE);
    on_fake_says(p.err, "/no/such/folder/a.png");
    FILE *f = fopen(in_folder(t, "none.png"), "wb");
    fputs("no picture", f);
    fclose(f);
    p = RUN("info", in_folder(t, "none.png"));
    assert_int_not_equal(p.exit, EXIT_OK);
    on_fake_says(p.err, "none.png: ");
    unlink(in_folder(t, "none.png"));
    f = fopen(in_folder(t, "long.txt"), "wb");
    for (int i = 0; i < 300000; i++)
        fputc('a', f);
    fclose(f);
    p = RUN("txt2img", "--prompt-file", in_folder(t, "long.txt"), "--output", "a.png");
    assert_int_equal(p.exit, EXIT_BAD);
    on_fake_says(p.err, "prompt: a prompt has 300000 bytes");
    unlink(in_folder(t, "long.txt"));
    t->passed = true;
}

static void names_files(void **state)
{
    (void)state;
    static const struct {
        const char *output;
        unsigned index, count;
        const char *name;
    } cases[] = {
        {"a.png", 0, 1, "a.png"},   {"a.png", 0, 2, "a-1.png"},
        {"x.y/a", 1, 2, "x.y/a-2"}, {"d/a.b.jpg", 9, 10, "d/a.b-10.jpg"},
        {".png", 0, 2, ".png-1"},   {"./.x", 0, 3, "./.x-1"},
    };
    char name[64];
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(follow_name(cases[i].output, cases[i].index, cases[i].count, name, 64));
        assert_string_equal(name, cases[i].name);
    }
    assert_false(follow_name("a.png", 0, 2, name, 7));
}

/* ---------------------------------------------------------------- with a broker */

static void finish_job(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    if (m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT)
        fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 77);
    else if (m->header->body_case != OVERPAINT__HEADER__BODY_WATCH)
        return;
    fake_progress(f, NULL, &id, 2, "a preview");
    fake_result(f, NULL, &id, f->arg);
}

static void saves_pictures(void **state)
{
    farm *t = begin(state);
    fake_broker f;
    farm_outcome p;
    fake_start(&f, finish_job, (void *)on_fake_one_picture);
    p = RUN("txt2img", "--prompt", "x", "--output", in_folder(t, "a.png"), "--preview",
            in_folder(t, "p.png"), "--endpoint", f.endpoint);
    assert_int_equal(p.exit, EXIT_OK);
    assert_file(t, "a.png", "picture one");
    assert_file(t, "p.png", "a preview");
    on_fake_says(p.out, in_folder(t, "a.png"));
    on_fake_says(p.err, "running, step 2 of 4");
    on_fake_says(p.err, "seed 77");
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    p = RUN("txt2img", "--prompt", "x", "--output", "/no/such/folder/a.png", "--endpoint",
            f.endpoint);
    assert_int_equal(p.exit, EXIT_FILE); /* and no ACK: the broker still has it */
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    fake_stop(&f);
    t->passed = true;
}

/* A result that cannot be written stays with the broker, and the message says how to get it. */
static void keeps_what_cannot_be_saved(void **state)
{
    farm *t = begin(state);
    fake_broker f;
    fake_start(&f, finish_job, (void *)on_fake_one_picture);
    farm_outcome p = RUN("txt2img", "--prompt", "x", "--output", "/dev/full", "--format", "png",
                         "--endpoint", f.endpoint);
    assert_int_equal(p.exit, EXIT_FILE);
    on_fake_says(p.err, "`overpaint result ");
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_ACK), 0);
    fake_stop(&f);
    t->passed = true;
}

static void reports_a_full_disk(void **state)
{
    farm *t = begin(state);
    fake_broker f;
    process p = {0};
    char *said;
    assert_int_equal(symlink("/dev/full", in_folder(t, "full.out")), 0);
    fake_start(&f, finish_job, (void *)on_fake_one_picture);
    farm_start_command(t, &p, "full",
                       WORDS("txt2img", "--prompt", "x", "--detach", "--endpoint", f.endpoint));
    assert_int_equal(process_wait(&p, t->deadline), EXIT_FILE);
    said = process_read(p.err, NULL);
    assert_non_null(said);
    on_fake_says(said, "standard output");
    free(said);
    fake_stop(&f);
    t->passed = true;
}

static void expect_fox(fake_broker *f, wire_message *m)
{
    const bool submit = m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT;
    const char *prompt = submit ? m->header->submit->job->prompt : "a fox";
    const job_id id = fake_id(m);
    if (strcmp(prompt, "a fox"))
        fake_reject(f, m, &id, "invalid", 0);
    else
        finish_job(f, m);
}

static void reads_prompt_files(void **state)
{
    static const char *const contents[] = {"a fox", "a fox\n",
                                           "\xef\xbb\xbf"
                                           "a fox\r\n\n"};
    farm *t = begin(state);
    fake_broker f;
    fake_start(&f, expect_fox, (void *)on_fake_one_picture);
    for (size_t i = 0; i < COUNT(contents); i++) {
        FILE *file = fopen(in_folder(t, "prompt.txt"), "wb");
        fputs(contents[i], file);
        fclose(file);
        farm_outcome p = RUN("txt2img", "--prompt-file", in_folder(t, "prompt.txt"), "--output",
                             in_folder(t, "a.png"), "--endpoint", f.endpoint);
        assert_string_equal(strstr(p.err, "overpaint txt2img:") ? p.err : "", "");
        assert_int_equal(p.exit, EXIT_OK);
    }
    fake_stop(&f);
    t->passed = true;
}

static void prints_one_json_object(void **state)
{
    farm *t = begin(state);
    fake_broker f;
    farm_outcome p;
    const char *st, *path[2], *info;
    int seed;
    fake_start(&f, finish_job, (void *)on_fake_two_pictures);
    p = RUN("txt2img", "--prompt", "x", "--json", "--output", in_folder(t, "b.webp"), "--endpoint",
            f.endpoint);
    assert_int_equal(p.exit, EXIT_OK);
    json_t *o = json_of(&p);
    assert_int_equal(json_unpack(o, "{s:s, s:[{s:s, s:s}, {s:s, s:i}]}", "state", &st, "pictures",
                                 "path", &path[0], "info", &info, "path", &path[1], "seed", &seed),
                     0);
    assert_string_equal(st, "finished");
    assert_string_equal(path[0], in_folder(t, "b-1.webp"));
    assert_string_equal(path[1], in_folder(t, "b-2.webp"));
    on_fake_says(info, "Steps: 4");
    assert_int_equal(seed, 78);
    json_decref(o);
    assert_file(t, "b-1.webp", "picture one");
    assert_file(t, "b-2.webp", "picture two");
    fake_stop(&f);
    t->passed = true;
}

static void detaches_and_comes_back(void **state)
{
    farm *t = begin(state);
    fake_broker f;
    farm_outcome p;
    overpaint_id id;
    fake_start(&f, finish_job, (void *)on_fake_one_picture);
    p = RUN("txt2img", "--prompt", "x", "--detach", "--endpoint", f.endpoint);
    assert_int_equal(p.exit, EXIT_OK);
    p.out[strcspn(p.out, "\n")] = 0;
    assert_int_equal(overpaint_id_parse(p.out, &id), 0);
    farm_outcome r;
    r = RUN("result", p.out, "--keep", "--output", in_folder(t, "c.png"), "--endpoint", f.endpoint);
    assert_int_equal(r.exit, EXIT_OK);
    assert_file(t, "c.png", "picture one");
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_ACK), 0);
    r = RUN("result", p.out, "--output", in_folder(t, "c.png"), "--endpoint", f.endpoint);
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    assert_file(t, "c.png", "picture one");
    fake_stop(&f);
    t->passed = true;
}

typedef struct {
    Overpaint__State state; /* how the job ends; QUEUED: rejected with `code` */
    const char *code;
    int exit;
} ending;

static void end_job(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    const ending *e = f->arg;
    if (m->header->body_case != OVERPAINT__HEADER__BODY_SUBMIT)
        return;
    if (e->state == OVERPAINT__STATE__QUEUED) {
        fake_reject(f, m, &id, e->code, 0);
        return;
    }
    fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
    fake_ended(f, NULL, &id, e->state, e->code);
}

static void exits_as_the_job_ends(void **state)
{
    farm *t = begin(state);
    static const ending endings[] = {
        {OVERPAINT__STATE__FAILED, "device", EXIT_JOB},
        {OVERPAINT__STATE__FAILED, "invalid", EXIT_JOB},
        {OVERPAINT__STATE__FAILED, "timeout", EXIT_JOB},
        {OVERPAINT__STATE__CANCELLED_STATE, "cancelled", EXIT_CANCELLED},
        {OVERPAINT__STATE__QUEUED, "busy", EXIT_AGAIN},
        {OVERPAINT__STATE__QUEUED, "invalid", EXIT_BAD},
    };
    for (size_t i = 0; i < COUNT(endings); i++) {
        fake_broker f;
        farm_outcome p;
        const char *code;
        fake_start(&f, end_job, (void *)&endings[i]);
        p = RUN("txt2img", "--prompt", "x", "--json", "--output", in_folder(t, "n.png"),
                "--endpoint", f.endpoint);
        assert_int_equal(p.exit, endings[i].exit);
        json_t *o = json_of(&p);
        assert_int_equal(json_unpack(o, "{s:{s:s}}", "error", "code", &code), 0);
        assert_string_equal(code, endings[i].code);
        json_decref(o);
        assert_int_not_equal(access(in_folder(t, "n.png"), F_OK), 0);
        fake_stop(&f);
    }
    t->passed = true;
}

/* CANCEL is answered, and ends the job. */
static void accept_until_cancelled(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    if (m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT) {
        fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
        fake_progress(f, NULL, &id, 1, NULL);
    }
    if (m->header->body_case == OVERPAINT__HEADER__BODY_CANCEL)
        fake_cancelled(f, m, &id);
}

/* Until a running program has written it. */
static void wait_for_text(const farm *t, const char *path, const char *part)
{
    for (bool found = false; !found;) {
        if (clock_seconds() > t->deadline)
            fail_msg("%s never says %s", path, part);
        char *text = process_read(path, NULL);
        found = text && strstr(text, part);
        free(text);
        if (!found)
            usleep(5000);
    }
}

static void cancels_on_interrupt(void **state)
{
    farm *t = begin(state);
    fake_broker f;
    farm_outcome p;
    process running = {0};
    char *text;
    fake_start(&f, accept_until_cancelled, NULL);
    farm_start_command(
        t, &running, "interrupted",
        WORDS("txt2img", "--prompt", "x", "--output", "n.png", "--endpoint", f.endpoint));
    wait_for_text(t, running.err, "running, step 1");
    process_signal(&running, SIGINT);
    assert_int_equal(process_wait(&running, t->deadline), EXIT_CANCELLED);
    text = process_read(running.err, NULL);
    on_fake_says(text, "job ");
    on_fake_says(text, "interrupted; cancelled");
    free(text);
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_CANCEL), 1);

    p = RUN("txt2img", "--prompt", "x", "--output", "n.png", "--timeout", "0.3", "--endpoint",
            f.endpoint);
    assert_int_equal(p.exit, EXIT_LATE);
    on_fake_says(p.err, "out of time; cancelled");
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_CANCEL), 2);
    fake_stop(&f);
    t->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        farm_test(helps),
        farm_test(refuses_command_lines),
        farm_test(tells_trouble_by_exit_code),
        cmocka_unit_test(names_files),
        farm_test(keeps_what_cannot_be_saved),
        farm_test(reports_a_full_disk),
        farm_test(reads_prompt_files),
        farm_test(saves_pictures),
        farm_test(prints_one_json_object),
        farm_test(detaches_and_comes_back),
        farm_test(exits_as_the_job_ends),
        farm_test(cancels_on_interrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
