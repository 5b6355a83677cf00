/* The text encoder against golden hidden states, and what its results must not depend on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/rig.h"

enum { TEXTS = 3, TOKENS = 77 };

static const int32_t *golden_ids(const checkpoint *golden, const char *arch)
{
    char name[64];
    snprintf(name, sizeof name, "%s/ids", arch);
    const checkpoint_tensor *t = checkpoint_find(golden, name);
    assert_non_null(t);
    assert_int_equal(t->bytes, TEXTS * TOKENS * sizeof(int32_t));
    int32_t *ids = malloc(t->bytes);
    assert_non_null(ids);
    memcpy(ids, t->data, t->bytes);
    return ids;
}

static void check_golden(const checkpoint *golden, const char *backend, const char *arch)
{
    rig r = rig_open(arch, (dev_options){.backend = backend, .threads = 2});
    const int32_t *ids = golden_ids(golden, arch);
    for (int skip = 1; skip <= 2; skip++) {
        int64_t dim[CHECKPOINT_DIMS];
        size_t mark = dev_mark(r.d);
        float *want = golden_floats(golden, dim, "%s/skip%d", arch, skip);
        tensor y = clip_encode(r.d, NEW, &r.m->text, ids, TEXTS, skip);
        float *got = rig_values(&r, y);
        assert_int_equal(tensor_count(y), dim[0] * dim[1] * dim[2]);
        double distance = golden_distance(got, want, tensor_count(y));
        print_message("%s %s skip %d: %.2e\n", backend, arch, skip, distance);
        assert_true(distance <= rig_tolerance(&r, 2e-5));
        free(got);
        free(want);
        dev_release(r.d, mark);
    }
    free((void *)ids);
    rig_close(&r);
}

static void matches_golden(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("text.safetensors");
    for (int i = 0; rig_backends()[i]; i++)
        for (int j = 0; rig_archs[j]; j++)
            check_golden(golden, rig_backends()[i], rig_archs[j]);
    checkpoint_free(&golden);
}

static void texts_are_independent(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("text.safetensors");
    for (int i = 0; rig_backends()[i]; i++) {
        rig r = rig_open("tiny", (dev_options){.backend = rig_backends()[i], .threads = 2});
        const int32_t *ids = golden_ids(golden, "tiny");
        tensor all = clip_encode(r.d, NEW, &r.m->text, ids, TEXTS, 1);
        float *together = rig_values(&r, all);
        size_t one = (size_t)tensor_count(all) / TEXTS;
        for (int k = 0; k < TEXTS; k++) {
            tensor y = clip_encode(r.d, NEW, &r.m->text, ids + k * TOKENS, 1, 1);
            float *alone = rig_values(&r, y);
            assert_memory_equal(alone, together + (size_t)k * one, one * sizeof *alone);
            free(alone);
        }
        free(together);
        free((void *)ids);
        rig_close(&r);
    }
    checkpoint_free(&golden);
}

/* A text tower of 3 layers asked to skip 12: its first layer, not a crash. */
static void skips_at_most_to_the_first_layer(void **state)
{
    (void)state;
    checkpoint *golden = golden_open("text.safetensors");
    rig r = rig_open("tiny", (dev_options){.backend = "cpu", .threads = 1});
    const int32_t *ids = golden_ids(golden, "tiny");
    int layers = r.m->config.text_layers;
    tensor first = clip_encode(r.d, NEW, &r.m->text, ids, 1, layers);
    tensor beyond = clip_encode(r.d, NEW, &r.m->text, ids, 1, 12);
    tensor last = clip_encode(r.d, NEW, &r.m->text, ids, 1, 1);
    rig_check(&r);
    assert_memory_equal(first.data, beyond.data, tensor_bytes(first));
    assert_memory_not_equal(first.data, last.data, tensor_bytes(first));
    free((void *)ids);
    rig_close(&r);
    checkpoint_free(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_golden),
        cmocka_unit_test(texts_are_independent),
        cmocka_unit_test(skips_at_most_to_the_first_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
