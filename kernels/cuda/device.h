/* One GPU as the parts of the module see it. For kernels/cuda only.
 *
 * Everything but fetching happens on one stream, in the order of the ops. What an op takes from
 * the host (hand) and gives back to it (ask) goes through here, because that is what differs
 * between the three ways in which a walk of ops is done (record.c):
 *   ACT     launches at once
 *   LISTEN  launches nothing: notes what would be launched, and what the host hands over
 *   CAPTURE launches into a graph, which later plays with other things handed over */
#ifndef KERNELS_CUDA_DEVICE_H
#define KERNELS_CUDA_DEVICE_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "kernels/backend.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/plans.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/wanted.h"

enum {
    WORKSPACE_BYTES = CHOICE_WORKSPACE,
    ZERO_BYTES = 64 << 10,
    STAGE_BYTES = 8 << 20,
    HAND_BYTES = 1 << 20,
    ASK_BYTES = 4096,
    ATTENTION_ROWS_MOST = 64
};

typedef enum { ACT, LISTEN, CAPTURE } walk_mode;

/* The same bytes on the host (pinned) and on the device. */
typedef struct {
    char *host, *there;
    size_t used, room;
} mirror;

/* A half of the staging memory, and when the device has read it. */
typedef struct {
    char *host;
    cudaEvent_t read;
} stage_half;

typedef struct recorder recorder; /* record.c */

/* Calls of the driver, found through the runtime so that nothing links to the driver. */
enum {
    DRIVER_RESERVE,
    DRIVER_FREE,
    DRIVER_CREATE,
    DRIVER_RELEASE,
    DRIVER_MAP,
    DRIVER_UNMAP,
    DRIVER_ACCESS,
    DRIVER_CALLS
};
typedef void driver_call(void);

typedef struct {
    struct cudaDeviceProp properties;
    size_t cluster_shared; /* see launch_group_norm */
    driver_call *driver[DRIVER_CALLS];
    cudaStream_t stream;
    cudaStream_t fetching; /* fetches from stocks: */
    cudaEvent_t vacant;    /* what they overwrite is used no more */
    cudaEvent_t arrived;   /* they are done */
    cudnnHandle_t cudnn;
    cublasLtHandle_t cublaslt;
    planner *planner;
    plan_store store;
    bool stored;  /* there is a store */
    bool by_rows; /* choices are made for one number of rows each */
    tuning table;
    plans *plans;
    products *products;
    void *workspace; /* WORKSPACE_BYTES; one stream, so one is enough */
    void *zeros;     /* ZERO_BYTES: the bias of a convolution that has none */
    stage_half stage[2];
    int turn;         /* the half that is next */
    mirror hand, ask; /* of ACT */
    walk_mode mode;
    recorder *recorder;
    wanted *wanted; /* where a dry device notes the shapes of its ops; NULL: nowhere */
} gpu;

/* The device's gpu, chosen for this thread; NULL after an error. */
gpu *gpu_of(dev *d);

/* Whether a call went well; otherwise the device fails, with what was being done: for want of
 * memory, after which it goes on working, or broken. */
bool gpu_good(dev *d, cudaError_t status, const char *what);
/* The same of a launcher of launch.h. */
void gpu_launched(dev *d, int status, const char *kernel);
/* The device fails because a library did not do something: see why.h. */
void gpu_refused(dev *d, const char *why);
/* Waits for what the stream has been given. */
bool gpu_waited(dev *d);

/* ---- memory.c ---- */

extern const backend_memory gpu_memory;

/* Finds the driver's calls. */
bool memory_open(dev *d, gpu *g);

/* cudaSuccess, or what is missing: then nothing is held. */
cudaError_t mirror_open(mirror *m, size_t room);
void mirror_close(mirror *m);

/* STAGE_BYTES to fill on the host; NULL after an error. Then to the device, in order. */
char *stage_take(dev *d);
void stage_send(dev *d, void *to, size_t bytes);

/* ---- table.c ---- */

/* A table that is there and cannot be used is told in d->notice. */
void table_read(dev *d, gpu *g);
bool table_write(const gpu *g);
void table_path(const gpu *g, char path[PLAN_STORE_PATH + PLAN_STORE_NAME]);

/* ---- conv.c ---- */

/* Whether the table wants an x2 upsample of this shape, and the weight has that form. */
bool doubles(const dev *d, const conv2d_args *a);

/* What was chosen by rule goes to disk, if there is anything new. */
void choices_keep(gpu *g);

/* ---- tune.c ---- */

bool tune_gpu(dev *d, const tune_options *o, tune_result *result, char *why);

/* ---- record.c ---- */

/* Where the device finds what the host hands over. */
const void *hand(dev *d, const void *host, size_t bytes);
/* Room on the device for what the host wants to know; asked says when the op that fills it has
 * been launched. */
void *ask(dev *d, void *host, size_t bytes);
void asked(dev *d);

/* Says that a kernel is about to be launched: false when it is only listened to. What decides the
 * launch, besides what was handed over, are `words` numbers and addresses. */
bool launches(dev *d, const char *kernel, const uint64_t *word, int words);

bool recorder_open(gpu *g);
void recorder_close(gpu *g);
/* Forgets every record: memory that they know is going away, or theirs is needed. False: there was
 * none, or one is just being made. */
bool recorder_forget(gpu *g);
void recorder_run(dev *d, dev_walk *walk, void *arg);

#endif
