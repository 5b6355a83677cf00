/* The picture itself: one allocation of exactly w x h x channels bytes. */
#include "worker/image/image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int image_new(image *out, int w, int h, int channels, err *e)
{
    assert(w > 0 && h > 0 && (channels == 1 || channels == 3 || channels == 4));
    *out = (image){.w = w, .h = h, .channels = channels};
    out->px = calloc((size_t)w * (size_t)h, (size_t)channels);
    if (!out->px) {
        *out = (image){0};
        return err_set(e, ERR_NO_MEMORY, "no memory for a picture of %d x %d pixels", w, h);
    }
    return 0;
}

int image_copy(image *out, const image *in, err *e)
{
    int rc = image_new(out, in->w, in->h, in->channels, e);
    if (!rc)
        memcpy(out->px, in->px, (size_t)in->w * (size_t)in->h * (size_t)in->channels);
    return rc;
}

void image_done(image *i)
{
    if (i) {
        free(i->px);
        *i = (image){0};
    }
}
