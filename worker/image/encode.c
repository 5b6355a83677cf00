/* From a picture to the bytes of a file. Every setting of the three libraries that the caller does
 * not choose is fixed, so the same picture gives the same bytes. */
#include "worker/image/encode.h"

#include <stdlib.h>
#include <string.h>

#include "proto/exif.h"
#include "proto/text.h"

bool sink_put(sink *to, const void *bytes, size_t size)
{
    if (size > to->room - to->size) {
        size_t room = to->room ? to->room : 1 << 16;
        while (size > room - to->size)
            room *= 2;
        uint8_t *grown = realloc(to->bytes, room);
        if (!grown)
            return false;
        to->bytes = grown;
        to->room = room;
    }
    memcpy(to->bytes + to->size, bytes, size);
    to->size += size;
    return true;
}

static const struct {
    const char *name;
    int side; /* pixels the format can count, or its library will write */
    bool alpha, exif;
    image_writer *write;
} formats[FORMAT_COUNT] = {
    [FORMAT_PNG] = {"PNG", 1000000, true, false, encode_png},
    [FORMAT_JPEG] = {"JPEG", 65500, false, true, encode_jpeg},
    [FORMAT_WEBP] = {"WebP", 16383, true, true, encode_webp},
};

static int check(const image *in, picture_format format, const char *parameters, err *e)
{
    if ((unsigned)format >= FORMAT_COUNT)
        return err_set(e, ERR_INVALID, "picture format is %d, expected 0 to %d", (int)format,
                       FORMAT_COUNT - 1);
    if (in->channels == 4 && !formats[format].alpha)
        return err_set(e, ERR_INVALID, "the picture has an alpha channel, which %s cannot hold",
                       formats[format].name);
    if (in->w > formats[format].side || in->h > formats[format].side)
        return err_set(e, ERR_TOO_LARGE,
                       "the picture is %d x %d pixels, expected at most %d a side in a %s file",
                       in->w, in->h, formats[format].side, formats[format].name);
    if (parameters && !text_is_utf8(parameters, strlen(parameters), NULL))
        return err_set(e, ERR_INVALID, "the parameters text is not UTF-8");
    return 0;
}

int image_encode(uint8_t **bytes, size_t *size, const image *in, picture_format format, int quality,
                 const char *parameters, err *e)
{
    *bytes = NULL;
    *size = 0;
    sink file = {0};
    metadata m = {.parameters = parameters};
    int rc = check(in, format, parameters, e);
    if (!rc && parameters && formats[format].exif)
        rc = exif_write_user_comment(&m.exif, &m.exif_size, parameters, e);
    if (!rc)
        rc = formats[format].write(&file, in, quality, &m, e);
    if (!rc) {
        *bytes = file.bytes;
        *size = file.size;
        file.bytes = NULL;
    }
    free(m.exif);
    free(file.bytes);
    return rc;
}
