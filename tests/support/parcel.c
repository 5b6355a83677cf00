/* Jobs and frames to send: see parcel.h. */
#include "tests/support/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_TEXT = 60000 };

zmq_msg_t parcel_frame(const void *bytes, size_t size)
{
    zmq_msg_t f;
    zmq_msg_init_size(&f, size);
    if (size)
        memcpy(zmq_msg_data(&f), bytes, size);
    return f;
}

job parcel_job(void)
{
    static const uint8_t picture[] = "\x89PNG \0 picture";
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = TASK_IMG2IMG;
    j.priority = 77;
    j.noop_engine = true;
    j.deadline_ms = INT64_C(123456789);
    strcpy(j.model, "some/model");
    j.steps = 33;
    j.sampler = SAMPLER_HEUN;
    j.scheduler = SCHEDULE_KARRAS;
    j.cfg_scale = 7.1;
    j.denoising_strength = 0.1 + 0.2; /* a float would lose it */
    j.fix_steps = true;
    j.seed = INT64_C(1) << 62;
    j.width = 640;
    j.height = 384;
    j.resize = RESIZE_FILL;
    j.batch_size = 3;
    j.n_iter = 2;
    j.clip_skip = 2;
    j.rng = RNG_CPU;
    j.format = FORMAT_WEBP;
    j.quality = 101;
    memcpy(j.background, (uint8_t[]){1, 2, 3}, 3);
    j.want_preview = true;
    assert_int_equal(job_set_text(&j.prompt, "a fox", 5, NULL), 0);
    char *text = malloc(LONG_TEXT);
    memset(text, 'n', LONG_TEXT);
    assert_int_equal(job_set_text(&j.negative_prompt, text, LONG_TEXT, NULL), 0);
    free(text);
    job_add_input(&j, (job_picture){.bytes = picture, .size = sizeof picture}, NULL);
    job_add_input(&j, (job_picture){.path = "/shared/picture.png"}, NULL);
    return j;
}

void parcel_deliver(wire_message *m, const job *j)
{
    wire_job_packed p;
    zmq_msg_t frames[WIRE_FRAMES_MAX + 1];
    err e = {0};
    wire_header h = OVERPAINT__HEADER__INIT;
    Overpaint__Submit submit = OVERPAINT__SUBMIT__INIT;
    *m = (wire_message){.frames = 0};
    assert_int_equal(wire_job_pack(&p, j, &e), 0);
    h.has_version = 1;
    h.version = WIRE_VERSION;
    h.body_case = OVERPAINT__HEADER__BODY_SUBMIT;
    h.submit = &submit;
    submit.job = &p.message;
    assert_int_equal(wire_pack(&frames[0], &h, p.frame, p.frames, &e), 0);
    for (size_t i = 0; i < p.frames; i++)
        frames[i + 1] = p.frame[i];
    assert_int_equal(wire_parse(m, frames, p.frames + 1, &e), 1);
}
