/* choice: see choice.h. Knobs are known by cuDNN's numbers, which are part of its ABI; the module's
 * build checks them against the header (plan.c). */
#include "kernels/cuda/choice.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernels/cuda/knobs.h"

enum { WORKSPACE_MOST = 256, WORKSPACE_ASIDE = 1 << 16, TILE_MOST = 256, FP32_BYTES = 4 };

static void write_knobs(const choice *c, char *text, int n)
{
    for (int i = 0; i < c->knobs; i++)
        n += snprintf(text + n, (size_t)(CHOICE_TEXT_BYTES - n), " %d:%" PRId64, c->knob[i].type,
                      c->knob[i].value);
    assert(n < CHOICE_TEXT_BYTES);
}

void choice_write(const choice *c, char text[CHOICE_TEXT_BYTES])
{
    int n;
    switch (c->kind) {
    case CHOICE_ENGINE:
        n = snprintf(text, CHOICE_TEXT_BYTES, "engine %" PRId64, c->engine);
        write_knobs(c, text, n);
        break;
    case CHOICE_ALGO:
        n = snprintf(text, CHOICE_TEXT_BYTES, "algo ");
        for (int i = 0; i < CHOICE_ALGO_WORDS; i++)
            n += snprintf(text + n, (size_t)(CHOICE_TEXT_BYTES - n), "%016" PRIx64, c->algo[i]);
        break;
    case CHOICE_SWITCH: snprintf(text, CHOICE_TEXT_BYTES, "%s", c->on ? "on" : "off"); break;
    }
}

/* What is left to read of a text. */
typedef struct {
    const char *at, *end;
} rest;

static bool take(rest *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

/* A decimal number as "%d" writes it, of at most 18 digits. */
static bool take_number(rest *r, int64_t *value)
{
    bool negative = take(r, "-");
    const char *first = r->at;
    int64_t v = 0;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - first < 18)
        v = v * 10 + (*r->at++ - '0');
    *value = negative ? -v : v;
    return r->at > first && (*first != '0' || (r->at - first == 1 && !negative));
}

static bool take_hex(rest *r, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 16; i++, r->at++) {
        const char *digits = "0123456789abcdef";
        const char *digit = r->at < r->end ? memchr(digits, *r->at, 16) : NULL;
        if (!digit)
            return false;
        *value = *value << 4 | (uint64_t)(digit - digits);
    }
    return true;
}

static bool take_engine(rest *r, choice *c)
{
    if (!take_number(r, &c->engine) || c->engine < 0)
        return false;
    while (take(r, " ")) {
        int64_t type, last = c->knobs ? c->knob[c->knobs - 1].type : -1;
        if (c->knobs == CHOICE_KNOBS || !take_number(r, &type) || type <= last || type > INT16_MAX)
            return false;
        choice_knob *k = &c->knob[c->knobs++];
        k->type = (int)type;
        if (!take(r, ":") || !take_number(r, &k->value))
            return false;
    }
    return true;
}

bool choice_read(choice *c, const char *text, size_t bytes)
{
    rest r = {text, text + bytes};
    *c = (choice){.kind = CHOICE_SWITCH};
    bool good = true;
    if (take(&r, "engine ")) {
        c->kind = CHOICE_ENGINE;
        good = take_engine(&r, c);
    } else if (take(&r, "algo ")) {
        c->kind = CHOICE_ALGO;
        for (int i = 0; good && i < CHOICE_ALGO_WORDS; i++)
            good = take_hex(&r, &c->algo[i]);
    } else if (take(&r, "on")) {
        c->on = true;
    } else {
        good = take(&r, "off");
    }
    return good && r.at == r.end;
}

void choice_name(const char *shape, int64_t alone, char name[SHAPE_NAME_BYTES])
{
    int n = alone == EVERY_ROWS
                ? snprintf(name, SHAPE_NAME_BYTES, "%s", shape)
                : snprintf(name, SHAPE_NAME_BYTES, "%s, rows %" PRId64, shape, alone);
    assert(n > 0 && n < SHAPE_NAME_BYTES);
}

bool choice_equal(const choice *a, const choice *b)
{
    char one[CHOICE_TEXT_BYTES], other[CHOICE_TEXT_BYTES];
    choice_write(a, one);
    choice_write(b, other);
    return strcmp(one, other) == 0;
}

/* The knob's value, or `missing`. */
static int64_t knob(const choice *c, int type, int64_t missing)
{
    for (int i = 0; i < c->knobs; i++)
        if (c->knob[i].type == type)
            return c->knob[i].value;
    return missing;
}

bool choice_is_safe(const choice *c, const plan_shape *s)
{
    static const int splits[] = {KNOB_SPLIT_K, KNOB_CHUNK_K,  KNOB_SPLIT_H,  KNOB_CTA_SPLIT_K_MODE,
                                 KNOB_SLICED,  KNOB_SPLIT_RS, KNOB_STREAM_K, KNOB_SPLIT_P_SLC};
    if (c->kind != CHOICE_ENGINE)
        return false;
    if (s->kind == SHAPE_ATTENTION)
        return true; /* one head of one row is one sum; the library has no split for it */
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (knob(c, splits[i], 0) != 0)
            return false;
    if (knob(c, KNOB_WORKSPACE, 1) != 1)
        return false;
    int64_t slice = knob(c, KNOB_SPLIT_K_SLC, 0), buffers = knob(c, KNOB_SPLIT_K_BUF, 0);
    if (slice == 0 || knob(c, KNOB_STREAM_K, -1) == 0)
        return slice <= 1 && buffers == 0;
    return slice > 0 && buffers >= (s->conv.in + slice - 1) / slice - 1;
}

static int64_t tiles(int64_t n)
{
    return (n + TILE_MOST - 1) / TILE_MOST * TILE_MOST;
}

int64_t choice_workspace_most(const choice *c, const plan_shape *s, int64_t rows)
{
    int64_t buffers = knob(c, KNOB_SPLIT_K_BUF, 0);
    if (s->kind == SHAPE_ATTENTION || buffers <= 0)
        return WORKSPACE_MOST;
    int64_t pixels = conv_shape_side(&s->conv, s->kind, s->conv.h) *
                     conv_shape_side(&s->conv, s->kind, s->conv.w);
    int64_t explained =
        buffers * tiles(rows * pixels) * tiles(s->conv.out) * FP32_BYTES + WORKSPACE_ASIDE;
    return explained < CHOICE_WORKSPACE ? explained : CHOICE_WORKSPACE;
}
