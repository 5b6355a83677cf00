/* Prompts to conditioning: golden values, weights of one and long prompts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/golden.h"
#include "tests/support/rig.h"
#include "worker/model/conditioning.h"

static tokenizer *tok;

static int start(void **state)
{
    (void)state;
    tok = tokenizer_new(NULL);
    return tok ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    tokenizer_free(&tok);
    return 0;
}

static token_chunks chunks_of(const char *text)
{
    prompt p;
    token_chunks c;
    err e = {0};
    if (prompt_parse(&p, text, &e) || token_chunks_make(&c, tok, &p, &e))
        fail_msg("'%s': %s", text, e.text);
    prompt_done(&p);
    return c;
}

static tensor encode(rig *r, const char *text)
{
    token_chunks c = chunks_of(text);
    tensor y = dev_keep(r->d, F32, 1, 1, c.count * CHUNK_TOKENS, r->m->config.text_width);
    conditioning_encode(r->d, &y, &r->m->text, &c, 1);
    rig_check(r);
    token_chunks_done(&c);
    return y;
}

static void check_golden(rig *r, const checkpoint *golden, size_t number, const char *text)
{
    int64_t dim[CHECKPOINT_DIMS];
    float *want = golden_floats(golden, dim, "tiny/%zu", number);
    tensor y = encode(r, text);
    assert_int_equal(y.dim[2], dim[1]);
    assert_int_equal(y.dim[3], dim[2]);
    float *got = rig_values(r, y);
    double distance = golden_distance(got, want, tensor_count(y));
    print_message("%s prompt %zu: %.2e\n", r->d->options.backend, number, distance);
    assert_true(distance <= 2e-5);
    dev_drop(r->d, &y);
    free(got);
    free(want);
}

static void matches_golden(void **state)
{
    (void)state;
    static const size_t numbers[] = {7, 21, 29, 31, 34};
    json_t *prompts = json_load_file(GOLDEN_DIR "/prompts.json", 0, NULL);
    assert_non_null(prompts);
    checkpoint *golden = golden_open("prompts.safetensors");
    for (int b = 0; rig_backends()[b]; b++) {
        rig r = rig_open("tiny", (dev_options){.backend = rig_backends()[b], .threads = 2});
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            const json_t *row = json_array_get(prompts, numbers[i]);
            check_golden(&r, golden, numbers[i], json_string_value(json_object_get(row, "prompt")));
        }
        rig_close(&r);
    }
    checkpoint_free(&golden);
    json_decref(prompts);
}

/* Without weights: the encoder's own values, bit for bit, in every chunk. */
static void plain_text_is_untouched(void **state)
{
    (void)state;
    rig r = rig_open("tiny", (dev_options){.backend = "cpu", .threads = 2});
    token_chunks c = chunks_of("a fox BREAK in the snow BREAK at night");
    assert_int_equal(c.count, 3);
    tensor want = clip_encode(r.d, NULL, &r.m->text, c.id[0], c.count, 1);
    tensor got = encode(&r, "a fox BREAK in the snow BREAK at night");
    float *a = rig_values(&r, want), *b = rig_values(&r, got);
    assert_memory_equal(a, b, tensor_bytes(want));
    tensor heavy = encode(&r, "a (fox) BREAK in the snow BREAK at night");
    float *other = rig_values(&r, heavy);
    assert_memory_not_equal(a, other, tensor_bytes(want));
    free(a);
    free(b);
    free(other);
    dev_drop(r.d, &got);
    dev_drop(r.d, &heavy);
    token_chunks_done(&c);
    rig_close(&r);
}

/* Scratch does not grow with the prompt, and all of it is given back. */
static void long_prompts_need_no_more_scratch(void **state)
{
    (void)state;
    rig r = rig_open("tiny", (dev_options){.backend = "cpu", .threads = 1});
    size_t peak[2], mark = dev_mark(r.d);
    for (int i = 0; i < 2; i++) {
        dev_reset_peak(r.d);
        tensor y = encode(&r, i ? "a BREAK b BREAK c BREAK d BREAK e" : "a");
        peak[i] = r.d->counters.scratch_peak;
        assert_int_equal(dev_mark(r.d), mark);
        dev_drop(r.d, &y);
    }
    assert_true(peak[1] <= peak[0] + 4096);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_golden),
        cmocka_unit_test(plain_text_is_untouched),
        cmocka_unit_test(long_prompts_need_no_more_scratch),
    };
    return cmocka_run_group_tests(tests, start, end);
}
