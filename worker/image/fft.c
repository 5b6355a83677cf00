/* Mixed-radix fast Fourier transform (Cooley and Tukey, decimation in time).
 *
 * A line of n = p m samples is p interleaved lines of m, transformed first and then joined by
 * butterflies of p. Eight lines go side by side through all of it, so every twiddle factor is
 * fetched once for eight, and the innermost loops have a fixed length that compilers turn into
 * vectors. */
#include "worker/image/fft.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { LANES = 8, FACTORS = 32 };

/* One sample of each of the lines that are transformed together. */
typedef struct {
    double re[LANES], im[LANES];
} lanes;

typedef struct {
    int n, factor[FACTORS]; /* of n, ended by 1 */
    fft_value *twiddle;     /* [n]: exp(-2 pi i k / n) */
    lanes *from, *to;       /* [n] */
    lanes *part;            /* [largest factor] */
} plan;

static void plan_done(plan *p)
{
    free(p->twiddle);
    free(p->from);
    free(p->to);
    free(p->part);
    *p = (plan){0};
}

/* Fours first, because their butterflies need no multiplication. Returns the largest factor. */
static int factorise(int *factor, int n)
{
    int largest = 1, p = 4;
    while (n > 1) {
        while (n % p)
            p = p == 4 ? 2 : p == 2 ? 3 : p * p < n ? p + 2 : n;
        n /= p;
        *factor++ = p;
        largest = p > largest ? p : largest;
    }
    *factor = 1;
    return largest;
}

static int plan_init(plan *p, int n, err *e)
{
    *p = (plan){.n = n};
    int largest = factorise(p->factor, n);
    p->twiddle = malloc((size_t)n * sizeof *p->twiddle);
    p->from = calloc((size_t)n, sizeof *p->from);
    p->to = malloc((size_t)n * sizeof *p->to);
    p->part = malloc((size_t)largest * sizeof *p->part);
    if (!p->twiddle || !p->from || !p->to || !p->part) {
        plan_done(p);
        return err_set(e, ERR_NO_MEMORY, "no memory to transform lines of %d samples", n);
    }
    for (int k = 0; k < n; k++) {
        double angle = -2 * M_PI * k / n;
        p->twiddle[k] = (fft_value){cos(angle), sin(angle)};
    }
    return 0;
}

static void turn(lanes *out, const lanes *in, fft_value by)
{
    for (int i = 0; i < LANES; i++) {
        double re = in->re[i], im = in->im[i];
        out->re[i] = re * by.re - im * by.im;
        out->im[i] = re * by.im + im * by.re;
    }
}

static void turn_and_add(lanes *sum, const lanes *in, fft_value by)
{
    for (int i = 0; i < LANES; i++) {
        sum->re[i] += in->re[i] * by.re - in->im[i] * by.im;
        sum->im[i] += in->re[i] * by.im + in->im[i] * by.re;
    }
}

static void join_two(lanes *a, lanes *b, fft_value by)
{
    lanes t;
    turn(&t, b, by);
    for (int i = 0; i < LANES; i++) {
        b->re[i] = a->re[i] - t.re[i];
        b->im[i] = a->im[i] - t.im[i];
        a->re[i] += t.re[i];
        a->im[i] += t.im[i];
    }
}

/* out[0], out[m], out[2 m], out[3 m], already turned but for the first, become their four sums. */
static void join_four(lanes *out, size_t m, const lanes *t)
{
    lanes *a = out, *b = out + m, *c = b + m, *d = c + m;
    for (int i = 0; i < LANES; i++) {
        double even = a->re[i] + t[2].re[i], less = a->re[i] - t[2].re[i];
        double odd = t[1].re[i] + t[3].re[i], gap = t[1].re[i] - t[3].re[i];
        double even_im = a->im[i] + t[2].im[i], less_im = a->im[i] - t[2].im[i];
        double odd_im = t[1].im[i] + t[3].im[i], gap_im = t[1].im[i] - t[3].im[i];
        a->re[i] = even + odd;
        a->im[i] = even_im + odd_im;
        b->re[i] = less + gap_im;
        b->im[i] = less_im - gap;
        c->re[i] = even - odd;
        c->im[i] = even_im - odd_im;
        d->re[i] = less - gap_im;
        d->im[i] = less_im + gap;
    }
}

/* Any other factor: each of the p results is a sum of p terms. step: twiddles per turn of 1 / (p
 * m). */
static void join_many(const plan *p, lanes *out, int factor, int m, int step)
{
    for (int k = 0; k < m; k++) {
        for (int q = 0; q < factor; q++)
            p->part[q] = out[(size_t)q * (size_t)m + (size_t)k];
        for (int r = 0; r < factor; r++) {
            lanes sum = p->part[0];
            int64_t by = (int64_t)step * (k + (int64_t)r * m) % p->n, at = by;
            for (int q = 1; q < factor; q++) {
                turn_and_add(&sum, &p->part[q], p->twiddle[at]);
                at += by;
                at -= at >= p->n ? p->n : 0;
            }
            out[(size_t)r * (size_t)m + (size_t)k] = sum;
        }
    }
}

static void join(const plan *p, lanes *out, int factor, int m, int step)
{
    if (factor != 2 && factor != 4) {
        join_many(p, out, factor, m, step);
        return;
    }
    for (int k = 0; k < m; k++) {
        if (factor == 2) {
            join_two(out + k, out + m + k, p->twiddle[(size_t)k * (size_t)step]);
            continue;
        }
        lanes t[4];
        for (int q = 1; q < 4; q++)
            turn(&t[q], &out[(size_t)q * (size_t)m + (size_t)k],
                 p->twiddle[(size_t)q * (size_t)k * (size_t)step]);
        join_four(out + k, (size_t)m, t);
    }
}

/* The transform of every step-th sample from `in` on, the product of the factors of them. */
static void transform(const plan *p, lanes *out, const lanes *in, const int *factor, int step)
{
    int n = p->n / step, m = n / *factor;
    if (n == 1) {
        *out = *in;
        return;
    }
    for (int q = 0; q < *factor; q++)
        transform(p, out + (size_t)q * (size_t)m, in + (size_t)q * (size_t)step, factor + 1,
                  step * *factor);
    join(p, out, *factor, m, step);
}

/* Lines of a plane in one direction: sample k of line i is value[i * across + k * along]. */
typedef struct {
    int lines, length;
    size_t across, along;
} direction;

static int fft_lines(fft_value *value, direction d, err *e)
{
    plan p;
    int rc = plan_init(&p, d.length, e);
    if (rc)
        return rc;
    for (int line = 0; line < d.lines; line += LANES) {
        int count = d.lines - line < LANES ? d.lines - line : LANES;
        fft_value *first = value + (size_t)line * d.across;
        for (int k = 0; k < d.length; k++)
            for (int i = 0; i < count; i++) {
                const fft_value *v = first + (size_t)i * d.across + (size_t)k * d.along;
                p.from[k].re[i] = v->re;
                p.from[k].im[i] = v->im;
            }
        transform(&p, p.to, p.from, p.factor, 1);
        for (int k = 0; k < d.length; k++)
            for (int i = 0; i < count; i++)
                first[(size_t)i * d.across + (size_t)k * d.along] =
                    (fft_value){p.to[k].re[i], p.to[k].im[i]};
    }
    plan_done(&p);
    return 0;
}

int fft_plane(fft_value *value, int w, int h, err *e)
{
    direction rows = {h, w, (size_t)w, 1}, columns = {w, h, 1, (size_t)w};
    int rc = fft_lines(value, rows, e);
    return rc ? rc : fft_lines(value, columns, e);
}
