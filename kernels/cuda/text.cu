/* timestep_embedding, embed, emphasis. Once per prompt or step: what counts is that they are exact,
 * so angles and means are double, as in the reference. */
#include "kernels/cuda/element.h"

enum { ALL_THREADS = 1024 };

static __global__ void BOUNDS(FLAT_THREADS) timestep_kernel(const timestep_embedding_args p)
{
    const int64_t i = item_of_thread(), half = p.out.dim[3] / 2;
    const int64_t n = i / half, j = i % half;
    if (n >= p.out.dim[0])
        return;
    const float exponent = -9.21034037197618f * (float)j / (float)half; /* log(10000) */
    const float frequency = (float)exp((double)exponent);
    const float angle = (float)load(p.t + n) * frequency;
    write_any(p.out.data, p.out.type, n * 2 * half + j, (float)cos((double)angle));
    write_any(p.out.data, p.out.type, n * 2 * half + half + j, (float)sin((double)angle));
}

int launch_timestep_embedding(cuda_stream stream, const timestep_embedding_args *a)
{
    return LAUNCH(timestep_kernel, grid_flat(stream, a->out.dim[0] * (a->out.dim[3] / 2)), *a);
}

static __global__ void BOUNDS(FLAT_THREADS) embed_kernel(const embed_args p)
{
    const int64_t i = item_of_thread(), c = p.out.dim[3];
    const int64_t token = i / c, j = i % c;
    if (token >= p.out.dim[0] * p.out.dim[2])
        return;
    const int64_t at = token % p.out.dim[2] * c + j;
    const float v = read_any(p.table.data, p.table.type, load(p.ids + token) * c + j);
    write_any(p.out.data, p.out.type, i, v + load((const float *)p.position.data + at));
}

int launch_embed(cuda_stream stream, const embed_args *a)
{
    return LAUNCH(embed_kernel, grid_flat(stream, tensor_count(a->out)), *a);
}

/* Sum over the block, the same for every thread, in a fixed order. */
DEVICE double block_sum(double v, double *by_warp)
{
    double all = 0;
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0)
        by_warp[threadIdx.x / 32] = v;
    sync_block();
    for (int i = 0; i < ALL_THREADS / 32; i++)
        all += by_warp[i];
    sync_block();
    return all;
}

/* One block: the mean is over the whole text. */
static __global__ void BOUNDS(ALL_THREADS) emphasis_kernel(const emphasis_args p)
{
    SHARED(double, by_warp, ALL_THREADS / 32);
    const int64_t c = p.x.dim[3], count = p.x.dim[0] * p.x.dim[2] * c;
    double before = 0, after = 0;
    bool plain = true;
    for (int64_t i = threadIdx.x; i < count; i += ALL_THREADS) {
        const double v = read_any(p.x.data, p.x.type, i), times = load(p.weights + i / c);
        plain = plain && times == 1;
        before += v;
        after += v * times;
    }
    before = block_sum(before, by_warp);
    after = block_sum(after, by_warp);
    if (all_of_block(plain))
        return;
    const double restore = after != 0 ? before / after : 1;
    for (int64_t i = threadIdx.x; i < count; i += ALL_THREADS) {
        const double v = read_any(p.x.data, p.x.type, i);
        write_any(p.x.data, p.x.type, i, (float)(v * load(p.weights + i / c) * restore));
    }
}

int launch_emphasis(cuda_stream stream, const emphasis_args *a)
{
    const grid_shape shape = {1, 1, ALL_THREADS, 1, 0, stream};
    return LAUNCH(emphasis_kernel, shape, *a);
}
