/* From the bytes of a file to an upright sRGB picture.
 *
 * The readers (decode_png.c, decode_jpeg.c, decode_webp.c) only fetch what the file holds; what all
 * formats share happens here, once: limits, colour, orientation. */
#include "worker/image/decode.h"

#include <stdlib.h>
#include <string.h>

const image_limits image_default_limits = {
    .bytes = 64 << 20, .side = 16384, .pixels = 64 << 20, .ratio = 64};

int limits_check(const image_limits *limits, int64_t w, int64_t h, err *e)
{
    if (w < 1 || h < 1)
        return err_set(e, ERR_INVALID, "the picture is %lld x %lld pixels, expected at least 1 x 1",
                       (long long)w, (long long)h);
    if (w > limits->side || h > limits->side)
        return err_set(e, ERR_TOO_LARGE,
                       "the picture is %lld x %lld pixels, expected at most %d a side",
                       (long long)w, (long long)h, limits->side);
    if (w * h > limits->pixels)
        return err_set(e, ERR_TOO_LARGE,
                       "the picture is %lld x %lld pixels, expected at most %lld in all",
                       (long long)w, (long long)h, (long long)limits->pixels);
    if ((double)w > limits->ratio * (double)h || (double)h > limits->ratio * (double)w)
        return err_set(e, ERR_TOO_LARGE,
                       "the picture is %lld x %lld pixels, expected sides of at most %g to 1",
                       (long long)w, (long long)h, limits->ratio);
    return 0;
}

void decoded_done(decoded *d)
{
    image_done(&d->picture);
    free(d->profile);
    *d = (decoded){0};
}

int decoded_keep_profile(decoded *d, const uint8_t *profile, size_t size, err *e)
{
    if (!size || size > PROFILE_MAX)
        return 0;
    d->profile = malloc(size);
    if (!d->profile)
        return err_set(e, ERR_NO_MEMORY, "no memory for a colour profile of %zu bytes", size);
    memcpy(d->profile, profile, size);
    d->profile_size = size;
    return 0;
}

/* Where an upright pixel lies in the file, for EXIF orientations 1..8: the axes swapped or not,
 * then the file's axes reversed or not. */
static const struct {
    bool swap, reverse_x, reverse_y;
} orientations[8] = {
    {false, false, false}, {false, true, false}, {false, true, true}, {false, false, true},
    {true, false, false},  {true, false, true},  {true, true, true},  {true, true, false},
};

static int make_upright(image *picture, int orientation, err *e)
{
    if (orientation <= 1 || orientation > 8)
        return 0;
    bool swap = orientations[orientation - 1].swap;
    const image in = *picture;
    image up = {0};
    int rc = image_new(&up, swap ? in.h : in.w, swap ? in.w : in.h, in.channels, e);
    if (rc)
        return rc;
    ptrdiff_t column = in.channels, row = (ptrdiff_t)in.channels * in.w;
    const uint8_t *corner = in.px;
    if (orientations[orientation - 1].reverse_x) {
        corner += column * (in.w - 1);
        column = -column;
    }
    if (orientations[orientation - 1].reverse_y) {
        corner += row * (in.h - 1);
        row = -row;
    }
    ptrdiff_t along = swap ? row : column, down = swap ? column : row;
    uint8_t *to = up.px;
    for (int y = 0; y < up.h; y++)
        for (int x = 0; x < up.w; x++, to += up.channels)
            memcpy(to, corner + y * down + x * along, (size_t)up.channels);
    image_done(picture);
    *picture = up;
    return 0;
}

static const struct {
    const char *magic;
    size_t at, length;
    image_reader *read;
} formats[] = {
    {"\x89PNG\r\n\x1a\n", 0, 8, decode_png},
    {"\xff\xd8\xff", 0, 3, decode_jpeg},
    {"WEBP", 8, 4, decode_webp},
};

static image_reader *find_reader(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (size >= formats[i].at + formats[i].length &&
            !memcmp(bytes + formats[i].at, formats[i].magic, formats[i].length))
            return formats[i].read;
    return NULL;
}

int image_decode(image *out, const uint8_t *bytes, size_t size, const image_limits *limits, err *e)
{
    *out = (image){0};
    if (size > limits->bytes)
        return err_set(e, ERR_TOO_LARGE, "the picture file has %zu bytes, expected at most %zu",
                       size, limits->bytes);
    image_reader *read = find_reader(bytes, size);
    if (!read)
        return err_set(e, ERR_INVALID,
                       "%zu bytes that are no picture file, expected PNG, JPEG or WebP", size);
    decoded d = {.orientation = 1};
    int rc = read(&d, bytes, size, limits, e);
    if (!rc)
        rc = colour_to_srgb(&d, e);
    if (!rc)
        rc = make_upright(&d.picture, d.orientation, e);
    if (!rc) {
        *out = d.picture;
        d.picture = (image){0};
    }
    decoded_done(&d);
    return rc;
}
