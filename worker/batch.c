/* Batches: see batch.h. The one idea: who waited longest leads, and everybody who can ride along
 * does; a row's bits do not depend on its company, so any choice gives the same pictures. */
#include "worker/batch.h"

#include <assert.h>

/* ---------------------------------------------------------------- picking */

static int tokens_of(const seq *s)
{
    int most = 0;
    for (int i = 0; i < s->rows; i++)
        if (seq_text(s, i)->tokens > most)
            most = seq_text(s, i)->tokens;
    return most;
}

static call_shape shape_of(const residents *all, const batch *b, int rows, int tokens)
{
    return (call_shape){dev_rows(all->d, rows), b->h, b->w, tokens};
}

static bool fits(residents *all, const batch *b, int rows, int tokens)
{
    err ignored = {0};
    return residents_fit(all, b->resident, shape_of(all, b, rows, tokens), 0, &ignored) == 0;
}

static bool rides_along(const batch *b, const run *r, const seq *s)
{
    return r->resident == b->resident && s->x.dim[1] == b->h && s->x.dim[2] == b->w;
}

/* The sequence with the smallest turn among those on their way and not in this batch yet (turn <
 * now). */
static seq *longest_waiting(const batch *b, run *runs, uint64_t now, run **owner)
{
    seq *best = NULL;
    for (run *r = runs; r; r = r->next)
        for (seq *s = r->first; s; s = s->next)
            if (s->turn < now && !seq_ended(s) && (!best || s->turn < best->turn) &&
                (!b->resident || rides_along(b, r, s))) {
                best = s;
                *owner = r;
            }
    return best;
}

static void add_rows(batch *b, run *r, seq *s, int most)
{
    for (int i = 0; i < s->rows && b->rows < most; i++)
        if (!s->row[i].ready) {
            b->at[b->rows].run = r;
            b->at[b->rows].seq = s;
            b->at[b->rows++].row = i;
        }
    b->owner[b->sequences] = r;
    b->seq[b->sequences++] = s;
}

/* Adds as many rows of a sequence as there is room for; false: no more after this one. */
static bool add(batch *b, residents *all, run *r, seq *s, uint64_t turn)
{
    const int tokens = tokens_of(s) > b->tokens ? tokens_of(s) : b->tokens;
    const int all_of_it = b->rows + s->rows;
    int most = all_of_it;
    if (most > BATCH_ROWS_MAX)
        return false;
    while (most > b->rows && !fits(all, b, most, tokens))
        most--;
    if (most == b->rows && b->rows > 0)
        return false;
    if (most == 0)
        most = 1; /* one row alone was promised when the job was admitted */
    add_rows(b, r, s, most);
    b->tokens = tokens;
    s->turn = turn;
    return most == all_of_it;
}

bool batch_pick(batch *b, residents *all, run *runs, uint64_t turn)
{
    run *owner = NULL;
    *b = (batch){0};
    for (seq *s; (s = longest_waiting(b, runs, turn, &owner));) {
        if (!b->resident) {
            b->resident = owner->resident;
            b->h = s->x.dim[1];
            b->w = s->x.dim[2];
        }
        if (!add(b, all, owner, s, turn))
            break;
    }
    return b->rows > 0;
}

bool batch_halve(batch *b, residents *all)
{
    const int rows = (b->rows + 1) / 2;
    if (b->rows == 1)
        return false;
    residents_starved(all, b->resident, shape_of(all, b, b->rows, b->tokens));
    for (; b->rows > rows; b->rows--)
        if (b->at[b->rows - 1].seq != b->at[b->rows - 2].seq)
            b->sequences--;
    return true;
}

/* ---------------------------------------------------------------- evaluating */

/* The rows of a walk: those of the batch, and as many of its first one again as the device wants a
 * batch filled up to. */
typedef struct {
    const batch *b;
    int rows;
    tensor eps; /* [n,h,w,c], what comes of it */
    bool *finite;
} evaluation;

static int source(const evaluation *of, int row)
{
    return row < of->b->rows ? row : 0;
}

/* Contexts of several lengths side by side, [n,1,t_max,c]; beyond a row's own tokens nothing is
 * read. */
static tensor join_contexts(const evaluation *of, dev *d, int32_t tokens[BATCH_ROWS_MAX])
{
    const batch *b = of->b;
    int32_t most = 0;
    for (int i = 0; i < of->rows; i++) {
        const int from = source(of, i);
        tokens[i] = seq_text(b->at[from].seq, b->at[from].row)->tokens;
        if (tokens[i] > most)
            most = tokens[i];
    }
    const int64_t c = b->resident->model->config.context;
    tensor all = dev_tensor(d, d->storage, of->rows, 1, most, c);
    for (int i = 0; i < of->rows; i++) {
        const int from = source(of, i);
        tensor one = tensor_sample(all, i);
        one.dim[2] = tokens[i];
        op_gather(d, &one, &seq_text(b->at[from].seq, b->at[from].row)->context, 1, c, 1.0f);
    }
    return all;
}

/* What the UNet takes: x of every row, and behind it what the model wants besides. */
static tensor join_inputs(const evaluation *of, dev *d)
{
    const batch *b = of->b;
    const model_config *config = &b->resident->model->config;
    const int64_t c = config->latent_channels, all = config->in_channels;
    tensor input[BATCH_ROWS_MAX], extra[BATCH_ROWS_MAX];
    for (int i = 0; i < of->rows; i++) {
        input[i] = b->at[source(of, i)].seq->input;
        extra[i] = b->at[source(of, i)].seq->extra;
    }
    tensor x = dev_tensor(d, d->storage, of->rows, b->h, b->w, all);
    op_place(d, x, 0, input, c, 1.0f);
    if (all > c)
        op_place(d, x, c, extra, all - c, 1.0f);
    return x;
}

/* The evaluation as a dev_walk. */
static void evaluate(dev *d, void *arg)
{
    evaluation *of = arg;
    const batch *b = of->b;
    double t[BATCH_ROWS_MAX];
    int32_t tokens[BATCH_ROWS_MAX];
    for (int i = 0; i < of->rows; i++)
        t[i] = b->at[source(of, i)].seq->eval.timestep;
    size_t mark = dev_mark(d);
    tensor x = join_inputs(of, d);                 /* [n,h,w,in] */
    tensor context = join_contexts(of, d, tokens); /* [n,1,t,c] */
    unet_forward(d, &of->eps, b->resident->model->unet, x, t, context, tokens);
    op_finite(d, of->eps, of->finite);
    dev_release(d, mark);
}

void batch_evaluate(batch *b, residents *all, bool finite[BATCH_ROWS_MAX])
{
    dev *d = all->d;
    const int64_t c = b->resident->model->config.out_channels;
    evaluation of = {.b = b, .rows = dev_rows(d, b->rows), .finite = finite};
    assert(of.rows >= b->rows && of.rows <= BATCH_ROWS_MAX);
    for (int i = 0; i < BATCH_ROWS_MAX; i++)
        finite[i] = true;
    size_t mark = dev_mark(d);
    of.eps = dev_tensor(d, d->storage, of.rows, b->h, b->w, c);
    dev_run(d, evaluate, &of);
    for (int i = 0; i < b->rows;
         i++) { /* not in the walk: a prediction's place is its sequence's */
        tensor one = tensor_sample(of.eps, i);
        op_gather(d, &b->at[i].seq->row[b->at[i].row].prediction, &one, 1, c, 1.0f);
    }
    dev_release(d, mark);
    for (int i = 0; i < b->rows && d->status == DEV_OK; i++)
        b->at[i].seq->row[b->at[i].row].ready = true;
}

double batch_flops(const batch *b, residents *all)
{
    return residents_cost(all, b->resident, shape_of(all, b, b->rows, b->tokens)).step.flops;
}
