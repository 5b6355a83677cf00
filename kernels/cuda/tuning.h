/* The tuning table: which choice serves a shape on one kind of device, as a text file that only
 * tuning writes. A shape without an entry gets the first safe choice (plan.h, product.h), so an
 * empty table is a good one. The table decides bits: its hash belongs into the device class.
 *
 *     overpaint tuning 1
 *     gpu NVIDIA H200
 *     sms 132
 *     driver 13000
 *     cudnn 91900
 *     cublaslt 130100
 *     conv f16 64x64 320>320 k3 s1 +bias = engine 41 2:19 13:1 25:1
 *     product f16 4096 320>320 = algo 00…
 *
 * Entries are sorted by name. There is one way to write a table: what reads it refuses any other.
 */
#ifndef KERNELS_CUDA_TUNING_H
#define KERNELS_CUDA_TUNING_H

#include "kernels/cuda/choice.h"

enum { TUNING_WHY_BYTES = 256, TUNING_GPU_BYTES = 64, TUNING_TEXT_MOST = 4 << 20 };

/* What a choice is for. Versions as the libraries give them. */
typedef struct {
    char gpu[TUNING_GPU_BYTES];
    int64_t sms, driver, cudnn, cublaslt;
} tuning_device;

typedef struct {
    char name[SHAPE_NAME_BYTES];
    choice choice;
} tuning_entry;

typedef struct {
    tuning_device device;
    tuning_entry *entry; /* ascending names */
    int entries, room;
} tuning;

void tuning_done(tuning *t);

/* Reads a whole table; false with what was found and what was expected, and an empty table. */
bool tuning_read(tuning *t, const char *text, size_t bytes, char why[TUNING_WHY_BYTES]);
/* The text, malloc'ed and NUL-ended; NULL without memory. */
char *tuning_write(const tuning *t);

/* The choice for a shape's name, or NULL. */
const choice *tuning_find(const tuning *t, const char *name);
/* Whether a way of computing that is not the usual one (an x2 upsample as a transposed convolution)
 * is wanted for a shape: its entry is "on" or says with which kernel. Without an entry it is not.
 */
bool tuning_wants(const tuning *t, const char *name);
/* Whether such a way is wanted for an x2 upsample of these channels, whatever the picture's size.
 */
bool tuning_wants_upsample(const tuning *t, dtype type, int64_t in, int64_t out);
/* Adds or replaces; false without memory. */
bool tuning_set(tuning *t, const char *name, const choice *c);

bool tuning_device_equal(const tuning_device *a, const tuning_device *b);
/* Of device and entries; 0 without memory. */
uint64_t tuning_hash(const tuning *t);

#endif
