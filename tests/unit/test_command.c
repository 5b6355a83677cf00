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
#include "tests/support/on_fake.h"
#include "tests/support/program.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define RUN(p, ...) program_run(p, (const char *const[]){"overpaint", __VA_ARGS__, NULL})

static char folder[] = "/tmp/overpaint-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    char *to = path[next++ % 4];
    snprintf(to, sizeof path[0], "%s/%s", folder, name);
    return to;
}

static void assert_file(const char *name, const char *content)
{
    char text[64] = "";
    FILE *f = fopen(in_folder(name), "rb");
    if (!f)
        fail_msg("%s is missing", name);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_string_equal(text, content);
    unlink(in_folder(name));
}

/* Exactly one JSON object on standard output, nothing on the other. */
static json_t *json_of(const program *p)
{
    json_error_t e;
    json_t *o = json_loads(p->out, 0, &e);
    if (!o)
        fail_msg("no JSON (%s): %s", e.text, p->out);
    assert_string_equal(p->error, "");
    return o;
}

/* ---------------------------------------------------------------- no broker needed */

static void helps(void **state)
{
    (void)state;
    static const char *const commands[] = {"up",     "img2img", "txt2img", "result",
                                           "status", "cancel",  "info"};
    program p, own;
    RUN(&p, "--help");
    assert_int_equal(p.code, EXIT_OK);
    for (size_t i = 0; i < COUNT(commands); i++) {
        on_fake_says(p.out, commands[i]);
        RUN(&own, commands[i], "--help");
        assert_int_equal(own.code, EXIT_OK);
        on_fake_says(own.out, "usage: overpaint ");
        on_fake_says(own.out, commands[i]);
        if (strcmp(commands[i], "info") && strcmp(commands[i], "up"))
            on_fake_says(own.out, "--json");
    }
    RUN(&p, "img2img", "--help");
    for (int i = 0; settings[i].name; i++) {
        char word[64];
        snprintf(word, sizeof word, "  --%s", settings[i].name);
        if (settings[i].commands & FOR_IMG2IMG)
            on_fake_says(p.out, word);
        else
            assert_null(strstr(p.out, word));
    }
    RUN(&p, "--version");
    on_fake_says(p.out, "overpaint " OVERPAINT_VERSION);
}

static void refuses_command_lines(void **state)
{
    (void)state;
    static const struct {
        const char *words[10], *says;
    } bad[] = {
        {{"overpaint"}, "usage: overpaint COMMAND"},
        {{"overpaint", "img2im"}, "nearest is \"img2img\""},
        {{"overpaint", "txt2img", "--stepz", "3"}, "nearest is --steps"},
        {{"overpaint", "txt2img", "--prompt", "x"}, "--output FILE is missing"},
        {{"overpaint", "txt2img", "--output", "a.png"}, "--prompt TEXT or --prompt-file"},
        {{"overpaint", "txt2img", "--prompt", "x", "--prompt-file", "y", "--detach"}, "exclude"},
        {{"overpaint", "txt2img", "--prompt", "x", "--output", "a.gif"}, "does not say the format"},
        {{"overpaint", "txt2img", "in.png", "--prompt", "x", "--detach"}, "unexpected word"},
        {{"overpaint", "img2img", "--prompt", "x", "--output", "a.png"}, "a word is missing"},
        {{"overpaint", "txt2img", "--prompt", "x", "--detach", "--sampler", "Eulr"}, "Euler"},
        {{"overpaint", "txt2img", "--prompt", "x", "--detach", "--steps", "x"}, "whole number"},
        {{"overpaint", "txt2img", "--prompt", "x", "--detach", "--rng", "amd"}, "nv|cpu"},
        {{"overpaint", "result", "123", "--output", "a.png"}, "is no job id"},
        {{"overpaint", "cancel"}, "a word is missing"},
        {{"overpaint", "status", "--endpoint", "tcp://example.org:1"}, "encryption"},
        {{"overpaint", "up", "--workers", "99"}, "1 to 16"},
    };
    program p;
    for (size_t i = 0; i < COUNT(bad); i++) {
        program_run(&p, bad[i].words);
        on_fake_says(p.error, bad[i].says);
        assert_int_equal(p.code, EXIT_BAD);
        assert_string_equal(p.out, "");
    }
    RUN(&p, "txt2img", "--json", "--stepz", "3");
    assert_int_equal(p.code, EXIT_BAD);
    json_t *o = json_of(&p);
    const char *code, *text;
    assert_int_equal(json_unpack(o, "{s:{s:s, s:s}}", "error", "code", &code, "text", &text), 0);
    assert_string_equal(code, "invalid");
    on_fake_says(text, "--steps");
    json_decref(o);
}

static void tells_trouble_by_exit_code(void **state)
{
    (void)state;
    program p;
    RUN(&p, "status", "--endpoint", "ipc:///tmp/overpaint-nobody-here");
    assert_int_equal(p.code, EXIT_NO_BROKER);
    on_fake_says(p.error, "overpaint up");
    RUN(&p, "img2img", "/no/such.png", "--prompt", "x", "--output", "a.png");
    assert_int_equal(p.code, EXIT_FILE);
    on_fake_says(p.error, "/no/such.png");
    FILE *f = fopen(in_folder("none.png"), "wb");
    fputs("no picture", f);
    fclose(f);
    RUN(&p, "info", in_folder("none.png"));
    assert_int_not_equal(p.code, EXIT_OK);
    unlink(in_folder("none.png"));
    f = fopen(in_folder("long.txt"), "wb");
    for (int i = 0; i < 300000; i++)
        fputc('a', f);
    fclose(f);
    RUN(&p, "txt2img", "--prompt-file", in_folder("long.txt"), "--output", "a.png");
    assert_int_equal(p.code, EXIT_BAD);
    on_fake_says(p.error, "prompt: a prompt has 300000 bytes");
    unlink(in_folder("long.txt"));
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
    (void)state;
    fake_broker f;
    program p;
    fake_start(&f, finish_job, (void *)on_fake_one_picture);
    RUN(&p, "txt2img", "--prompt", "x", "--output", in_folder("a.png"), "--preview",
        in_folder("p.png"), "--endpoint", f.endpoint);
    assert_int_equal(p.code, EXIT_OK);
    assert_file("a.png", "picture one");
    assert_file("p.png", "a preview");
    on_fake_says(p.out, in_folder("a.png"));
    on_fake_says(p.error, "running, step 2 of 4");
    on_fake_says(p.error, "seed 77");
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    RUN(&p, "txt2img", "--prompt", "x", "--output", "/no/such/folder/a.png", "--endpoint",
        f.endpoint);
    assert_int_equal(p.code, EXIT_FILE); /* and no ACK: the broker still has it */
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    fake_stop(&f);
}

static void prints_one_json_object(void **state)
{
    (void)state;
    fake_broker f;
    program p;
    const char *st, *path[2], *info;
    int seed;
    fake_start(&f, finish_job, (void *)on_fake_two_pictures);
    RUN(&p, "txt2img", "--prompt", "x", "--json", "--output", in_folder("b.webp"), "--endpoint",
        f.endpoint);
    assert_int_equal(p.code, EXIT_OK);
    json_t *o = json_of(&p);
    assert_int_equal(json_unpack(o, "{s:s, s:[{s:s, s:s}, {s:s, s:i}]}", "state", &st, "pictures",
                                 "path", &path[0], "info", &info, "path", &path[1], "seed", &seed),
                     0);
    assert_string_equal(st, "finished");
    assert_string_equal(path[0], in_folder("b-1.webp"));
    assert_string_equal(path[1], in_folder("b-2.webp"));
    on_fake_says(info, "Steps: 4");
    assert_int_equal(seed, 78);
    json_decref(o);
    assert_file("b-1.webp", "picture one");
    assert_file("b-2.webp", "picture two");
    fake_stop(&f);
}

static void detaches_and_comes_back(void **state)
{
    (void)state;
    fake_broker f;
    program p;
    overpaint_id id;
    fake_start(&f, finish_job, (void *)on_fake_one_picture);
    RUN(&p, "txt2img", "--prompt", "x", "--detach", "--endpoint", f.endpoint);
    assert_int_equal(p.code, EXIT_OK);
    p.out[strcspn(p.out, "\n")] = 0;
    assert_int_equal(overpaint_id_parse(p.out, &id), 0);
    program r;
    RUN(&r, "result", p.out, "--keep", "--output", in_folder("c.png"), "--endpoint", f.endpoint);
    assert_int_equal(r.code, EXIT_OK);
    assert_file("c.png", "picture one");
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_ACK), 0);
    RUN(&r, "result", p.out, "--output", in_folder("c.png"), "--endpoint", f.endpoint);
    on_fake_expect_seen(&f, OVERPAINT__HEADER__BODY_ACK, 1);
    assert_file("c.png", "picture one");
    fake_stop(&f);
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
    (void)state;
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
        program p;
        const char *code;
        fake_start(&f, end_job, (void *)&endings[i]);
        RUN(&p, "txt2img", "--prompt", "x", "--json", "--output", in_folder("n.png"), "--endpoint",
            f.endpoint);
        assert_int_equal(p.code, endings[i].exit);
        json_t *o = json_of(&p);
        assert_int_equal(json_unpack(o, "{s:{s:s}}", "error", "code", &code), 0);
        assert_string_equal(code, endings[i].code);
        json_decref(o);
        assert_int_not_equal(access(in_folder("n.png"), F_OK), 0);
        fake_stop(&f);
    }
}

/* CANCEL is answered, and ends the job. */
static void accept_until_cancelled(fake_broker *f, wire_message *m)
{
    const job_id id = fake_id(m);
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Cancelled c = OVERPAINT__CANCELLED__INIT;
    if (m->header->body_case == OVERPAINT__HEADER__BODY_SUBMIT) {
        fake_accept(f, m, &id, OVERPAINT__STATE__QUEUED, 1);
        fake_progress(f, NULL, &id, 1, NULL);
    }
    if (m->header->body_case != OVERPAINT__HEADER__BODY_CANCEL)
        return;
    h.has_version = h.has_request = c.has_id = c.has_state = 1;
    h.version = WIRE_VERSION;
    h.request = m->header->request;
    h.body_case = OVERPAINT__HEADER__BODY_CANCELLED;
    h.cancelled = &c;
    c.id = wire_id_bytes(&id);
    c.state = OVERPAINT__STATE__CANCELLED_STATE;
    fake_send(f, &h, NULL, 0);
    fake_ended(f, NULL, &id, OVERPAINT__STATE__CANCELLED_STATE, "cancelled");
}

static void cancels_on_interrupt(void **state)
{
    (void)state;
    fake_broker f;
    program p;
    fake_start(&f, accept_until_cancelled, NULL);
    const char *const words[] = {"overpaint", "txt2img",    "--prompt", "x", "--output",
                                 "n.png",     "--endpoint", f.endpoint, NULL};
    program_start(&p, words);
    assert_true(program_says(&p, true, "running, step 1"));
    kill(p.pid, SIGINT);
    program_end(&p);
    assert_int_equal(p.code, EXIT_CANCELLED);
    on_fake_says(p.error, "job ");
    on_fake_says(p.error, "interrupted; cancelled");
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_CANCEL), 1);

    RUN(&p, "txt2img", "--prompt", "x", "--output", "n.png", "--timeout", "0.3", "--endpoint",
        f.endpoint);
    assert_int_equal(p.code, EXIT_LATE);
    on_fake_says(p.error, "out of time; cancelled");
    assert_int_equal(on_fake_seen(&f, OVERPAINT__HEADER__BODY_CANCEL), 2);
    fake_stop(&f);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails if a test left anything, a temporary file for example */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(helps),
        cmocka_unit_test(refuses_command_lines),
        cmocka_unit_test(tells_trouble_by_exit_code),
        cmocka_unit_test(names_files),
        cmocka_unit_test(saves_pictures),
        cmocka_unit_test(prints_one_json_object),
        cmocka_unit_test(detaches_and_comes_back),
        cmocka_unit_test(exits_as_the_job_ends),
        cmocka_unit_test(cancels_on_interrupt),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
