/* PNG through libpng: every kind of sample becomes 8-bit RGB or RGBA.
 *
 * libpng leaves a failed call by longjmp. So everything that happens under its guard is one
 * function that owns nothing: what it makes hangs on `decoded` or on the structs of the caller. */
#include "worker/image/decode.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "proto/exif.h"
#include "worker/image/png_failure.h"

typedef struct {
    decoded *out;
    const uint8_t *bytes;
    size_t size, at;
    const image_limits *limits;
    png_failure failure;
} png_source;

static void take(png_structp png, png_bytep to, size_t count)
{
    png_source *s = png_get_io_ptr(png);
    if (count > s->size - s->at)
        png_error(png, "it ends too early");
    memcpy(to, s->bytes + s->at, count);
    s->at += count;
}

/* What libpng may spend, and what it need not look at: text can be long, and nobody reads it. */
static void set_limits(png_structp png, const image_limits *limits)
{
    static const uint8_t skipped[] = "tEXt\0zTXt\0iTXt\0tIME\0sPLT\0hIST\0pCAL\0sCAL\0oFFs\0"
                                     "pHYs\0bKGD\0gAMA\0cHRM\0sBIT";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, (int)(sizeof skipped / 5));
    png_set_user_limits(png, (png_uint_32)limits->side, (png_uint_32)limits->side);
    png_set_chunk_malloc_max(png, PROFILE_MAX);
}

static void set_conversions(png_structp png, png_infop info)
{
    png_set_expand(png); /* palettes, fewer than 8 bits, transparent colours */
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

static void keep_profile(png_structp png, png_infop info, png_source *s)
{
    png_charp name;
    png_bytep profile;
    png_uint_32 size;
    int method;
    if (png_get_iCCP(png, info, &name, &method, &profile, &size))
        s->failure.rc = decoded_keep_profile(s->out, profile, size, s->failure.e);
}

static void read_orientation(png_structp png, png_infop info, decoded *out)
{
    png_bytep block;
    png_uint_32 size;
    if (png_get_eXIf_1(png, info, &size, &block))
        out->orientation = exif_orientation(block, size);
}

static void read_picture(png_structp png, png_infop info, png_source *s)
{
    set_limits(png, s->limits);
    png_read_info(png, info);
    bool grey = !(png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR);
    s->out->samples = grey ? SAMPLES_GREY : SAMPLES_RGB;
    keep_profile(png, info, s);
    if (s->failure.rc)
        return;
    int passes = png_get_interlace_type(png, info) == PNG_INTERLACE_ADAM7 ? 7 : 1;
    set_conversions(png, info);

    int w = (int)png_get_image_width(png, info), h = (int)png_get_image_height(png, info);
    int channels = png_get_channels(png, info);
    size_t stride = (size_t)w * (size_t)channels;
    s->failure.rc = image_new(&s->out->picture, w, h, channels, s->failure.e);
    if (s->failure.rc)
        return;
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < h; y++)
            png_read_row(png, s->out->picture.px + (size_t)y * stride, NULL);
    png_read_end(png, info);
    read_orientation(png, info, s->out); /* at the end: the chunk may follow the picture */
}

static void guarded(png_structp png, png_infop info, png_source *s)
{
    if (!setjmp(png_jmpbuf(png)))
        read_picture(png, info, s);
}

/* Every chunk lies within the file. libpng would find out only after it has allocated what an eXIf
 * chunk claims to hold, up to 2 GiB. */
static int check_chunks(const uint8_t *bytes, size_t size, err *e)
{
    enum { FRAME = 12 }; /* length, type and checksum round the contents */
    size_t at = 8;
    bool ended = false;
    while (!ended && size - at >= FRAME && png_get_uint_32(bytes + at) <= size - at - FRAME) {
        ended = !memcmp(bytes + at + 4, "IEND", 4);
        at += FRAME + png_get_uint_32(bytes + at);
    }
    return ended ? 0 : err_set(e, ERR_INVALID, "the PNG file is damaged: it ends too early");
}

/* Width and height from the IHDR chunk, which the format wants first. */
static int check_header(const uint8_t *bytes, size_t size, const image_limits *limits, err *e)
{
    if (size < 24 || memcmp(bytes + 12, "IHDR", 4) != 0)
        return err_set(e, ERR_INVALID, "the PNG file has no header, expected IHDR after 8 bytes");
    int rc = limits_check(limits, png_get_uint_32(bytes + 16), png_get_uint_32(bytes + 20), e);
    return rc ? rc : check_chunks(bytes, size, e);
}

int decode_png(decoded *out, const uint8_t *bytes, size_t size, const image_limits *limits, err *e)
{
    int rc = check_header(bytes, size, limits, e);
    if (rc)
        return rc;
    png_source s = {.out = out,
                    .bytes = bytes,
                    .size = size,
                    .limits = limits,
                    .failure = {.what = "the PNG file is damaged", .e = e}};
    png_infop info = NULL;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s.failure, png_failure_raise,
                                             png_failure_ignore);
    if (png)
        info = png_create_info_struct(png);
    if (!info) {
        s.failure.rc = err_set(e, ERR_NO_MEMORY, "no memory to read a PNG file");
        goto out;
    }
    png_set_read_fn(png, &s, take);
    guarded(png, info, &s);
out:
    png_destroy_read_struct(&png, &info, NULL);
    return s.failure.rc;
}
