/* What NCCL's stand-in promises, and what it does not let pass. */
#include <nccl.h>

#include "tests/vendor/cases.h"
#include "tests/vendor/vendor.h"

enum { BYTES = 4096, MAPPED = 2 << 20 };

typedef struct {
    ncclComm_t comm[2];
    cudaStream_t stream[2];
    float *p[2];
} both;

static both connect(void)
{
    both b;
    const int devices[] = {0, 1};
    for (int i = 0; i < 2; i++) {
        OK(cudaSetDevice(i));
        b.stream[i] = new_stream();
        b.p[i] = device_floats(BYTES / sizeof(float));
    }
    GIVES(ncclSuccess, ncclCommInitAll(b.comm, 2, devices));
    return b;
}

static ncclResult_t come(const both *b, int rank, size_t bytes)
{
    return ncclBroadcast(b->p[rank], b->p[rank], bytes, ncclUint8, 0, b->comm[rank],
                         b->stream[rank]);
}

static void fill(const both *b, int rank, int value)
{
    OK(cudaMemsetAsync(b->p[rank], value, BYTES, b->stream[rank]));
}

static void end(const both *b)
{
    for (int i = 0; i < 2; i++)
        GIVES(ncclSuccess, ncclCommDestroy(b->comm[i]));
}

/* Behind what was in either stream, before what comes. */
static void in_the_order_of_both_streams(void)
{
    const both b = connect();
    fill(&b, 0, 1);
    fill(&b, 1, 2);
    GIVES(ncclSuccess, ncclGroupStart());
    for (int i = 0; i < 2; i++)
        GIVES(ncclSuccess, come(&b, i, BYTES));
    GIVES(ncclSuccess, ncclGroupEnd());
    fill(&b, 0, 3);
    const float sent = read_float(b.p[1] + BYTES / sizeof(float) - 1, b.stream[1]);
    fill(&b, 1, 1);
    NEED(sent == read_float(b.p[1], b.stream[1]));
    end(&b);
}

static void communicators_take_memory(void)
{
    const size_t before = vendor_taken();
    const both b = connect();
    NEED(vendor_taken() > before + 2 * BYTES);
    end(&b);
    NEED(vendor_taken() == before + 2 * BYTES);
    const int twice[] = {0, 0};
    ncclComm_t none[2];
    GIVES(ncclInvalidUsage, ncclCommInitAll(none, 2, twice));
}

static void a_rank_alone_would_wait(void)
{
    const both b = connect();
    GIVES(ncclInvalidUsage, come(&b, 0, BYTES));
    REPORTED("outside of a group");
    GIVES(ncclSuccess, ncclGroupStart());
    GIVES(ncclSuccess, come(&b, 1, BYTES));
    GIVES(ncclInvalidUsage, ncclGroupEnd());
    REPORTED("not all ranks come");
    end(&b);
}

static void ranks_that_disagree(void)
{
    const both b = connect();
    GIVES(ncclSuccess, ncclGroupStart());
    GIVES(ncclSuccess, come(&b, 0, BYTES));
    GIVES(ncclSuccess, come(&b, 1, BYTES - 1));
    GIVES(ncclInvalidUsage, ncclGroupEnd());
    REPORTED("do not agree");
    end(&b);
}

static void never_captured(void)
{
    const both b = connect();
    OK(cudaStreamBeginCapture(b.stream[1], cudaStreamCaptureModeThreadLocal));
    GIVES(ncclSuccess, ncclGroupStart());
    GIVES(ncclSuccess, come(&b, 0, BYTES));
    GIVES(ncclInvalidUsage, come(&b, 1, BYTES));
    REPORTED("is being captured");
    GIVES(ncclInvalidUsage, ncclGroupEnd());
    ncclComm_t more[2];
    const int devices[] = {0, 1};
    GIVES(ncclInvalidUsage, ncclCommInitAll(more, 2, devices));
    REPORTED("connecting in a capture");
    end(&b);
}

static float *mapped_memory(int device)
{
    const driver_calls d = driver();
    const CUmemLocation here = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};
    const CUmemAllocationProp kind = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = here};
    const CUmemAccessDesc access = {.location = here, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle memory;
    CUdeviceptr at;
    OK(cudaSetDevice(device));
    GIVES(CUDA_SUCCESS, d.address_reserve(&at, MAPPED, 0, 0, 0));
    GIVES(CUDA_SUCCESS, d.create(&memory, MAPPED, &kind, 0));
    GIVES(CUDA_SUCCESS, d.map(at, MAPPED, 0, memory, 0));
    GIVES(CUDA_SUCCESS, d.set_access(at, MAPPED, &access, 1));
    return (float *)at;
}

/* What is behind reserved addresses other GPUs may not touch, and memory has to be the rank's. */
static void only_memory_for_all(void)
{
    both b = connect();
    float *own = b.p[1];
    b.p[1] = mapped_memory(1);
    GIVES(ncclSuccess, ncclGroupStart());
    GIVES(ncclInvalidUsage, come(&b, 1, BYTES));
    REPORTED("its GPU alone may use");
    b.p[1] = b.p[0];
    GIVES(ncclInvalidUsage, come(&b, 1, BYTES));
    REPORTED("not there");
    b.p[1] = own;
    GIVES(ncclInvalidUsage, ncclGroupEnd());
    end(&b);
}

int main(void)
{
    static const test_case cases[] = {
        CASE(in_the_order_of_both_streams, .devices = "2", .order = "eager"),
        CASE(in_the_order_of_both_streams, .devices = "2", .order = "late"),
        CASE(in_the_order_of_both_streams, .devices = "2", .order = "seed:1"),
        CASE(communicators_take_memory, .devices = "2"),
        CASE(a_rank_alone_would_wait, .devices = "2"),
        CASE(ranks_that_disagree, .devices = "2"),
        CASE(never_captured, .devices = "2"),
        CASE(only_memory_for_all, .devices = "2"),
    };
    return CASES_RUN(cases);
}
