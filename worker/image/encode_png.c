/* PNG through libpng. Of the filtered rows zlib looks for runs only: of photographs that gives
 * files as small as its level 4, in a third to half of the time (bench/SPEED.md).
 *
 * Errors come by longjmp; decode_png.c says how that is kept harmless. */
#include "worker/image/encode.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proto/recode.h"
#include "worker/image/png_failure.h"

typedef struct {
    sink *to;
    const image *in;
    png_text *text; /* NULL: none */
    png_failure failure;
} png_target;

static void put(png_structp png, png_bytep bytes, size_t size)
{
    png_target *t = png_get_io_ptr(png);
    if (!sink_put(t->to, bytes, size))
        png_error(png, "out of memory");
}

static void flush(png_structp png)
{
    (void)png;
}

static void write_picture(png_structp png, png_infop info, const png_target *t)
{
    static const int colour[5] = {
        [1] = PNG_COLOR_TYPE_GRAY, [3] = PNG_COLOR_TYPE_RGB, [4] = PNG_COLOR_TYPE_RGB_ALPHA};
    const image *in = t->in;
    png_set_compression_strategy(png, Z_RLE);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    png_set_IHDR(png, info, (png_uint_32)in->w, (png_uint_32)in->h, 8, colour[in->channels],
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    if (t->text)
        png_set_text(png, info, t->text, 1);
    png_write_info(png, info);
    for (int y = 0; y < in->h; y++)
        png_write_row(png, in->px + (size_t)y * (size_t)in->w * (size_t)in->channels);
    png_write_end(png, NULL);
}

static void guarded(png_structp png, png_infop info, png_target *t)
{
    if (!setjmp(png_jmpbuf(png)))
        write_picture(png, info, t);
}

/* tEXt where Latin-1 can hold the text, else iTXt. `*latin1` keeps what `text` points to. */
static int make_text(png_text *text, char **latin1, const char *parameters, err *e)
{
    err none = {0};
    size_t size;
    int rc = recode_to_latin1(latin1, &size, parameters, &none);
    if (rc == ERR_NO_MEMORY)
        return err_set(e, rc, "%s", none.text);
    *text = (png_text){.compression = rc ? PNG_ITXT_COMPRESSION_NONE : PNG_TEXT_COMPRESSION_NONE,
                       .key = "parameters",
                       .text = rc ? (char *)parameters : *latin1,
                       .lang = "",
                       .lang_key = ""};
    return 0;
}

int encode_png(sink *to, const image *in, int quality, const metadata *m, err *e)
{
    (void)quality; /* nothing is lost, whatever it says */
    png_text text;
    char *latin1 = NULL;
    png_target t = {.to = to,
                    .in = in,
                    .text = m->parameters ? &text : NULL,
                    .failure = {.what = "the picture cannot be written as PNG", .e = e}};
    if (m->parameters)
        t.failure.rc = make_text(&text, &latin1, m->parameters, e);
    if (t.failure.rc)
        return t.failure.rc;
    png_infop info = NULL;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &t.failure, png_failure_raise,
                                              png_failure_ignore);
    if (png)
        info = png_create_info_struct(png);
    if (info) {
        png_set_write_fn(png, &t, put, flush);
        guarded(png, info, &t);
    } else {
        t.failure.rc = err_set(e, ERR_NO_MEMORY, "no memory to write a PNG file");
    }
    png_destroy_write_struct(&png, &info);
    free(latin1);
    return t.failure.rc;
}
