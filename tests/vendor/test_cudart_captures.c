/* Captures and graphs of the emulated machine: what may be captured, what forks and joins, and what
 * a replay does. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vendor/cases.h"
#include "tests/vendor/planted.h"
#include "tests/vendor/vendor.h"

static void begin(cudaStream_t s)
{
    OK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
}

static cudaGraphExec_t end(cudaStream_t s)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamEndCapture(s, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphDestroy(graph));
    return exec;
}

static int status_of(cudaStream_t s)
{
    enum cudaStreamCaptureStatus status;
    OK(cudaStreamIsCapturing(s, &status));
    return status;
}

static void replays(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1), *pinned = pinned_floats(1, 5), *to = pinned_floats(1, -1);
    OK(cudaMemsetAsync(p, 0, 4, s));
    OK(cudaStreamSynchronize(s));
    NEED(!vendor_capturing(s) && status_of(s) == cudaStreamCaptureStatusNone);
    begin(s);
    NEED(vendor_capturing(s) && status_of(s) == cudaStreamCaptureStatusActive);
    put_float(p, pinned, s);
    OK(planted_add(s, p, p, 1, 1)); /* its argument is gone when it runs */
    OK(planted_add(s, p, p, 1, 1));
    get_float(to, p, s);
    cudaGraphExec_t exec = end(s);
    OK(cudaStreamSynchronize(s));
    NEED(*to == -1); /* nothing has run */
    for (int i = 0; i < 3; i++) {
        *pinned = (float)i; /* is read by the replay */
        OK(cudaGraphLaunch(exec, s));
        OK(cudaStreamSynchronize(s));
        NEED(*to == (float)i + 2);
    }
    OK(cudaGraphLaunch(exec, s));
    *pinned = 8;
    OK(cudaGraphExecDestroy(exec)); /* what is on its way still runs */
    NEED(*to == 4);
    OK(cudaStreamSynchronize(s));
    NEED(*to == 10);
    GIVES(cudaErrorInvalidResourceHandle, cudaGraphLaunch(exec, s));
    REPORTED("no such handle");
}

static void nodes_have_types(void)
{
    static const enum cudaGraphNodeType expected[] = {
        cudaGraphNodeTypeMemset, cudaGraphNodeTypeMemcpy, cudaGraphNodeTypeKernel,
        cudaGraphNodeTypeGraph};
    cudaStream_t s = new_stream();
    float *p = device_floats(1), *pinned = pinned_floats(1, 5);
    cudaGraph_t graph;
    cudaGraphNode_t nodes[5];
    enum cudaGraphNodeType type;
    size_t count;
    begin(s);
    OK(planted_add(s, p, p, 1, 1));
    cudaGraphExec_t inner = end(s);
    begin(s);
    OK(cudaMemsetAsync(p, 0, 4, s));
    put_float(p, pinned, s);
    GIVES(cudaErrorInvalidConfiguration, planted_add(s, p, p, 1, 0)); /* refused: no node */
    OK(planted_add(s, p, p, 1, 1));
    OK(cudaGraphLaunch(inner, s));
    OK(cudaStreamEndCapture(s, &graph));
    OK(cudaGraphGetNodes(graph, NULL, &count));
    NEED(count == 4);
    count = 5;
    OK(cudaGraphGetNodes(graph, nodes, &count));
    NEED(count == 4 && !nodes[4]);
    for (int i = 0; i < 4; i++) {
        OK(cudaGraphNodeGetType(nodes[i], &type));
        NEED(type == expected[i]);
    }
    cudaGraphExec_t exec;
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphLaunch(exec, s));
    NEED(read_float(p, s) == 7);
    OK(cudaGraphDestroy(graph));
    GIVES(cudaErrorInvalidValue, cudaGraphInstantiate(&exec, graph, 0));
    REPORTED("no such handle");
}

static struct {
    cudaStream_t s, other;
    cudaEvent_t e;
    float *p, *pinned;
} have;

static void prepare(void)
{
    have.s = new_stream();
    have.other = new_stream();
    have.e = new_event();
    have.p = device_floats(4);
    have.pinned = pinned_floats(4, 0);
    OK(cudaEventRecord(have.e, have.other));
}

static int allocates(void)
{
    void *p;
    return cudaMalloc(&p, 4);
}

static int frees(void)
{
    return cudaFree(have.p);
}

static int pins(void)
{
    void *p;
    return cudaHostAlloc(&p, 4, 0);
}

static int unpins(void)
{
    return cudaFreeHost(have.pinned);
}

static int waits(void)
{
    return cudaStreamSynchronize(have.s);
}

static int waits_elsewhere(void)
{
    return cudaStreamSynchronize(have.other);
}

static int asks(void)
{
    return cudaEventQuery(have.e);
}

static int waits_for_event(void)
{
    return cudaEventSynchronize(have.e);
}

static int copies_in(void)
{
    float v = 1;
    return cudaMemcpyAsync(have.p, &v, 4, cudaMemcpyHostToDevice, have.s);
}

static int copies_out(void)
{
    float v;
    return cudaMemcpyAsync(&v, have.p, 4, cudaMemcpyDeviceToHost, have.s);
}

static int reserves(void)
{
    static CUresult (*reserve)(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
    CUdeviceptr at;
    if (!reserve) {
        reserve = driver().address_reserve;
        return 0;
    }
    return (int)reserve(&at, 2 << 20, 0, 0, 0);
}

static int makes_a_handle(void)
{
    return vendor_forbidden() ? cudaErrorStreamCaptureUnsupported : 0;
}

static int (*const unsafe[])(void) = {allocates, frees,           pins,     unpins,
                                      waits,     waits_elsewhere, asks,     waits_for_event,
                                      copies_in, copies_out,      reserves, makes_a_handle};
enum { UNSAFE_CALLS = sizeof unsafe / sizeof *unsafe };

/* Each one fails, and the capture with it. */
static void some_calls_are_forbidden(void)
{
    prepare();
    reserves(); /* finds the function */
    for (int i = 0; i < UNSAFE_CALLS; i++) {
        cudaGraph_t graph = (cudaGraph_t)&graph;
        begin(have.s);
        OK(planted_add(have.s, have.p, have.p, 1, 1));
        GIVES(cudaErrorStreamCaptureUnsupported, unsafe[i]());
        NEED(status_of(have.s) == cudaStreamCaptureStatusInvalidated);
        GIVES(cudaErrorStreamCaptureInvalidated, planted_add(have.s, have.p, have.p, 1, 1));
        GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(have.s, &graph));
        NEED(!graph && status_of(have.s) == cudaStreamCaptureStatusNone);
        OK(cudaMemsetAsync(have.p, 0, 4, have.s)); /* the stream is as before */
    }
    for (int i = 0; i < UNSAFE_CALLS; i++) /* none was carried out, all are allowed now */
        if (unsafe[i] != frees && unsafe[i] != unpins)
            OK(unsafe[i]());
    OK(frees());
    OK(unpins());
}

static void *allocate_elsewhere(void *status)
{
    *(int *)status = allocates();
    return NULL;
}

static int elsewhere(void *(*body)(void *))
{
    pthread_t thread;
    int status;
    NEED(pthread_create(&thread, NULL, body, &status) == 0);
    NEED(pthread_join(thread, NULL) == 0);
    return status;
}

static cudaGraph_t ended;

static void *end_elsewhere(void *status)
{
    *(int *)status = cudaStreamEndCapture(have.s, &ended);
    return NULL;
}

static void modes_say_whom_they_forbid(void)
{
    prepare();
    OK(cudaStreamBeginCapture(have.s, cudaStreamCaptureModeThreadLocal));
    OK(elsewhere(allocate_elsewhere));
    GIVES(cudaErrorStreamCaptureWrongThread, elsewhere(end_elsewhere));
    OK(cudaStreamEndCapture(have.s, &ended));
    OK(cudaStreamBeginCapture(have.s, cudaStreamCaptureModeGlobal));
    GIVES(cudaErrorStreamCaptureUnsupported, elsewhere(allocate_elsewhere));
    GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(have.s, &ended));
    OK(cudaStreamBeginCapture(have.s, cudaStreamCaptureModeRelaxed));
    OK(allocates());
    OK(elsewhere(end_elsewhere));
    OK(cudaStreamBeginCapture(have.s, cudaStreamCaptureModeRelaxed));
    GIVES(cudaErrorStreamCaptureUnsupported, waits());
    GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(have.s, &ended));
    OK(cudaStreamBeginCapture(have.s, cudaStreamCaptureModeRelaxed));
    OK(asks()); /* about what was recorded before */
    OK(cudaEventRecord(have.e, have.s));
    GIVES(cudaErrorCapturedEvent, asks());
    GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(have.s, &ended));
}

static void streams_fork_and_join(void)
{
    prepare();
    cudaEvent_t back = new_event();
    float *q = device_floats(1);
    begin(have.s);
    put_float(have.p, have.pinned, have.s);
    OK(cudaEventRecord(have.e, have.s));
    OK(cudaStreamWaitEvent(have.other, have.e, 0));
    NEED(vendor_capturing(have.other));
    OK(planted_add(have.other, q, have.p, 10, 1));
    OK(planted_add(have.s, have.p, have.p, 100, 1));
    OK(cudaEventRecord(back, have.other));
    OK(cudaStreamWaitEvent(have.s, back, 0));
    OK(planted_add(have.s, have.p, q, 1000, 1));
    GIVES(cudaErrorCapturedEvent, cudaEventElapsedTime(q, back, back));
    cudaGraphExec_t exec = end(have.s);
    NEED(!vendor_capturing(have.other));
    have.pinned[0] = 1;
    OK(cudaGraphLaunch(exec, have.s));
    NEED(read_float(have.p, have.s) == 1011);
    GIVES(cudaErrorCapturedEvent, cudaEventSynchronize(back));
    GIVES(cudaErrorCapturedEvent, cudaStreamWaitEvent(have.s, back, 0));
    OK(cudaEventRecord(back, have.s)); /* it is an event as before */
    OK(cudaEventSynchronize(back));
}

static void work_must_be_joined(void)
{
    prepare();
    begin(have.s);
    OK(cudaEventRecord(have.e, have.s));
    OK(cudaStreamWaitEvent(have.other, have.e, 0));
    OK(cudaMemsetAsync(have.p, 0, 4, have.other));
    GIVES(cudaErrorStreamCaptureUnjoined, cudaStreamEndCapture(have.s, &ended));
    NEED(!ended && !vendor_capturing(have.other));
}

static void captures_are_closed(void)
{
    prepare();
    begin(have.s);
    GIVES(cudaErrorStreamCaptureIsolation, cudaStreamWaitEvent(have.s, have.e, 0));
    GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(have.s, &ended));
    begin(have.s);
    begin(have.other);
    OK(cudaEventRecord(have.e, have.s));
    GIVES(cudaErrorStreamCaptureMerge, cudaStreamWaitEvent(have.other, have.e, 0));
    GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(have.other, &ended));
    OK(cudaStreamWaitEvent(have.other, have.e, 0));
    GIVES(cudaErrorStreamCaptureUnmatched, cudaStreamEndCapture(have.other, &ended));
    GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(have.s, &ended));
    GIVES(cudaErrorIllegalState, cudaStreamEndCapture(have.s, &ended));
    begin(have.s);
    GIVES(cudaErrorIllegalState, cudaStreamBeginCapture(have.s, cudaStreamCaptureModeGlobal));
    OK(cudaEventRecord(have.e, have.s));
    OK(cudaStreamDestroy(have.s)); /* takes its capture along */
    GIVES(cudaErrorCapturedEvent, cudaEventQuery(have.e));
    OK(allocates());
}

static void replays_find_no_freed_memory(void)
{
    prepare();
    begin(have.s);
    put_float(have.p, have.pinned, have.s);
    cudaGraphExec_t exec = end(have.s);
    OK(cudaGraphLaunch(exec, have.s));
    OK(cudaFreeHost(have.pinned));
    OK(cudaGraphLaunch(exec, have.s));
    GIVES(cudaErrorIllegalAddress, cudaStreamSynchronize(have.s));
    REPORTED("have been freed");
}

int main(void)
{
    static const test_case cases[] = {
        CASE(replays, .order = "late"),
        CASE(nodes_have_types),
        CASE(nodes_have_types, .order = "seed:1"),
        CASE(some_calls_are_forbidden, .order = "late"),
        CASE(modes_say_whom_they_forbid),
        CASE(streams_fork_and_join, .order = "late"),
        CASE(streams_fork_and_join, .order = "seed:2"),
        CASE(work_must_be_joined),
        CASE(captures_are_closed),
        CASE(replays_find_no_freed_memory, .order = "late"),
    };
    return CASES_RUN(cases);
}
