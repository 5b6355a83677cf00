#include "kernels/cuda/ptx.h"
#include "tests/vendor/planted.h"

typedef struct {
    float *out;
    const float *in;
    float plus;
    int n;
} add_args;

static __global__ void BOUNDS(1024) add_kernel(const add_args p)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < p.n)
        store(p.out + i, load(p.in + i) + p.plus);
}

int planted_add_by(struct CUstream_st *stream, float *out, const float *in, float plus, int n,
                   unsigned threads)
{
    const add_args p = {out, in, plus, n};
    const grid_shape shape = {grid_blocks(n, threads), 1, threads, 1, 0, stream};
    return LAUNCH(add_kernel, shape, p);
}

int planted_add(struct CUstream_st *stream, float *out, const float *in, float plus, int n)
{
    return planted_add_by(stream, out, in, plus, n, 64);
}
