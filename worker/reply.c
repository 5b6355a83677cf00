/* Outcomes on the wire: see reply.h. */
#include "worker/reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"

/* Parameter texts travel in the header while they fit; every picture has its own inside the file.
 */
enum { INFO_BYTES_MAX = 32768 };

static const char *const media[FORMAT_COUNT] = {"image/png", "image/jpeg", "image/webp"};

static void free_bytes(void *bytes, void *unused)
{
    (void)unused;
    free(bytes);
}

/* Moves the pictures over. */
static void take_pictures(reply *r, work *w)
{
    assert(atomic_load(&w->result_bytes) <= REPLY_BYTES_MAX);
    r->media = media[w->job.format];
    for (int i = 0; i < w->task.results; i++) {
        task_picture *from = &w->task.result[i];
        reply_picture *to = &r->picture[i];
        if (zmq_msg_init_data(&to->frame, from->bytes, from->size, free_bytes, NULL)) {
            err_set(&r->error, ERR_NO_MEMORY, "no memory for a message of %zu bytes", from->size);
            return;
        }
        to->info = from->info;
        to->seed = from->seed;
        to->width = from->width;
        to->height = from->height;
        *from = (task_picture){0};
        r->pictures++;
    }
}

reply *reply_new(work *w, const char *device_class)
{
    reply *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->id = w->job.id;
    r->lease = w->lease;
    r->error = w->error;
    r->again = w->again;
    r->run_ms = (uint32_t)(clock_ms() - w->started_ms);
    snprintf(r->device_class, sizeof r->device_class, "%s", device_class);
    snprintf(r->note, sizeof r->note, "%s", w->task.note);
    if (!r->error.code)
        take_pictures(r, w);
    return r;
}

void reply_free(reply **at)
{
    reply *r = *at;
    if (!r)
        return;
    for (int i = 0; i < r->pictures; i++) {
        zmq_msg_close(&r->picture[i].frame);
        free(r->picture[i].info);
    }
    free(r);
    *at = NULL;
}

/* The pictures of a result as messages; everything points into the reply. */
typedef struct {
    Overpaint__Picture picture[JOB_PICTURES_MAX], *at[JOB_PICTURES_MAX];
    wire_blob blob[JOB_PICTURES_MAX];
    char *info[JOB_PICTURES_MAX];
    zmq_msg_t frame[JOB_PICTURES_MAX];
} parts;

static int fill_parts(parts *p, reply *r, err *e)
{
    size_t info_bytes = 0;
    for (int i = 0; i < r->pictures; i++) {
        reply_picture *from = &r->picture[i];
        zmq_msg_init(&p->frame[i]);
        if (zmq_msg_copy(&p->frame[i], &from->frame)) {
            wire_frames_close(p->frame, (size_t)i + 1);
            return err_set(e, ERR_NO_MEMORY, "no memory to send picture %d", i);
        }
        overpaint__blob__init(&p->blob[i]);
        overpaint__picture__init(&p->picture[i]);
        p->blob[i].has_frame = p->blob[i].has_size = 1;
        p->blob[i].frame = (uint32_t)i + 1;
        p->blob[i].size = zmq_msg_size(&from->frame);
        p->blob[i].media = (char *)r->media;
        p->picture[i].blob = &p->blob[i];
        p->picture[i].has_seed = p->picture[i].has_width = p->picture[i].has_height = 1;
        p->picture[i].seed = from->seed;
        p->picture[i].width = from->width;
        p->picture[i].height = from->height;
        p->at[i] = &p->picture[i];
        info_bytes += strlen(from->info);
        p->info[i] = info_bytes <= INFO_BYTES_MAX ? from->info : (char *)"";
    }
    return 0;
}

static int send_done(reply *r, void *socket, err *e)
{
    parts p;
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Done done = OVERPAINT__DONE__INIT;
    Overpaint__Result result = OVERPAINT__RESULT__INIT;
    if (fill_parts(&p, r, e))
        return e->code;
    result.has_id = result.has_state = result.has_run_ms = 1;
    result.id = wire_id_bytes(&r->id);
    result.state = OVERPAINT__STATE__FINISHED;
    result.n_picture = result.n_info = (size_t)r->pictures;
    result.picture = p.at;
    result.info = p.info;
    result.device_class = r->device_class;
    result.run_ms = r->run_ms;
    result.note = r->note[0] ? r->note : NULL;
    done.has_lease = 1;
    done.lease = r->lease;
    done.result = &result;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_DONE;
    h.done = &done;
    int rc = wire_send(socket, NULL, &h, p.frame, (size_t)r->pictures, e);
    if (rc)
        wire_frames_close(p.frame, (size_t)r->pictures);
    return rc;
}

static int send_fail(reply *r, void *socket, err *e)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Fail fail = OVERPAINT__FAIL__INIT;
    Overpaint__Release release = OVERPAINT__RELEASE__INIT;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    if (r->release) {
        h.body_case = OVERPAINT__HEADER__BODY_RELEASE;
        h.release = &release;
        release.has_id = release.has_lease = 1;
        release.id = wire_id_bytes(&r->id);
        release.lease = r->lease;
    } else {
        h.body_case = OVERPAINT__HEADER__BODY_FAIL;
        h.fail = &fail;
        fail.has_id = fail.has_lease = fail.has_again = 1;
        fail.id = wire_id_bytes(&r->id);
        fail.lease = r->lease;
        fail.code = (char *)err_name(r->error.code);
        fail.text = r->error.text;
        fail.again = r->again;
    }
    return wire_send(socket, NULL, &h, NULL, 0, e);
}

int reply_send(reply *r, void *socket, err *e)
{
    return r->error.code || r->release ? send_fail(r, socket, e) : send_done(r, socket, e);
}
