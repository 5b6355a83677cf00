/* Between image_encode and the writers of the three formats; nothing outside worker/image needs it.
 */
#ifndef WORKER_IMAGE_ENCODE_H
#define WORKER_IMAGE_ENCODE_H

#include "worker/image/image.h"

/* A file under construction. */
typedef struct {
    uint8_t *bytes; /* owned */
    size_t size, room;
} sink;

bool sink_put(sink *to, const void *bytes, size_t size); /* false: no memory */

/* What goes into the file besides the picture: the same text in the forms that formats want. */
typedef struct {
    const char *parameters; /* UTF-8; NULL: none */
    uint8_t *exif;          /* a block with it as UserComment; NULL where the format has no EXIF */
    size_t exif_size;
} metadata;

typedef int image_writer(sink *to, const image *in, int quality, const metadata *m, err *e);

image_writer encode_png, encode_jpeg, encode_webp;

#endif
