/* A job as data: its life, its ids, and the arithmetic every program must agree on (size and
 * steps). What is allowed in it is job_check.c. */
#include "proto/job.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void job_init(job *j)
{
    *j = (job){
        .task = TASK_IMG2IMG,
        .priority = 50,
        .steps = 20,
        .sampler = SAMPLER_DPMPP_2M,
        .scheduler = SCHEDULE_AUTOMATIC,
        .cfg_scale = 7,
        .denoising_strength = 0.75,
        .seed = -1,
        .resize = RESIZE_JUST,
        .batch_size = 1,
        .n_iter = 1,
        .clip_skip = 1,
        .rng = RNG_NV,
        .format = FORMAT_PNG,
        .quality = 90,
        .background = {255, 255, 255},
        .inpaint = {.blur_x = 4,
                    .blur_y = 4,
                    .content = CONTENT_ORIGINAL,
                    .padding = 32,
                    .mask_weight = 1,
                    .soft = {.schedule_bias = 1,
                             .preservation_strength = 0.5,
                             .transition_contrast_boost = 4,
                             .mask_influence = 0,
                             .difference_threshold = 0.5,
                             .difference_contrast = 2}},
        .outpaint = {.method = OUTPAINT_POOR_MANS,
                     .pixels = 128,
                     .mask_blur = -1,
                     .content = CONTENT_FILL,
                     .falloff = 1,
                     .colour_variation = 0.05},
        .loopback = {.loops = 4, .final_strength = 0.5, .curve = LOOP_LINEAR},
        .upscale = {.upscaler = "Lanczos", .crop = true, .tile_overlap = 64},
    };
}

void job_done(job *j)
{
    if (!j)
        return;
    if (j->owns_bytes)
        for (size_t i = 0; i < j->inputs; i++)
            free((uint8_t *)j->input[i].bytes);
    free(j->input);
    free(j->prompt);
    free(j->negative_prompt);
    *j = (job){0};
}

int job_set_text(char **field, const char *text, size_t size, err *e)
{
    if (size > JOB_TEXT_MAX)
        return err_set(e, ERR_TOO_LARGE, "a prompt has %zu bytes, expected at most %d", size,
                       JOB_TEXT_MAX);
    const char *nul = size ? memchr(text, 0, size) : NULL;
    if (nul)
        return err_set(e, ERR_INVALID, "a prompt has a NUL at byte %zu, expected text",
                       (size_t)(nul - text));
    char *copy = malloc(size + 1);
    if (!copy)
        return err_set(e, ERR_NO_MEMORY, "no memory for a prompt of %zu bytes", size);
    if (size)
        memcpy(copy, text, size);
    copy[size] = 0;
    free(*field);
    *field = copy;
    return 0;
}

int job_add_input(job *j, job_picture picture, err *e)
{
    if (j->inputs >= JOB_INPUTS_MAX)
        return err_set(e, ERR_TOO_LARGE, "more than %d input pictures", JOB_INPUTS_MAX);
    job_picture *grown = realloc(j->input, (j->inputs + 1) * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NO_MEMORY, "no memory for %zu input pictures", j->inputs + 1);
    j->input = grown;
    j->input[j->inputs++] = picture;
    return 0;
}

const job_picture *job_find_input(const job *j, input_role role)
{
    for (size_t i = 0; i < j->inputs; i++)
        if (j->input[i].role == role)
            return &j->input[i];
    return NULL;
}

static int pictures_of_task(const job *j)
{
    switch (j->task) {
    case TASK_LOOPBACK: return j->n_iter == 1 ? j->loopback.loops : j->n_iter;
    case TASK_SD_UPSCALE: return j->n_iter;
    case TASK_UPSCALE: return 1;
    case TASK_OUTPAINT:
        return j->outpaint.method == OUTPAINT_POOR_MANS ? 1 : j->batch_size * j->n_iter;
    default: return j->batch_size * j->n_iter;
    }
}

int job_pictures(const job *j)
{
    const bool masked = j->task == TASK_INPAINT || job_find_input(j, INPUT_MASK);
    const int each = masked ? 1 + j->inpaint.give_mask + j->inpaint.give_composite : 1;
    return pictures_of_task(j) * each;
}

static int size_side(double pixels)
{
    double side = 8 * round(pixels / 8);
    return (int)fmin(fmax(side, JOB_SIDE_MIN), JOB_SIDE_MAX);
}

void job_size(const job *j, int w, int h, int *width, int *height)
{
    double scale = 1;
    if (!j->width || !j->height) {
        assert(w > 0 && h > 0);
        if (j->width)
            scale = (double)j->width / w;
        else if (j->height)
            scale = (double)j->height / h;
        else /* a long strip is held by its longer side and keeps its shape */
            scale = fmin(JOB_SIDE / sqrt((double)w * h), (double)JOB_SIDE_MAX / (w > h ? w : h));
    }
    *width = j->width ? j->width : size_side(w * scale);
    *height = j->height ? j->height : size_side(h * scale);
}

void job_steps(const job *j, int *steps, int *t_enc)
{
    double strength = fmin(j->denoising_strength, 0.999);
    *steps = j->steps;
    *t_enc = j->steps - 1;
    if (j->task == TASK_TXT2IMG)
        return;
    if (!j->fix_steps) {
        *t_enc = (int)(strength * j->steps);
    } else if (strength > 0) {
        assert(j->steps / strength <= JOB_SCHEDULE_MAX);
        *steps = (int)(j->steps / strength);
    } else {
        *steps = *t_enc = 0;
    }
}

enum { DIRECTIONS = 4 };
static const char *const direction_names[DIRECTIONS] = {"left", "right", "up", "down"};

bool outpaint_directions(outpaint_options *o, const char *text)
{
    bool on[DIRECTIONS] = {false};
    for (const char *word = text;; word++) {
        const size_t length = strcspn(word, ",");
        int i = 0;
        while (i < DIRECTIONS &&
               (strlen(direction_names[i]) != length || strncmp(word, direction_names[i], length)))
            i++;
        if (i == DIRECTIONS)
            return false;
        on[i] = true;
        word += length;
        if (!*word)
            break;
    }
    o->left = on[0];
    o->right = on[1];
    o->up = on[2];
    o->down = on[3];
    return true;
}

void outpaint_directions_text(const outpaint_options *o, char text[OUTPAINT_DIRECTIONS_TEXT])
{
    const bool on[DIRECTIONS] = {o->left, o->right, o->up, o->down};
    *text = 0;
    for (int i = 0; i < DIRECTIONS; i++)
        if (on[i]) {
            strcat(text, *text ? "," : "");
            strcat(text, direction_names[i]);
        }
}

static const char *const task_names[TASK_COUNT] = {
    [TASK_NOOP] = "noop",
    [TASK_TXT2IMG] = "txt2img",
    [TASK_IMG2IMG] = "img2img",
    [TASK_INPAINT] = "inpaint",
    [TASK_OUTPAINT] = "outpaint",
    [TASK_LOOPBACK] = "loopback",
    [TASK_UPSCALE] = "upscale",
    [TASK_INTERROGATE] = "interrogate",
    [TASK_SD_UPSCALE] = "sd-upscale",
};

const char *task_name(task_kind t)
{
    return (unsigned)t < TASK_COUNT ? task_names[t] : "unknown";
}

bool task_find(const char *name, task_kind *t)
{
    for (int i = 0; i < TASK_COUNT; i++)
        if (!strcmp(name, task_names[i])) {
            *t = (task_kind)i;
            return true;
        }
    return false;
}

void job_id_new(job_id *id)
{
    ssize_t got;
    do /* 16 bytes come whole or, before the system has gathered entropy, not at all */
        got = getrandom(id->byte, sizeof id->byte, 0);
    while (got < 0 && errno == EINTR);
    assert(got == sizeof id->byte);
}

/* A dash stands before these bytes: 8-4-4-4-12. */
static bool dash_before(int byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void job_id_text(const job_id *id, char text[JOB_ID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < JOB_ID_BYTES; i++) {
        if (dash_before(i))
            *text++ = '-';
        *text++ = digits[id->byte[i] >> 4];
        *text++ = digits[id->byte[i] & 15];
    }
    *text = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool job_id_parse(const char *text, job_id *id)
{
    job_id parsed;
    for (int i = 0; i < JOB_ID_BYTES; i++) {
        if (dash_before(i) && *text++ != '-')
            return false;
        int high = hex_digit(*text);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        parsed.byte[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return false;
    *id = parsed;
    return true;
}

bool job_id_equal(const job_id *a, const job_id *b)
{
    return !memcmp(a->byte, b->byte, JOB_ID_BYTES);
}
