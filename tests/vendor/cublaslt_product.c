/* cublaslt: products. Everything that a launch reads on the host is checked and copied when it is
 * called; memory is checked then and once more when the stream gets there. */
#include <string.h>

#include "tests/vendor/cublaslt.h"
#include "tests/vendor/sums.h"
#include "tests/vendor/vendor.h"

/* A product with its operands, as a stream keeps it. */
typedef struct {
    lt_product product;
    const void *a, *b, *c, *bias;
    void *d, *workspace;
    float alpha, beta;
    uint64_t workspace_bytes;
    uint32_t alignment;
    sum_order order;
    int64_t first; /* of the batch, where A differs from one to the next */
} launch;

static bool number_of(uint32_t type, number_type *to)
{
    switch ((cudaDataType_t)type) {
    case CUDA_R_16F: *to = NUMBER_F16; return true;
    case CUDA_R_16BF: *to = NUMBER_BF16; return true;
    default: return false;
    }
}

/* Rows and columns after a transposition. */
static int64_t height(const lt_layout *l, int32_t turned)
{
    return (int64_t)(turned == CUBLAS_OP_T ? l->columns : l->rows);
}

static int64_t width(const lt_layout *l, int32_t turned)
{
    return (int64_t)(turned == CUBLAS_OP_T ? l->rows : l->columns);
}

static bool is_layout(const lt_layout *l, const lt_layout *like)
{
    number_type type;
    return number_of(l->type, &type) && l->type == like->type && l->order == CUBLASLT_ORDER_COL &&
           l->rows > 0 && l->columns > 0 && l->ld >= (int64_t)l->rows && l->batch >= 1 &&
           l->batch == like->batch && l->stride >= 0;
}

static bool is_how(const lt_how *how, uint32_t type)
{
    bool bias = how->epilogue == CUBLASLT_EPILOGUE_BIAS;
    return how->compute == CUBLAS_COMPUTE_32F && how->scale == CUDA_R_32F &&
           how->pointer_mode == CUBLASLT_POINTER_MODE_HOST && how->turned[0] <= CUBLAS_OP_T &&
           how->turned[1] <= CUBLAS_OP_T && how->turned[2] == CUBLAS_OP_N &&
           (bias || how->epilogue == CUBLASLT_EPILOGUE_DEFAULT) && how->bias_stride == 0 &&
           (how->bias_type == -1 || how->bias_type == (int32_t)type);
}

cublasStatus_t lt_product_of(lt_product *p, const lt_how *how, const lt_layout *a,
                             const lt_layout *b, const lt_layout *c, const lt_layout *d)
{
    if (!how || !a || !b || !c || !d)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!is_how(how, d->type) || !is_layout(a, d) || !is_layout(b, d) || !is_layout(c, d) ||
        !is_layout(d, d))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *p = (lt_product){.how = *how,
                      .a = *a,
                      .b = *b,
                      .c = *c,
                      .d = *d,
                      .m = (int64_t)d->rows,
                      .n = (int64_t)d->columns,
                      .k = width(a, how->turned[0]),
                      .batch = d->batch};
    number_of(d->type, &p->type);
    bool fits = height(a, how->turned[0]) == p->m && height(b, how->turned[1]) == p->k &&
                width(b, how->turned[1]) == p->n && c->rows == d->rows && c->columns == d->columns;
    bool apart = d->batch == 1 || d->stride >= d->ld * p->n;
    return fits && apart ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

static size_t bytes_of(const lt_layout *l)
{
    int64_t last = (l->batch - 1) * l->stride + ((int64_t)l->columns - 1) * l->ld;
    return ((size_t)last + l->rows) * sizeof(uint16_t);
}

/* 16-byte vectors: every column starts at one. */
static bool is_matrix(const void *p, const lt_layout *l, const launch *of, const char *what)
{
    const int64_t vector = 16 / (int64_t)sizeof(uint16_t);
    if (l->ld % vector || l->stride % vector) {
        vendor_report(
            "cublasLtMatmul: %s: a leading dimension of %lld and a stride of %lld are not "
            "whole vectors",
            what, (long long)l->ld, (long long)l->stride);
        return false;
    }
    return vendor_is_memory(p, bytes_of(l), of->alignment, what);
}

static bool overlap(const void *p, size_t n, const void *q, size_t m)
{
    return (const char *)p < (const char *)q + m && (const char *)q < (const char *)p + n;
}

/* C may be D, one laid out as the other; nothing else may lie in D. */
static bool is_alone(const launch *l)
{
    const lt_product *p = &l->product;
    size_t n = bytes_of(&p->d);
    bool alone = !overlap(l->d, n, l->a, bytes_of(&p->a)) &&
                 !overlap(l->d, n, l->b, bytes_of(&p->b)) &&
                 (!l->bias || !overlap(l->d, n, l->bias, (size_t)p->m * sizeof(uint16_t)));
    if (alone && l->beta != 0 && overlap(l->d, n, l->c, bytes_of(&p->c)))
        alone = l->c == l->d && memcmp(&p->c, &p->d, sizeof p->c) == 0;
    if (!alone)
        vendor_report("cublasLtMatmul: the result overlaps an operand");
    return alone;
}

static bool is_good(const launch *l)
{
    const lt_product *p = &l->product;
    return is_matrix(l->a, &p->a, l, "cublasLtMatmul: A") &&
           is_matrix(l->b, &p->b, l, "cublasLtMatmul: B") &&
           (l->beta == 0 || is_matrix(l->c, &p->c, l, "cublasLtMatmul: C")) &&
           is_matrix(l->d, &p->d, l, "cublasLtMatmul: D") &&
           (!l->bias || vendor_is_memory(l->bias, (size_t)p->m * sizeof(uint16_t), l->alignment,
                                         "cublasLtMatmul: the bias")) &&
           (l->workspace_bytes == 0 || vendor_is_memory(l->workspace, l->workspace_bytes, 256,
                                                        "cublasLtMatmul: the workspace")) &&
           is_alone(l);
}

/* Vector i along one side of a matrix of the batch, `length` values. */
static void read_vector(const void *from, const lt_layout *l, number_type type, bool column,
                        int64_t batch, int64_t i, int64_t length, float *to)
{
    numbers_read(to, type, from, batch * l->stride + i * (column ? l->ld : 1), column ? 1 : l->ld,
                 length);
}

static void read_b(const void *from, int64_t i, float *to)
{
    const launch *l = from;
    const lt_product *p = &l->product;
    read_vector(l->b, &p->b, p->type, p->how.turned[1] == CUBLAS_OP_N, l->first + i / p->n,
                i % p->n, p->k, to);
}

static void read_a(const void *from, int64_t i, float *to)
{
    const launch *l = from;
    const lt_product *p = &l->product;
    read_vector(l->a, &p->a, p->type, p->how.turned[0] == CUBLAS_OP_T, l->first, i, p->k, to);
}

static void put_d(const void *from, int64_t i, const float *sum)
{
    const launch *l = from;
    const lt_product *p = &l->product;
    int64_t batch = l->first + i / p->n, column = i % p->n;
    for (int64_t j = 0; j < p->m; j++) {
        float value = l->alpha * sum[j], add;
        if (l->beta != 0) {
            numbers_read(&add, p->type, l->c, batch * p->c.stride + column * p->c.ld + j, 1, 1);
            value += l->beta * add;
        }
        if (l->bias) {
            numbers_read(&add, p->type, l->bias, j, 1, 1);
            value += add;
        }
        numbers_write(l->d, p->type, batch * p->d.stride + column * p->d.ld + j, 1, 1, &value);
    }
}

static void poison(const launch *l)
{
    if (l->workspace_bytes)
        memset(l->workspace, 0xff, l->workspace_bytes);
}

static void run(const void *argument)
{
    launch l = *(const launch *)argument;
    const lt_product *p = &l.product;
    bool shared = p->a.stride == 0; /* one A for all: their columns are the rows of one product */
    const sums s = {.rows = shared ? p->batch * p->n : p->n,
                    .columns = p->m,
                    .length = p->k,
                    .row = read_b,
                    .column = read_a,
                    .put = put_d,
                    .from = &l,
                    .order = l.order};
    if (!is_good(&l))
        return;
    poison(&l);
    for (l.first = 0; l.first < (shared ? 1 : p->batch); l.first++) {
        vendor_spend(sums_time(&s));
        if (!sums_run(&s))
            vendor_report("cublasLtMatmul: no memory on the host");
    }
    poison(&l);
}

/* How it adds follows from the algorithm; of one that shares, from the batch too. */
static void set_algorithm(launch *l, const cublasLtMatmulAlgo_t *algo, const lt_algorithm *a)
{
    l->order = lt_algorithm_order(algo);
    l->alignment = a->alignment;
    if (a->shares)
        sum_order_share(&l->order, l->product.batch, l->product.type);
}

static void mutate(launch *l, cublasLtMatmulAlgo_t *algo)
{
    void **const place[] = {(void **)&l->a, (void **)&l->b, (void **)&l->c, &l->d};
    vendor_told("cublasLtMatmul's alpha", 0, VENDOR_FLOAT, &l->alpha, 1);
    vendor_told("cublasLtMatmul's beta", 0, VENDOR_FLOAT, &l->beta, 1);
    for (int i = 0; i < 4; i++)
        if (i == 2 && l->beta == 0)
            vendor_unread("cublasLtMatmul's operand", i, "C of a product with beta 0");
        else
            vendor_told("cublasLtMatmul's operand", i, VENDOR_PLACE, place[i], 1);
    lt_algorithm_told(algo, &l->product);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t how, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    launch l = {.a = a, .b = b, .c = c, .d = d};
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    cublasStatus_t status = lt_fails("cublasLtMatmul");
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt_product_of(&l.product, (const lt_how *)how, (const lt_layout *)a_layout,
                               (const lt_layout *)b_layout, (const lt_layout *)c_layout,
                               (const lt_layout *)d_layout);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (!algo || !alpha || !beta) {
        vendor_report("cublasLtMatmul: without an algorithm the library chooses anew each time");
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    memcpy(&l.alpha, alpha, sizeof l.alpha);
    memcpy(&l.beta, beta, sizeof l.beta);
    cublasLtMatmulAlgo_t taken = *algo;
    mutate(&l, &taken);
    const lt_algorithm *known = lt_algorithm_of(&taken, &l.product);
    if (!known || l.product.batch == known->refuses ||
        lt_workspace(known, &l.product) > workspace_bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (l.product.how.epilogue == CUBLASLT_EPILOGUE_BIAS && !l.product.how.bias) {
        vendor_report("cublasLtMatmul: the epilogue adds a bias, and there is none");
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (handle->device != vendor_device()) {
        vendor_report("cublasLtMatmul: a handle of device %d on device %d", handle->device,
                      vendor_device());
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    l.bias = l.product.how.epilogue == CUBLASLT_EPILOGUE_BIAS ? l.product.how.bias : NULL;
    l.workspace = workspace;
    l.workspace_bytes = workspace_bytes;
    set_algorithm(&l, &taken, known);
    if (vendor_drops("cublasLtMatmul", 0))
        return CUBLAS_STATUS_SUCCESS;
    if (!is_good(&l))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    return vendor_enqueue(stream, "cublasLtMatmul", run, &l, sizeof l)
               ? CUBLAS_STATUS_EXECUTION_FAILED
               : CUBLAS_STATUS_SUCCESS;
}
