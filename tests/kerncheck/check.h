/* kerncheck: every kernel of kernels/table.h against the reference, on random and on real shapes.
 *
 * A check draws one case, describes it as a *trial* (buffers, tolerance, one call) and hands it to
 * trial_run, which runs it in all the ways that must not matter: twice, on 1, 2 and 3 threads, with
 * other band heights, one sample at a time, at other addresses, over other garbage. The same trial
 * is what --bench times. A kernel without a check_<name> does not link. */
#ifndef TESTS_KERNCHECK_CHECK_H
#define TESTS_KERNCHECK_CHECK_H

#include "kernels/ops.h"

enum { SLOTS = 20, SAMPLES_MOST = 5, SUBJECTS_MOST = 20, BITS = 4 };

typedef struct {
    uint64_t state;
    int64_t divisor; /* of the products of sizes that bodies ask for; 0 counts as 1 */
} randoms;

/* A device under test and its dry twin. Subjects with equal `bits` must agree to the bit. */
typedef struct {
    dev *real, *dry;
    int bits; /* of BITS choices: without and with Winograd, on the best and on the least ISA */
} subject;

typedef struct {
    uint64_t seed;
    int rounds;       /* random trials a kernel */
    bool real, bench; /* also the shapes of real models; time them instead of checking */
    const char *only; /* one kernel; NULL: all */
    const char *backend;
    double ceiling; /* GFLOP/s of a large matrix product here and now */

    subject ref;
    subject subject[SUBJECTS_MOST];
    int subjects;
    arena weights, dry_weights;

    randoms random;
    const char *kernel;
    int round;
    int shape, shapes; /* which real shape (-1: a random one), how many the kernel has */
    long runs, failures;
} session;

typedef struct {
    tensor t;     /* the master copy; each run gets its own */
    bool batched; /* dim[0] counts samples */
    bool in, out;
    bool odd; /* lies at an odd address, as in a file */
} slot;

typedef enum { SHARED, BATCHED } slot_scope;

typedef struct trial trial;
struct trial {
    session *s;
    char shape[200]; /* for people */
    slot at[SLOTS];
    /* Calls the op. `at` is this run's copy of the slots; samples are first, first + 1, … of the
     * trial's (for host arrays in `own`). */
    void (*call)(dev *d, const trial *t, const tensor *at, const weight *w, int64_t first);
    const void *own;
    weight matrix; /* k 0: none. Else packed from slot matrix_slot before the call */
    int matrix_slot, matrix_stride;
    bool winograd;    /* there is a 3x3 convolution in it */
    bool together;    /* samples are one thing: no batch invariance */
    double tolerance; /* of an F32 output, in units of the row's RMS; 0: equal to the bit */
    bool by_sample;   /* RMS of a whole sample instead of a row of channels */
    double slack[SAMPLES_MOST]; /* absolute, per sample: what rounding of the inputs may do */
    double moved;               /* --bench: bytes a call touches; 0: all slots */
    int levels;                 /* of an U8 output */
};

/* Random draws. */
uint64_t draw(randoms *r);
double draw_unit(randoms *r);                  /* 0 <= u < 1 */
int64_t draw_below(randoms *r, int64_t below); /* 0 .. below-1 */
bool draw_bool(randoms *r);
/* A dimension 1..most: half of the time one at which tiles and vectors have their edges. */
int64_t draw_size(randoms *r, int64_t most);
/* Sizes up to most[i], drawn again until their product is at most `product`. */
void draw_sizes(randoms *r, int count, int64_t *size, const int64_t *most, int64_t product);
/* Contents of a buffer, F32, F16, BF16 or U8, always finite: normal, or with `hostile` half of the
 * time tiny, large, constant, one-hot or of very different sizes. */
void fill_values(randoms *r, void *data, dtype type, int64_t count, bool hostile);

/* The values of row `s->shape` of a table of real shapes, or NULL for a random trial. */
const int *real_shape(session *s, const int *table, int rows, int columns);

trial trial_new(session *s, double tolerance,
                void (*call)(dev *, const trial *, const tensor *, const weight *, int64_t));
/* A slot with random, now and then hostile, content; out: filled by the kernel. */
tensor trial_in(trial *t, int slot, slot_scope scope, tensor shape);
void trial_out(trial *t, int slot, slot_scope scope, tensor shape);
void trial_in_out(trial *t, int slot, slot_scope scope, tensor shape);
/* Checks or times it, reports, frees the slots: each program that has the bodies has its own. */
void trial_run(trial *t);
void trial_done(trial *t); /* frees the slots */
int64_t trial_samples(const trial *t);
__attribute__((format(printf, 2, 3))) void trial_shape(trial *t, const char *format, ...);
__attribute__((format(printf, 2, 3))) void trial_fail(const trial *t, const char *format, ...);

static inline tensor floats(int64_t n, int64_t h, int64_t w, int64_t c)
{
    return tensor_of(NULL, F32, n, h, w, c);
}

/* One run on one device: the outputs (malloc'ed, by slot). false: something was reported. run_once
 * wants to know the scratch that run_dry found. */
typedef struct {
    void *out[SLOTS];
    double flops;
    size_t scratch;
} outcome;
bool run_once(const trial *t, dev *d, int salt, int64_t first, outcome *o);
bool run_dry(const trial *t, dev *d, int64_t first, outcome *o);
void outcome_done(outcome *o);
trial trial_sample(const trial *t, int64_t i); /* borrows the slots */
/* What sample i has of a batch's outcome; borrowed, and only of what is batched. */
outcome trial_part(const trial *t, const outcome *batch, int64_t i);

bool compare_values(const trial *t, const dev *d, const outcome *got, const outcome *expected);
bool compare_bits(const trial *t, const dev *d, const char *what, const outcome *got,
                  const outcome *expected);

void bench_trial(trial *t);
double bench_ceiling(void);

#define CHECK_PROTOTYPE(name, cpu) void check_##name(session *s);
KERNELS(CHECK_PROTOTYPE)
#undef CHECK_PROTOTYPE

#endif
