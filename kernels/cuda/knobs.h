/* cuDNN's knobs that decide how sums are split, by their numbers in its ABI. */
#ifndef KERNELS_CUDA_KNOBS_H
#define KERNELS_CUDA_KNOBS_H

#define CUDNN_SUM_KNOBS(K)                                                                         \
    K(SPLIT_K, 0)                                                                                  \
    K(CHUNK_K, 8)                                                                                  \
    K(SPLIT_H, 9)                                                                                  \
    K(SPLIT_K_BUF, 12)                                                                             \
    K(CTA_SPLIT_K_MODE, 16)                                                                        \
    K(SPLIT_K_SLC, 17)                                                                             \
    K(SLICED, 19)                                                                                  \
    K(SPLIT_RS, 20)                                                                                \
    K(WORKSPACE, 25)                                                                               \
    K(STREAM_K, 38)                                                                                \
    K(SPLIT_P_SLC, 39)

#define KNOB_NUMBER(name, number) KNOB_##name = number,
enum { CUDNN_SUM_KNOBS(KNOB_NUMBER) };

#endif
