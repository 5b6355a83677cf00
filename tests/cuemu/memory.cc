/* Device and shared memory, asynchronous copies, and launches with a GPU's limits. */
#include "tests/cuemu/device.h"

#include <cstdio>
#include <cstdlib>

namespace cuemu {
enum { GUARD = 256, GUARD_BYTE = 0xa5, POISON = 0xff };
enum { INVALID_VALUE = 1, INVALID_CONFIGURATION = 9, LAUNCH_FAILURE = 719 }; /* CUDA's numbers */
static const size_t FIXED_MOST = 48 << 10, SHARED_MOST = 227 << 10;

void report(const char *text)
{
    if (device_here.error.empty())
        device_here.error = text;
}

void regions::add(const void *p, size_t bytes)
{
    at[(uintptr_t)p] = bytes;
}

bool regions::remove(const void *p, size_t *bytes)
{
    auto known = at.find((uintptr_t)p);
    if (known == at.end())
        return false;
    *bytes = known->second;
    at.erase(known);
    return true;
}

bool regions::hold(const void *p, size_t bytes) const
{
    auto region = at.upper_bound((uintptr_t)p);
    if (region == at.begin())
        return false;
    --region;
    uintptr_t end = region->first + region->second;
    while (end < (uintptr_t)p + bytes && ++region != at.end() && region->first == end)
        end += region->second;
    return (uintptr_t)p + bytes <= end;
}

static bool is_global(const void *p, size_t bytes)
{
    const device &d = device_here;
    return (d.outer ? *d.outer : d.own).hold(p, bytes);
}

void need_global(const void *p, size_t bytes, size_t align, bool writes)
{
    if ((uintptr_t)p % align)
        fail("%s of %zu bytes at %p, which is no multiple of %zu", writes ? "store" : "load", bytes,
             p, align);
    if (!is_global(p, bytes))
        fail("%s of %zu bytes at %p, outside of every allocation", writes ? "store" : "load", bytes,
             p);
}

/* Where in one of the two parts of the block's shared memory. */
static unsigned char *part_of(const block *b, const void *p, size_t bytes)
{
    const struct {
        unsigned char *base;
        size_t size;
    } part[] = {{b->fixed, b->cluster_of->fixed_used}, {b->dynamic, b->cluster_of->dynamic_bytes}};
    for (auto &one : part)
        if ((uintptr_t)p >= (uintptr_t)one.base &&
            (uintptr_t)p + bytes <= (uintptr_t)one.base + one.size)
            return one.base;
    return NULL;
}

void need_shared(const void *p, size_t bytes, size_t align)
{
    if ((uintptr_t)p % align)
        fail("shared access of %zu bytes at %p, which is no multiple of %zu", bytes, p, align);
    if (!part_of(running()->block_of, p, bytes))
        fail("access of %zu bytes at %p, outside of the block's shared memory", bytes, p);
}

void *static_shared(const void *site, size_t bytes, size_t align)
{
    const block *b = running()->block_of;
    cluster *c = b->cluster_of;
    auto known = c->fixed_at.find(site);
    if (known != c->fixed_at.end())
        return b->fixed + known->second;
    const size_t at = (c->fixed_used + align - 1) / align * align;
    if (at + bytes > FIXED_MOST)
        fail("%zu bytes of shared arrays, at most %zu", at + bytes, FIXED_MOST);
    c->fixed_used = at + bytes;
    c->fixed_at[site] = at;
    return b->fixed + at;
}

void *dynamic_shared()
{
    return running()->block_of->dynamic;
}

const void *peer_shared(const void *local, unsigned rank, size_t bytes)
{
    const block *mine = running()->block_of;
    const cluster *c = mine->cluster_of;
    const unsigned char *base = part_of(mine, local, bytes);
    if (!base)
        fail("%p is not in the block's shared memory", local);
    if (rank >= c->blocks.size())
        fail("block %u of a cluster of %zu", rank, c->blocks.size());
    const block *peer = &c->blocks[rank];
    if (peer->living == 0)
        fail("reads the shared memory of block %u, which has ended", rank);
    return (base == mine->fixed ? peer->fixed : peer->dynamic) +
           ((const unsigned char *)local - base);
}

static void carry_out(const copy_request &r)
{
    if (r.given)
        memcpy(r.to, r.from, 16);
    else
        memset(r.to, 0, 16);
}

void copy(void *to, const void *from, bool given)
{
    need_shared(to, 16, 16);
    if (given)
        need_global(from, 16, 16, false);
    copy_request r = {to, from, given};
    running()->group.push_back(r);
    if (device_here.schedule & CUEMU_EARLY_COPIES)
        carry_out(r);
}

void copy_commit()
{
    thread *t = running();
    t->groups.push_back(t->group);
    t->group.clear();
}

void copy_wait(int groups)
{
    thread *t = running();
    while (t->groups.size() > (size_t)groups) {
        for (const copy_request &r : t->groups.front())
            if (!(device_here.schedule & CUEMU_EARLY_COPIES))
                carry_out(r);
        t->groups.erase(t->groups.begin());
    }
}

int allow(const void *kernel, size_t bytes)
{
    if (bytes > SHARED_MOST)
        return INVALID_VALUE;
    device_here.allowed[kernel] = bytes;
    return 0;
}

/* Of a block of a kernel: arrays and dynamic together. */
static size_t shared_most(const void *kernel)
{
    return device_here.allowed.count(kernel) ? SHARED_MOST : FIXED_MOST;
}

/* What a GPU would say to such a launch. */
static const char *refusal(const void *kernel, const launch_config &c)
{
    auto allowed = device_here.allowed.find(kernel);
    const size_t most = allowed == device_here.allowed.end() ? FIXED_MOST : allowed->second;
    if (c.x < 1 || c.x > INT32_MAX || c.y < 1 || c.y > 65535)
        return "grid";
    if (c.threads < 1 || c.threads > 1024 || c.threads % 32)
        return "block (at most 1024 threads, whole warps)";
    if (c.cluster > 8 || (c.cluster > 1 && c.x % c.cluster))
        return "cluster";
    if (c.shared > (most > FIXED_MOST ? most : FIXED_MOST))
        return "dynamic shared memory";
    return NULL;
}

launch_taker *launch_hook;

void use_memory(const regions *live)
{
    device_here.outer = live;
}

namespace {
/* A launch; its argument comes behind this. */
struct alignas(16) job {
    launch_config config;
    void (*run)(const void *);
    size_t shared_most; /* arrays and dynamic memory together */
};
} // namespace

/* The shared memory of a cluster's blocks; apart from each other, so that ASan sees the ends. */
static void give_shared(cluster *c)
{
    for (block &b : c->blocks) {
        b.fixed = (unsigned char *)aligned_alloc(128, FIXED_MOST);
        b.dynamic = (unsigned char *)aligned_alloc(128, (c->dynamic_bytes + 255) / 128 * 128);
    }
}

static void take_shared(cluster *c)
{
    for (block &b : c->blocks) {
        free(b.fixed);
        free(b.dynamic);
    }
}

/* The cluster that begins at block (x, y). */
static void place_cluster(cluster *c, const launch_config &k, int64_t x, int64_t y)
{
    c->arrived = 0;
    for (unsigned rank = 0; rank < c->blocks.size(); rank++) {
        block *b = &c->blocks[rank];
        b->cluster_of = c;
        b->arrived = 0;
        b->warps.assign(k.threads / 32, gathering());
        b->living = k.threads;
        memset(b->fixed, POISON, FIXED_MOST);
        memset(b->dynamic, POISON, c->dynamic_bytes);
        for (unsigned i = 0; i < k.threads; i++) {
            thread *t = &b->threads[i];
            t->block_of = b;
            t->group.clear();
            t->groups.clear();
            t->at.thread = dim3{i, 0, 0};
            t->at.block = dim3{(unsigned)x + rank, (unsigned)y, 0};
            t->at.block_size = dim3{k.threads, 1, 1};
            t->at.grid_size = dim3{(unsigned)k.x, (unsigned)k.y, 1};
            t->at.lane = i % 32;
            t->at.rank = rank;
        }
    }
}

int launch(const void *kernel, const launch_config &k, void (*run)(const void *),
           const void *argument)
{
    const char *refused = refusal(kernel, k);
    device_here.launches++;
    if (refused) {
        char text[200];
        snprintf(text, sizeof text, "launch of %lldx%lld blocks of %u: wrong %s", (long long)k.x,
                 (long long)k.y, k.threads, refused);
        report(text);
        return INVALID_CONFIGURATION;
    }
    const job one = {k, run, shared_most(kernel)};
    std::vector<unsigned char> bytes(sizeof one + k.argument_bytes);
    memcpy(bytes.data(), &one, sizeof one);
    memcpy(bytes.data() + sizeof one, argument, k.argument_bytes);
    return launch_hook ? launch_hook({k.name, k.stream, bytes.data(), bytes.size()})
                       : run_job(bytes.data());
}

int run_job(const void *bytes)
{
    const job &one = *(const job *)bytes;
    const launch_config &k = one.config;
    device *d = &device_here;
    d->broken = false;
    const int64_t size = k.cluster > 1 ? k.cluster : 1, count = k.x / size * k.y;
    cluster c = {};
    c.blocks.resize((size_t)size);
    for (block &b : c.blocks)
        b.threads.resize(k.threads);
    c.dynamic_bytes = k.shared;
    c.run = one.run;
    c.argument = &one + 1;
    give_shared(&c);
    for (int64_t i = 0; i < count && !d->broken; i++) {
        const int64_t at = d->schedule & CUEMU_BACKWARDS ? count - 1 - i : i;
        place_cluster(&c, k, at % (k.x / size) * size, at / (k.x / size));
        run_cluster(&c);
    }
    if (!d->broken && c.fixed_used + c.dynamic_bytes > one.shared_most) {
        report("more shared memory, arrays and dynamic, than a block can have");
        d->broken = true;
    }
    take_shared(&c);
    return d->broken ? LAUNCH_FAILURE : 0;
}
} // namespace cuemu

using namespace cuemu;

void cuemu_schedule(unsigned bits)
{
    device_here.schedule = bits;
}

void *cuemu_malloc(size_t bytes)
{
    unsigned char *raw = (unsigned char *)aligned_alloc(256, (bytes + 2 * GUARD + 255) / 256 * 256);
    memset(raw, GUARD_BYTE, GUARD);
    memset(raw + GUARD, POISON, bytes);
    memset(raw + GUARD + bytes, GUARD_BYTE, GUARD);
    device_here.own.add(raw + GUARD, bytes);
    return raw + GUARD;
}

void cuemu_free(void *p)
{
    size_t bytes;
    if (!p)
        return;
    if (!device_here.own.remove(p, &bytes)) {
        report("free of what is no allocation");
        return;
    }
    unsigned char *raw = (unsigned char *)p - GUARD;
    for (size_t i = 0; i < GUARD; i++)
        if (raw[i] != GUARD_BYTE || raw[GUARD + bytes + i] != GUARD_BYTE)
            report("written beyond an allocation");
    free(raw);
}

const char *cuemu_error(void)
{
    device_here.shown.swap(device_here.error);
    device_here.error.clear();
    return device_here.shown.empty() ? NULL : device_here.shown.c_str();
}

uint64_t cuemu_launches(void)
{
    return device_here.launches;
}
