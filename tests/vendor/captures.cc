/* Captures and graphs. A captured node keeps a copy of what its work was given; a replay runs every
 * node once, in the order in which they were captured. */
#include "tests/vendor/machine.h"

#include <algorithm>

namespace vendor {
int capture_put(CUstream_st *s, work &&w)
{
    if (s->in->invalid)
        return cudaErrorStreamCaptureInvalidated;
    std::unique_ptr<CUgraphNode_st> node(new CUgraphNode_st());
    node->what = std::move(w);
    node->after = s->frontier;
    s->frontier.assign(1, node.get());
    s->in->nodes->nodes.push_back(std::move(node));
    return 0;
}

void invalidate(CUstream_st *s)
{
    s->in->invalid = true;
}

/* A thread's own capture forbids, and everybody's does that was begun for the whole program. */
bool forbidden()
{
    bool any = false;
    for (const auto &c : the().captures)
        if (c->mode == cudaStreamCaptureModeGlobal ||
            (c->mode == cudaStreamCaptureModeThreadLocal &&
             c->thread == std::this_thread::get_id()))
            any = c->invalid = true;
    return any;
}

static void end(capture &c)
{
    for (CUstream_st *s : c.members) {
        s->in = NULL;
        s->frontier.clear();
    }
    c.ended = true;
}

void abandon(CUstream_st *s)
{
    const std::shared_ptr<capture> c = s->in;
    if (!c)
        return;
    c->invalid = true;
    c->members.erase(s);
    s->in = NULL;
    if (c->origin != s)
        return;
    end(*c);
    the().captures.erase(c);
}

/* Whether all that was captured comes before what the stream would do next. */
static bool joined(const capture &c, const CUstream_st *s)
{
    std::set<CUgraphNode_st *> before;
    std::vector<CUgraphNode_st *> left = s->frontier;
    while (!left.empty()) {
        CUgraphNode_st *node = left.back();
        left.pop_back();
        if (before.insert(node).second)
            left.insert(left.end(), node->after.begin(), node->after.end());
    }
    return before.size() == c.nodes->nodes.size();
}

static int begin_capture(CUstream_st *s, cudaStreamCaptureMode mode)
{
    if (s->in)
        return cudaErrorIllegalState;
    s->in = std::make_shared<capture>(capture{
        s, mode, std::this_thread::get_id(), false, false, std::make_shared<program>(), {s}});
    the().captures.insert(s->in);
    return 0;
}

static int end_capture(CUstream_st *s, CUgraph_st **out)
{
    const std::shared_ptr<capture> c = s->in;
    *out = NULL;
    if (!c)
        return cudaErrorIllegalState;
    if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != std::this_thread::get_id())
        return cudaErrorStreamCaptureWrongThread;
    if (c->origin != s) {
        invalidate(s);
        return cudaErrorStreamCaptureUnmatched;
    }
    const bool whole = joined(*c, s);
    end(*c);
    the().captures.erase(c);
    if (c->invalid)
        return cudaErrorStreamCaptureInvalidated;
    if (!whole)
        return cudaErrorStreamCaptureUnjoined;
    *out = new CUgraph_st{c->nodes};
    the().graphs.insert(*out);
    return 0;
}

template <class T> static bool known(const std::set<T *> &all, T *one, const char *caller)
{
    if (!all.count(one))
        vendor_report("%s: %p is no such handle", caller, (void *)one);
    return all.count(one);
}
} // namespace vendor

using namespace vendor;

bool vendor_capturing(struct CUstream_st *stream)
{
    held h(the().lock);
    CUstream_st *s = known_stream(stream, "a library");
    return s && s->in;
}

bool vendor_forbidden(void)
{
    held h(the().lock);
    return forbidden();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    return call("cudaStreamBeginCapture", SAFE, [=](held &) -> int {
        CUstream_st *s = known_stream(stream, "cudaStreamBeginCapture");
        return s ? begin_capture(s, mode) : (int)cudaErrorInvalidResourceHandle;
    });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    return call("cudaStreamEndCapture", SAFE, [=](held &) -> int {
        CUstream_st *s = known_stream(stream, "cudaStreamEndCapture");
        return s ? end_capture(s, out) : (int)cudaErrorInvalidResourceHandle;
    });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *out)
{
    return call("cudaStreamIsCapturing", SAFE, [=](held &) {
        const CUstream_st *s = known_stream(stream, "cudaStreamIsCapturing");
        if (!s)
            return cudaErrorInvalidResourceHandle;
        *out = !s->in           ? cudaStreamCaptureStatusNone
               : s->in->invalid ? cudaStreamCaptureStatusInvalidated
                                : cudaStreamCaptureStatusActive;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    return call("cudaGraphInstantiate", SAFE, [=](held &) {
        if (!known(the().graphs, graph, "cudaGraphInstantiate") || flags != 0)
            return cudaErrorInvalidValue;
        *out = new CUgraphExec_st{graph->nodes};
        the().executables.insert(*out);
        return cudaSuccess;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    return call("cudaGraphLaunch", SAFE, [=](held &h) -> int {
        CUstream_st *s = known_stream(stream, "cudaGraphLaunch");
        if (!s || !known(the().executables, exec, "cudaGraphLaunch"))
            return cudaErrorInvalidResourceHandle;
        return put(h, s, {"graph", cudaGraphNodeTypeGraph, NULL, {}, exec->nodes});
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    return call("cudaGraphExecDestroy", SAFE, [=](held &) {
        if (!known(the().executables, exec, "cudaGraphExecDestroy"))
            return cudaErrorInvalidValue;
        the().executables.erase(exec);
        delete exec;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return call("cudaGraphDestroy", SAFE, [=](held &) {
        if (!known(the().graphs, graph, "cudaGraphDestroy"))
            return cudaErrorInvalidValue;
        the().graphs.erase(graph);
        delete graph;
        return cudaSuccess;
    });
}

/* As many as there is room for; without room, how many there are. */
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    return call("cudaGraphGetNodes", SAFE, [=](held &) {
        if (!known(the().graphs, graph, "cudaGraphGetNodes"))
            return cudaErrorInvalidValue;
        const auto &all = graph->nodes->nodes;
        const size_t given = nodes ? std::min(*count, all.size()) : 0;
        for (size_t i = 0; nodes && i < *count; i++)
            nodes[i] = i < given ? all[i].get() : NULL;
        *count = nodes ? given : all.size();
        return cudaSuccess;
    });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, enum cudaGraphNodeType *type)
{
    return call("cudaGraphNodeGetType", SAFE, [=](held &) {
        for (const CUgraph_st *g : the().graphs)
            for (const auto &n : g->nodes->nodes)
                if (n.get() == node) {
                    *type = node->what.type;
                    return cudaSuccess;
                }
        vendor_report("cudaGraphNodeGetType: %p is no node", (void *)node);
        return cudaErrorInvalidValue;
    });
}
