/* JPEG through libjpeg-turbo: 4:2:0 and its own optimised Huffman tables.
 *
 * Errors come by longjmp; decode_png.c says how that is kept harmless. */
#include "worker/image/encode.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "proto/exif.h"

enum { MARKER_BYTES_MAX = 65533 }; /* what one marker can hold */

typedef struct {
    struct jpeg_error_mgr base; /* first: libjpeg hands this pointer back */
    struct jpeg_destination_mgr destination;
    jmp_buf jump;
    JOCTET block[1 << 14]; /* on its way to the sink */
    sink *to;
    const image *in;
    int quality;
    const metadata *m;
    err *e;
    int rc;
} jpeg_writing;

static void fail(j_common_ptr common)
{
    jpeg_writing *w = (jpeg_writing *)common->err;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    err_code code = common->err->msg_code == JERR_OUT_OF_MEMORY ? ERR_NO_MEMORY : ERR_INVALID;
    w->rc = err_set(w->e, code, "the picture cannot be written as JPEG: %s", text);
    longjmp(w->jump, 1);
}

static void ignore(j_common_ptr common, int level)
{
    (void)common;
    (void)level;
}

static void start_block(j_compress_ptr jpeg)
{
    jpeg_writing *w = (jpeg_writing *)jpeg->err;
    w->destination.next_output_byte = w->block;
    w->destination.free_in_buffer = sizeof w->block;
}

static void put(j_compress_ptr jpeg, size_t size)
{
    jpeg_writing *w = (jpeg_writing *)jpeg->err;
    if (!sink_put(w->to, w->block, size))
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    start_block(jpeg);
}

static boolean put_full(j_compress_ptr jpeg)
{
    put(jpeg, sizeof((jpeg_writing *)jpeg->err)->block);
    return TRUE;
}

static void put_rest(j_compress_ptr jpeg)
{
    put(jpeg, sizeof((jpeg_writing *)jpeg->err)->block - jpeg->dest->free_in_buffer);
}

static void write_exif(j_compress_ptr jpeg, const metadata *m)
{
    jpeg_write_m_header(jpeg, JPEG_APP0 + 1, (unsigned)(EXIF_PREFIX_BYTES + m->exif_size));
    for (size_t i = 0; i < EXIF_PREFIX_BYTES; i++)
        jpeg_write_m_byte(jpeg, exif_prefix[i]);
    for (size_t i = 0; i < m->exif_size; i++)
        jpeg_write_m_byte(jpeg, m->exif[i]);
}

static void write_picture(j_compress_ptr jpeg, jpeg_writing *w)
{
    const image *in = w->in;
    jpeg_create_compress(jpeg);
    jpeg->dest = &w->destination;
    jpeg->image_width = (JDIMENSION)in->w;
    jpeg->image_height = (JDIMENSION)in->h;
    jpeg->input_components = in->channels;
    jpeg->in_color_space = in->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, w->quality, TRUE);
    jpeg->optimize_coding = TRUE;
    jpeg_start_compress(jpeg, TRUE);
    if (w->m->exif)
        write_exif(jpeg, w->m);
    size_t stride = (size_t)in->w * (size_t)in->channels;
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = in->px + jpeg->next_scanline * stride;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

static void guarded(j_compress_ptr jpeg, jpeg_writing *w)
{
    if (!setjmp(w->jump))
        write_picture(jpeg, w);
}

int encode_jpeg(sink *to, const image *in, int quality, const metadata *m, err *e)
{
    if (m->exif_size + EXIF_PREFIX_BYTES > MARKER_BYTES_MAX)
        return err_set(e, ERR_TOO_LARGE,
                       "the parameters text takes %zu bytes, expected at most %d in a JPEG file",
                       m->exif_size, MARKER_BYTES_MAX - EXIF_PREFIX_BYTES);
    struct jpeg_compress_struct jpeg = {0};
    jpeg_writing w = {.destination = {.init_destination = start_block,
                                      .empty_output_buffer = put_full,
                                      .term_destination = put_rest},
                      .to = to,
                      .in = in,
                      .quality = quality,
                      .m = m,
                      .e = e};
    jpeg.err = jpeg_std_error(&w.base);
    w.base.error_exit = fail;
    w.base.emit_message = ignore;
    guarded(&jpeg, &w);
    jpeg_destroy_compress(&jpeg);
    return w.rc;
}
