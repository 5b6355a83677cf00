/* What is not masked stays, byte for byte: random masks, pictures of odd sizes, every option of
 * inpainting, through a whole worker. OVERPAINT_SEED repeats a run or makes another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/jobs.h"
#include "tests/support/picture.h"
#include "tests/support/process.h"

/* Several times as slow there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CASES = 12 };
#else
enum { CASES = 48 };
#endif
enum { BLUR_MAX = 8, SIDE_W = 72, SIDE_H = 64 };

typedef struct {
    uint64_t seed, state;
    bool whole;          /* resized to SIDE_W x SIDE_H; else only masked */
    image picture, mask; /* as they were sent */
    int blur_x, blur_y;
    bool invert, soft;
    char text[160];
    work *work;
} inpainted;

static int below(inpainted *c, int limit)
{
    c->state ^= c->state << 13;
    c->state ^= c->state >> 7;
    c->state ^= c->state << 17;
    return (int)((c->state >> 11) % (uint64_t)limit);
}

/* ---------------------------------------------------------------- random jobs */

/* A few boxes, at least one of them large enough to be seen by the sampler; some at the border. */
static void draw_mask(inpainted *c)
{
    image *m = &c->mask;
    const int boxes = 1 + below(c, 4);
    assert_int_equal(image_new(m, c->picture.w, c->picture.h, 3, NULL), 0);
    for (int i = 0; i < boxes; i++) {
        const int w = (i ? 1 : 12) + below(c, m->w / 3), h = (i ? 1 : 12) + below(c, m->h / 3);
        const int left = below(c, m->w) - w / 3, top = below(c, m->h) - h / 3;
        for (int y = top < 0 ? 0 : top; y < top + h && y < m->h; y++)
            for (int x = left < 0 ? 0 : left; x < left + w && x < m->w; x++)
                memset(m->px + 3 * ((size_t)y * (size_t)m->w + (size_t)x), 255, 3);
    }
}

static void set_options(inpainted *c)
{
    inpaint_options *o = &c->work->job.inpaint;
    o->blur_x = c->blur_x = below(c, BLUR_MAX + 1);
    o->blur_y = c->blur_y = below(c, BLUR_MAX + 1);
    o->invert = c->invert = below(c, 3) == 0;
    o->only_masked = !c->whole;
    o->padding = below(c, 40);
    o->content = (masked_content)below(c, CONTENT_COUNT);
    o->colour_correction = below(c, 2);
    o->soft.on = c->soft = below(c, 4) == 0;
    o->give_mask = true;
}

static void make_case(inpainted *c, uint64_t seed)
{
    *c = (inpainted){.seed = seed, .state = seed * 0x9e3779b97f4a7c15u | 1};
    c->whole = below(c, 2);
    const int w = 40 + below(c, 120), h = 40 + below(c, 90);
    c->picture =
        c->whole && below(c, 2) ? picture_pattern(SIDE_W, SIDE_H, 3) : picture_pattern(w, h, 3);
    draw_mask(c);
    c->work = jobs_make("inpaint", WORDS("width", "72", "steps", "2", "sampler", "Euler a", "model",
                                         below(c, 5) ? "tiny" : "tiny9"));
    set_options(c);
    jobs_add_picture(c->work, INPUT_PICTURE, &c->picture);
    jobs_add_picture(c->work, INPUT_MASK, &c->mask);
    snprintf(c->text, sizeof c->text, "seed %llu: %s of %dx%d, blur %dx%d%s%s",
             (unsigned long long)seed, c->whole ? "whole" : "only masked", c->picture.w,
             c->picture.h, c->blur_x, c->blur_y, c->invert ? ", inverted" : "",
             c->soft ? ", soft" : "");
}

static void free_case(inpainted *c)
{
    work_free(&c->work);
    image_done(&c->picture);
    image_done(&c->mask);
}

/* ---------------------------------------------------------------- what has to stay */

/* The blur's taps reach so far: 2 trunc(2.5 sigma + 0.5) + 1 of them. */
static int reach(int blur)
{
    return (int)(2.5 * blur + 0.5);
}

/* Nothing that is to be repainted is near enough for the blurred mask to be more than 0 here. */
static bool is_far(const inpainted *c, int x, int y)
{
    const image *m = &c->mask;
    const uint8_t repaint = c->invert ? 0 : 255;
    const int rx = reach(c->blur_x), ry = reach(c->blur_y);
    for (int v = y < ry ? 0 : y - ry; v <= y + ry && v < m->h; v++)
        for (int u = x < rx ? 0 : x - rx; u <= x + rx && u < m->w; u++)
            if (m->px[3 * ((size_t)v * (size_t)m->w + (size_t)u)] == repaint)
                return false;
    return true;
}

typedef struct {
    int kept, changed; /* pixels: shown to be the source's; others that differ from it */
} found;

static found compare(const inpainted *c, const image *source, const image *got, const image *mask)
{
    /* The overlay follows from the mask alone where neither is resized and it is not soft. */
    const bool known = !c->soft && source->w == c->mask.w && source->h == c->mask.h;
    found f = {0};
    for (int y = 0; y < source->h; y++)
        for (int x = 0; x < source->w; x++) {
            const size_t at = 3 * ((size_t)y * (size_t)source->w + (size_t)x);
            const bool same = !memcmp(got->px + at, source->px + at, 3);
            const bool far = known && is_far(c, x, y);
            if (far && mask->px[at])
                fail_msg("%s: the mask is %d at %d,%d, expected 0", c->text, mask->px[at], x, y);
            if ((far || !mask->px[at]) && !same)
                fail_msg("%s: pixel %d,%d changed outside the mask", c->text, x, y);
            f.kept += far || !mask->px[at];
            f.changed += !same;
        }
    return f;
}

static found check_case(const inpainted *c)
{
    image source = {0};
    jobs_assert_done(c->work);
    assert_int_equal(c->work->task.results, 2);
    image got = jobs_picture(c->work, 0), mask = jobs_picture(c->work, 1);
    int rc = c->whole ? image_fit(&source, &c->picture, RESIZE_JUST, SIDE_W, SIDE_H, NULL)
                      : image_copy(&source, &c->picture, NULL);
    assert_int_equal(rc, 0);
    if (got.w != source.w || got.h != source.h || mask.w != source.w || mask.h != source.h)
        fail_msg("%s: %dx%d and %dx%d, expected %dx%d", c->text, got.w, got.h, mask.w, mask.h,
                 source.w, source.h);
    const found f = compare(c, &source, &got, &mask);
    print_message("%s: %d pixels kept, %d changed\n", c->text, f.kept, f.changed);
    image_done(&source);
    image_done(&got);
    image_done(&mask);
    return f;
}

static void outside_the_mask_nothing_changes(void **state)
{
    const char *from = getenv("OVERPAINT_SEED");
    const uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    static inpainted all[CASES];
    work *works[CASES];
    service *s = jobs_service("cpu", 2, 0, 0);
    int kept = 0, changed = 0;
    (void)state;
    for (int i = 0; i < CASES; i++) {
        make_case(&all[i], first + (uint64_t)i);
        works[i] = all[i].work;
    }
    jobs_run(s, works, CASES);
    for (int i = 0; i < CASES; i++) {
        const found f = check_case(&all[i]);
        kept += f.kept > 0;
        changed += f.changed > 0;
        free_case(&all[i]);
    }
    assert_true(kept > CASES / 2); /* or the masks leave nothing to look at */
    assert_int_equal(changed, CASES);
    service_free(&s);
}

/* ---------------------------------------------------------------- outpainting */

/* The old picture inside what outpainting makes of it, but for the blurred border of the new
 * ground.
 */
static void check_outpainted(service *s, const char *const *words, int w, int h, int x, int y,
                             int border)
{
    work *done = jobs_make("outpaint", words);
    image old = picture_pattern(w, h, 3);
    jobs_add_picture(done, INPUT_PICTURE, &old);
    jobs_run(s, &done, 1);
    jobs_assert_done(done);
    image got = jobs_picture(done, 0);
    int kept = 0;
    for (int v = 0; v < h; v++)
        for (int u = border; u < w; u++, kept++)
            if (memcmp(got.px + 3 * ((size_t)(v + y) * (size_t)got.w + (size_t)(u + x)),
                       old.px + 3 * ((size_t)v * (size_t)w + (size_t)u), 3))
                fail_msg("%s: pixel %d,%d of the old picture changed", words[1], u, v);
    assert_true(kept > 0);
    image_done(&got);
    image_done(&old);
    work_free(&done);
}

static void old_ground_stays(void **state)
{
    service *s = jobs_service("cpu", 2, 0, 0);
    (void)state;
    /* new ground to the left alone; the mask's border: 2 blur, then what a blur of 2 blur reaches
     */
    const int poor = 2 * 2 + reach(2 * 2);
    check_outpainted(s,
                     WORDS("method", "poor-mans", "direction", "left", "pixels", "32", "mask-blur",
                           "2", "steps", "2"),
                     96, 64, 32, 0, poor);
    const int mk2 = 2 * 1 + reach(4 * 1);
    check_outpainted(s,
                     WORDS("method", "mk2", "direction", "left", "pixels", "32", "mask-blur", "1",
                           "steps", "2", "width", "128", "height", "64"),
                     96, 64, 32, 0, mk2);
    service_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outside_the_mask_nothing_changes),
        cmocka_unit_test(old_ground_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
