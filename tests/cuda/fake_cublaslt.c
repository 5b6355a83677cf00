/* fake_cublaslt: see fake_cublaslt.h. Numbers are those of cublasLt.h, which only kernels/cuda may
 * include; they are part of the library's ABI. */
#include "tests/cuda/fake_cublaslt.h"

#include <assert.h>
#include <string.h>

#include "kernels/half.h"

enum { SUCCESS = 0, NOT_SUPPORTED = 15, TRANSPOSED = 1, EPILOGUE_BIAS = 4 };
enum { LAYOUT_ROWS = 2, LAYOUT_COLUMNS = 3, LAYOUT_LD = 4, LAYOUT_BATCH = 5, LAYOUT_STRIDE = 6 };
enum { HOW_TRANSPOSED_A = 3, HOW_EPILOGUE = 7, HOW_BIAS = 8 };
enum { ALGO_SLICES = 2, ALGO_SCHEME = 3, ALGO_WORDS = 8 };

typedef struct {
    uint64_t algo[ALGO_WORDS];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} heuristic_result;

static fake_algo offered[FAKE_ALGOS];
static int offers;

int cublasLtMatrixLayoutGetAttribute(const void *layout, int name, void *to, size_t bytes,
                                     size_t *written);
int cublasLtMatmulDescGetAttribute(const void *how, int name, void *to, size_t bytes,
                                   size_t *written);
int __wrap_cublasLtMatmulAlgoGetHeuristic(void *handle, void *how, void *a, void *b, void *c,
                                          void *d, void *like, int most, heuristic_result *to,
                                          int *n);
int __wrap_cublasLtMatmulAlgoCheck(void *handle, void *how, void *a, void *b, void *c, void *d,
                                   const uint64_t *algo, heuristic_result *to);
int __wrap_cublasLtMatmulAlgoConfigGetAttribute(const uint64_t *algo, int name, void *to,
                                                size_t bytes, size_t *written);
int __wrap_cublasLtMatmul(void *handle, void *how, const float *alpha, const uint16_t *a,
                          void *a_layout, const uint16_t *b, void *b_layout, const float *beta,
                          const uint16_t *c, void *c_layout, uint16_t *d, void *d_layout,
                          const uint64_t *algo, void *workspace, size_t bytes, void *stream);

void fake_cublaslt_offer(const fake_algo *algo, int n)
{
    assert(n <= FAKE_ALGOS);
    offers = n;
    if (n)
        memcpy(offered, algo, (size_t)n * sizeof *algo);
}

static int64_t layout_value(const void *layout, int name, size_t bytes)
{
    int64_t value = 0;
    size_t written;
    int status = cublasLtMatrixLayoutGetAttribute(layout, name, &value, bytes, &written);
    assert(status == SUCCESS && written == bytes);
    return value;
}

typedef struct {
    int64_t rows, columns, ld, batch, stride;
} matrix;

static matrix read_layout(const void *layout)
{
    return (matrix){.rows = layout_value(layout, LAYOUT_ROWS, 8),
                    .columns = layout_value(layout, LAYOUT_COLUMNS, 8),
                    .ld = layout_value(layout, LAYOUT_LD, 8),
                    .batch = layout_value(layout, LAYOUT_BATCH, 4),
                    .stride = layout_value(layout, LAYOUT_STRIDE, 8)};
}

int __wrap_cublasLtMatmulAlgoGetHeuristic(void *handle, void *how, void *a, void *b, void *c,
                                          void *d, void *like, int most, heuristic_result *to,
                                          int *n)
{
    (void)handle, (void)how, (void)a, (void)b, (void)c, (void)d, (void)like;
    assert(most >= offers);
    for (int i = 0; i < offers; i++)
        to[i] = (heuristic_result){.algo = {(uint64_t)i}};
    *n = offers;
    return offers ? SUCCESS : NOT_SUPPORTED;
}

int __wrap_cublasLtMatmulAlgoCheck(void *handle, void *how, void *a, void *b, void *c, void *d,
                                   const uint64_t *algo, heuristic_result *to)
{
    (void)handle, (void)how, (void)a, (void)b, (void)c;
    const fake_algo *f = &offered[algo[0]];
    int64_t rows = read_layout(d).batch;
    *to = (heuristic_result){0};
    to->workspace = f->workspace_rows && rows >= f->workspace_rows ? 1024 : 0;
    return rows == f->refuses_rows ? NOT_SUPPORTED : SUCCESS;
}

int __wrap_cublasLtMatmulAlgoConfigGetAttribute(const uint64_t *algo, int name, void *to,
                                                size_t bytes, size_t *written)
{
    assert(bytes == 4 && (name == ALGO_SLICES || name == ALGO_SCHEME));
    const fake_algo *f = &offered[algo[0]];
    memcpy(to, name == ALGO_SLICES ? &f->slices : &f->scheme, bytes);
    *written = bytes;
    return SUCCESS;
}

/* Exact for the small integers of the test. */
static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    assert((bits & 0xffff) == 0);
    return (uint16_t)(bits >> 16);
}

/* D = alpha A^T B + beta C + bias, columns first, as the descriptors say. */
int __wrap_cublasLtMatmul(void *handle, void *how, const float *alpha, const uint16_t *a,
                          void *a_layout, const uint16_t *b, void *b_layout, const float *beta,
                          const uint16_t *c, void *c_layout, uint16_t *d, void *d_layout,
                          const uint64_t *algo, void *workspace, size_t bytes, void *stream)
{
    (void)handle, (void)algo, (void)workspace, (void)stream;
    const matrix la = read_layout(a_layout), lb = read_layout(b_layout), lc = read_layout(c_layout),
                 ld = read_layout(d_layout);
    const uint16_t *bias = NULL;
    int transposed = 0, epilogue = 0;
    size_t written;
    cublasLtMatmulDescGetAttribute(how, HOW_TRANSPOSED_A, &transposed, 4, &written);
    cublasLtMatmulDescGetAttribute(how, HOW_EPILOGUE, &epilogue, 4, &written);
    if (epilogue == EPILOGUE_BIAS)
        cublasLtMatmulDescGetAttribute(how, HOW_BIAS, &bias, sizeof bias, &written);
    assert(transposed == TRANSPOSED && bytes == 0 && la.rows == lb.rows && la.columns == ld.rows &&
           lb.columns == ld.columns && la.batch == ld.batch && lb.batch == ld.batch &&
           lc.batch == ld.batch);
    for (int64_t n = 0; n < ld.batch; n++)
        for (int64_t j = 0; j < ld.columns; j++)
            for (int64_t i = 0; i < ld.rows; i++) {
                float sum = 0;
                for (int64_t k = 0; k < la.rows; k++)
                    sum += bf16_to_float(a[n * la.stride + i * la.ld + k]) *
                           bf16_to_float(b[n * lb.stride + j * lb.ld + k]);
                sum *= *alpha;
                if (*beta != 0)
                    sum += *beta * bf16_to_float(c[n * lc.stride + j * lc.ld + i]);
                sum += bias ? bf16_to_float(bias[i]) : 0;
                d[n * ld.stride + j * ld.ld + i] = to_bf16(sum);
            }
    return SUCCESS;
}
