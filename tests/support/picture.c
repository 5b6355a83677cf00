/* Pictures for tests: see picture.h. */
#include "tests/support/picture.h"
#include "tests/support/places.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t *bytes_of(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        perror(path);
    assert(f);
    fseek(f, 0, SEEK_END);
    long end = ftell(f);
    assert(end > 0);
    rewind(f);
    uint8_t *bytes = malloc((size_t)end);
    assert(bytes);
    *size = fread(bytes, 1, (size_t)end, f);
    assert(*size == (size_t)end);
    fclose(f);
    return bytes;
}

static void path_of(const char *file, char path[1024])
{
    snprintf(path, 1024, "%s/%s", place_golden(), file);
}

uint8_t *picture_bytes(const char *file, size_t *size)
{
    char path[1024];
    path_of(file, path);
    return bytes_of(path, size);
}

image picture_file(const char *path)
{
    size_t size;
    uint8_t *bytes = bytes_of(path, &size);
    image i;
    err e = {0};
    int rc = image_decode(&i, bytes, size, &image_default_limits, &e);
    if (rc)
        fprintf(stderr, "%s: %s\n", path, e.text);
    assert(!rc);
    free(bytes);
    return i;
}

image picture_golden(const char *file)
{
    char path[1024];
    path_of(file, path);
    return picture_file(path);
}

image picture_golden_grey(const char *file)
{
    image rgb = picture_golden(file), grey;
    int rc = image_new(&grey, rgb.w, rgb.h, 1, NULL);
    assert(!rc && rgb.channels == 3);
    for (int i = 0; i < rgb.w * rgb.h; i++) {
        assert(rgb.px[i * 3] == rgb.px[i * 3 + 1] && rgb.px[i * 3] == rgb.px[i * 3 + 2]);
        grey.px[i] = rgb.px[i * 3];
    }
    image_done(&rgb);
    return grey;
}

image picture_pattern(int w, int h, int channels)
{
    image i;
    err e = {0};
    int rc = image_new(&i, w, h, channels, &e);
    assert(!rc);
    uint8_t *p = i.px;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < channels; c++)
                *p++ = (uint8_t)(((x / 5 + y / 3) % 2 ? 40 : 0) + x * (3 + c) + y * (7 - c));
    return i;
}

double picture_psnr(const image *a, const image *b)
{
    const size_t count = (size_t)a->w * (size_t)a->h * (size_t)a->channels;
    double squares = 0;
    assert(a->w == b->w && a->h == b->h && a->channels == b->channels);
    for (size_t i = 0; i < count; i++) {
        const double d = (double)a->px[i] - b->px[i];
        squares += d * d;
    }
    return 10 * log10(255.0 * 255.0 * (double)count / squares);
}

int picture_difference(const image *a, const image *b)
{
    if (a->w != b->w || a->h != b->h || a->channels != b->channels)
        return 256;
    int most = 0;
    size_t n = (size_t)a->w * (size_t)a->h * (size_t)a->channels;
    for (size_t i = 0; i < n; i++) {
        int d = abs(a->px[i] - b->px[i]);
        most = d > most ? d : most;
    }
    return most;
}
