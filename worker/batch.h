/* batch: the rows of one UNet call, whoever they belong to. */
#ifndef WORKER_BATCH_H
#define WORKER_BATCH_H

#include "worker/run.h"

enum { BATCH_ROWS_MAX = 16 };

typedef struct {
    resident *resident;
    int64_t h, w;
    int rows, tokens; /* tokens: of the longest context */
    struct {
        run *run;
        seq *seq;
        int row; /* of the sequence */
    } at[BATCH_ROWS_MAX];
    int sequences;
    seq *seq[BATCH_ROWS_MAX];   /* each once */
    run *owner[BATCH_ROWS_MAX]; /* of each sequence */
} batch;

/* The next batch: the sequence that has waited for the most batches, and as many others of its
 * model and latent size as memory allows, beyond the first row; with EXACT_PAIRS all rows of that
 * one sequence and no others. false: no sequence is on its way. */
bool batch_pick(batch *b, residents *all, run *runs, uint64_t turn);

/* Leaves the later half of the rows to another batch; false: there is but one, or they must stay
 * together. */
bool batch_halve(batch *b, residents *all);

/* Evaluates the rows. finite[i]: row i's prediction is finite. After a device error nothing is
 * marked ready, and the batch can be evaluated or picked again. */
void batch_evaluate(batch *b, residents *all, bool finite[BATCH_ROWS_MAX]);

/* FLOPs of the evaluation, by the dry run. */
double batch_flops(const batch *b, residents *all);

#endif
