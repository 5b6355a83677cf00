/* Workers told to use two devices for a picture: what they refuse when they start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/farm.h"

enum { EXIT_USAGE = 2 };

static void refuses_what_is_no_pair(void **state)
{
    static const struct {
        const char *devices, *says;
    } cases[] = {
        {"cpu", "--cfg-parallel wants pairs of devices, --device names 1, expected an even number"},
        {"cpu:0,cpu:1,cpu:2", "--device names 3, expected an even number"},
        {"cpu:0,ref:0", "--cfg-parallel wants devices of one kind in a pair: cpu:0 is"},
    };
    farm *f = farm_open(state, &(farm_options){.workers = -1});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        process p = {0};
        process_start(
            &p, f->folder, "worker", "overpaint-worker",
            WORDS("--endpoint", f->endpoint, "--cfg-parallel", "--device", cases[i].devices));
        assert_int_equal(process_wait(&p, f->deadline), EXIT_USAGE);
        char *text = process_read(p.err, NULL);
        if (!text || !strstr(text, cases[i].says))
            fail_msg("--device %s: %s", cases[i].devices, text);
        free(text);
    }
    f->passed = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {farm_test(refuses_what_is_no_pair)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
