/* The launchers of our own CUDA kernels, as the host side of the backend calls them.
 *
 * Arguments are those of kernels/table.h, with the same meaning, and three differences. Every
 * pointer leads to device memory, also the arrays that table.h keeps on the host (keys, t, ids,
 * weights, source, flag, row): they must stay where they are as long as a captured graph may replay
 * the launch. Feature maps are F16, BF16 or F32, all of one call of one type unless said otherwise;
 * arithmetic is fp32. Scale, shift, slope and position are F32.
 *
 * Each launches on `stream` and returns: 0, LAUNCH_REFUSED when there is no kernel for such types
 * or shapes (nothing ran), or another number of cudaError_t. Tensors at multiples of 16 bytes with
 * channels in multiples of 8 are moved 16 bytes at a time; all others work too, slower. Bits depend
 * on the shape of a sample only, never on n. */
#ifndef KERNELS_CUDA_LAUNCH_H
#define KERNELS_CUDA_LAUNCH_H

#include "kernels/table.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LAUNCH_REFUSED = 1 }; /* cudaErrorInvalidValue */

typedef struct CUstream_st *cuda_stream; /* cudaStream_t */

/* F16, BF16. cluster_shared: most shared memory of a block
 * (cudaDevAttrMaxSharedMemoryPerBlockOptin) of a device with clusters (compute capability 9.0 and
 * more), else 0: it decides between one and two passes, hence bits. `scratch` has
 * launch_group_norm_scratch bytes, which may be 0. */
int launch_group_norm(cuda_stream stream, const group_norm_args *a, size_t cluster_shared,
                      void *scratch);
size_t launch_group_norm_scratch(const group_norm_args *a, size_t cluster_shared);

int launch_layer_norm(cuda_stream stream, const layer_norm_args *a);

/* F16 with heads of 8 to 160 channels in multiples of 8: matrix instructions, as far as a block can
 * have the shared memory (160: 105 KiB). Else up to 512 channels a head, slowly. */
int launch_attention(cuda_stream stream, const attention_args *a, size_t shared_most);

int launch_geglu(cuda_stream stream, const geglu_args *a);
int launch_activate(cuda_stream stream, const activate_args *a);
int launch_add(cuda_stream stream, const add_args *a);

/* What is left of conv2d for a library that convolves: the first w->out channels of `made`
 * [n,h,w,>=o], + bias, to act or slope (PReLU), + residual, into channels out_at on of a->out. A
 * bias, slope or residual that the library has dealt with is not given. x and the data of w are not
 * looked at. */
int launch_conv_finish(cuda_stream stream, const conv2d_args *a, tensor made);

/* The input of a library that wants whole vectors of channels: out [n,h,w,c] = x ++ the first
 * x2_channels of x2 ++ zeros. */
int launch_join(cuda_stream stream, tensor out, tensor x, tensor x2, int64_t x2_channels);

int launch_pixel_shuffle(cuda_stream stream, const pixel_shuffle_args *a);
int launch_pixel_unshuffle(cuda_stream stream, const pixel_unshuffle_args *a);
int launch_resize_nearest(cuda_stream stream, const resize_nearest_args *a);

int launch_timestep_embedding(cuda_stream stream, const timestep_embedding_args *a);
/* The table's type and that of out are independent. */
int launch_embed(cuda_stream stream, const embed_args *a);
int launch_emphasis(cuda_stream stream, const emphasis_args *a);

/* Sources and out each have their type. */
int launch_gather(cuda_stream stream, const gather_args *a);

/* All rows of `channels` channels and at most `pixels` pixels. Each tensor has its own type: state
 * is F32, predictions and input are what the UNet takes and gives. */
int launch_step(cuda_stream stream, const step_args *a, int64_t pixels, int channels);

/* Channels beyond the picture's three: zeros in out, not looked at in x. */
int launch_pixels_in(cuda_stream stream, const pixels_in_args *a);
int launch_pixels_out(cuda_stream stream, const pixels_out_args *a);
int launch_preview(cuda_stream stream, const preview_args *a);
int launch_finite(cuda_stream stream, const finite_args *a);

#ifdef __cplusplus
}
#endif

#endif
