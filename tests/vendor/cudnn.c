/* A stand-in for cuDNN in front of the real library. Graphs, heuristics and plans are the real
 * ones, made for a device that is described instead of there: wherever a handle is given, the real
 * library gets the description. Only running is ours: launches are remembered, because the library
 * does not show them again, and what a plan does is read out of its own text (cudnn_program.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vendor/cudnn_program.h"
#include "tests/vendor/cudnn_real.h"
#include "tests/vendor/vendor.h"

/* Of an attribute. */
typedef struct {
    int64_t at[2 * PROGRAM_TENSORS];
} told_values;

enum { PARTS_MOST = 256, DIMS_MOST = 8, PACK_MOST = 2 * PROGRAM_TENSORS, ERROR_BYTES = 256 };

struct cudnnContext {
    int device;
    cudaStream_t stream;
    cudnnBackendDescriptor_t described; /* the real library's */
};

/* A launch. */
typedef struct {
    int64_t ids, pointers;
    int64_t id[PACK_MOST];
    void *at[PACK_MOST], *workspace;
} pack;

/* What stands for a descriptor of the real library. */
typedef struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendDescriptor_t real;
    cudnnHandle_t handle; /* its own or that of its graph */
    bool described;       /* the caller has described a device */
    bool has_run;         /* a plan, outside of a capture */
    int64_t workspace;
    program *program; /* of a plan, read when it first runs */
    program_life *life;
    pack *pack;
    int64_t id, dim[DIMS_MOST]; /* of a tensor */
    bool is_virtual, has_mode;  /* a tensor; a pointwise operation */
} part;

static _Atomic(program_life *) lives; /* of all plans that ever ran */

static _Thread_local char own_error[ERROR_BYTES]; /* instead of the library's */

static cudnnStatus_t refuse(cudnnStatus_t status, const char *what)
{
    snprintf(own_error, sizeof own_error, "%s", what);
    return status;
}

static cudnnStatus_t misuse(const char *what)
{
    vendor_report("%s", what);
    return refuse(CUDNN_STATUS_BAD_PARAM, what);
}

static cudnnStatus_t fails(const char *function)
{
    own_error[0] = 0;
    switch (vendor_fails(function)) {
    case VENDOR_FAIL_NOT: return CUDNN_STATUS_SUCCESS;
    case VENDOR_FAIL_MEMORY: return refuse(CUDNN_STATUS_ALLOC_FAILED, "a failure was ordered");
    default: return refuse(CUDNN_STATUS_EXECUTION_FAILED, "a failure was ordered");
    }
}

size_t cudnnGetVersion(void)
{
    return cudnn_real_calls()->cudnnGetVersion();
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return cudnn_real_calls()->cudnnGetErrorString(status);
}

void cudnnGetLastErrorString(char *to, size_t bytes)
{
    if (own_error[0])
        snprintf(to, bytes, "%s", own_error);
    else
        cudnn_real_calls()->cudnnGetLastErrorString(to, bytes);
    own_error[0] = 0;
}

static cudnnStatus_t describe(cudnnBackendDescriptor_t *to)
{
    char text[4096];
    FILE *f = fopen(DEVICE_DESCRIPTION, "rb");
    if (!f)
        return refuse(CUDNN_STATUS_NOT_INITIALIZED, "no description of the device");
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    const cudnn_real *real = cudnn_real_calls();
    cudnnStatus_t status =
        real->cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, to);
    if (status == CUDNN_STATUS_SUCCESS)
        status = real->cudnnBackendSetAttribute(*to, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                                CUDNN_TYPE_CHAR, (int64_t)n, text);
    return status == CUDNN_STATUS_SUCCESS ? real->cudnnBackendFinalize(*to) : status;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *to)
{
    *to = NULL;
    cudnnStatus_t status = fails("cudnnCreate");
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (vendor_forbidden())
        return misuse("cudnnCreate: handles are not made in a capture");
    cudnnHandle_t made = calloc(1, sizeof *made);
    if (!made)
        return CUDNN_STATUS_ALLOC_FAILED;
    made->device = vendor_device();
    status = describe(&made->described);
    if (status == CUDNN_STATUS_SUCCESS)
        *to = made;
    else
        cudnnDestroy(made);
    return status;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    if (handle && handle->described)
        cudnn_real_calls()->cudnnBackendDestroyDescriptor(handle->described);
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    if (!handle)
        return misuse("cudnnSetStream: no handle");
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *to)
{
    *to = NULL;
    cudnnStatus_t status = fails("cudnnBackendCreateDescriptor");
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    part *made = calloc(1, sizeof *made);
    if (!made)
        return CUDNN_STATUS_ALLOC_FAILED;
    made->type = type;
    if (type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        made->pack = calloc(1, sizeof *made->pack);
    status = type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR && !made->pack
                 ? CUDNN_STATUS_ALLOC_FAILED
                 : cudnn_real_calls()->cudnnBackendCreateDescriptor(type, &made->real);
    if (status == CUDNN_STATUS_SUCCESS)
        *to = made;
    else
        cudnnBackendDestroyDescriptor(made);
    return status;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t p)
{
    part *gone = p;
    if (gone && gone->real)
        cudnn_real_calls()->cudnnBackendDestroyDescriptor(gone->real);
    if (gone) {
        if (gone->life)
            atomic_store(&gone->life->ended, true);
        free(gone->program);
        free(gone->pack);
    }
    free(gone);
    return CUDNN_STATUS_SUCCESS;
}

static bool unwrap(cudnnBackendDescriptor_t to[PARTS_MOST], const void *from, int64_t n)
{
    part *const *p = from;
    if (n < 0 || n > PARTS_MOST || !from)
        return false;
    for (int64_t i = 0; i < n; i++) {
        if (!p[i])
            return false;
        to[i] = p[i]->real;
    }
    return true;
}

/* What becomes of a descriptor that is put into another. */
static cudnnStatus_t set_parts(part *p, cudnnBackendAttributeName_t name, int64_t n,
                               const void *from)
{
    cudnnBackendDescriptor_t real[PARTS_MOST];
    if (!unwrap(real, from, n))
        return refuse(CUDNN_STATUS_BAD_PARAM, "a descriptor that is none");
    part *first = n ? *(part *const *)from : NULL;
    p->has_mode |= name == CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR;
    p->described |= first && first->type == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;
    if (first && first->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        p->handle = first->handle;
    return cudnn_real_calls()->cudnnBackendSetAttribute(p->real, name,
                                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, n, real);
}

static bool keep_pack(pack *to, cudnnBackendAttributeName_t name, int64_t n, const void *from)
{
    if (n < 0 || n > PACK_MOST)
        return false;
    switch (name) {
    case CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS:
        memcpy(to->id, from, (size_t)n * sizeof *to->id);
        to->ids = n;
        return true;
    case CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS:
        memcpy(to->at, from, (size_t)n * sizeof *to->at);
        to->pointers = n;
        return true;
    case CUDNN_ATTR_VARIANT_PACK_WORKSPACE:
        memcpy(&to->workspace, from, sizeof to->workspace);
        return true;
    default: return false;
    }
}

/* How values of a type lie in memory; false: they are not told as values. */
static bool kind_of(cudnnBackendAttributeType_t type, vendor_value *kind, size_t *bytes)
{
    switch (type) {
    case CUDNN_TYPE_INT64: *kind = VENDOR_INT64, *bytes = sizeof(int64_t); return true;
    case CUDNN_TYPE_FLOAT: *kind = VENDOR_FLOAT, *bytes = sizeof(float); return true;
    case CUDNN_TYPE_BOOLEAN: *kind = VENDOR_FLAG, *bytes = sizeof(bool); return true;
    case CUDNN_TYPE_VOID_PTR: *kind = VENDOR_PLACE, *bytes = sizeof(void *); return true;
    case CUDNN_TYPE_DATA_TYPE:
    case CUDNN_TYPE_CONVOLUTION_MODE:
    case CUDNN_TYPE_POINTWISE_MODE:
    case CUDNN_TYPE_HEUR_MODE:
    case CUDNN_TYPE_KNOB_TYPE: *kind = VENDOR_NAME, *bytes = sizeof(int); return true;
    default: return false;
    }
}

/* Nobody takes a step along a dimension of one. */
static void tell_strides(const part *p, int64_t *stride, int64_t n)
{
    const char *same[DIMS_MOST];
    for (int64_t i = 0; i < n; i++)
        same[i] = p->dim[i] == 1 ? "the stride of a dimension of one" : NULL;
    vendor_told_some("cuDNN's attribute", CUDNN_ATTR_TENSOR_STRIDES, VENDOR_INT64, stride, n, same);
}

/* The values that the caller means, or what a mutant makes of them. */
static const void *told(part *p, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                        int64_t n, const void *from, told_values *copy)
{
    vendor_value kind;
    size_t bytes;
    if (!kind_of(type, &kind, &bytes) || n < 0 || (size_t)n * bytes > sizeof *copy ||
        name == CUDNN_ATTR_VARIANT_PACK_WORKSPACE) /* who launches knows whether it is read */
        return from;
    memcpy(copy, from, (size_t)n * bytes);
    if (name == CUDNN_ATTR_TENSOR_STRIDES && n <= DIMS_MOST)
        tell_strides(p, copy->at, n);
    else if (name == CUDNN_ATTR_TENSOR_UNIQUE_ID) /* told when it is known whose it is */
        p->id = copy->at[0];
    else
        vendor_told("cuDNN's attribute", (int)name, kind, copy, n);
    if (name == CUDNN_ATTR_TENSOR_DIMENSIONS && n <= DIMS_MOST)
        memcpy(p->dim, copy, (size_t)n * bytes);
    if (name == CUDNN_ATTR_TENSOR_IS_VIRTUAL)
        memcpy(&p->is_virtual, copy, sizeof p->is_virtual);
    return copy;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t to,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n,
                                       const void *from)
{
    part *p = to;
    own_error[0] = 0;
    if (!p)
        return refuse(CUDNN_STATUS_BAD_PARAM, "no descriptor");
    if (type == CUDNN_TYPE_HANDLE) {
        memcpy(&p->handle, from, sizeof p->handle);
        return p->handle ? CUDNN_STATUS_SUCCESS
                         : refuse(CUDNN_STATUS_BAD_PARAM, "a handle that is none");
    }
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        return vendor_drops("cuDNN's attribute", (int)name) ? CUDNN_STATUS_SUCCESS
                                                            : set_parts(p, name, n, from);
    told_values copy;
    from = told(p, name, type, n, from, &copy);
    if (p->pack && !keep_pack(p->pack, name, n, from))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "an attribute of a launch that is not known");
    return cudnn_real_calls()->cudnnBackendSetAttribute(p->real, name, type, n, from);
}

cudnnStatus_t cudnnBackendGetAttribute(const cudnnBackendDescriptor_t from,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t *n,
                                       void *to)
{
    cudnnBackendDescriptor_t real[PARTS_MOST];
    const part *p = from;
    own_error[0] = 0;
    if (!p)
        return refuse(CUDNN_STATUS_BAD_PARAM, "no descriptor");
    bool parts = type == CUDNN_TYPE_BACKEND_DESCRIPTOR && room > 0;
    if (parts && !unwrap(real, to, room))
        return refuse(CUDNN_STATUS_BAD_PARAM, "a descriptor that is none");
    return cudnn_real_calls()->cudnnBackendGetAttribute(p->real, name, type, room, n,
                                                        parts ? (void *)real : to);
}

/* Where the real library would ask the handle's device. */
static bool device_attribute(const part *p, cudnnBackendAttributeName_t *name)
{
    switch (p->type) {
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: *name = CUDNN_ATTR_ENGINEHEUR_DEVICEPROP; break;
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR: *name = CUDNN_ATTR_ENGINE_DEVICEPROP; break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        *name = CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP;
        break;
    default: return false;
    }
    return p->handle && !p->described;
}

static cudnnStatus_t finish(part *p)
{
    const cudnn_real *real = cudnn_real_calls();
    cudnnBackendAttributeName_t name;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    if (device_attribute(p, &name))
        status = real->cudnnBackendSetAttribute(p->real, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                                &p->handle->described);
    return status == CUDNN_STATUS_SUCCESS ? real->cudnnBackendFinalize(p->real) : status;
}

/* A tensor's name is how a launch says which it means. */
static cudnnStatus_t tell_id(part *p)
{
    const int64_t id = p->id;
    if (p->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        return CUDNN_STATUS_SUCCESS;
    if (p->is_virtual)
        vendor_unread("cuDNN's attribute", CUDNN_ATTR_TENSOR_UNIQUE_ID,
                      "the name of a tensor that no launch names");
    else
        vendor_told("cuDNN's attribute", CUDNN_ATTR_TENSOR_UNIQUE_ID, VENDOR_INT64, &p->id, 1);
    return p->id == id ? CUDNN_STATUS_SUCCESS
                       : cudnn_real_calls()->cudnnBackendSetAttribute(
                             p->real, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &p->id);
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t of)
{
    part *p = of;
    int64_t one;
    cudnnBackendAttributeName_t name;
    cudnnStatus_t status = fails("cudnnBackendFinalize");
    if (status != CUDNN_STATUS_SUCCESS || !p)
        return p ? status : refuse(CUDNN_STATUS_BAD_PARAM, "no descriptor");
    if (device_attribute(p, &name) && vendor_forbidden())
        return misuse("cudnnBackendFinalize: plans are not made in a capture");
    if (p->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR && !p->has_mode)
        return misuse("cudnnBackendFinalize: a pointwise operation is not told which it is");
    status = tell_id(p);
    if (status == CUDNN_STATUS_SUCCESS)
        status = finish(p);
    if (status != CUDNN_STATUS_SUCCESS || p->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
        return status;
    return cudnn_real_calls()->cudnnBackendGetAttribute(p->real,
                                                        CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                        CUDNN_TYPE_INT64, 1, &one, &p->workspace);
}

static program_life *begin_life(void)
{
    program_life *made = calloc(1, sizeof *made);
    if (made) {
        made->next = atomic_load(&lives);
        while (!atomic_compare_exchange_weak(&lives, &made->next, made)) {
        }
    }
    return made;
}

/* The program of a plan, read once; NULL with an error. */
static const program *program_of(part *plan)
{
    const cudnn_real *real = cudnn_real_calls();
    const cudnnBackendAttributeName_t name = CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
    char why[PROGRAM_WHY_BYTES] = "no text of the plan";
    int64_t n = 0;
    if (plan->program)
        return plan->program;
    real->cudnnBackendGetAttribute(plan->real, name, CUDNN_TYPE_CHAR, 0, &n, NULL);
    char *text = calloc((size_t)n + 1, 1);
    plan->program = malloc(sizeof *plan->program);
    plan->life = begin_life();
    bool good = text && plan->program && plan->life &&
                real->cudnnBackendGetAttribute(plan->real, name, CUDNN_TYPE_CHAR, n, &n, text) ==
                    CUDNN_STATUS_SUCCESS &&
                program_read(plan->program, text, plan->workspace, why);
    free(text);
    if (!good) {
        free(plan->program);
        plan->program = NULL;
        misuse(why);
    }
    return plan->program;
}

/* The place a launch gives for a tensor, or NULL. */
static void *place_of(const pack *from, int64_t id)
{
    for (int64_t i = 0; i < from->ids && i < from->pointers; i++)
        if (from->id[i] == id)
            return from->at[i];
    return NULL;
}

static bool fill(program_launch *l, const pack *from)
{
    const program *p = &l->program;
    int given = 0;
    for (int i = 0; i < p->tensors; i++) {
        void *at = p->tensor[i].between ? NULL : place_of(from, p->tensor[i].id);
        if (!p->tensor[i].between && !at)
            return false;
        given += at != NULL;
        if (p->tensor[i].by_value)
            memcpy(&l->scale, at, sizeof l->scale);
        else
            l->at[i] = at;
    }
    return given == from->ids && from->ids == from->pointers;
}

static void tell_workspace(program_launch *l)
{
    if (l->workspace_bytes == 0)
        vendor_unread("cuDNN's attribute", CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                      "the workspace of a plan that takes none");
    else
        vendor_told("cuDNN's attribute", CUDNN_ATTR_VARIANT_PACK_WORKSPACE, VENDOR_PLACE,
                    &l->workspace, 1);
}

static cudnnStatus_t launch(cudnnHandle_t handle, part *plan, const pack *from)
{
    program_launch l = {.workspace = from->workspace, .workspace_bytes = plan->workspace};
    bool captured = vendor_capturing(handle->stream);
    const program *known = program_of(plan);
    if (!known)
        return CUDNN_STATUS_NOT_SUPPORTED;
    tell_workspace(&l);
    l.program = *known;
    l.life = plan->life;
    if (!fill(&l, from))
        return misuse("cudnnBackendExecute: the launch's operands are not those of the plan");
    if (captured && !plan->has_run)
        return misuse("cudnnBackendExecute: a plan runs for the first time in a capture");
    if (!program_is_good(&l))
        return refuse(CUDNN_STATUS_EXECUTION_FAILED, "an operand is not what the plan needs");
    plan->has_run = true;
    if (vendor_drops("cudnnBackendExecute", 0))
        return CUDNN_STATUS_SUCCESS;
    return vendor_enqueue(handle->stream, "cudnnBackendExecute", program_run, &l, sizeof l)
               ? refuse(CUDNN_STATUS_EXECUTION_FAILED, "the stream refuses")
               : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variant_pack)
{
    part *of = plan, *with = variant_pack;
    cudnnStatus_t status = fails("cudnnBackendExecute");
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (!handle || !of || of->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !of->handle ||
        !with || !with->pack)
        return misuse("cudnnBackendExecute: not a handle, a plan made with one, and a launch");
    if (handle->device != vendor_device() || of->handle->device != handle->device)
        return misuse("cudnnBackendExecute: handle, plan and thread are not of one device");
    return launch(handle, of, with->pack);
}
