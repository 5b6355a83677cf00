/* Noise that looks like the picture it continues.
 *
 * The idea: white noise takes the spectrum of the picture, so it has its structures and grain, and
 * then the picture's histogram, so it has its colours. The reference centres every spectrum by
 * shifting planes around; those shifts cancel, and since picture and noise are real, both go
 * through one transform as the two parts of a complex plane. Only the order of the result's values
 * matters, because the histogram decides the values themselves; so nothing needs to be normalised.
 */
#include "worker/image/outpaint.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/image/fft.h"
#include "worker/image/match.h"
#include "worker/image/random.h"

enum { BINS = 1 << 20 }; /* ranks are told apart this finely */

typedef struct {
    const image *mask;
    double falloff, variation;
    double mean, scale;  /* of the picture before it is filled: its mean, 1 / its largest sample */
    fft_value *plane;    /* [h][w] */
    double *window[2];   /* along x and y, by frequency */
    uint32_t *histogram; /* [BINS] */
    uint8_t *map;        /* [BINS] */
} shaper;

static void shaper_done(shaper *s)
{
    free(s->plane);
    free(s->window[0]);
    free(s->window[1]);
    free(s->histogram);
    free(s->map);
}

/* The reference's weight of each frequency along an axis: 1 / (x^2 + 1), x the frequency over half
 * the highest of the shorter axis. Of an odd length the two signs of a frequency differ a little.
 */
static void weigh(double *window, int n, int shorter)
{
    for (int k = 0; k < n; k++) {
        int centred = (k + n / 2) % n;
        double x = (2.0 * centred / n - 1) * n / shorter;
        window[k] = 1 / (x * x + 1);
    }
}

static int shaper_init(shaper *s, const image *mask, err *e)
{
    int w = mask->w, h = mask->h, shorter = w < h ? w : h;
    s->mask = mask;
    s->plane = malloc((size_t)w * (size_t)h * sizeof *s->plane);
    s->window[0] = malloc((size_t)w * sizeof *s->window[0]);
    s->window[1] = malloc((size_t)h * sizeof *s->window[1]);
    s->histogram = malloc(BINS * sizeof *s->histogram);
    s->map = malloc(BINS);
    if (!s->plane || !s->window[0] || !s->window[1] || !s->histogram || !s->map)
        return err_set(e, ERR_NO_MEMORY, "no memory for noise of %d x %d pixels", w, h);
    weigh(s->window[0], w, shorter);
    weigh(s->window[1], h, shorter);
    return 0;
}

static size_t pixels(const image *i)
{
    return (size_t)i->w * (size_t)i->h;
}

/* The mean of all samples, and the largest outside the mask, for all channels together. */
static void measure(shaper *s, const image *picture)
{
    double largest = 0, sum = 0;
    for (size_t i = 0; i < pixels(picture) * 3; i++) {
        sum += picture->px[i];
        if (!s->mask->px[i / 3] && picture->px[i] > largest)
            largest = picture->px[i];
    }
    s->mean = sum / 255 / (double)(pixels(picture) * 3);
    s->scale = largest > 0 ? 1 / largest : 0;
}

/* Real parts: the channel outside the mask, the mean inside. Imaginary parts: noise. */
static void load(const shaper *s, const image *picture, int channel)
{
    random64 r;
    random64_init(&r, 0);
    for (size_t i = 0; i < pixels(picture); i++) {
        double rgb[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = random64_unit(&r);
        double grey = (rgb[0] + rgb[1] + rgb[2]) / 3;
        s->plane[i].re = s->mask->px[i] ? s->mean : picture->px[i * 3 + (size_t)channel] * s->scale;
        s->plane[i].im = s->variation * rgb[channel] + (1 - s->variation) * grey;
    }
}

/* plane[a] and plane[b] are the transform at a frequency and at its negative, of picture + i noise.
 * They become the shaped spectrum there: |noise window|^2 |picture|^falloff, with the picture's
 * phase; real and imaginary part swapped, for the way back. */
static void shape_pair(const shaper *s, size_t a, size_t b, double window)
{
    fft_value u = s->plane[a], v = s->plane[b];
    fft_value picture = {(u.re + v.re) / 2, (u.im - v.im) / 2};
    fft_value noise = {(u.im + v.im) / 2, (v.re - u.re) / 2};
    double power = (noise.re * noise.re + noise.im * noise.im) * window * window;
    double magnitude = sqrt(picture.re * picture.re + picture.im * picture.im);
    double gain = power;
    if (s->falloff != 1)
        gain = magnitude > 0 ? power * pow(magnitude, s->falloff - 1) : 0;
    s->plane[a] = (fft_value){picture.im * gain, picture.re * gain};
    s->plane[b] = (fft_value){-picture.im * gain, picture.re * gain};
}

static void shape(const shaper *s)
{
    int w = s->mask->w, h = s->mask->h;
    const double *wx = s->window[0], *wy = s->window[1];
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int other_x = x ? w - x : 0, other_y = y ? h - y : 0;
            size_t a = (size_t)y * (size_t)w + (size_t)x;
            size_t b = (size_t)other_y * (size_t)w + (size_t)other_x;
            if (a <= b)
                shape_pair(s, a, b, (wy[y] * wx[x] + wy[other_y] * wx[other_x]) / 2);
        }
}

typedef struct {
    double least, scale;
} binning;

static size_t bin(binning b, double value)
{
    return (size_t)((value - b.least) * b.scale);
}

/* The plane's values inside the mask take the histogram of the channel outside. */
static void match(const shaper *s, image *picture, int channel)
{
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < pixels(picture); i++)
        if (s->mask->px[i]) {
            double v = s->plane[i].im;
            least = v < least ? v : least;
            most = v > most ? v : most;
        }
    binning b = {least, most > least ? (BINS - 1) / (most - least) : 0};
    uint32_t target[256] = {0};
    memset(s->histogram, 0, BINS * sizeof *s->histogram);
    for (size_t i = 0; i < pixels(picture); i++)
        if (s->mask->px[i])
            s->histogram[bin(b, s->plane[i].im)]++;
        else
            target[picture->px[i * 3 + (size_t)channel]]++;
    histogram_match(s->map, s->histogram, BINS, target);
    for (size_t i = 0; i < pixels(picture); i++)
        if (s->mask->px[i])
            picture->px[i * 3 + (size_t)channel] = s->map[bin(b, s->plane[i].im)];
}

int outpaint_fill(image *picture, const image *mask, double falloff, double variation, err *e)
{
    assert(picture->channels == 3 && mask->channels == 1);
    assert(picture->w == mask->w && picture->h == mask->h);
    size_t masked = 0, all = pixels(mask);
    for (size_t i = 0; i < all; i++)
        masked += mask->px[i] != 0;
    if (masked == 0)
        return 0;
    if (masked == all)
        return err_set(
            e, ERR_INVALID,
            "the mask covers all %d x %d pixels, expected some of the picture to continue "
            "from: use a smaller mask blur",
            mask->w, mask->h);
    shaper s = {.falloff = falloff, .variation = variation};
    int rc = shaper_init(&s, mask, e);
    measure(&s, picture);
    for (int channel = 0; channel < 3 && !rc; channel++) {
        load(&s, picture, channel);
        rc = fft_plane(s.plane, mask->w, mask->h, e);
        if (rc)
            break;
        shape(&s);
        rc = fft_plane(s.plane, mask->w, mask->h, e);
        if (!rc)
            match(&s, picture, channel);
    }
    shaper_done(&s);
    return rc;
}
