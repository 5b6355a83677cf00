/* Any bytes as a picture file: decoded, then laid over a colour, within small limits. */
#include "worker/image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const image_limits limits = {
        .bytes = 1 << 20, .side = 512, .pixels = 1 << 16, .ratio = 64};
    static const uint8_t grey[3] = {127, 127, 127};
    image picture, flat;
    err e = {0};
    if (image_decode(&picture, bytes, size, &limits, &e))
        return 0;
    if (!image_flatten(&flat, &picture, grey, &e))
        image_done(&flat);
    image_done(&picture);
    return 0;
}
