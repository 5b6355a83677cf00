/* A prompt's conditioning: its chunks through the text encoder, then the emphasis of its tokens. */
#ifndef WORKER_MODEL_CONDITIONING_H
#define WORKER_MODEL_CONDITIONING_H

#include "worker/model/clip.h"
#include "worker/model/tokenizer.h"

/* out [1, 1, 77 * chunks, width], given by the caller (usually a kept tensor). Errors are the
 * device's. */
void conditioning_encode(dev *d, tensor *out, const clip *c, const token_chunks *chunks,
                         int clip_skip);

#endif
