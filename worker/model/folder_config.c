/* Configuration files of a diffusers folder: see folder_config.h. The one idea: a table says which
 * value each setting must have. A setting that is absent has it, and what is not in the table
 * decides nothing here. */
#include "worker/model/folder_config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 64 << 10, PATH_MOST = 4096 };

typedef struct {
    const char *key;
    const char *text; /* NULL: a number; "": not given, or false */
    double number;
} setting;

static const setting scheduler_settings[] = {
    {"prediction_type", "epsilon", 0},   {"beta_schedule", "scaled_linear", 0},
    {"beta_start", NULL, 0.00085},       {"beta_end", NULL, 0.012},
    {"num_train_timesteps", NULL, 1000}, {"trained_betas", "", 0},
    {"rescale_betas_zero_snr", "", 0},   {0}};

static const setting vae_settings[] = {
    {"shift_factor", "", 0}, {"latents_mean", "", 0}, {"latents_std", "", 0}, {0}};

static bool has_value(const setting *s, const json_t *value)
{
    if (!value || json_is_null(value))
        return true;
    if (!s->text)
        return json_is_number(value) &&
               fabs(json_number_value(value) - s->number) <= 1e-6 * s->number;
    if (!*s->text)
        return json_is_false(value) || (json_is_number(value) && json_number_value(value) == 0);
    return json_is_string(value) && !strcmp(json_string_value(value), s->text);
}

static void check_settings(const setting *s, const json_t *root, const char *file, problems *p)
{
    for (; s->key; s++) {
        const json_t *value = json_object_get(root, s->key);
        if (has_value(s, value))
            continue;
        char number[32];
        char *found = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        snprintf(number, sizeof number, "%g", s->number);
        problems_add(p, ERR_INVALID, "%s: not supported: %s is %.60s, expected %s", file, s->key,
                     found ? found : "of a strange kind",
                     !s->text   ? number
                     : *s->text ? s->text
                                : "none");
        free(found);
    }
}

/* The object in `text`, or NULL. */
static json_t *parse(const char *text, size_t size, const char *file, problems *p)
{
    json_error_t why;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        problems_add(
            p, json_error_code(&why) == json_error_out_of_memory ? ERR_NO_MEMORY : ERR_INVALID,
            "%s, byte %d: %.120s", file, why.position, why.text);
    else if (json_is_object(root))
        return root;
    else
        problems_add(p, ERR_INVALID, "%s is not a JSON object", file);
    json_decref(root);
    return NULL;
}

static const char scheduler_file[] = "scheduler/scheduler_config.json";
static const char vae_file[] = "vae/config.json";

void folder_config_scheduler(const char *text, size_t size, problems *p)
{
    json_t *root = parse(text, size, scheduler_file, p);
    if (root)
        check_settings(scheduler_settings, root, scheduler_file, p);
    json_decref(root);
}

void folder_config_vae(model_config *c, const char *text, size_t size, problems *p)
{
    json_t *root = parse(text, size, vae_file, p);
    if (!root)
        return;
    check_settings(vae_settings, root, vae_file, p);
    const json_t *scale = json_object_get(root, "scaling_factor");
    double value = json_number_value(scale);
    if (value > 1e-3 && value < 1e3)
        c->latent_scale = value;
    else if (scale)
        problems_add(p, ERR_INVALID, "%s: scaling_factor is no number between 0.001 and 1000",
                     vae_file);
    json_decref(root);
}

/* The text of a file, malloc'ed; NULL when there is none, or with a problem. */
static char *read_text(const char *folder, const char *file, size_t *size, problems *p)
{
    char path[PATH_MOST];
    struct stat s;
    char *text = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    /* Without O_NONBLOCK a named pipe would hold us here. */
    int in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0 && (errno == ENOENT || errno == ENOTDIR))
        return NULL;
    if (in < 0 || fstat(in, &s) < 0)
        problems_add(p, ERR_IO, "%s: %s", file, strerror(errno));
    else if (!S_ISREG(s.st_mode) || s.st_size > FILE_MOST)
        problems_add(p, ERR_INVALID, "%s: expected a file of at most %d bytes", file, FILE_MOST);
    else if (!(text = malloc(FILE_MOST)))
        problems_add(p, ERR_NO_MEMORY, "no memory to read %s", file);
    ssize_t got = text ? read(in, text, FILE_MOST) : 0;
    if (got < 0) {
        problems_add(p, ERR_IO, "%s: %s", file, strerror(errno));
        free(text);
        text = NULL;
    }
    *size = (size_t)got;
    if (in >= 0)
        close(in);
    return text;
}

void folder_config_read(model_config *c, const char *folder, problems *p)
{
    size_t size;
    char *text = read_text(folder, scheduler_file, &size, p);
    if (text)
        folder_config_scheduler(text, size, p);
    free(text);
    text = read_text(folder, vae_file, &size, p);
    if (text)
        folder_config_vae(c, text, size, p);
    free(text);
}
