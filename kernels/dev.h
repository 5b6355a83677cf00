/* dev: one device and everything that is its own: the function table of its backend, a scratch
 * stack, the first error, counters.
 *
 * Backends: "ref" (scalar C with double accumulation: the definition of every operation), "cpu"
 * (vector code and threads), "cuda" (a module, see backend.h). A *dry* device does the same walk
 * without memory or weights: every op checks its shapes and asks for its scratch, nothing is read
 * or written. A dev belongs to one thread at a time. */
#ifndef KERNELS_DEV_H
#define KERNELS_DEV_H

#include "kernels/arena.h"
#include "kernels/telemetry.h"
#include "kernels/tensor.h"

typedef struct dev dev;
struct kernel_table;
struct backend;

typedef enum { DEV_OK, DEV_NO_MEMORY, DEV_NOT_FINITE, DEV_BROKEN, DEV_STOPPED } dev_status;

/* Whether the bytes of a row may depend on the rows it is computed with. */
typedef enum {
    EXACT_ON,    /* no: one kernel serves every number of rows */
    EXACT_PAIRS, /* no, and nothing is taken on trust: rows of one picture never have company */
    EXACT_OFF    /* they may: every number of rows has the kernels that suit it best */
} dev_exact;

/* What a copy from another device is for: what changes from step to step takes the shortest way,
 * weights may take one that has to be built first. */
typedef enum { COPY_OFTEN, COPY_ONCE } dev_copying;

typedef struct {
    const char *backend; /* "ref", "cpu" or "cuda" */
    int ordinal;         /* cpu:1 is another engine with its own threads */
    int threads;         /* 0: one per processor this process may use */
    const char *isa;     /* cpu: "avx2" goes no further than that, so that unlike machines form one
                            device class; NULL: the best there is */
    int band_rows;       /* rows of output a convolution works on at once; 0: by shape. Same bits */
    int winograd_most;   /* 3x3 convolutions with at most this many input channels use F(4x4)
                            (4 times the weight memory); 0: none. Decides bits: whoever sets
                            it by a memory budget names the budget beside class_name */
    size_t scratch_bytes; /* capacity of the scratch stack; 0: physical memory */
    const char *cache;    /* a folder for what is worth keeping (plans); NULL: nothing is. Must live
                             as long as the device */
    dev_exact exact; /* not EXACT_ON: part of class_name. Of ref and cpu the bits are the same */
    bool dry;
} dev_options;

typedef struct {
    size_t scratch_peak; /* bytes since dev_reset_peak */
    double flops;        /* of matrix products, multiply and add counted as two; since then */
    uint64_t ops;
} dev_counters;

struct dev {
    const struct backend *backend;
    const struct kernel_table *kernels;
    dtype storage; /* of feature maps, bias vectors and texts: F32, or F16 on a GPU */
    dev_options options;
    arena scratch;
    dev_counters counters;
    size_t kept;       /* bytes of the tensors that dev_keep gave and nobody dropped */
    dev_status status; /* sticky: later ops do nothing; read once per step */
    char error[256];
    /* Asked before every op; true makes the status DEV_STOPPED. May be NULL. */
    bool (*stop)(void *arg);
    void *stop_arg;
    void *impl;                        /* the backend's own state (thread pool, caches) */
    size_t memory_bytes;               /* what there is to use */
    bool own_memory;                   /* of a device like this one each has its own */
    char name[32];                     /* "cpu:0" */
    char hardware[TELEMETRY_ID_BYTES]; /* what it runs on; "": not known */
    char class_name[192]; /* what decides the bits: backend, instruction set, library versions,
                             choices */
    char notice[256];     /* what opening has to tell and goes on without: for a log; "": nothing */
    char carrier[192]; /* what brought the last copy of COPY_ONCE, and why not another: for a log */
    uint64_t asked;    /* libraries, which of their kernels suits: 0 where choices are on disk */
    bool by_budget;    /* the memory budget decides bits too: it sets winograd_most */
};

/* "on", "pairs", "off", in the order of dev_exact; NULL-ended. */
extern const char *const dev_exact_names[];

/* The backend's name as dev_options wants it ("cpu", "cuda", "ref"), or NULL: there is none. A
 * module is not loaded for this. */
const char *dev_backend(const char *name);
/* How many devices a backend has; 0: as many as one likes. -1 with why. */
int dev_count(const char *backend, char *why);

/* NULL with the reason in `why` (at least 256 bytes). */
dev *dev_new(const dev_options *options, char *why);
void dev_free(dev **d);

/* Scratch: tensors taken after a mark are gone when the mark is released. 64-byte aligned. */
tensor dev_tensor(dev *d, dtype type, int64_t n, int64_t h, int64_t w, int64_t c);
void *dev_scratch(dev *d, size_t bytes); /* for kernels; NULL when dry or failed */
size_t dev_mark(const dev *d);
void dev_release(dev *d, size_t mark);
void dev_reset_peak(dev *d);

/* Tensors that outlive a step (latents, conditioning): from the heap of the device, zeroed. */
tensor dev_keep(dev *d, dtype type, int64_t n, int64_t h, int64_t w, int64_t c);
void dev_drop(dev *d, tensor *t); /* NULL data is fine */

void dev_upload(dev *d, tensor to, const void *from);
void dev_upload_floats(dev *d, tensor to, const float *from); /* whatever the type of `to` */
void dev_download(dev *d, void *to, tensor from);

/* From another device of the same backend, which may be in use by another thread: what is copied is
 * there (dev_wait), and stays as it is until `d` has been waited for or has given an answer. */
void dev_copy(dev *d, tensor to, const dev *other, tensor from, dev_copying how);
void dev_wait(dev *d); /* until all ops so far are done */

/* An arena in the memory of the device. */
bool dev_arena(dev *d, arena *a, size_t capacity);

/* Has `walk` call its ops. A backend may record what they launch and play the record when the same
 * walk comes again (the same ops, shapes and places; what ops take from the host may differ:
 * timesteps, counts of keys, rows of a step, sources of a gather). So a walk may be called twice,
 * does nothing but ops, and leaves the scratch as it was. What ops give to the host (op_finite) is
 * there when dev_run returns. */
typedef void dev_walk(dev *d, void *arg);
void dev_run(dev *d, dev_walk *walk, void *arg);

/* Feature maps are of this type from here on; returns what they were. For a device that has F16:
 * BF16 holds numbers of every size, coarsely. Weights are packed for one of the two. */
dtype dev_store_as(dev *d, dtype storage);

/* The number of rows, at least `rows`, that a batch should be filled up to; `rows` where nothing
 * may join a picture's own rows. */
int dev_rows(const dev *d, int rows);

void dev_fail(dev *d, dev_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void dev_clear(dev *d); /* after the error was dealt with */

#endif
