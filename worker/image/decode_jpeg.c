/* JPEG through libjpeg-turbo, with the library's own defaults (accurate DCT, smooth upsampling),
 * which are Pillow's too.
 *
 * libjpeg leaves a failed call by longjmp: see decode_png.c for how that is kept harmless. It
 * merely warns of a file that ends too early and would invent the rest; here that is an error. */
#include "worker/image/decode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "proto/exif.h"

/* A progressive picture may be sent in any number of scans, each as dear as a picture of its own;
 * encoders make some 10. */
enum { SCANS_MAX = 100 };

typedef struct {
    struct jpeg_error_mgr base; /* first: libjpeg hands this pointer back */
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    const uint8_t *bytes;
    size_t size;
    const image_limits *limits;
    err *e;
    int rc;
} jpeg_reading;

static void fail(j_common_ptr common)
{
    jpeg_reading *r = (jpeg_reading *)common->err;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    err_code code = common->err->msg_code == JERR_OUT_OF_MEMORY ? ERR_NO_MEMORY : ERR_INVALID;
    r->rc = err_set(r->e, code, "the JPEG file is damaged: %s", text);
    longjmp(r->jump, 1);
}

static void warn(j_common_ptr common, int level)
{
    if (level < 0 && common->err->msg_code == JWRN_JPEG_EOF)
        fail(common);
}

static void count_scans(j_common_ptr common)
{
    jpeg_reading *r = (jpeg_reading *)common->err;
    int scans = ((j_decompress_ptr)common)->input_scan_number;
    if (scans > SCANS_MAX) {
        r->rc = err_set(r->e, ERR_TOO_LARGE, "the JPEG file has more than %d scans", SCANS_MAX);
        longjmp(r->jump, 1);
    }
}

static int keep_profile(j_decompress_ptr jpeg, decoded *out, err *e)
{
    JOCTET *profile = NULL;
    unsigned size = 0;
    if (!jpeg_read_icc_profile(jpeg, &profile, &size))
        return 0;
    int rc = decoded_keep_profile(out, profile, size, e);
    free(profile);
    return rc;
}

static void read_orientation(j_decompress_ptr jpeg, decoded *out)
{
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length >= EXIF_PREFIX_BYTES &&
            !memcmp(m->data, exif_prefix, EXIF_PREFIX_BYTES)) {
            out->orientation = exif_orientation(m->data, m->data_length);
            return;
        }
}

static void set_colours(j_decompress_ptr jpeg, decoded *out)
{
    bool inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    bool grey = jpeg->jpeg_color_space == JCS_GRAYSCALE;
    out->samples = inks ? SAMPLES_CMYK : grey ? SAMPLES_GREY : SAMPLES_RGB;
    jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
}

static void read_rows(j_decompress_ptr jpeg, image *picture)
{
    size_t stride = (size_t)picture->w * (size_t)picture->channels;
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = picture->px + jpeg->output_scanline * stride;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
}

static int read_picture(j_decompress_ptr jpeg, jpeg_reading *r, decoded *out)
{
    jpeg_create_decompress(jpeg);
    jpeg->progress = &r->progress;
    jpeg_mem_src(jpeg, r->bytes, r->size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff); /* EXIF */
    jpeg_save_markers(jpeg, JPEG_APP0 + 2, 0xffff); /* ICC */
    jpeg_read_header(jpeg, TRUE);
    int rc = limits_check(r->limits, jpeg->image_width, jpeg->image_height, r->e);
    if (!rc)
        rc = keep_profile(jpeg, out, r->e);
    if (rc)
        return rc;
    read_orientation(jpeg, out);
    set_colours(jpeg, out);
    jpeg_start_decompress(jpeg);
    rc = image_new(&out->picture, (int)jpeg->output_width, (int)jpeg->output_height,
                   jpeg->output_components, r->e);
    if (rc)
        return rc;
    read_rows(jpeg, &out->picture);
    jpeg_finish_decompress(jpeg);
    return 0;
}

/* CMYK files hold how much of each ink is missing (Adobe's habit; Pillow assumes it as well). */
static void invert(image *picture)
{
    size_t n = (size_t)picture->w * (size_t)picture->h * (size_t)picture->channels;
    for (size_t i = 0; i < n; i++)
        picture->px[i] = (uint8_t)(255 - picture->px[i]);
}

static void guarded(j_decompress_ptr jpeg, jpeg_reading *r, decoded *out)
{
    if (!setjmp(r->jump))
        r->rc = read_picture(jpeg, r, out);
}

int decode_jpeg(decoded *out, const uint8_t *bytes, size_t size, const image_limits *limits, err *e)
{
    struct jpeg_decompress_struct jpeg = {0};
    jpeg_reading reading = {.progress.progress_monitor = count_scans,
                            .bytes = bytes,
                            .size = size,
                            .limits = limits,
                            .e = e};
    jpeg.err = jpeg_std_error(&reading.base);
    reading.base.error_exit = fail;
    reading.base.emit_message = warn;
    guarded(&jpeg, &reading, out);
    jpeg_destroy_decompress(&jpeg);
    if (!reading.rc && out->samples == SAMPLES_CMYK)
        invert(&out->picture);
    return reading.rc;
}
