/* WebP through libwebp; quality 101 is its lossless mode. The metadata needs the extended
 * container, which libwebpmux makes out of the plain file. */
#include "worker/image/encode.h"

#include <stdlib.h>
#include <string.h>
#include <webp/encode.h>
#include <webp/mux.h>

enum { METHOD = 4, LOSSLESS_QUALITY = 101, LOSSLESS_EFFORT = 75 };

static int put(const uint8_t *bytes, size_t size, const WebPPicture *picture)
{
    return sink_put(picture->custom_ptr, bytes, size);
}

static bool choose(WebPConfig *config, int quality)
{
    if (!WebPConfigInit(config))
        return false;
    config->method = METHOD;
    config->lossless = quality == LOSSLESS_QUALITY;
    config->exact = config->lossless; /* colours under full transparency, too */
    config->quality = (float)(config->lossless ? LOSSLESS_EFFORT : quality);
    return WebPValidateConfig(config) != 0;
}

/* libwebp takes no grey. */
static int to_rgb(image *out, const image *in, err *e)
{
    int rc = image_new(out, in->w, in->h, 3, e);
    for (size_t i = 0; !rc && i < (size_t)in->w * (size_t)in->h; i++)
        memset(out->px + 3 * i, in->px[i], 3);
    return rc;
}

static int write_plain(sink *to, const image *in, const WebPConfig *config, err *e)
{
    WebPPicture picture;
    if (!WebPPictureInit(&picture))
        return err_set(e, ERR_INVALID, "libwebp has another version than its headers");
    picture.width = in->w;
    picture.height = in->h;
    picture.use_argb = config->lossless;
    picture.writer = put;
    picture.custom_ptr = to;
    int stride = in->w * in->channels;
    int ok = in->channels == 4 ? WebPPictureImportRGBA(&picture, in->px, stride)
                               : WebPPictureImportRGB(&picture, in->px, stride);
    ok = ok && WebPEncode(config, &picture);
    int code = picture.error_code;
    WebPPictureFree(&picture);
    if (ok)
        return 0;
    bool memory = code == VP8_ENC_ERROR_OUT_OF_MEMORY ||
                  code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY || code == VP8_ENC_ERROR_BAD_WRITE;
    return err_set(e, memory ? ERR_NO_MEMORY : ERR_INVALID,
                   "the picture cannot be written as WebP (libwebp error %d)", code);
}

static int wrap(sink *to, const sink *plain, const metadata *m, err *e)
{
    WebPData file = {0}, picture = {plain->bytes, plain->size}, exif = {m->exif, m->exif_size};
    WebPMux *mux = WebPMuxNew();
    bool ok = mux && WebPMuxSetImage(mux, &picture, 0) == WEBP_MUX_OK &&
              WebPMuxSetChunk(mux, "EXIF", &exif, 0) == WEBP_MUX_OK &&
              WebPMuxAssemble(mux, &file) == WEBP_MUX_OK && sink_put(to, file.bytes, file.size);
    WebPDataClear(&file);
    WebPMuxDelete(mux);
    return ok ? 0 : err_set(e, ERR_NO_MEMORY, "no memory to write a WebP file");
}

int encode_webp(sink *to, const image *in, int quality, const metadata *m, err *e)
{
    WebPConfig config;
    if (!choose(&config, quality))
        return err_set(e, ERR_INVALID, "quality is %d, expected 1 to 100, or 101 for lossless",
                       quality);
    image rgb = {0};
    sink plain = {0};
    int rc = in->channels == 1 ? to_rgb(&rgb, in, e) : 0;
    if (!rc)
        rc = write_plain(m->exif ? &plain : to, rgb.px ? &rgb : in, &config, e);
    if (!rc && m->exif)
        rc = wrap(to, &plain, m, e);
    free(plain.bytes);
    image_done(&rgb);
    return rc;
}
