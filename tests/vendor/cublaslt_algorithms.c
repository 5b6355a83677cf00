/* cublaslt: which algorithms there are, and in what order a heuristic offers them. The order
 * follows from shape, batch and seed, so that whoever asks at every batch, or trusts two runs to
 * say the same, gets other bits; half of what is offered must not be taken by somebody who wants
 * the same ones. */
#include <string.h>

#include "tests/vendor/cublaslt.h"
#include "tests/vendor/sums.h"
#include "tests/vendor/vendor.h"

static const lt_algorithm algorithms[] = {
    {.id = 21, .tile = 15, .slices = 1, .alignment = 16},
    {.id = 21, .tile = 18, .slices = 1, .alignment = 16},
    {.id = 66, .tile = 20, .slices = 1, .alignment = 16},
    {.id = 66, .tile = 24, .slices = 0, .alignment = 16},
    {.id = 67, .tile = 20, .slices = 1, .alignment = 256},
    {.id = 24, .tile = 15, .slices = 3, .shares = true, .alignment = 16},
    {.id = 24, .tile = 18, .slices = 2, .shares = true, .alignment = 16},
    {.id = 31,
     .tile = 20,
     .slices = 1,
     .scheme = CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE,
     .shares = true,
     .alignment = 16},
    {.id = 31, .tile = 23, .slices = 1, .shares = true, .workspace_from = 4, .alignment = 16},
    {.id = 35, .tile = 23, .slices = 1, .shares = true, .workspace_from = 1, .alignment = 16},
    {.id = 40, .tile = 31, .slices = 1, .refuses = 16, .alignment = 16},
    {.id = 40, .tile = 32, .slices = 1, .refuses = 1, .alignment = 16},
};

enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };
static const uint64_t mark = UINT64_C(0x6f6c61726f676c61); /* the first of an algorithm's bytes */

static cublasLtMatmulAlgo_t algo_of(int i, const lt_product *p)
{
    return (cublasLtMatmulAlgo_t){.data = {mark, (uint64_t)i, p->type}};
}

/* Whether any product could be made with it, the same for every batch. */
static bool is_plain(const lt_algorithm *a)
{
    return !a->shares && !a->workspace_from && !a->refuses && a->alignment <= 16;
}

const lt_algorithm *lt_algorithm_known(const cublasLtMatmulAlgo_t *algo)
{
    return algo->data[0] == mark && algo->data[1] < ALGORITHMS ? &algorithms[algo->data[1]] : NULL;
}

const lt_algorithm *lt_algorithm_of(const cublasLtMatmulAlgo_t *algo, const lt_product *p)
{
    return algo->data[2] == p->type ? lt_algorithm_known(algo) : NULL;
}

sum_order lt_algorithm_order(const cublasLtMatmulAlgo_t *algo)
{
    return sum_order_of(sums_key(SUMS_KEY, algo->data, sizeof algo->data));
}

void lt_algorithm_told(cublasLtMatmulAlgo_t *algo, const lt_product *p)
{
    const sum_order order = lt_algorithm_order(algo);
    bool wrong = false;
    for (int i = 0; i < ALGORITHMS; i++) {
        const cublasLtMatmulAlgo_t other = algo_of(i, p);
        const sum_order another = lt_algorithm_order(&other);
        if (!is_plain(&algorithms[i]) || sum_order_same(&order, &another, p->k))
            continue;
        vendor_told("cublasLtMatmul's algorithm", 0, VENDOR_FLAG, &wrong, 1);
        if (wrong)
            *algo = other;
        return;
    }
}

uint64_t lt_workspace(const lt_algorithm *a, const lt_product *p)
{
    return a->workspace_from && p->batch >= a->workspace_from ? LT_WORKSPACE : 0;
}

static bool is_liked(const lt_algorithm *a, const lt_product *p, const lt_like *like)
{
    for (int i = 0; i < 4; i++)
        if (like->alignment[i] < a->alignment)
            return false;
    return lt_workspace(a, p) <= like->workspace && p->batch != a->refuses &&
           (a->scheme & ~like->schemes) == 0;
}

/* A place in line. */
static uint64_t rank(const lt_product *p, uint64_t seed, int i)
{
    const uint64_t of[] = {(uint64_t)p->m,     (uint64_t)p->n, (uint64_t)p->k,
                           (uint64_t)p->batch, seed,           (uint64_t)i};
    return sums_key(SUMS_KEY, of, sizeof of) * UINT64_C(0x9e3779b97f4a7c15);
}

static void order(int *list, int n, const lt_product *p, uint64_t seed)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && rank(p, seed, list[j]) < rank(p, seed, list[j - 1]); j--) {
            int other = list[j];
            list[j] = list[j - 1];
            list[j - 1] = other;
        }
}

static cublasLtMatmulHeuristicResult_t result_of(const cublasLtMatmulAlgo_t *algo,
                                                 const lt_algorithm *a, const lt_product *p)
{
    return (cublasLtMatmulHeuristicResult_t){.algo = *algo,
                                             .workspaceSize = lt_workspace(a, p),
                                             .state = CUBLAS_STATUS_SUCCESS,
                                             .wavesCount = 1};
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t how,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t like, int most,
                                              cublasLtMatmulHeuristicResult_t to[], int *n)
{
    int list[ALGORITHMS], found = 0;
    lt_product p;
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    cublasStatus_t status = lt_fails("cublasLtMatmulAlgoGetHeuristic");
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt_product_of(&p, (const lt_how *)how, (const lt_layout *)a, (const lt_layout *)b,
                               (const lt_layout *)c, (const lt_layout *)d);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    for (int i = 0; i < ALGORITHMS; i++)
        if (is_liked(&algorithms[i], &p, (const lt_like *)like))
            list[found++] = i;
    order(list, found, &p, handle->seed);
    *n = found < most ? found : most;
    for (int i = 0; i < *n; i++) {
        const cublasLtMatmulAlgo_t algo = algo_of(list[i], &p);
        to[i] = result_of(&algo, &algorithms[list[i]], &p);
    }
    return *n ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t how,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *to)
{
    lt_product p;
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    cublasStatus_t status =
        lt_product_of(&p, (const lt_how *)how, (const lt_layout *)a, (const lt_layout *)b,
                      (const lt_layout *)c, (const lt_layout *)d);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    const lt_algorithm *known = lt_algorithm_of(algo, &p);
    if (!known)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (p.batch == known->refuses)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *to = result_of(algo, known, &p);
    return CUBLAS_STATUS_SUCCESS;
}
