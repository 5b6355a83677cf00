/* What it takes to put a scene's input onto the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/run.h"

/* An inpainting model encodes what the mask leaves to be seen, too, and that alone for txt2img. */
static void every_encoded_picture_counts(void **state)
{
    (void)state;
    static const struct {
        int channels;
        bool picture;
        double pictures;
    } rows[] = {{4, false, 0}, {4, true, 1}, {9, false, 1}, {9, true, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t px[3] = {0};
        model m = {.config = {.in_channels = rows[i].channels, .latent_channels = 4}};
        resident on = {.model = &m};
        scene_plan plan = {.steps = 1, .pictures = 1};
        work w = {.task = {.scene = &plan, .scenes = 1}};
        run_scene scene = {.state = RUN_SCENE_READY};
        run r = {.work = &w, .resident = &on, .scene = &scene, .costs.encode.flops = 1e9};
        if (rows[i].picture)
            scene.input.init = (image){px, 1, 1, 3};
        assert_int_equal(run_must_encode(&r, 0), rows[i].pictures > 0);
        assert_true(run_encode_flops(&r, 0) == 1e9 * rows[i].pictures);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_encoded_picture_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
