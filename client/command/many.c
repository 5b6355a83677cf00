/* A folder of pictures: see many.h. The one idea: a bounded number of jobs is under way, so that
 * the service has some to batch and memory stays bounded; whichever ends first is saved first. One
 * picture's trouble is told and the others go on. */
#include "client/command/many.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/command/folder.h"
#include "client/command/follow.h"
#include "client/draft.h"
#include "client/file.h"
#include "proto/clock.h"
#include "proto/job.h"

enum { UNDER_WAY = 16, PATH_ROOM = 4096, POLL_MS = 200, RETRY_LEAST_MS = 200, CANCEL_MS = 5000 };

typedef struct {
    bool used, ended;
    overpaint_id id;
    size_t index; /* of the picture */
    char output[PATH_ROOM];
    char *notes;
} slot;

typedef struct {
    call *c;
    const request *r;
    const char *top;
    const char *mask, *sketch; /* files, or the tops of the folders below */
    folder inputs, masks, sketches;
    int pictures; /* that each job makes */
    overpaint *o;
    progress_view view;
    slot slot[UNDER_WAY];
    size_t next;         /* picture to submit */
    overpaint_id id;     /* of its job, the same for every try */
    bool has_id, silent; /* silent: it was said that the broker does not answer */
    double retry_at, stop_at;
    size_t saved, there, failed;
} many;

/* ---------------------------------------------------------------- telling */

/* This picture has no result. */
static void tell_failure(many *m, size_t index, const overpaint_id *id, int code, const char *text)
{
    m->failed++;
    m->c->input = m->inputs.entry[index].path;
    command_fail(m->c, id, code, text);
    m->c->input = NULL;
}

static void tell_there(many *m, size_t index, const char *output)
{
    const char *path = m->inputs.entry[index].path;
    m->there++;
    progress_line(&m->view, "%s: %s is there already", path, output);
    if (!m->c->json)
        return;
    json_t *o = json_object();
    json_object_set_new(o, "input", json_string(path));
    json_object_set_new(o, "there", json_string(output));
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static void tell_progress(void *arg, const overpaint_progress *p)
{
    many *m = arg;
    for (int i = 0; i < UNDER_WAY; i++)
        if (m->slot[i].used && !memcmp(&m->slot[i].id, &p->id, sizeof p->id))
            m->slot[i].ended |= p->state > OVERPAINT_RUNNING;
}

/* ---------------------------------------------------------------- one picture's job */

static bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The file that goes with a picture: --mask FILE itself, or what matches in --mask FOLDER. */
static int companion(const char *given, const folder *below, const char *path, char room[PATH_ROOM],
                     const char **to, err *e)
{
    *to = given;
    if (!given || !is_folder(given))
        return 0;
    const char *match = folder_match(below, path);
    if (!match)
        return err_set(e, ERR_NOT_FOUND, "there is no picture for it in %.300s", given);
    if (snprintf(room, PATH_ROOM, "%s/%s", given, match) >= PATH_ROOM)
        return err_set(e, ERR_INVALID, "the path %.60s… is too long", match);
    *to = room;
    return 0;
}

static overpaint_job *make_job(const many *m, size_t index, const char *output, err *e)
{
    char input[PATH_ROOM], mask[PATH_ROOM], sketch[PATH_ROOM];
    const char *path = m->inputs.entry[index].path;
    request_files files = {.input = input, .output = output};
    if (snprintf(input, sizeof input, "%s/%s", m->top, path) >= (int)sizeof input)
        err_set(e, ERR_INVALID, "its path is too long");
    if (e->code || companion(m->mask, &m->masks, path, mask, &files.mask, e) ||
        companion(m->sketch, &m->sketches, path, sketch, &files.sketch, e))
        return NULL;
    return request_job(m->r, &files, e);
}

static slot *free_slot(many *m)
{
    for (int i = 0; i < UNDER_WAY; i++)
        if (!m->slot[i].used)
            return &m->slot[i];
    return NULL;
}

static void skip(many *m)
{
    m->next++;
    m->has_id = false;
}

/* The picture stays the next one if it should be tried again, soon or with the broker back. */
static void submit(many *m, slot *s, overpaint_job *j)
{
    if (!m->has_id) {
        job_id id;
        job_id_new(&id);
        memcpy(&m->id, &id, sizeof m->id);
        m->has_id = true;
    }
    overpaint_job_use_id(j, &m->id);
    s->id = m->id;
    s->used = true;
    s->ended = false;
    s->index = m->next;
    if (!overpaint_submit(m->o, j, &s->id)) {
        s->notes = strdup(overpaint_job_notes(j));
        skip(m);
        return;
    }
    s->used = false;
    const int code = overpaint_error_code(m->o);
    if (code == ERR_BUSY || code == ERR_TIMEOUT) {
        const unsigned ms = overpaint_retry_after_ms(m->o);
        m->retry_at = clock_seconds() + (ms > RETRY_LEAST_MS ? ms : RETRY_LEAST_MS) / 1000.0;
        return;
    }
    tell_failure(m, m->next, &s->id, code, overpaint_error(m->o));
    skip(m);
}

static void start_next(many *m, slot *s)
{
    const folder_entry *entry = &m->inputs.entry[m->next];
    err e = {0};
    overpaint_job *j = NULL;
    if (entry->trouble) {
        tell_failure(m, m->next, NULL, ERR_IO, entry->trouble);
        skip(m);
        return;
    }
    folder_result(entry->path, m->r->output, request_value(m->r, "format"), s->output,
                  sizeof s->output, &e);
    if (!e.code && folder_has_result(s->output, m->pictures)) {
        tell_there(m, m->next, s->output);
        skip(m);
        return;
    }
    if (!e.code && !file_make_folders(s->output, &e))
        j = make_job(m, m->next, s->output, &e);
    if (j) {
        submit(m, s, j);
    } else {
        tell_failure(m, m->next, NULL, e.code, e.text);
        skip(m);
    }
    overpaint_job_free(&j);
}

static void release(slot *s)
{
    free(s->notes);
    *s = (slot){0};
}

static void finish(many *m, slot *s)
{
    const char *path = m->inputs.entry[s->index].path;
    const follow_options f = {.output = s->output, .input = path, .notes = s->notes, .fresh = true};
    if (overpaint_wait(m->o, &s->id, 0)) {
        tell_failure(m, s->index, &s->id, overpaint_error_code(m->o), overpaint_error(m->o));
        overpaint_forget(m->o, &s->id);
    } else {
        m->c->input = path;
        const bool saved = follow_save(m->c, m->o, &s->id, &m->view, &f) == EXIT_OK;
        m->c->input = NULL;
        m->saved += saved;
        m->failed += !saved;
    }
    release(s);
}

/* ---------------------------------------------------------------- all of them */

static size_t under_way(const many *m)
{
    size_t count = 0;
    for (int i = 0; i < UNDER_WAY; i++)
        count += m->slot[i].used;
    return count;
}

static void note_silence(many *m)
{
    const bool silent = !overpaint_connected(m->o);
    if (silent && !m->silent)
        progress_line(&m->view, "the broker does not answer; waiting until it does");
    m->silent = silent;
}

/* Starts what there is room for, then saves what has ended. False: nothing is left, or the handle
 * is broken. */
static bool step(many *m)
{
    slot *s;
    while (m->next < m->inputs.count && clock_seconds() >= m->retry_at && !follow_interrupted() &&
           (s = free_slot(m)))
        start_next(m, s);
    if (m->next == m->inputs.count && !under_way(m))
        return false;
    if (overpaint_poll(m->o, POLL_MS))
        return false;
    for (int i = 0; i < UNDER_WAY; i++)
        if (m->slot[i].used && m->slot[i].ended)
            finish(m, &m->slot[i]);
    note_silence(m);
    return true;
}

/* Asks for all first, so that they end together. */
static void cancel_all(many *m)
{
    for (int i = 0; i < UNDER_WAY && overpaint_connected(m->o); i++)
        if (m->slot[i].used)
            overpaint_cancel(m->o, &m->slot[i].id);
    const int64_t until = clock_ms() + CANCEL_MS;
    for (int i = 0; i < UNDER_WAY; i++) {
        slot *s = &m->slot[i];
        const int64_t left = until - clock_ms();
        if (!s->used)
            continue;
        overpaint_wait(m->o, &s->id, left > 0 ? (int)left : 0);
        overpaint_forget(m->o, &s->id);
        release(s);
    }
}

/* An error that ends the whole run. */
static int end_all(many *m, int code, const char *why, int exit)
{
    char text[1200];
    const size_t left = m->inputs.count - m->saved - m->there - m->failed;
    cancel_all(m);
    snprintf(text, sizeof text, "%.900s; %zu pictures saved, %zu not begun or cancelled", why,
             m->saved, left);
    return command_fail_exit(m->c, NULL, code, text, exit);
}

static int work(many *m)
{
    while (step(m)) {
        if (follow_interrupted())
            return end_all(m, ERR_CANCELLED, "interrupted", EXIT_CANCELLED);
        if (m->r->timeout >= 0 && clock_seconds() > m->stop_at)
            return end_all(m, ERR_TIMEOUT, "out of time", EXIT_LATE);
    }
    if (m->next < m->inputs.count || under_way(m))
        return end_all(m, overpaint_error_code(m->o), overpaint_error(m->o), EXIT_JOB);
    progress_line(&m->view, "%zu pictures: %zu saved, %zu there already, %zu failed",
                  m->inputs.count, m->saved, m->there, m->failed);
    return m->failed ? EXIT_SOME : EXIT_OK;
}

/* A setting that is wrong is wrong for all: better said once. */
static int check_settings(many *m, err *e)
{
    const bool masks = m->mask && is_folder(m->mask), sketches = m->sketch && is_folder(m->sketch);
    const request_files files = {
        .output = "a.png", .mask = masks ? NULL : m->mask, .sketch = sketches ? NULL : m->sketch};
    static const uint8_t picture[] = "a picture"; /* stands for each of them */
    overpaint_job *j = overpaint_job_new(task_name(m->r->task));
    int rc =
        j ? request_fill(j, m->r, &files, e) : err_set(e, ERR_NO_MEMORY, "no memory for a job");
    if (!rc && (overpaint_job_add_bytes(j, picture, sizeof picture) ||
                (masks && overpaint_job_add_mask(j, picture, sizeof picture)) ||
                (sketches && overpaint_job_add_sketch(j, picture, sizeof picture)) ||
                overpaint_job_check(j)))
        rc = err_set(e, ERR_INVALID, "%s", overpaint_job_error(j));
    if (!rc)
        m->pictures = job_pictures(&j->job);
    if (!rc && *overpaint_job_notes(j))
        progress_line(&m->view, "--from %s: %s", m->r->from, overpaint_job_notes(j));
    overpaint_job_free(&j);
    return rc;
}

static int check_output(const many *m, err *e)
{
    struct stat in, out;
    if (stat(m->r->output, &out))
        return 0; /* it is made */
    if (!S_ISDIR(out.st_mode))
        return err_set(e, ERR_INVALID, "--output %.200s is no folder, INPUT is one", m->r->output);
    if (!stat(m->top, &in) && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return err_set(e, ERR_INVALID, "--output %.200s is the input folder", m->r->output);
    return 0;
}

static int prepare(many *m, err *e)
{
    int rc = request_check_many(m->r, e);
    if (!rc)
        rc = check_output(m, e);
    if (!rc)
        rc = check_settings(m, e);
    if (!rc)
        rc = folder_read(&m->inputs, m->top, m->r->output, e);
    if (!rc && m->mask && is_folder(m->mask))
        rc = folder_read(&m->masks, m->mask, NULL, e);
    if (!rc && m->sketch && is_folder(m->sketch))
        rc = folder_read(&m->sketches, m->sketch, NULL, e);
    if (!rc && !m->inputs.count)
        rc = err_set(e, ERR_NOT_FOUND, "%.200s has no picture", m->top);
    return rc ? rc : folder_check(&m->inputs, m->r->output, request_value(m->r, "format"), e);
}

int many_run(call *c, const request *r, const char *input)
{
    many m = {.c = c,
              .r = r,
              .top = input,
              .mask = request_value(r, "mask"),
              .sketch = request_value(r, "sketch"),
              .stop_at = clock_seconds() + r->timeout};
    err e = {0};
    int code = EXIT_OK;
    progress_init(&m.view, c->json ? NULL : stderr, NULL);
    if (prepare(&m, &e)) {
        code = command_fail(c, NULL, e.code, e.text);
    } else if ((m.o = command_open(c, &code))) {
        overpaint_set_progress(m.o, tell_progress, &m);
        follow_catch_signals();
        code = work(&m);
    }
    overpaint_close(&m.o);
    folder_done(&m.inputs);
    folder_done(&m.masks);
    folder_done(&m.sketches);
    return code;
}
