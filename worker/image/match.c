/* Colour correction: histograms matched in LAB, luma kept. */
#include "worker/image/match.h"

#include <assert.h>
#include <stdlib.h>

#include "worker/image/lab.h"

/* The target's bytes that occur, and the share of samples up to each. */
typedef struct {
    double share[256], value[256];
    int count;
} quantiles;

static quantiles quantiles_of(const uint32_t target[256])
{
    quantiles q = {.count = 0};
    uint64_t total = 0, sum = 0;
    for (int v = 0; v < 256; v++)
        total += target[v];
    for (int v = 0; v < 256; v++)
        if (target[v]) {
            sum += target[v];
            q.share[q.count] = (double)sum / (double)total;
            q.value[q.count++] = v;
        }
    assert(q.count > 0);
    return q;
}

/* The value at `share`, which lies between entries i and i + 1. */
static double between(const quantiles *q, int i, double share)
{
    if (share < q->share[0])
        return q->value[0];
    if (i == q->count - 1)
        return q->value[i];
    double slope = (q->value[i + 1] - q->value[i]) / (q->share[i + 1] - q->share[i]);
    return slope * (share - q->share[i]) + q->value[i];
}

void histogram_match(uint8_t *map, const uint32_t *source, size_t bins, const uint32_t target[256])
{
    quantiles q = quantiles_of(target);
    uint64_t total = 0, sum = 0;
    for (size_t i = 0; i < bins; i++)
        total += source[i];
    int at = 0; /* both shares only grow, so one walk finds all places */
    for (size_t i = 0; i < bins; i++) {
        if (!source[i]) {
            map[i] = i ? map[i - 1] : 0;
            continue;
        }
        sum += source[i];
        double share = (double)sum / (double)total;
        while (at < q.count - 1 && q.share[at + 1] <= share)
            at++;
        map[i] = (uint8_t)between(&q, at, share);
    }
}

typedef struct {
    uint32_t count[3][256];
} histograms;

static void count_lab(histograms *h, const image *in, const lab *space)
{
    *h = (histograms){0};
    size_t pixels = (size_t)in->w * (size_t)in->h;
    for (size_t i = 0; i < pixels; i++) {
        uint8_t v[3];
        lab_from_rgb(space, v, in->px + i * 3);
        for (int c = 0; c < 3; c++)
            h->count[c][v[c]]++;
    }
}

static double luma(const double v[3])
{
    return 0.299 * v[0] + 0.587 * v[1] + 0.114 * v[2];
}

static double least(const double v[3])
{
    double ab = v[0] < v[1] ? v[0] : v[1];
    return ab < v[2] ? ab : v[2];
}

static double most(const double v[3])
{
    double ab = v[0] > v[1] ? v[0] : v[1];
    return ab > v[2] ? ab : v[2];
}

/* pixel: the luma to keep, replaced by `corrected` with that luma. */
static void keep_luma(uint8_t pixel[3], const uint8_t corrected[3])
{
    double own[3], v[3];
    for (int c = 0; c < 3; c++) {
        own[c] = pixel[c] / 255.0;
        v[c] = corrected[c] / 255.0;
    }
    double shift = luma(own) - luma(v);
    for (int c = 0; c < 3; c++)
        v[c] += shift;
    double grey = luma(v), low = least(v), high = most(v);
    for (int c = 0; c < 3; c++) {
        if (low < 0)
            v[c] = grey + (v[c] - grey) * grey / (grey - low);
        if (high > 1)
            v[c] = grey + (v[c] - grey) * (1 - grey) / (high - grey);
        pixel[c] = (uint8_t)((v[c] < 0 ? 0 : v[c] > 1 ? 1 : v[c]) * 255);
    }
}

int image_match_colours(image *picture, const image *target, err *e)
{
    assert(picture->channels == 3 && target->channels == 3);
    lab *space = malloc(sizeof *space);
    if (!space)
        return err_set(e, ERR_NO_MEMORY, "no memory for colour tables");
    lab_init(space);
    histograms from, to;
    uint8_t map[3][256];
    count_lab(&from, picture, space);
    count_lab(&to, target, space);
    for (int c = 0; c < 3; c++)
        histogram_match(map[c], from.count[c], 256, to.count[c]);
    size_t pixels = (size_t)picture->w * (size_t)picture->h;
    for (size_t i = 0; i < pixels; i++) {
        uint8_t v[3], corrected[3];
        lab_from_rgb(space, v, picture->px + i * 3);
        for (int c = 0; c < 3; c++)
            v[c] = map[c][v[c]];
        lab_to_rgb(space, corrected, v);
        keep_luma(picture->px + i * 3, corrected);
    }
    free(space);
    return 0;
}
