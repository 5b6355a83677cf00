/* The threads of a cluster, each on a stack of its own, one running at a time.
 *
 * A thread runs until it must wait. The scheduler takes one block of a cluster, and of it one warp,
 * as far as it gets before the next, from either end: what depends on a barrier that is not there
 * then reads what was never written, or what was overwritten long ago. */
#include "tests/cuemu/device.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define __asan_unpoison_memory_region(p, bytes) ((void)(p), (void)(bytes))
#endif

#if !defined(__x86_64__)
#error "the switch between fibers is written for x86-64"
#endif

namespace cuemu {
thread_local device device_here;
static thread_local thread *self;

/* Saves what a function must keep, changes the stack, and returns there. */
extern "C" void cuemu_switch(void **save, void *to);
__asm__(".text\n"
        ".type cuemu_switch,@function\n"
        "cuemu_switch:\n"
        "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
        "    ret\n"
        ".size cuemu_switch, .-cuemu_switch\n");

static const size_t STACK_BYTES = 128 << 10;

stacks::~stacks()
{
    for (void *p : all)
        munmap(p, STACK_BYTES);
}

static void *stack_of(size_t i)
{
    std::vector<void *> &all = device_here.stack.all;
    while (all.size() <= i) {
        void *p =
            mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            abort();
        all.push_back(p);
    }
    return all[i];
}

const place &here()
{
    return self->at;
}

thread *running()
{
    return self;
}

static void leave(state s)
{
    self->now = s;
    cuemu_switch(&self->stack, device_here.scheduler);
}

void fail(const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const place &p = self->at;
    char where[400];
    snprintf(where, sizeof where, "block (%u,%u) thread %u: %s", p.block.x, p.block.y, p.thread.x,
             text);
    report(where);
    device_here.broken = true;
    leave(DONE);
    abort(); /* nobody comes back to a thread that is done */
}

static void body()
{
    cluster *c = self->block_of->cluster_of;
    c->run(c->argument);
    if (!self->group.empty() || !self->groups.empty())
        fail("ends with asynchronous copies that nobody waited for");
    self->block_of->living--;
    leave(DONE);
}

static void prepare(thread *t, size_t index)
{
    void *base = stack_of(index), **top = (void **)((char *)base + STACK_BYTES);
    __asan_unpoison_memory_region(base, STACK_BYTES); /* who leaves never returns */
    *--top = NULL; /* as if called: the stack is 8 off a multiple of 16 */
    *--top = (void *)body;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    t->stack = top;
    t->now = RUNNING;
}

void barrier_block()
{
    block *b = self->block_of;
    if (++b->arrived < b->threads.size()) {
        leave(IN_BLOCK);
        return;
    }
    b->arrived = 0;
    for (thread &t : b->threads)
        if (t.now == IN_BLOCK)
            t.now = RUNNING;
}

void barrier_cluster()
{
    cluster *c = self->block_of->cluster_of;
    if (++c->arrived < c->blocks.size() * c->blocks[0].threads.size()) {
        leave(IN_CLUSTER);
        return;
    }
    c->arrived = 0;
    for (block &b : c->blocks)
        for (thread &t : b.threads)
            if (t.now == IN_CLUSTER)
                t.now = RUNNING;
}

void warp(collective *kind, void *mine)
{
    block *b = self->block_of;
    const unsigned first = self->at.thread.x / 32 * 32;
    gathering *g = &b->warps[first / 32];
    if (g->come == 0)
        g->kind = kind;
    else if (g->kind != kind)
        fail("lane %u comes to another collective than the lanes before it", self->at.lane);
    g->given[self->at.lane] = mine;
    if (++g->come < 32) {
        leave(IN_WARP);
        return;
    }
    g->come = 0;
    kind(g->given);
    for (unsigned i = first; i < first + 32; i++)
        if (b->threads[i].now == IN_WARP)
            b->threads[i].now = RUNNING;
}

/* One warp, as far as it gets. */
static bool run_warp(block *b, unsigned from, bool backwards)
{
    bool any = false;
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < 32; i++) {
            thread *t = &b->threads[from + (backwards ? 31 - i : i)];
            if (t->now != RUNNING)
                continue;
            self = t;
            cuemu_switch(&device_here.scheduler, t->stack);
            if (device_here.broken)
                return false;
            again = any = true;
        }
    }
    return any;
}

static void report_stuck(const cluster *c)
{
    unsigned count[STATES] = {0};
    for (const block &b : c->blocks)
        for (const thread &t : b.threads)
            count[t.now]++;
    char text[200];
    snprintf(text, sizeof text,
             "stuck: %u threads wait for their block, %u for their cluster, %u for their warp, "
             "%u have ended",
             count[IN_BLOCK], count[IN_CLUSTER], count[IN_WARP], count[DONE]);
    report(text);
    device_here.broken = true;
}

/* One block, as far as it gets without the others of its cluster. */
static bool run_block(block *b, bool backwards)
{
    const size_t size = b->threads.size();
    bool any = false;
    for (bool again = true; again && !device_here.broken;) {
        again = false;
        for (size_t w = 0; w < size && !device_here.broken; w += 32)
            again |= run_warp(b, (unsigned)(backwards ? size - 32 - w : w), backwards);
        any |= again;
    }
    return any;
}

void run_cluster(cluster *c)
{
    const bool backwards = device_here.schedule & CUEMU_BACKWARDS;
    size_t index = 0, blocks = c->blocks.size();
    for (block &b : c->blocks)
        for (thread &t : b.threads)
            prepare(&t, index++);
    for (bool any = true; any && !device_here.broken;) {
        any = false;
        for (size_t i = 0; i < blocks && !device_here.broken; i++)
            any |= run_block(&c->blocks[backwards ? blocks - 1 - i : i], backwards);
    }
    for (const block &b : c->blocks)
        if (b.living && !device_here.broken)
            report_stuck(c);
}
} // namespace cuemu
