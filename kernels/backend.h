/* backend: what a kind of device is to dev.c, as one row of functions. "ref" and "cpu" are part of
 * every program; others are modules, shared libraries with one function `overpaint_backend`, which
 * are loaded when such a device is asked for. */
#ifndef KERNELS_BACKEND_H
#define KERNELS_BACKEND_H

#include "kernels/dev.h"
#include "kernels/table.h"
#include "kernels/tune.h"

enum { WHY_BYTES = 256 };

/* Memory that is not the host's. Tensors and weights lie in it; the host never follows a pointer
 * into it. After an error (dev_fail) calls do nothing. */
typedef struct {
    void *(*take)(dev *d, size_t bytes); /* all zeros, 256-byte aligned; NULL: out of memory */
    void (*give)(dev *d, void *p);
    void (*write)(dev *d, void *to, const void *from, size_t bytes); /* `from` may go at once */
    void (*read)(dev *d, void *to, const void *from, size_t bytes);  /* after all ops so far */
    /* dev_copy and dev_wait */
    void (*copy)(dev *d, void *to, const dev *other, const void *from, size_t bytes,
                 dev_copying how);
    void (*wait)(dev *d);
    /* Memory of the host's, all zeros, that the device reads without help; see stock.h. */
    void *(*hold)(dev *d, size_t bytes); /* NULL: there is not so much */
    void (*let_go)(dev *d, void *p);
    void (*fetch)(dev *d, void *to, const void *from, size_t bytes);
    void (*fetched)(dev *d);
    arena_memory arena; /* its owner is the dev */
} backend_memory;

typedef struct backend {
    const char *name;
    const char *version; /* OVERPAINT_VERSION, and what dev.h was to it: */
    size_t dev_bytes, table_bytes;
    dtype storage;  /* of feature maps, bias vectors and texts */
    bool by_budget; /* see dev.h */
    const kernel_table *kernels;
    const backend_memory *memory; /* NULL: the host's */
    bool (*open)(dev *d, char *why);
    void (*close)(dev *d);
    /* dev_run and dev_rows; NULL: the plain ones. */
    void (*run)(dev *d, dev_walk *walk, void *arg);
    int (*rows)(const dev *d, int rows);
    /* Whether conv2d does the nearest x2 before it; NULL: never. */
    bool (*doubles)(const dev *d, const conv2d_args *a);
    /* dev_tune; NULL: nothing to choose. */
    bool (*tune)(dev *d, const tune_options *o, tune_result *result, char *why);
    /* How many such devices there are; NULL: as many as one likes. -1 with why. */
    int (*count)(char *why);
} backend;

/* The row of a name, its module loaded if it is one. NULL with why: there is no such backend, or
 * its module or what that needs is missing. */
const backend *backend_find(const char *name, char why[WHY_BYTES]);

/* What every program has. */
extern const backend backend_ref, backend_cpu;

#endif
