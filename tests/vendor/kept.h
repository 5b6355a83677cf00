/* An emulated GPU with a folder of plans and tuning tables, and the small decoder on it: what tests
 * of kept choices start from. All of them end the test when something does not work. */
#ifndef TESTS_VENDOR_KEPT_H
#define TESTS_VENDOR_KEPT_H

#include "kernels/cuda/plan_store.h"
#include "kernels/tune.h"
#include "tests/support/rig.h"

/* Rows of latents through the decoder: convolutions, products and attention, and quickly. */
/* Rows of latents through the decoder: convolutions, products and attention, and quickly. */
enum { SIDE = 2, FACTOR = 8, ROWS = 2, VALUES = SIDE * SIDE * FACTOR * FACTOR * 3 };

static const choice nothing = {.kind = CHOICE_SWITCH};
static const plan_key table_key = {.shape = "tuning", .choice = &nothing};

/* A new folder, to be given back to cache_free. */
char *cache_new(void);
void cache_free(char *cache);
/* Calls `visit` for every file among the plans; how many there are. */
int each_plan(const char *cache, void (*visit)(const char *path));

/* The device with the model "tiny"; `seed` is that of the stand-ins' heuristics. */
rig open_as(dev_exact exact, const char *cache, const char *seed);
rig open_with(const char *cache, const char *seed);

/* Rows first..first+n-1 decoded, malloc'ed; NULL after an error of the device. */
float *decode(rig *r, int64_t first, int64_t n);

/* ROWS rows through the decoder of the model that arg is: for dev_run and dev_tune. */
void walk_decoder(dev *d, void *arg);

/* Tunes for the decoder for so long; the table's hash. */
uint64_t tune_as(dev_exact exact, const char *cache, double seconds, tune_result *result);
uint64_t tune(const char *cache, double seconds, tune_result *result);

/* The table that tuning has written, to be changed and put back. */
tuning table_of(const char *cache, const tune_result *result, plan_store *store);
void put_back(const plan_store *store, const tuning *t);

#endif
