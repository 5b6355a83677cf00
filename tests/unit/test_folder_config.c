/* worker/model/folder_config: what the configuration files of a folder ask for, and hostile ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/model/folder_config.h"

static const char scheduler[] =
    "{\"_class_name\": \"PNDMScheduler\", \"beta_end\": 0.012, \"beta_schedule\": "
    "\"scaled_linear\", \"beta_start\": 0.00085, \"clip_sample\": false, "
    "\"num_train_timesteps\": 1000, \"prediction_type\": \"epsilon\", \"skip_prk_steps\": true, "
    "\"steps_offset\": 1, \"trained_betas\": null, \"rescale_betas_zero_snr\": false}";

typedef struct {
    const char *text, *found; /* NULL: nothing wrong */
} row;

/* The whole message; an exact copy of the text on the heap lets AddressSanitizer see the end. */
static void check(const char *text, size_t size, bool vae, problems *p, model_config *c)
{
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    *p = (problems){0};
    if (vae)
        folder_config_vae(c, copy, size, p);
    else
        folder_config_scheduler(copy, size, p);
    free(copy);
}

static void check_rows(const row *r, size_t count, bool vae)
{
    for (size_t i = 0; i < count; i++) {
        problems p;
        err e = {0};
        model_config c = {.latent_scale = 0.18215};
        check(r[i].text, strlen(r[i].text), vae, &p, &c);
        problems_report(&p, "folder", &e);
        if (!r[i].found)
            assert_int_equal(e.code, ERR_OK);
        else if (!strstr(e.text, r[i].found))
            fail_msg("%s: \"%s\" does not say \"%s\"", r[i].text, e.text, r[i].found);
    }
}

static void schedulers(void **state)
{
    (void)state;
    static const row rows[] = {
        {scheduler, NULL},
        {"{}", NULL},
        {"{\"beta_start\": 0.00085000001}", NULL},
        {"{\"prediction_type\": \"v_prediction\"}",
         "prediction_type is \"v_prediction\", expected epsilon"},
        {"{\"prediction_type\": 7}", "prediction_type is 7"},
        {"{\"beta_schedule\": \"linear\"}", "beta_schedule is \"linear\", expected scaled_linear"},
        {"{\"beta_start\": 0.0001}", "beta_start is 0.0001"},
        {"{\"beta_end\": \"0.012\"}", "expected 0.012"},
        {"{\"num_train_timesteps\": 4000}", "num_train_timesteps is 4000, expected 1000"},
        {"{\"trained_betas\": [0.1, 0.2]}", "expected none"},
        {"{\"rescale_betas_zero_snr\": true}", "rescale_betas_zero_snr is true, expected none"},
        {"{\"beta_end\": 1, \"beta_start\": 1}", "beta_end is 1"},
        {"[]", "not a JSON object"},
        {"", "byte 0"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"beta_end\": 1e999}", "byte"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, false);
}

static void autoencoders(void **state)
{
    (void)state;
    static const row rows[] = {
        {"{\"scaling_factor\": 0.13025}", NULL},
        {"{\"latents_mean\": null, \"shift_factor\": null}", NULL},
        {"{\"shift_factor\": 0.1159}", "shift_factor is 0.1159, expected none"},
        {"{\"latents_std\": [1, 2]}", "latents_std"},
        {"{\"scaling_factor\": 0}", "scaling_factor is no number"},
        {"{\"scaling_factor\": -1}", "scaling_factor is no number"},
        {"{\"scaling_factor\": 1e9}", "scaling_factor is no number"},
        {"{\"scaling_factor\": \"0.18215\"}", "scaling_factor is no number"},
        {"{\"scaling_factor\": null}", "scaling_factor is no number"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, true);
    problems p;
    model_config c = {.latent_scale = 0.18215};
    check("{}", 2, true, &p, &c);
    assert_true(c.latent_scale == 0.18215);
    check(rows[0].text, strlen(rows[0].text), true, &p, &c);
    assert_true(c.latent_scale == 0.13025);
}

static void cut_texts_are_errors(void **state)
{
    (void)state;
    for (size_t size = 0; size + 1 < sizeof scheduler; size++) {
        problems p;
        model_config c = {0};
        check(scheduler, size, false, &p, &c);
        assert_int_equal(p.code, ERR_INVALID);
        check(scheduler, size, true, &p, &c);
        assert_int_equal(p.code, ERR_INVALID);
    }
}

static void write_file(const char *path, const char *text, size_t size)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    fclose(f);
}

static void expect(const char *folder, const char *found, double scale)
{
    problems p = {0};
    err e = {0};
    model_config c = {.latent_scale = 1};
    folder_config_read(&c, folder, &p);
    problems_report(&p, folder, &e);
    if (found ? !strstr(e.text, found) : e.code != ERR_OK)
        fail_msg("\"%s\", expected \"%s\"", e.text, found ? found : "nothing");
    assert_true(c.latent_scale == scale);
}

static void folders(void **state)
{
    (void)state;
    static char large[70000];
    char folder[] = "/tmp/test_folder.XXXXXX", sub[64], file[96];
    assert_non_null(mkdtemp(folder));
    expect(folder, NULL, 1); /* no files */
    expect("/dev/null", NULL, 1);
    snprintf(sub, sizeof sub, "%s/vae", folder);
    snprintf(file, sizeof file, "%s/config.json", sub);
    assert_int_equal(mkdir(sub, 0700), 0);
    write_file(file, "{\"scaling_factor\": 0.5}", 23);
    expect(folder, NULL, 0.5);
    write_file(file, large, sizeof large);
    expect(folder, "vae/config.json: expected a file of at most 65536 bytes", 1);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    expect(folder, "expected a file of at most", 1);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(sub), 0);
    snprintf(sub, sizeof sub, "%s/scheduler", folder);
    snprintf(file, sizeof file, "%s/scheduler_config.json", sub);
    assert_int_equal(mkdir(sub, 0700), 0);
    write_file(file, "{\"beta_end\": 0.02}", 18);
    expect(folder, "scheduler/scheduler_config.json: not supported: beta_end is 0.02", 1);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedulers), cmocka_unit_test(autoencoders),
                                       cmocka_unit_test(cut_texts_are_errors),
                                       cmocka_unit_test(folders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
