/* cudnn_program: attention, one head of one row after the other, a block of queries at a time. As
 * in the vendor's kernels a weight is rounded to the storage type before it meets its value, and
 * divided by the sum of the unrounded ones at the end. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vendor/cudnn_program.h"
#include "tests/vendor/vendor.h"

enum { BLOCK = 1024 };

typedef struct {
    const program_launch *launch;
    const program *program;
    int64_t row, head, first, keys; /* first query of the block */
    float *weights, *sum;           /* [BLOCK][keys], [BLOCK] */
    float *values;                  /* of one query */
} attention;

static void read_token(const attention *a, int tensor, int64_t token, float *to)
{
    const program_tensor *t = &a->program->tensor[tensor];
    numbers_read(to, t->type, a->launch->at[tensor], program_place(t, a->row, a->head, token, 0),
                 t->stride[3], t->dim[3]);
}

static void read_query(const void *from, int64_t i, float *to)
{
    const attention *a = from;
    read_token(a, a->program->q, a->first + i, to);
}

static void read_key(const void *from, int64_t i, float *to)
{
    const attention *a = from;
    read_token(a, a->program->k, i, to);
}

static void put_weights(const void *from, int64_t i, const float *sum)
{
    const attention *a = from;
    float *to = a->weights + i * a->keys, most = -INFINITY, all = 0;
    for (int64_t j = 0; j < a->keys; j++) {
        to[j] = sum[j] * a->launch->scale;
        most = to[j] > most ? to[j] : most;
    }
    for (int64_t j = 0; j < a->keys; j++) {
        to[j] = expf(to[j] - most);
        all += to[j];
    }
    a->sum[i] = all;
    numbers_round(to, a->program->tensor[a->program->q].type, a->keys);
}

static void read_weights(const void *from, int64_t i, float *to)
{
    const attention *a = from;
    memcpy(to, a->weights + i * a->keys, (size_t)a->keys * sizeof *to);
}

static void read_values(const void *from, int64_t i, float *to)
{
    const attention *a = from;
    const program_tensor *v = &a->program->tensor[a->program->v];
    numbers_read(to, v->type, a->launch->at[a->program->v], program_place(v, a->row, a->head, 0, i),
                 v->stride[2], a->keys);
}

static void write_token(const attention *a, int64_t token)
{
    const program_tensor *out = &a->program->tensor[a->program->out];
    numbers_write(a->launch->at[a->program->out], out->type,
                  program_place(out, a->row, a->head, token, 0), out->stride[3], out->dim[3],
                  a->values);
}

static void put_token(const void *from, int64_t i, const float *sum)
{
    const attention *a = from;
    for (int64_t j = 0; j < a->program->tensor[a->program->out].dim[3]; j++)
        a->values[j] = sum[j] / a->sum[i];
    write_token(a, a->first + i);
}

static bool run_block(const attention *a, int64_t queries)
{
    const program *p = a->program;
    const sums scores = {.rows = queries,
                         .columns = a->keys,
                         .length = p->tensor[p->q].dim[3],
                         .row = read_query,
                         .column = read_key,
                         .put = put_weights,
                         .from = a,
                         .order = p->order};
    const sums mixed = {.rows = queries,
                        .columns = p->tensor[p->out].dim[3],
                        .length = a->keys,
                        .row = read_weights,
                        .column = read_values,
                        .put = put_token,
                        .from = a,
                        .order = p->order};
    vendor_spend(sums_time(&scores) + sums_time(&mixed));
    return sums_run(&scores) && sums_run(&mixed);
}

/* How many tokens of a tensor the row has: its own count, or all; 0 and a report when it is none.
 */
static int64_t count_of(const attention *a, int counts, int tensor)
{
    int64_t all = a->program->tensor[tensor].dim[2];
    if (counts < 0)
        return all;
    const int32_t *count = a->launch->at[counts];
    int64_t n = count[a->row * a->program->tensor[counts].stride[0]];
    if (n >= 0 && n <= all)
        return n;
    vendor_report("cudnnBackendExecute: attention over %lld of %lld tokens", (long long)n,
                  (long long)all);
    return 0;
}

/* Queries that the row does not have, or without a key, get zeros. */
static bool run_head(attention *a)
{
    const program *p = a->program;
    int64_t all = p->tensor[p->q].dim[2], queries = count_of(a, p->queries, p->q);
    bool good = true;
    a->keys = count_of(a, p->keys, p->k);
    if (a->keys == 0)
        queries = 0;
    for (a->first = 0; good && a->first < queries; a->first += BLOCK)
        good = run_block(a, queries - a->first < BLOCK ? queries - a->first : BLOCK);
    memset(a->values, 0, (size_t)p->tensor[p->out].dim[3] * sizeof *a->values);
    for (int64_t i = queries; i < all; i++)
        write_token(a, i);
    return good;
}

bool program_attend(const program_launch *l)
{
    const program *p = &l->program;
    attention a = {.launch = l, .program = p};
    int64_t keys = p->tensor[p->k].dim[2], d = p->tensor[p->out].dim[3];
    a.weights = malloc((size_t)(BLOCK * keys + BLOCK + d) * sizeof *a.weights);
    bool good = a.weights != NULL;
    if (good) {
        a.sum = a.weights + BLOCK * keys;
        a.values = a.sum + BLOCK;
    }
    for (a.row = 0; good && a.row < p->tensor[p->q].dim[0]; a.row++)
        for (a.head = 0; good && a.head < p->tensor[p->q].dim[1]; a.head++)
            good = run_head(&a);
    free(a.weights);
    return good;
}
