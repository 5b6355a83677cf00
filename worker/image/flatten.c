/* A picture with alpha laid over one colour, in Pillow's arithmetic: each channel is
 * colour (255 - alpha) + sample alpha, divided by 255 and rounded to the nearest. */
#include "worker/image/image.h"

#include <string.h>

int image_flatten(image *out, const image *in, const uint8_t background[3], err *e)
{
    int channels = in->channels == 4 ? 3 : in->channels;
    int rc = image_new(out, in->w, in->h, channels, e);
    if (rc)
        return rc;
    size_t pixels = (size_t)in->w * (size_t)in->h;
    if (in->channels != 4) {
        memcpy(out->px, in->px, pixels * (size_t)channels);
        return 0;
    }
    const uint8_t *from = in->px;
    uint8_t *to = out->px;
    for (size_t i = 0; i < pixels; i++, from += 4, to += 3)
        for (int c = 0; c < 3; c++)
            to[c] = (uint8_t)((background[c] * (255 - from[3]) + from[c] * from[3] + 127) / 255);
    return 0;
}
