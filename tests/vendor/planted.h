/* Kernels for the tests of the stand-ins. */
#ifndef TESTS_VENDOR_PLANTED_H
#define TESTS_VENDOR_PLANTED_H

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

/* out[i] = in[i] + plus; 0 or a CUDA error. */
int planted_add(struct CUstream_st *stream, float *out, const float *in, float plus, int n);
/* The same with blocks of so many threads. */
int planted_add_by(struct CUstream_st *stream, float *out, const float *in, float plus, int n,
                   unsigned threads);

#ifdef __cplusplus
}
#endif

#endif
