/* Outcomes on the wire: see reply.h. */
#include "worker/reply.h"

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

/* Moves the pictures' bytes into frames. */
static void take_pictures(reply *r, work *w)
{
    size_t total = 0;
    for (int i = 0; i < w->task.pictures; i++)
        total += w->picture[i].size;
    if (total > (size_t)(WIRE_MESSAGE_MAX - WIRE_HEADER_MAX)) {
        err_set(&r->error, ERR_TOO_LARGE,
                "the pictures take %zu bytes, a result may have %d: ask for fewer, or for JPEG",
                total, WIRE_MESSAGE_MAX - WIRE_HEADER_MAX);
        return;
    }
    for (int i = 0; i < w->task.pictures; i++) {
        task_picture *p = &w->picture[i];
        zmq_msg_init_data(&r->frame[i], p->bytes, p->size, free_bytes, NULL);
        r->picture[i] = *p;
        r->picture[i].bytes = (uint8_t *)media[w->job.format];
        *p = (task_picture){0};
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
    if (!r->error.code)
        take_pictures(r, w);
    return r;
}

void reply_free(reply **at)
{
    reply *r = *at;
    if (!r)
        return;
    wire_frames_close(r->frame, (size_t)r->pictures);
    for (int i = 0; i < r->pictures; i++)
        free(r->picture[i].info);
    free(r);
    *at = NULL;
}

static int send_done(reply *r, void *socket, err *e)
{
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Done done = OVERPAINT__DONE__INIT;
    Overpaint__Result result = OVERPAINT__RESULT__INIT;
    Overpaint__Picture picture[WIRE_FRAMES_MAX], *picture_at[WIRE_FRAMES_MAX];
    wire_blob blob[WIRE_FRAMES_MAX];
    char *info[WIRE_FRAMES_MAX];
    size_t info_bytes = 0;
    zmq_msg_t frames[WIRE_FRAMES_MAX];
    for (int i = 0; i < r->pictures; i++) {
        const task_picture *p = &r->picture[i];
        overpaint__blob__init(&blob[i]);
        overpaint__picture__init(&picture[i]);
        blob[i].has_frame = blob[i].has_size = 1;
        blob[i].frame = (uint32_t)i + 1;
        blob[i].size = zmq_msg_size(&r->frame[i]);
        blob[i].media = (char *)p->bytes;
        picture[i].blob = &blob[i];
        picture[i].has_seed = picture[i].has_width = picture[i].has_height = 1;
        picture[i].seed = p->seed;
        picture[i].width = p->width;
        picture[i].height = p->height;
        picture_at[i] = &picture[i];
        info_bytes += strlen(p->info);
        info[i] = info_bytes <= INFO_BYTES_MAX ? p->info : (char *)"";
    }
    result.has_id = result.has_state = result.has_run_ms = 1;
    result.id = wire_id_bytes(&r->id);
    result.state = OVERPAINT__STATE__FINISHED;
    result.n_picture = result.n_info = (size_t)r->pictures;
    result.picture = picture_at;
    result.info = info;
    result.device_class = r->device_class;
    result.run_ms = r->run_ms;
    done.has_lease = 1;
    done.lease = r->lease;
    done.result = &result;
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_DONE;
    h.done = &done;
    wire_frames_copy(frames, r->frame, (size_t)r->pictures);
    int rc = wire_send(socket, NULL, &h, frames, (size_t)r->pictures, e);
    if (rc)
        wire_frames_close(frames, (size_t)r->pictures);
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
