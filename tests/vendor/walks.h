/* walks: small walks of ops that between them call everything of the vendor's that the module
 * calls, on numbers by which a mistake shows. */
#ifndef TESTS_VENDOR_WALKS_H
#define TESTS_VENDOR_WALKS_H

#include "kernels/ops.h"

typedef enum { WALK_CONVOLUTIONS, WALK_PRODUCTS, WALK_ATTENTION, WALK_KERNELS, WALKS } walk_kind;

/* A walk comes several times, with other numbers in the same places: it is done as it is, captured,
 * and played. The first numbers are such that their sums depend on their order. They come again,
 * played; and the last row of them alone, in another batch. */
enum { WALK_AGAIN = 3, WALK_ALONE, WALK_TIMES, WALK_ROWS = 2, WALK_OPS = 20 };
static inline bool walk_is_soft(int time)
{
    return time > 0 && time < WALK_AGAIN;
}

enum { WALK_VALUES = 2048 }; /* the most that an op makes */

typedef struct {
    float value[WALK_TIMES][WALK_OPS][WALK_VALUES];
} walk_results;

const char *walk_name(walk_kind kind);
/* What is being done now: an op, by its name, or what is around them. */
const char *walk_where(void);
bool walk_is_on(void); /* not only a device opened or closed */
enum { WALK_WHAT = 256 };
/* All times of a walk: those between compared with `ref` (NULL: with nothing), the others with each
 * other, to the bit. False, at the first that is not right, with what. */
bool walk_all(dev *d, walk_kind kind, walk_results *to, const walk_results *ref,
              char what[WALK_WHAT]);

#endif
