/* Four of cuBLASLt's calls, which need a device, answered by the test instead (linked with --wrap);
 * descriptors stay the library's own and are read back through its own calls. */
#ifndef TESTS_CUDA_FAKE_CUBLASLT_H
#define TESTS_CUDA_FAKE_CUBLASLT_H

#include <stdbool.h>
#include <stdint.h>

enum { FAKE_ALGOS = 8 };

/* An algorithm of the fake: its number is the first of its 64 bytes. */
typedef struct {
    int slices, scheme;
    int64_t refuses_rows;   /* the number of rows at which it is not supported; 0: none */
    int64_t workspace_rows; /* the number of rows from which it wants workspace; 0: none */
} fake_algo;

/* What the heuristic offers; n 0: it fails. */
void fake_cublaslt_offer(const fake_algo *algo, int n);

#endif
