/* WebP through libwebp. A still picture and an animation are the same thing here: a canvas with a
 * first frame somewhere on it. */
#include "worker/image/decode.h"

#include <webp/decode.h>
#include <webp/demux.h>

#include "proto/exif.h"

static int keep_profile(decoded *out, const WebPDemuxer *file, err *e)
{
    WebPChunkIterator chunk;
    int rc = 0;
    if (WebPDemuxGetChunk(file, "ICCP", 1, &chunk))
        rc = decoded_keep_profile(out, chunk.chunk.bytes, chunk.chunk.size, e);
    WebPDemuxReleaseChunkIterator(&chunk);
    return rc;
}

static void read_orientation(decoded *out, const WebPDemuxer *file)
{
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(file, "EXIF", 1, &chunk))
        out->orientation = exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
}

static int read_frame(image *picture, const WebPIterator *frame, int w, int h, err *e)
{
    bool covers = frame->width == w && frame->height == h;
    bool alpha = frame->has_alpha || !covers;
    int rc = image_new(picture, w, h, alpha ? 4 : 3, e);
    if (rc)
        return rc;
    size_t stride = (size_t)w * (size_t)picture->channels;
    size_t corner =
        (size_t)frame->y_offset * stride + (size_t)frame->x_offset * (size_t)picture->channels;
    size_t room = stride * (size_t)h - corner;
    uint8_t *(*read)(const uint8_t *, size_t, uint8_t *, size_t, int) =
        alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
    if (!read(frame->fragment.bytes, frame->fragment.size, picture->px + corner, room, (int)stride))
        return err_set(e, ERR_INVALID, "the WebP file is damaged: its picture cannot be decoded");
    return 0;
}

int decode_webp(decoded *out, const uint8_t *bytes, size_t size, const image_limits *limits, err *e)
{
    WebPIterator frame = {0};
    WebPDemuxer *file = WebPDemux(&(WebPData){bytes, size});
    if (!file)
        return err_set(e, ERR_INVALID, "the WebP file is damaged or ends too early");
    int64_t w = WebPDemuxGetI(file, WEBP_FF_CANVAS_WIDTH);
    int64_t h = WebPDemuxGetI(file, WEBP_FF_CANVAS_HEIGHT);
    int rc = limits_check(limits, w, h, e);
    if (rc)
        goto out;
    if (!WebPDemuxGetFrame(file, 1, &frame) || !frame.complete) {
        rc = err_set(e, ERR_INVALID, "the WebP file holds no whole picture");
        goto out;
    }
    out->samples = SAMPLES_RGB;
    read_orientation(out, file);
    rc = keep_profile(out, file, e);
    if (!rc)
        rc = read_frame(&out->picture, &frame, (int)w, (int)h, e);
out:
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(file);
    return rc;
}
