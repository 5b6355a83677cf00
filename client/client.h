/* liboverpaint: the thin C client of Overpaint.
 *
 *     overpaint *o = overpaint_open(NULL, NULL);                    // default endpoint
 *     overpaint_job *j = overpaint_job_new("img2img");
 *     overpaint_job_set(j, "prompt", "a red fox in the snow");
 *     overpaint_job_set(j, "denoising_strength", "0.6");
 *     overpaint_job_add_file(j, "photo.png");
 *     overpaint_id id;
 *     if (!overpaint_submit(o, j, &id) && !overpaint_wait(o, &id, -1))
 *         overpaint_save(o, &id, 0, "result.png");
 *     else
 *         fprintf(stderr, "%s\n", overpaint_error(o));
 *     overpaint_job_free(&j);
 *     overpaint_close(&o);
 *
 * Threads: a handle belongs to one thread at a time; different handles are independent. A handle
 * keeps one connection. When the broker restarts, jobs submitted through a handle and not yet
 * finished are submitted again under the same id while the handle is being used (wait or poll).
 *
 * Errors: functions return 0 or a negative code; overpaint_error gives the sentence,
 * overpaint_code_name the code's stable name. Text results live until the next call with the same
 * handle. */
#ifndef OVERPAINT_CLIENT_H
#define OVERPAINT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OVERPAINT_API __attribute__((visibility("default")))

typedef struct overpaint overpaint;
typedef struct overpaint_job overpaint_job;

typedef struct {
    uint8_t byte[16];
} overpaint_id;

typedef enum {
    OVERPAINT_QUEUED,
    OVERPAINT_RUNNING,
    OVERPAINT_FINISHED,
    OVERPAINT_FAILED,
    OVERPAINT_CANCELLED
} overpaint_state;

typedef struct {
    overpaint_id id;
    overpaint_state state;
    unsigned position; /* jobs ahead in the queue */
    unsigned evaluations_done, evaluations, steps_done, steps;
    double eta_seconds;           /* negative: not known */
    const unsigned char *preview; /* a PNG file, or NULL */
    size_t preview_size;
} overpaint_progress;

typedef void overpaint_on_progress(void *arg, const overpaint_progress *p);

/* Connects to `endpoint` (NULL: OVERPAINT_ENDPOINT is not read here; the default path) as `name`
 * (NULL: host and process). Waits up to 2 s for the broker's welcome. On failure a handle is
 * returned whose overpaint_error says why and on which every call fails; NULL only without memory.
 */
OVERPAINT_API overpaint *overpaint_open(const char *endpoint, const char *name);
OVERPAINT_API void overpaint_close(overpaint **o);
OVERPAINT_API const char *overpaint_error(const overpaint *o); /* "" when the last call succeeded */
OVERPAINT_API int overpaint_error_code(const overpaint *o);
OVERPAINT_API const char *overpaint_code_name(int code);
OVERPAINT_API bool overpaint_connected(const overpaint *o); /* a broker answers */

/* A job by task name ("txt2img", "img2img", "noop", …) with every default; settings by the names of
 * the command line without dashes and with underscores: "cfg_scale", "seed" … `overpaint_job_set`
 * fails on unknown names and values that do not parse; ranges are checked at submit. "model" takes
 * a name, or a path (with a '/'), which is made absolute and works over ipc only. Pictures travel
 * as bytes, which are read or copied at once. */
OVERPAINT_API overpaint_job *overpaint_job_new(const char *task);
OVERPAINT_API void overpaint_job_free(overpaint_job **j);
OVERPAINT_API int overpaint_job_set(overpaint_job *j, const char *name, const char *value);
OVERPAINT_API int overpaint_job_add_file(overpaint_job *j, const char *path);
OVERPAINT_API int overpaint_job_add_bytes(overpaint_job *j, const void *bytes, size_t size);
/* Whether submit would refuse the job before sending it (values out of range, a picture missing,
 * …); needs no broker. overpaint_job_error lists everything that is wrong. */
OVERPAINT_API int overpaint_job_check(overpaint_job *j);
OVERPAINT_API const char *overpaint_job_error(const overpaint_job *j);
OVERPAINT_API void overpaint_job_use_id(overpaint_job *j, const overpaint_id *id); /* else random */

/* Returns once the broker has accepted (ACCEPTED) or refused the job. */
OVERPAINT_API int overpaint_submit(overpaint *o, const overpaint_job *j, overpaint_id *id);

/* Called from every call that talks with the broker, for each progress message of any job of this
 * handle, when the job was accepted, and when it has ended (state above OVERPAINT_RUNNING). The
 * callback must not call functions of the handle. */
OVERPAINT_API void overpaint_set_progress(overpaint *o, overpaint_on_progress *callback, void *arg);

/* Waits until the job has ended; timeout_ms < 0: for ever. 0: finished; otherwise the job's own
 * error or the timeout's. A job of an earlier handle is found by its id. */
OVERPAINT_API int overpaint_wait(overpaint *o, const overpaint_id *id, int timeout_ms);
/* Asks once: 0 when the job has finished, its own error when it ended otherwise, "timeout" when it
 * has not ended yet. */
OVERPAINT_API int overpaint_fetch(overpaint *o, const overpaint_id *id);
/* Handles what has arrived and returns after at most timeout_ms; for event loops. */
OVERPAINT_API int overpaint_poll(overpaint *o, int timeout_ms);

/* After a successful wait: the pictures, until overpaint_forget or close. */
OVERPAINT_API unsigned overpaint_pictures(overpaint *o, const overpaint_id *id);
OVERPAINT_API const unsigned char *overpaint_picture(overpaint *o, const overpaint_id *id,
                                                     unsigned index, size_t *size);
OVERPAINT_API const char *overpaint_picture_info(overpaint *o, const overpaint_id *id,
                                                 unsigned index);
OVERPAINT_API int64_t overpaint_picture_seed(overpaint *o, const overpaint_id *id, unsigned index);
OVERPAINT_API int overpaint_save(overpaint *o, const overpaint_id *id, unsigned index,
                                 const char *path);
/* The result without pictures as a JSON text, see README. */
OVERPAINT_API const char *overpaint_result_json(overpaint *o, const overpaint_id *id);
/* Drops the job from this handle; if its result is here, the broker drops it too (ACK). */
OVERPAINT_API void overpaint_forget(overpaint *o, const overpaint_id *id);

/* 0: it is cancelled, or will be at the next step (wait says when); "conflict": it had ended. */
OVERPAINT_API int overpaint_cancel(overpaint *o, const overpaint_id *id);
/* The service (id NULL) or one job as a JSON text, see README. */
OVERPAINT_API const char *overpaint_status_json(overpaint *o, const overpaint_id *id);

OVERPAINT_API void overpaint_id_text(const overpaint_id *id, char text[37]);
OVERPAINT_API int overpaint_id_parse(const char *text, overpaint_id *id);

#ifdef __cplusplus
}
#endif
#endif
