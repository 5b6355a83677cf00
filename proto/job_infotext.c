/* A picture's parameters as settings: see job_infotext.h. The one idea: a key is a row with a type
 * and a place in the job; a value is tried on a copy of the job, which is kept only if everything
 * in it is within its range. */
#include "proto/job_infotext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job_inside.h"
#include "proto/log.h"
#include "proto/text.h"

typedef enum {
    KEY_INT32,
    KEY_INT64,
    KEY_REAL,
    KEY_SAMPLER, /* may bring a schedule, as older versions wrote it */
    KEY_SCHEDULE,
    KEY_SIZE,   /* WxH: two int32_t, one behind the other */
    KEY_BLUR,   /* one number for two int32_t, one behind the other */
    KEY_WORD,   /* an enum by `words` */
    KEY_EITHER, /* a bool by `words` */
    KEY_NAME,   /* of an upscaler, 256 bytes */
    KEY_DIRECTIONS,
    KEY_TARGET, /* KEY_SIZE, and nothing is cut unless KEY_CROP follows */
    KEY_CROP,   /* its being there is what it says */
} key_type;

typedef struct {
    const char *text;
    int value;
} word;

static const word rngs[] = {{"NV", RNG_NV}, {"GPU", RNG_NV}, {"CPU", RNG_CPU}, {0}};
static const word mask_modes[] = {{"Inpaint masked", false}, {"Inpaint not masked", true}, {0}};
static const word areas[] = {{"Whole picture", false}, {"Only masked", true}, {0}};
static const word contents[] = {{"fill", CONTENT_FILL},
                                {"original", CONTENT_ORIGINAL},
                                {"latent noise", CONTENT_LATENT_NOISE},
                                {"latent nothing", CONTENT_LATENT_NOTHING},
                                {0}};
static const word curves[] = {
    {"Linear", LOOP_LINEAR}, {"Aggressive", LOOP_AGGRESSIVE}, {"Lazy", LOOP_LAZY}, {0}};
static const word methods[] = {{"poor-mans", OUTPAINT_POOR_MANS}, {"mk2", OUTPAINT_MK2}, {0}};
static const word truths[] = {{"False", false}, {"True", true}, {0}};

typedef struct {
    const char *key;
    key_type type;
    size_t offset;
    const word *words;
    unsigned tasks; /* bit t: task t takes it; 0: every task */
} key_row;

#define AT(field)  offsetof(job, field)
#define ONLY(task) (1u << (task))

static const key_row rows[] = {
    {"Steps", KEY_INT32, AT(steps), NULL, 0},
    {"Sampler", KEY_SAMPLER, 0, NULL, 0},
    {"Schedule type", KEY_SCHEDULE, AT(scheduler), NULL, 0},
    {"CFG scale", KEY_REAL, AT(cfg_scale), NULL, 0},
    {"Seed", KEY_INT64, AT(seed), NULL, 0},
    {"Size", KEY_SIZE, AT(width), NULL,
     ONLY(TASK_TXT2IMG) | ONLY(TASK_IMG2IMG) | ONLY(TASK_LOOPBACK) | ONLY(TASK_SD_UPSCALE)},
    {"Denoising strength", KEY_REAL, AT(denoising_strength), NULL, 0},
    {"Clip skip", KEY_INT32, AT(clip_skip), NULL, 0},
    {"RNG", KEY_WORD, AT(rng), rngs, 0},
    {"Mask mode", KEY_EITHER, AT(inpaint.invert), mask_modes, 0},
    {"Mask blur", KEY_BLUR, AT(inpaint.blur_x), NULL, 0},
    {"Mask blur x", KEY_INT32, AT(inpaint.blur_x), NULL, 0},
    {"Mask blur y", KEY_INT32, AT(inpaint.blur_y), NULL, 0},
    {"Inpaint area", KEY_EITHER, AT(inpaint.only_masked), areas, 0},
    {"Masked area padding", KEY_INT32, AT(inpaint.padding), NULL, 0},
    {"Masked content", KEY_WORD, AT(inpaint.content), contents, 0},
    {"Conditional mask weight", KEY_REAL, AT(inpaint.mask_weight), NULL, 0},
    {"Soft inpainting enabled", KEY_EITHER, AT(inpaint.soft.on), truths, 0},
    {"Soft inpainting schedule bias", KEY_REAL, AT(inpaint.soft.schedule_bias), NULL, 0},
    {"Soft inpainting preservation strength", KEY_REAL, AT(inpaint.soft.preservation_strength),
     NULL, 0},
    {"Soft inpainting transition contrast boost", KEY_REAL,
     AT(inpaint.soft.transition_contrast_boost), NULL, 0},
    {"Soft inpainting mask influence", KEY_REAL, AT(inpaint.soft.mask_influence), NULL, 0},
    {"Soft inpainting difference threshold", KEY_REAL, AT(inpaint.soft.difference_threshold), NULL,
     0},
    {"Soft inpainting difference contrast", KEY_REAL, AT(inpaint.soft.difference_contrast), NULL,
     0},
    {"Outpaint method", KEY_WORD, AT(outpaint.method), methods, 0},
    {"Outpaint direction", KEY_DIRECTIONS, AT(outpaint), NULL, 0},
    {"Outpaint pixels", KEY_INT32, AT(outpaint.pixels), NULL, 0},
    {"Outpaint mask blur", KEY_INT32, AT(outpaint.mask_blur), NULL, 0},
    {"Outpaint masked content", KEY_WORD, AT(outpaint.content), contents, 0},
    {"Outpaint falloff", KEY_REAL, AT(outpaint.falloff), NULL, 0},
    {"Outpaint color variation", KEY_REAL, AT(outpaint.colour_variation), NULL, 0},
    {"Loops", KEY_INT32, AT(loopback.loops), NULL, 0},
    {"Final denoising strength", KEY_REAL, AT(loopback.final_strength), NULL, 0},
    {"Denoising curve", KEY_WORD, AT(loopback.curve), curves, 0},
    {"SD upscale overlap", KEY_INT32, AT(upscale.tile_overlap), NULL, 0},
    {"SD upscale scale", KEY_REAL, AT(upscale.scale), NULL, ONLY(TASK_SD_UPSCALE)},
    {"SD upscale upscaler", KEY_NAME, AT(upscale.upscaler), NULL, ONLY(TASK_SD_UPSCALE)},
    {"Postprocess upscaler", KEY_NAME, AT(upscale.upscaler), NULL, ONLY(TASK_UPSCALE)},
    {"Postprocess upscaler 2", KEY_NAME, AT(upscale.upscaler_2), NULL, ONLY(TASK_UPSCALE)},
    {"Postprocess upscaler 2 visibility", KEY_REAL, AT(upscale.visibility_2), NULL,
     ONLY(TASK_UPSCALE)},
    {"Postprocess upscale by", KEY_REAL, AT(upscale.scale), NULL, ONLY(TASK_UPSCALE)},
    {"Postprocess upscale to", KEY_TARGET, AT(upscale.width), NULL, ONLY(TASK_UPSCALE)},
    {"Postprocess crop to", KEY_CROP, AT(upscale.crop), NULL, ONLY(TASK_UPSCALE)},
};

static bool set_int32(int32_t *at, const char *value)
{
    int64_t whole;
    if (!text_whole(value, &whole) || whole < INT32_MIN || whole > INT32_MAX)
        return false;
    *at = (int32_t)whole;
    return true;
}

static bool set_size(int32_t *at, const char *value)
{
    char width[16];
    const size_t length = strcspn(value, "x");
    if (!value[length] || length >= sizeof width)
        return false;
    memcpy(width, value, length);
    width[length] = 0;
    return set_int32(at, width) && set_int32(at + 1, value + length + 1);
}

static bool set_blur(int32_t *at, const char *value)
{
    return set_int32(at, value) && set_int32(at + 1, value);
}

static bool set_word(const word *words, int *at, const char *value)
{
    for (; words->text; words++)
        if (text_same(words->text, value)) {
            *at = words->value;
            return true;
        }
    return false;
}

static bool set_either(const word *words, bool *at, const char *value)
{
    int found;
    if (!set_word(words, &found, value))
        return false;
    *at = found;
    return true;
}

/* A name only: a picture must not make anybody open a path. */
static bool set_name(char *at, const char *value)
{
    if (!*value || strchr(value, '/') || strlen(value) >= sizeof((job *)0)->upscale.upscaler)
        return false;
    strcpy(at, value);
    return true;
}

static bool set_target(upscale_options *o, const char *value)
{
    o->crop = false;
    return set_size(&o->width, value);
}

static bool set_crop(bool *at)
{
    *at = true;
    return true;
}

static bool set(job *j, const key_row *row, const char *value)
{
    void *at = (char *)j + row->offset;
    switch (row->type) {
    case KEY_INT32: return set_int32(at, value);
    case KEY_INT64: return text_whole(value, at);
    case KEY_REAL: return text_real(value, at);
    case KEY_SAMPLER: return !catalog_find_sampler(value, &j->sampler, &j->scheduler, NULL);
    case KEY_SCHEDULE: return !catalog_find_schedule(value, at, NULL);
    case KEY_SIZE: return set_size(at, value);
    case KEY_BLUR: return set_blur(at, value);
    case KEY_WORD: return set_word(row->words, at, value);
    case KEY_EITHER: return set_either(row->words, at, value);
    case KEY_NAME: return set_name(at, value);
    case KEY_DIRECTIONS: return outpaint_directions(at, value);
    case KEY_TARGET: return set_target(&j->upscale, value);
    case KEY_CROP: return set_crop(at);
    }
    return false;
}

static const key_row *find_row(const char *key, task_kind task)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].key, key) && (!rows[i].tasks || rows[i].tasks >> task & 1))
            return &rows[i];
    return NULL;
}

static void take(job *j, const infotext_entry *entry, err *notes)
{
    const key_row *row = find_row(entry->key, j->task);
    char found[60];
    err bad = {0};
    if (!row)
        return;
    job trial = *j;
    const bool readable = set(&trial, row, entry->value);
    if (readable)
        job_check_ranges(&trial, &bad);
    if (readable && !bad.code)
        *j = trial;
    else
        err_add(notes, ERR_INVALID, "%s: %s is not taken", row->key,
                log_quote(found, sizeof found, entry->value));
}

static int take_text(char **field, const char *what, const char *text, err *notes, err *e)
{
    err why = {0};
    int rc = job_set_text(field, text ? text : "", text ? strlen(text) : 0, &why);
    if (rc == ERR_NO_MEMORY)
        return err_set(e, rc, "%s", why.text);
    if (rc)
        err_add(notes, ERR_INVALID, "%s is not taken: %s", what, why.text);
    return 0;
}

int job_from_infotext(job *j, const infotext *t, err *notes, err *e)
{
    err before = {0};
    job_check_ranges(j, &before);
    if (before.code)
        return err_set(e, before.code, "%s", before.text);
    int rc = take_text(&j->prompt, "the prompt", t->prompt, notes, e);
    if (!rc)
        rc = take_text(&j->negative_prompt, "the negative prompt", t->negative_prompt, notes, e);
    for (size_t i = 0; !rc && i < t->count; i++)
        take(j, &t->entry[i], notes);
    return rc;
}
