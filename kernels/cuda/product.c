/* product: see product.h. cuBLASLt counts columns first: our y [tokens][out] is its out x tokens,
 * so it multiplies the weights, transposed, by x. Split sums are kept out by asking for algorithms
 * that have neither workspace nor a reduction; a choice for one number of rows may have both, where
 * a reduction of its own adds the slices in fp32. */
#include "kernels/cuda/product.h"

#include <cublasLt.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/why.h"

enum { OFFERS = 32, ALIGNMENT = 16 };

_Static_assert(sizeof(cublasLtMatmulAlgo_t) == CHOICE_ALGO_WORDS * sizeof(uint64_t),
               "an algorithm fits into a choice");

struct product {
    product_shape shape;
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t w, x, y; /* y also for the residual */
};

static bool check(char *why, const char *what, cublasStatus_t status)
{
    if (status != CUBLAS_STATUS_SUCCESS)
        snprintf(why, PRODUCT_WHY_BYTES, "%s%s: %s",
                 status == CUBLAS_STATUS_ALLOC_FAILED ? WHY_MEMORY ": " : "", what,
                 cublasLtGetStatusString(status));
    return status == CUBLAS_STATUS_SUCCESS;
}

static bool blame(char *why, const product_shape *s, const char *what)
{
    char name[SHAPE_NAME_BYTES];
    product_shape_name(s, name);
    snprintf(why, PRODUCT_WHY_BYTES, "%s: %.120s", name, what);
    return false;
}

static cudaDataType_t storage(dtype type)
{
    return type == F16 ? CUDA_R_16F : CUDA_R_16BF;
}

/* rows x columns, a column `next` values behind the one before; `batch` of them, `stride` apart. */
static bool make_layout(cublasLtMatrixLayout_t *l, dtype type, int64_t rows, int64_t columns,
                        int64_t next, int64_t batch, int64_t stride, char *why)
{
    int32_t count = (int32_t)batch;
    return check(why, "a layout",
                 cublasLtMatrixLayoutCreate(l, storage(type), (uint64_t)rows, (uint64_t)columns,
                                            next)) &&
           check(why, "a batch's size",
                 cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                                  sizeof count)) &&
           check(why, "a batch's stride",
                 cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                  &stride, sizeof stride));
}

static bool set(product *p, cublasLtMatmulDescAttributes_t name, const void *value, size_t bytes,
                char *why)
{
    return check(why, "a product's attribute",
                 cublasLtMatmulDescSetAttribute(p->how, name, value, bytes));
}

static bool make_how(product *p, char *why)
{
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t bias = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = storage(p->shape.type);
    bool good = check(why, "a product",
                      cublasLtMatmulDescCreate(&p->how, CUBLAS_COMPUTE_32F, CUDA_R_32F)) &&
                set(p, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed, why);
    if (good && p->shape.bias)
        good = set(p, CUBLASLT_MATMUL_DESC_EPILOGUE, &bias, sizeof bias, why) &&
               set(p, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type, why);
    return good;
}

product *product_new(const product_shape *s, int64_t rows, char why[PRODUCT_WHY_BYTES])
{
    product *p = calloc(1, sizeof *p);
    const dtype type = s->type;
    assert(type == F16 || type == BF16);
    why[0] = 0;
    if (!p) {
        check(why, "a product", CUBLAS_STATUS_ALLOC_FAILED);
        return NULL;
    }
    p->shape = *s;
    if (make_how(p, why) && make_layout(&p->w, type, s->in, s->out, s->w_row, rows, 0, why) &&
        make_layout(&p->x, type, s->in, s->tokens, s->in, rows, s->tokens * s->in, why) &&
        make_layout(&p->y, type, s->out, s->tokens, s->out, rows, s->tokens * s->out, why))
        return p;
    product_free(&p);
    return NULL;
}

void product_free(product **p)
{
    if (*p) {
        cublasLtMatrixLayout_t layout[] = {(*p)->w, (*p)->x, (*p)->y};
        for (int i = 0; i < 3; i++)
            if (layout[i])
                cublasLtMatrixLayoutDestroy(layout[i]);
        if ((*p)->how)
            cublasLtMatmulDescDestroy((*p)->how);
    }
    free(*p);
    *p = NULL;
}

static cublasLtMatmulAlgo_t algo_of(const choice *c)
{
    cublasLtMatmulAlgo_t algo;
    assert(c->kind == CHOICE_ALGO);
    memcpy(&algo, c->algo, sizeof algo);
    return algo;
}

/* Also when it does not say. */
static bool splits(const cublasLtMatmulAlgo_t *algo, char *why)
{
    int32_t slices = 0;
    uint32_t scheme = 0;
    size_t bytes;
    cublasStatus_t known = cublasLtMatmulAlgoConfigGetAttribute(
        algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &slices, sizeof slices, &bytes);
    if (known == CUBLAS_STATUS_SUCCESS)
        known = cublasLtMatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                                     &scheme, sizeof scheme, &bytes);
    return !check(why, "an algorithm", known) || slices > 1 ||
           scheme != CUBLASLT_REDUCTION_SCHEME_NONE;
}

static size_t workspace_most(int64_t alone)
{
    return alone == EVERY_ROWS ? 0 : CHOICE_WORKSPACE;
}

static bool serves(cublasLtHandle_t handle, const product_shape *s, int64_t rows,
                   const cublasLtMatmulAlgo_t *algo, size_t most, char *why)
{
    cublasLtMatmulHeuristicResult_t result = {0};
    product *p = product_new(s, rows, why);
    if (!p)
        return false;
    cublasStatus_t status =
        cublasLtMatmulAlgoCheck(handle, p->how, p->w, p->x, p->y, p->y, algo, &result);
    product_free(&p);
    if (status == CUBLAS_STATUS_ALLOC_FAILED)
        return check(why, "an algorithm", status);
    if (status != CUBLAS_STATUS_SUCCESS || result.state != CUBLAS_STATUS_SUCCESS)
        return blame(why, s, "cuBLASLt refuses the algorithm for some number of rows");
    return result.workspaceSize <= most || blame(why, s, "the algorithm wants too much workspace");
}

bool product_is_good(struct cublasLtContext *handle, const product_shape *s, int64_t alone,
                     const choice *c, char why[PRODUCT_WHY_BYTES])
{
    if (c->kind != CHOICE_ALGO)
        return blame(why, s, "expected an algorithm");
    const cublasLtMatmulAlgo_t algo = algo_of(c);
    why[0] = 0;
    if (alone != EVERY_ROWS)
        return serves(handle, s, alone, &algo, workspace_most(alone), why);
    if (splits(&algo, why)) {
        if (!why[0])
            blame(why, s, "the algorithm splits its sums");
        return false;
    }
    for (int i = 0; i < BUCKETS; i++)
        if (!serves(handle, s, bucket_rows[i], &algo, workspace_most(alone), why))
            return false;
    return true;
}

/* Left to itself the heuristic takes all operands to lie at multiples of 256. */
static bool set_alignments(cublasLtMatmulPreference_t like, char *why)
{
    static const cublasLtMatmulPreferenceAttributes_t operands[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint32_t bytes = ALIGNMENT;
    bool good = true;
    for (size_t i = 0; good && i < sizeof operands / sizeof *operands; i++)
        good = check(why, "an alignment",
                     cublasLtMatmulPreferenceSetAttribute(like, operands[i], &bytes, sizeof bytes));
    return good;
}

/* What the heuristic offers, best first; how many. */
static int offers(cublasLtHandle_t handle, product *p, int64_t alone,
                  cublasLtMatmulHeuristicResult_t to[OFFERS], char *why)
{
    const size_t workspace = workspace_most(alone);
    const uint32_t reductions = alone == EVERY_ROWS ? CUBLASLT_REDUCTION_SCHEME_NONE
                                                    : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasLtMatmulPreference_t like = NULL;
    int n = 0;
    bool good =
        check(why, "a preference", cublasLtMatmulPreferenceCreate(&like)) &&
        check(why, "a workspace",
              cublasLtMatmulPreferenceSetAttribute(like, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                   &workspace, sizeof workspace)) &&
        check(why, "a reduction scheme",
              cublasLtMatmulPreferenceSetAttribute(like, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                   &reductions, sizeof reductions)) &&
        set_alignments(like, why) &&
        check(why, "the heuristic",
              cublasLtMatmulAlgoGetHeuristic(handle, p->how, p->w, p->x, p->y, p->y, like, OFFERS,
                                             to, &n));
    if (like)
        cublasLtMatmulPreferenceDestroy(like);
    return good ? n : 0;
}

int product_choices(struct cublasLtContext *handle, const product_shape *s, int64_t alone,
                    choice *to, int most, char why[PRODUCT_WHY_BYTES])
{
    cublasLtMatmulHeuristicResult_t offer[OFFERS];
    product *p = product_new(s, alone == EVERY_ROWS ? REFERENCE_ROWS : alone, why);
    int n = p ? offers(handle, p, alone, offer, why) : 0, good = 0;
    for (int i = 0; i < n && good < most && !why_is_memory(why); i++) {
        choice c = {.kind = CHOICE_ALGO};
        memcpy(c.algo, &offer[i].algo, sizeof c.algo);
        if (offer[i].state == CUBLAS_STATUS_SUCCESS && product_is_good(handle, s, alone, &c, why))
            to[good++] = c;
    }
    product_free(&p);
    if (good == 0 && !why[0])
        blame(why, s, "cuBLASLt offers no algorithm");
    return good;
}

bool product_choose(struct cublasLtContext *handle, const product_shape *s, int64_t alone,
                    choice *c, char why[PRODUCT_WHY_BYTES])
{
    return product_choices(handle, s, alone, c, 1, why) == 1;
}

bool product_run(struct cublasLtContext *handle, product *p, const choice *c,
                 const product_places *at, struct CUstream_st *stream, char why[PRODUCT_WHY_BYTES])
{
    const cublasLtMatmulAlgo_t algo = algo_of(c);
    const float alpha = 1, beta = p->shape.residual ? 1 : 0;
    const void *residual = p->shape.residual ? at->residual : at->y;
    assert(p->shape.bias == (at->bias != NULL) && p->shape.residual == (at->residual != NULL));
    why[0] = 0;
    if (at->bias && !set(p, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at->bias, sizeof at->bias, why))
        return false;
    return check(why, "a product",
                 cublasLtMatmul(handle, p->how, &alpha, at->w, p->w, at->x, p->x, &beta, residual,
                                p->y, at->y, p->y, &algo, at->workspace,
                                at->workspace ? CHOICE_WORKSPACE : 0, stream));
}
