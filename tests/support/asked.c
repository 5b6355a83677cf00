/* Golden jobs: see asked.h. The one idea: tables from the keys of the JSON files to settings, and
 * from cases to tolerances. */
#include "tests/support/asked.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/picture.h"

const char *const asked_folders[] = {"pictures", "grammar", "inpaint",   "outpaint",
                                     "loopback", "upscale", "upscalers", NULL};

/* ---------------------------------------------------------------- keys */

/* A key of a golden job, the setting it is, and the setting's words for its values. */
typedef struct {
    const char *key, *setting;
    const char *const (*words)[2]; /* NULL: the value as it is */
    bool flag;
} translation;

static const char *const tasks[][2] = {{"sd_upscale", "sd-upscale"}, {0}};
static const char *const samplers[][2] = {
    {"euler", "Euler"},   {"euler_a", "Euler a"},   {"heun", "Heun"}, {"dpm2", "DPM2"},
    {"dpm2_a", "DPM2 a"}, {"dpmpp_2m", "DPM++ 2M"}, {"ddim", "DDIM"}, {0}};
static const char *const schedules[][2] = {
    {"exponential", "Exponential"}, {"sgm_uniform", "SGM Uniform"}, {"karras", "Karras"}, {0}};
static const char *const resizes[][2] = {{"0", "just"}, {"1", "crop"}, {"2", "fill"}, {0}};
static const char *const rngs[][2] = {{"CPU", "cpu"}, {"NV", "nv"}, {0}};
static const char *const contents[][2] = {{"fill", "fill"},
                                          {"original", "original"},
                                          {"latent_noise", "latent-noise"},
                                          {"latent_nothing", "latent-nothing"},
                                          {0}};
static const char *const mask_modes[][2] = {{"true", "not-masked"}, {0}};
static const char *const areas[][2] = {{"true", "only-masked"}, {0}};
static const char *const methods[][2] = {{"poor_mans", "poor-mans"}, {"mk2", "mk2"}, {0}};

static const translation table[] = {
    {.key = "prompt", .setting = "prompt"},
    {.key = "negative_prompt", .setting = "negative-prompt"},
    {.key = "sampler", .setting = "sampler", .words = samplers},
    {.key = "schedule", .setting = "scheduler", .words = schedules},
    {.key = "steps", .setting = "steps"},
    {.key = "cfg_scale", .setting = "cfg-scale"},
    {.key = "denoising_strength", .setting = "denoising-strength"},
    {.key = "seed", .setting = "seed"},
    {.key = "width", .setting = "width"},
    {.key = "height", .setting = "height"},
    {.key = "clip_skip", .setting = "clip-skip"},
    {.key = "resize_mode", .setting = "resize-mode", .words = resizes},
    {.key = "rng", .setting = "rng", .words = rngs},
    {.key = "fix_steps", .setting = "fix-steps", .flag = true},
    {.key = "color_correction", .setting = "color-correction", .flag = true},
    {.key = "mask_blur", .setting = "mask-blur"},
    {.key = "mask_invert", .setting = "mask-mode", .words = mask_modes},
    {.key = "masked_content", .setting = "masked-content", .words = contents},
    {.key = "only_masked", .setting = "inpaint-area", .words = areas},
    {.key = "padding", .setting = "padding"},
    {.key = "mask_weight", .setting = "mask-weight"},
    {.key = "method", .setting = "method", .words = methods},
    {.key = "directions", .setting = "direction"},
    {.key = "pixels", .setting = "pixels"},
    {.key = "outpaint_mask_blur", .setting = "mask-blur"},
    {.key = "falloff", .setting = "falloff"},
    {.key = "colour_variation", .setting = "color-variation"},
    {.key = "loops", .setting = "loops"},
    {.key = "final_denoising_strength", .setting = "final-denoising-strength"},
    {.key = "curve", .setting = "curve"},
    {.key = "upscaler", .setting = "upscaler"},
    {.key = "scale_factor", .setting = "scale"},
    {.key = "tile_overlap", .setting = "tile-overlap"},
    /* said by the entry, or by the input itself */
    {.key = "task"},
    {.key = "model"},
    {.key = "mask_from_alpha"},
    {0},
};

static const translation *find(const char *key)
{
    const translation *t = table;
    while (t->key && strcmp(t->key, key))
        t++;
    if (!t->key)
        fail_msg("a golden job asks for \"%s\", which this test does not know", key);
    return t;
}

static const char *list_text(const json_t *list, char room[64])
{
    const json_t *word;
    size_t i;
    int n = 0;
    json_array_foreach(list, i, word) n +=
        snprintf(room + n, 64 - (size_t)n, "%s%s", i ? "," : "", json_string_value(word));
    return room;
}

static const char *value_text(const json_t *v, char room[64])
{
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_array(v))
        return list_text(v, room);
    if (json_is_boolean(v))
        return json_is_true(v) ? "true" : "false";
    snprintf(room, 64, json_is_integer(v) ? "%.0f" : "%.17g", json_number_value(v));
    return room;
}

/* `missing`: for values that the words lack; NULL: such a value is a mistake. */
static const char *translate(const char *const (*words)[2], const char *value, const char *missing)
{
    for (int i = 0; words && words[i][0]; i++)
        if (!strcmp(words[i][0], value))
            return words[i][1];
    if (words && !missing)
        fail_msg("a golden job says \"%s\", which this test does not know", value);
    return words ? missing : value;
}

static void add(asked *a, const char *key, const json_t *v)
{
    const translation *t = find(key);
    if (!t->setting || json_is_false(v))
        return;
    assert_in_range(a->settings, 0, ASKED_SETTINGS - 1);
    const char *value = value_text(v, a->text[a->settings]);
    a->setting[a->settings++] =
        (asked_setting){t->setting, translate(t->words, value, NULL), t->flag};
}

static const char *text_of(const json_t *entry, const char *key, const char *fallback)
{
    const json_t *v = json_object_get(entry, key);
    return json_is_string(v) ? json_string_value(v) : fallback;
}

static void input_file(char to[ASKED_FILE], const char *folder, const char *file)
{
    snprintf(to, ASKED_FILE, "%s%s%s", file ? folder : "", file ? "/" : "", file ? file : "");
}

void asked_read(asked *a, const char *folder, const char *name, const json_t *entry)
{
    json_t *wanted = json_object_get(entry, "job"), *v;
    const json_t *pictures = json_object_get(entry, "pictures");
    const char *key, *task = text_of(wanted, "task", "");
    *a = (asked){.folder = folder,
                 .name = name,
                 .result = text_of(entry, "result", name),
                 .task = translate(tasks, task, task),
                 .model = text_of(entry, "model", NULL),
                 .pictures = pictures ? (int)json_integer_value(pictures) : 1};
    input_file(a->input, folder, text_of(entry, "init", NULL));
    input_file(a->mask, folder, text_of(entry, "mask", NULL));
    json_object_foreach(wanted, key, v) add(a, key, v);
}

void asked_file(const asked *a, int index, char to[ASKED_FILE])
{
    char number[16] = "";
    if (a->pictures > 1)
        snprintf(number, sizeof number, "-%d", index + 1);
    snprintf(to, ASKED_FILE, "%s/%s%s.png", a->folder, a->result, number);
}

/* ---------------------------------------------------------------- pictures */

/* How near a picture has to be: at most one level on at most 0.5 % of the values, or a PSNR where
 * rounding adds up over several rounds of sampling. */
typedef struct {
    const char *folder, *name; /* name NULL: the whole folder */
    int from;                  /* the first picture for which it holds */
    double psnr;               /* dB */
} tolerance;

static const tolerance tolerances[] = {
    {"outpaint", NULL, 0, 45},
    {"loopback", NULL, 1, 45},
    {"inpaint", "nine-no-mask", 0, 40}, /* an all grey picture: norms without variance */
};
#define SHARE_MAX 0.005
enum { LARGEST_MAX = 1 };

static double psnr_wanted(const asked *a, int index)
{
    if (getenv("OVERPAINT_BACKEND")) /* a GPU, in fp16 */
        return 40;
    for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++) {
        const tolerance *t = &tolerances[i];
        if (!strcmp(t->folder, a->folder) && index >= t->from &&
            (!t->name || !strcmp(t->name, a->name)))
            return t->psnr;
    }
    return 0;
}

typedef struct {
    double share, psnr; /* of the values that differ; dB */
    int largest;
} distance;

static distance measure(const image *want, const image *got)
{
    const size_t count = (size_t)want->w * (size_t)want->h * (size_t)want->channels;
    size_t differing = 0;
    for (size_t i = 0; i < count; i++)
        differing += got->px[i] != want->px[i];
    return (distance){.share = (double)differing / (double)count,
                      .psnr = picture_psnr(want, got),
                      .largest = picture_difference(want, got)};
}

void asked_compare(const asked *a, int index, const image *got)
{
    char file[ASKED_FILE];
    asked_file(a, index, file);
    image want = picture_golden(file);
    if (want.w != got->w || want.h != got->h || want.channels != got->channels)
        fail_msg("%s: %dx%d in %d channels, expected %dx%d in %d", file, got->w, got->h,
                 got->channels, want.w, want.h, want.channels);
    const distance d = measure(&want, got);
    const double psnr = psnr_wanted(a, index);
    print_message("%s: %.4f %% differ, by at most %d, PSNR %.1f dB\n", file, 100 * d.share,
                  d.largest, d.psnr);
    image_done(&want);
    if (psnr > 0)
        assert_true(d.psnr >= psnr);
    else
        assert_true(d.largest <= LARGEST_MAX && d.share <= SHARE_MAX);
}
