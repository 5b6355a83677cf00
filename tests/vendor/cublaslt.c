/* A stand-in for cuBLASLt: handles, descriptors and their attributes. Descriptors are the vendor's
 * opaque pointers to structs of ours; an attribute is a row of a table. */
#include "tests/vendor/cublaslt.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vendor/vendor.h"

typedef struct {
    int name;
    size_t offset, bytes;
    vendor_value kind;
} attribute;

#define FIELD(name, type, field, kind)                                                             \
    {                                                                                              \
        name, offsetof(type, field), sizeof(((type *)0)->field), kind                              \
    }

static const attribute layout_attributes[] = {
    FIELD(CUBLASLT_MATRIX_LAYOUT_TYPE, lt_layout, type, VENDOR_NAME),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ORDER, lt_layout, order, VENDOR_NAME),
    FIELD(CUBLASLT_MATRIX_LAYOUT_ROWS, lt_layout, rows, VENDOR_INT64),
    FIELD(CUBLASLT_MATRIX_LAYOUT_COLS, lt_layout, columns, VENDOR_INT64),
    FIELD(CUBLASLT_MATRIX_LAYOUT_LD, lt_layout, ld, VENDOR_INT64),
    FIELD(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, lt_layout, batch, VENDOR_INT32),
    FIELD(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, lt_layout, stride, VENDOR_INT64),
    {0, 0, 0, 0},
};

static const attribute how_attributes[] = {
    FIELD(CUBLASLT_MATMUL_DESC_POINTER_MODE, lt_how, pointer_mode, VENDOR_NAME),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSA, lt_how, turned[0], VENDOR_NAME),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSB, lt_how, turned[1], VENDOR_NAME),
    FIELD(CUBLASLT_MATMUL_DESC_TRANSC, lt_how, turned[2], VENDOR_NAME),
    FIELD(CUBLASLT_MATMUL_DESC_EPILOGUE, lt_how, epilogue, VENDOR_NAME),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_POINTER, lt_how, bias, VENDOR_PLACE),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, lt_how, bias_stride, VENDOR_INT64),
    FIELD(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, lt_how, bias_type, VENDOR_NAME),
    {0, 0, 0, 0},
};

static const attribute like_attributes[] = {
    FIELD(CUBLASLT_MATMUL_PREF_SEARCH_MODE, lt_like, mode, VENDOR_NAME),
    FIELD(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, lt_like, workspace, VENDOR_INT64),
    FIELD(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, lt_like, schemes, VENDOR_NAME),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, lt_like, alignment[0], VENDOR_INT32),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, lt_like, alignment[1], VENDOR_INT32),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, lt_like, alignment[2], VENDOR_INT32),
    FIELD(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, lt_like, alignment[3], VENDOR_INT32),
    {0, 0, 0, 0},
};

static const attribute algorithm_attributes[] = {
    FIELD(CUBLASLT_ALGO_CONFIG_ID, lt_algorithm, id, VENDOR_INT32),
    FIELD(CUBLASLT_ALGO_CONFIG_TILE_ID, lt_algorithm, tile, VENDOR_INT32),
    FIELD(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, lt_algorithm, slices, VENDOR_INT32),
    FIELD(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, lt_algorithm, scheme, VENDOR_INT32),
    {0, 0, 0, 0},
};

static const attribute *find(const attribute *all, int name)
{
    while (all->bytes && all->name != name)
        all++;
    return all->bytes ? all : NULL;
}

static bool is_alone(const lt_layout *l, int name)
{
    return name == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET && l->batch == 1;
}

static cublasStatus_t set(const char *what, const attribute *all, void *object, int name,
                          const void *from, size_t bytes)
{
    const attribute *a = find(all, name);
    if (!object || !from || !a || a->bytes != bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy((char *)object + a->offset, from, bytes);
    if (all == layout_attributes && is_alone(object, name))
        vendor_unread(what, name, "the stride of a batch of one");
    else
        vendor_told(what, name, a->kind, (char *)object + a->offset, 1);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t make(const char *function, void **to, const void *initial, size_t bytes)
{
    cublasStatus_t failure = lt_fails(function);
    if (failure != CUBLAS_STATUS_SUCCESS)
        return failure;
    *to = malloc(bytes);
    if (!*to)
        return CUBLAS_STATUS_ALLOC_FAILED;
    memcpy(*to, initial, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t lt_fails(const char *function)
{
    switch (vendor_fails(function)) {
    case VENDOR_FAIL_NOT: return CUBLAS_STATUS_SUCCESS;
    case VENDOR_FAIL_MEMORY: return CUBLAS_STATUS_ALLOC_FAILED;
    default: return CUBLAS_STATUS_EXECUTION_FAILED;
    }
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    const char *seed = getenv("OVERPAINT_VENDOR_SEED");
    const struct cublasLtContext made = {.device = vendor_device(),
                                         .seed = seed ? strtoull(seed, NULL, 10) : 0};
    void *place = NULL;
    *handle = NULL;
    if (vendor_forbidden()) {
        vendor_report("cublasLtCreate: handles are not made in a capture");
        return CUBLAS_STATUS_NOT_INITIALIZED;
    }
    cublasStatus_t status = make("cublasLtCreate", &place, &made, sizeof made);
    *handle = place;
    return status;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "there is no handle";
    case CUBLAS_STATUS_ALLOC_FAILED: return "no memory";
    case CUBLAS_STATUS_INVALID_VALUE: return "a value is not valid";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the product failed to run";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the product is not supported";
    default: return "another failure";
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld)
{
    vendor_told("a layout's type", 0, VENDOR_NAME, &type, 1);
    vendor_told("a layout's rows", 0, VENDOR_INT64, &rows, 1);
    vendor_told("a layout's columns", 0, VENDOR_INT64, &columns, 1);
    vendor_told("a leading dimension", 0, VENDOR_INT64, &ld, 1);
    const lt_layout made = {.type = type,
                            .order = CUBLASLT_ORDER_COL,
                            .rows = rows,
                            .columns = columns,
                            .ld = ld,
                            .batch = 1};
    return make("cublasLtMatrixLayoutCreate", (void **)layout, &made, sizeof made);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t name,
                                                const void *from, size_t bytes)
{
    return set("a layout", layout_attributes, layout, name, from, bytes);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *how, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    vendor_told("a product's sums", 0, VENDOR_NAME, &compute, 1);
    vendor_told("a product's scale", 0, VENDOR_NAME, &scale, 1);
    const lt_how made = {
        .compute = compute, .scale = scale, .epilogue = CUBLASLT_EPILOGUE_DEFAULT, .bias_type = -1};
    return make("cublasLtMatmulDescCreate", (void **)how, &made, sizeof made);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t how)
{
    free(how);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t how,
                                              cublasLtMatmulDescAttributes_t name, const void *from,
                                              size_t bytes)
{
    return set("a product", how_attributes, how, name, from, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *like)
{
    const lt_like made = {.schemes = CUBLASLT_REDUCTION_SCHEME_MASK,
                          .alignment = {256, 256, 256, 256}};
    return make("cublasLtMatmulPreferenceCreate", (void **)like, &made, sizeof made);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t like)
{
    free(like);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t like,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *from, size_t bytes)
{
    return set("a preference", like_attributes, like, name, from, bytes);
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t name,
                                                    void *to, size_t bytes, size_t *written)
{
    const lt_algorithm *known = algo ? lt_algorithm_known(algo) : NULL;
    const attribute *a = find(algorithm_attributes, name);
    if (!known || !a || a->bytes != bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, (const char *)known + a->offset, bytes);
    if (written)
        *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
}
