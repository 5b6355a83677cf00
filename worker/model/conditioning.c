/* Conditioning: see conditioning.h. Chunks are encoded independently and stand one after another;
 * the mean that emphasis restores is taken over all chunks of the text. */
#include "worker/model/conditioning.h"

void conditioning_encode(dev *d, tensor *out, const clip *c, const token_chunks *chunks,
                         int clip_skip)
{
    tensor each = tensor_reshape(*out, chunks->count, 1, CHUNK_TOKENS, out->dim[3]);
    clip_encode(d, &each, c, &chunks->id[0][0], chunks->count, clip_skip);
    op_emphasis(d, each, &chunks->weight[0][0]);
}
