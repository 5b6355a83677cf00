/* liboverpaint: the thin C client of Overpaint.
 *
 *     overpaint *o = overpaint_open(NULL, NULL);                    // default endpoint
 *     overpaint_job *j = overpaint_job_new("img2img");
 *     overpaint_job_set(j, "prompt", "a red fox in the snow");
 *     overpaint_job_set(j, "denoising_strength", "0.6");
 *     overpaint_job_add_file(j, "photo.png");
 *     overpaint_id id;
 *     if (overpaint_job_check(j))
 *         fprintf(stderr, "%s\n", overpaint_job_error(j));
 *     else if (!overpaint_submit(o, j, &id) && !overpaint_wait(o, &id, -1) &&
 *              !overpaint_save(o, &id, 0, "result.png"))
 *         overpaint_forget(o, &id);
 *     else
 *         fprintf(stderr, "%s\n", overpaint_error(o));
 *     overpaint_job_free(&j);
 *     overpaint_close(&o);
 *
 * Threads: a handle belongs to one thread at a time, and so does a job; different handles are
 * independent. A handle has one connection and a thread of ZeroMQ's; it does not survive fork.
 *
 * A handle remembers the jobs submitted, waited for or watched through it, until
 * overpaint_forget. When the broker restarts, those submitted and not yet ended are submitted again
 * under the same id and seed while the handle is being used (wait, poll, or any call that asks the
 * broker).
 *
 * Errors: functions return 0 or a negative overpaint_code; overpaint_error gives the sentence for
 * people: what was found and what was expected. Every call begins a new error. Functions that
 * return something else say what they return on failure. A NULL handle or job (there was no memory
 * for it) fails every call with OVERPAINT_ERROR_NO_MEMORY. Other arguments must not be NULL unless
 * it is said that they may be. */
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

typedef enum {
    OVERPAINT_ERROR_INVALID = -1,   /* the request makes no sense: wrong range, type, format */
    OVERPAINT_ERROR_NOT_FOUND = -2, /* no such job, model or picture */
    OVERPAINT_ERROR_IO = -3,        /* reading or writing failed */
    OVERPAINT_ERROR_NO_MEMORY = -4, /* here, or the worker's budget is too small for the job */
    OVERPAINT_ERROR_TOO_LARGE = -5, /* a stated limit: bytes, pixels, tokens */
    OVERPAINT_ERROR_BUSY = -6,      /* the service is full; overpaint_retry_after_ms says more */
    OVERPAINT_ERROR_TIMEOUT = -7,   /* time is over, or no broker answers */
    OVERPAINT_ERROR_CANCELLED = -8, /* the job was cancelled */
    OVERPAINT_ERROR_CONFLICT = -9,  /* another job has this id; cancel: it had ended */
    OVERPAINT_ERROR_DEVICE = -10,   /* the worker's device failed, or the model makes NaN */
    OVERPAINT_ERROR_PROTOCOL = -11, /* the broker speaks another language */
    OVERPAINT_ERROR_LOST = -12,     /* every attempt lost its worker, or failed */
} overpaint_code;

/* Borrowed by the callback: nothing in it may be used after its return. */
typedef struct {
    overpaint_id id;
    overpaint_state state;
    unsigned position;                                         /* jobs ahead in the queue */
    unsigned evaluations_done, evaluations, steps_done, steps; /* of the job; 0 of 0: not known */
    double eta_seconds;                                        /* negative: not known */
    const unsigned char *preview;                              /* a PNG file, or NULL */
    size_t preview_size;
} overpaint_progress;

typedef void overpaint_on_progress(void *arg, const overpaint_progress *p);

/* --- the connection ------------------------------------------------------------------------- */

/* Connects to `endpoint` (NULL: where `overpaint up` serves by default; no environment is read) as
 * `name`, which status shows (NULL: host and process). Waits up to 2 s for the broker. On failure a
 * handle is returned whose overpaint_error says why and on which every call fails the same way;
 * close it and open another to try again. NULL only without memory. */
OVERPAINT_API overpaint *overpaint_open(const char *endpoint, const char *name);

/* Frees the handle and what it lent; *o becomes NULL. Jobs run on, their results wait at the broker
 * for a while (15 minutes by default). NULL and a NULL handle are fine. */
OVERPAINT_API void overpaint_close(overpaint **o);

/* Of the last call with this handle: "" and 0 when it succeeded. The text lives until the next. */
OVERPAINT_API const char *overpaint_error(const overpaint *o);
OVERPAINT_API int overpaint_error_code(const overpaint *o);

/* After OVERPAINT_ERROR_BUSY from overpaint_submit: when the broker expects to have room. 0: it did
 * not say. */
OVERPAINT_API unsigned overpaint_retry_after_ms(const overpaint *o);

/* "invalid", "not_found" ...: the name used in JSON and logs; "ok" for 0. A constant. */
OVERPAINT_API const char *overpaint_code_name(int code);

/* Whether the broker answered lately. False may become true again by waiting or polling. */
OVERPAINT_API bool overpaint_connected(const overpaint *o);

/* --- a job ---------------------------------------------------------------------------------- */

/* A job by task name ("txt2img", "img2img", "inpaint", "outpaint", "loopback", "sd-upscale",
 * "upscale", "noop") with the defaults of its command (`overpaint TASK --help`). An unknown task
 * gives a job that can be freed and explains itself in overpaint_job_error. NULL without memory. It
 * may be submitted any number of times, through any handle. */
OVERPAINT_API overpaint_job *overpaint_job_new(const char *task);
OVERPAINT_API void overpaint_job_free(overpaint_job **j); /* *j becomes NULL; NULL is fine */

/* Sets one thing by its name on the command line, without dashes and with underscores: "cfg_scale",
 * "seed" ...; the value as a user would type it. Fails on unknown names and values that do not
 * parse; ranges are checked later (overpaint_job_check, overpaint_submit). "model" takes a name, or
 * a path (with a '/'), which is made absolute and works over ipc only; so do "upscaler" and its
 * like. "mask" and "sketch" take the path of a picture file, which is read at once. */
OVERPAINT_API int overpaint_job_set(overpaint_job *j, const char *name, const char *value);

/* Adds an input picture: PNG, JPEG or WebP. The bytes are read or copied at once, and looked at by
 * the worker only. */
OVERPAINT_API int overpaint_job_add_file(overpaint_job *j, const char *path);
OVERPAINT_API int overpaint_job_add_bytes(overpaint_job *j, const void *bytes, size_t size);

/* The mask of an inpaint or loopback job, or the sketch of an inpaint job; replaces an earlier one.
 */
OVERPAINT_API int overpaint_job_add_mask(overpaint_job *j, const void *bytes, size_t size);
OVERPAINT_API int overpaint_job_add_sketch(overpaint_job *j, const void *bytes, size_t size);

/* Takes prompts, seed, sampler and every other setting that the job's task uses from the parameters
 * in a picture file, of this program or of the web UI; not the model, and the size only where the
 * input does not decide it. What is set afterwards overrides it. OVERPAINT_ERROR_NOT_FOUND when the
 * file has no parameters. Values that make no sense are not taken; overpaint_job_notes lists them.
 */
OVERPAINT_API int overpaint_job_from(overpaint_job *j, const char *path);
OVERPAINT_API const char *overpaint_job_notes(const overpaint_job *j); /* "": everything fits */

/* Whether submit would refuse the job before sending it (values out of range, a picture missing,
 * …); needs no broker. overpaint_job_error lists everything that is wrong. */
OVERPAINT_API int overpaint_job_check(overpaint_job *j);

/* Of the last call with this job; "" when it succeeded. The text lives until the next. */
OVERPAINT_API const char *overpaint_job_error(const overpaint_job *j);

/* The id under which it will be submitted; otherwise every submit draws a random one. */
OVERPAINT_API void overpaint_job_use_id(overpaint_job *j, const overpaint_id *id);

/* --- from submission to the result ---------------------------------------------------------- */

/* Returns once the broker has accepted or refused the job, or after 10 s without an answer; *id is
 * set in any case. Submitting the same job again under the same id (overpaint_job_use_id), from
 * another handle or after a time-out, is safe: it is still one job. */
OVERPAINT_API int overpaint_submit(overpaint *o, const overpaint_job *j, overpaint_id *id);

/* `callback` (NULL: none) is called, in the thread of the call, from every call that talks with the
 * broker: for each progress message of any job of this handle, when a job was accepted, and when it
 * has ended (state above OVERPAINT_RUNNING). It must not call functions of the handle. */
OVERPAINT_API void overpaint_set_progress(overpaint *o, overpaint_on_progress *callback, void *arg);

/* Waits until the job has ended; timeout_ms < 0: for ever. 0: finished, its pictures are here;
 * otherwise the job's own error, or OVERPAINT_ERROR_TIMEOUT (a job's own deadline has the same
 * code; overpaint_status_json tells them apart). The job may be one of another handle, or of
 * another process: whoever knows an id may ask for it. */
OVERPAINT_API int overpaint_wait(overpaint *o, const overpaint_id *id, int timeout_ms);

/* Asks once: 0 when the job has finished, its own error when it ended otherwise,
 * OVERPAINT_ERROR_TIMEOUT when it has not ended yet. */
OVERPAINT_API int overpaint_fetch(overpaint *o, const overpaint_id *id);

/* Handles what has arrived and returns after one wait of at most timeout_ms (at most 200 ms); for
 * event loops: the progress callback says which jobs have ended. Fails only with the handle. */
OVERPAINT_API int overpaint_poll(overpaint *o, int timeout_ms);

/* --- results -------------------------------------------------------------------------------- */

/* After a successful wait or fetch, and until overpaint_forget or close: how many pictures; 0 with
 * an error for a job that has no result here. */
OVERPAINT_API unsigned overpaint_pictures(overpaint *o, const overpaint_id *id);

/* The bytes of picture file `index`, borrowed until overpaint_forget or close; NULL with an error.
 * `size` may be NULL. */
OVERPAINT_API const unsigned char *overpaint_picture(overpaint *o, const overpaint_id *id,
                                                     unsigned index, size_t *size);

/* Its parameters text, borrowed in the same way; NULL with an error. */
OVERPAINT_API const char *overpaint_picture_info(overpaint *o, const overpaint_id *id,
                                                 unsigned index);

/* The seed that makes it again; -1 for a picture that was not sampled, and with an error. */
OVERPAINT_API int64_t overpaint_picture_seed(overpaint *o, const overpaint_id *id, unsigned index);

/* Writes the picture file under a temporary name and renames it to `path`. */
OVERPAINT_API int overpaint_save(overpaint *o, const overpaint_id *id, unsigned index,
                                 const char *path);

/* What the user should know of a finished job though nothing went wrong; NULL: nothing. */
OVERPAINT_API const char *overpaint_result_note(overpaint *o, const overpaint_id *id);

/* The result without pictures as a JSON text (keys: README.md), until the next call that returns a
 * JSON text; NULL with an error. */
OVERPAINT_API const char *overpaint_result_json(overpaint *o, const overpaint_id *id);

/* Drops the job and its pictures from this handle; if its result is here, the broker drops it too.
 * Call it when the pictures are safe: until then another handle can still fetch them. */
OVERPAINT_API void overpaint_forget(overpaint *o, const overpaint_id *id);

/* --- everything else ------------------------------------------------------------------------ */

/* 0: it is cancelled, or will be at the next step (wait says when); OVERPAINT_ERROR_CONFLICT: it
 * had ended otherwise; OVERPAINT_ERROR_NOT_FOUND. */
OVERPAINT_API int overpaint_cancel(overpaint *o, const overpaint_id *id);

/* The service (id NULL) or one job as a JSON text (keys: README.md), until the next call that
 * returns a JSON text; NULL with an error. */
OVERPAINT_API const char *overpaint_status_json(overpaint *o, const overpaint_id *id);

/* Ids as people see them: 8-4-4-4-12 hexadecimal digits. Parse: OVERPAINT_ERROR_INVALID for
 * anything else, NULL too; *id is unchanged then. */
OVERPAINT_API void overpaint_id_text(const overpaint_id *id, char text[37]);
OVERPAINT_API int overpaint_id_parse(const char *text, overpaint_id *id);

#ifdef __cplusplus
}
#endif
#endif
