/* Conditioning: see conditioning.h. Chunks are encoded one at a time and stand one after another:
 * the scratch of a long prompt is that of a short one, which is what plan.c counts. The mean that
 * emphasis restores is taken over all chunks of the text. */
#include "worker/model/conditioning.h"

void conditioning_encode(dev *d, tensor *out, const clip *c, const token_chunks *chunks,
                         int clip_skip)
{
    tensor each = tensor_reshape(*out, chunks->count, 1, CHUNK_TOKENS, out->dim[3]);
    for (int i = 0; i < chunks->count; i++) {
        tensor place = tensor_sample(each, i); /* [1,1,77,c] */
        clip_encode(d, &place, c, chunks->id[i], 1, clip_skip);
    }
    op_emphasis(d, each, &chunks->weight[0][0]);
}
