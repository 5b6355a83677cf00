/* A job to its end: see follow.h. */
#include "client/command/follow.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/file.h"
#include "proto/clock.h"
#include "proto/err.h"

enum { SLICE_MS = 200, CANCEL_MS = 5000, PATH_ROOM = 4096 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void follow_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool follow_interrupted(void)
{
    return interrupted;
}

/* ---------------------------------------------------------------- waiting */

/* True when the job has ended; false when interrupted or out of time. */
static bool wait_for_end(overpaint *o, const overpaint_id *id, progress_view *v,
                         double timeout_seconds)
{
    const double start = clock_seconds();
    bool told = false;
    while (!interrupted) {
        int slice = SLICE_MS;
        if (timeout_seconds >= 0) {
            const double left = timeout_seconds - (clock_seconds() - start);
            if (left < 0)
                return false;
            slice = left * 1000 < slice ? (int)(left * 1000) + 1 : slice;
        }
        /* A job may itself have failed with "timeout": the view knows whether it ended. */
        if (overpaint_wait(o, id, slice) != ERR_TIMEOUT || v->ended)
            return true;
        if (!told && !overpaint_connected(o))
            progress_line(v, "the broker does not answer; waiting until it does");
        told = !overpaint_connected(o);
    }
    return false;
}

/* The job is cancelled; it may have finished just before. */
static int give_up(call *c, overpaint *o, const overpaint_id *id, progress_view *v,
                   const follow_options *f)
{
    char text[200], id_text[37];
    const bool by_user = interrupted;
    const char *why = by_user ? "interrupted" : "out of time";
    const int code = by_user ? ERR_CANCELLED : ERR_TIMEOUT;
    overpaint_id_text(id, id_text);
    if (!f->owner) {
        snprintf(text, sizeof text, "%s; the job goes on, `overpaint result %s` gets it", why,
                 id_text);
    } else if (overpaint_cancel(o, id)) {
        snprintf(text, sizeof text, "%s, and not cancelled: %.120s", why, overpaint_error(o));
    } else {
        overpaint_wait(o, id, CANCEL_MS);
        overpaint_forget(o, id);
        snprintf(text, sizeof text, "%s; cancelled", why);
    }
    progress_clear(v);
    return command_fail(c, id, code, text);
}

/* ---------------------------------------------------------------- pictures */

int follow_check_output(const char *output, err *e)
{
    const char *slash = strrchr(output, '/');
    char folder[PATH_ROOM] = ".";
    struct stat st;
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", slash > output ? (int)(slash - output) : 1, output);
    if (!stat(output, &st) && S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "--output %.200s is a folder, expected a file", output);
    if (!stat(output, &st) && !S_ISREG(st.st_mode))
        return 0; /* a device or a pipe is written to, not replaced */
    if (access(folder, W_OK | X_OK))
        return err_set(e, ERR_IO, "cannot write %.200s: %s", output, strerror(errno));
    return 0;
}

bool follow_name(const char *output, unsigned index, unsigned count, char *to, size_t size)
{
    const char *slash = strrchr(output, '/'), *base = slash ? slash + 1 : output;
    const char *dot = strrchr(base, '.');
    const size_t stem = dot && dot > base ? (size_t)(dot - output) : strlen(output);
    int n = count == 1
                ? snprintf(to, size, "%s", output)
                : snprintf(to, size, "%.*s-%u%s", (int)stem, output, index + 1, output + stem);
    return n >= 0 && (size_t)n < size;
}

/* Adds where each picture went, and its text, to the result. */
static int print_json(overpaint *o, const overpaint_id *id, const follow_options *f)
{
    const char *text = overpaint_result_json(o, id);
    json_t *result = text ? json_loads(text, 0, NULL) : NULL, *picture;
    json_t *pictures = json_object_get(result, "pictures");
    char path[PATH_ROOM];
    size_t i;
    json_array_foreach(pictures, i, picture)
    {
        follow_name(f->output, (unsigned)i, (unsigned)json_array_size(pictures), path, sizeof path);
        const char *info = overpaint_picture_info(o, id, (unsigned)i);
        json_object_set_new(picture, "path", json_string(path));
        json_object_set_new(picture, "info", info ? json_string(info) : json_null());
    }
    if (f->input)
        json_object_set_new(result, "input", json_string(f->input));
    if (f->notes && *f->notes)
        json_object_set_new(result, "notes", json_string(f->notes));
    json_dumpf(result, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(result);
    return EXIT_OK;
}

/* The result stays with the service until somebody has all of it. */
static int fail_to_save(const call *c, const overpaint_id *id, const err *why)
{
    char text[1200], id_text[37];
    overpaint_id_text(id, id_text);
    snprintf(text, sizeof text, "%s; `overpaint result %s --output FILE` gets the pictures again",
             why->text, id_text);
    return command_fail(c, id, why->code, text);
}

static int save_picture(overpaint *o, const overpaint_id *id, unsigned i, const char *path,
                        bool fresh, err *e)
{
    size_t size;
    const unsigned char *bytes = overpaint_picture(o, id, i, &size);
    if (!bytes)
        return err_set(e, overpaint_error_code(o), "%s", overpaint_error(o));
    return fresh ? file_create(path, bytes, size, e) : file_write(path, bytes, size, e);
}

int follow_save(call *c, overpaint *o, const overpaint_id *id, progress_view *v,
                const follow_options *f)
{
    err e = {0};
    const unsigned count = overpaint_pictures(o, id);
    char path[PATH_ROOM];
    if (!count)
        return command_fail(c, id, ERR_PROTOCOL, "the job finished without a picture");
    for (unsigned i = 0; i < count; i++) {
        if (!follow_name(f->output, i, count, path, sizeof path))
            return command_fail(c, id, ERR_INVALID, "the name of --output is too long");
        if (save_picture(o, id, i, path, f->fresh, &e))
            return fail_to_save(c, id, &e);
        if (c->json)
            continue;
        puts(path);
        if (overpaint_picture_seed(o, id, i) >= 0)
            progress_line(v, "%s: seed %lld", path, (long long)overpaint_picture_seed(o, id, i));
    }
    if (overpaint_result_note(o, id) && !c->json)
        progress_line(v, "note: %s", overpaint_result_note(o, id));
    if (c->json)
        print_json(o, id, f);
    if (fflush(stdout))
        return EXIT_FILE;
    if (!f->keep)
        overpaint_forget(o, id);
    return EXIT_OK;
}

int follow(call *c, overpaint *o, const overpaint_id *id, progress_view *v, const follow_options *f)
{
    if (!wait_for_end(o, id, v, f->timeout_seconds))
        return give_up(c, o, id, v, f);
    if (overpaint_error_code(o)) {
        const bool failed = v->ended && overpaint_error_code(o) != ERR_CANCELLED &&
                            overpaint_error_code(o) != ERR_NOT_FOUND;
        int code =
            failed ? command_fail_exit(c, id, overpaint_error_code(o), overpaint_error(o), EXIT_JOB)
                   : command_fail_handle(c, id, o);
        overpaint_forget(o, id);
        return code;
    }
    return follow_save(c, o, id, v, f);
}
