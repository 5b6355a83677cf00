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

static call_shape shape_of(const batch *b, int rows, int tokens)
{
    return (call_shape){rows, b->h, b->w, tokens};
}

static bool fits(residents *all, const batch *b, int rows, int tokens)
{
    err ignored = {0};
    return residents_fit(all, b->resident, shape_of(b, rows, tokens), 0, &ignored) == 0;
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

/* ---------------------------------------------------------------- evaluating */

/* Contexts of several lengths side by side, [n,1,t_max,c]; beyond a row's own tokens nothing is
 * read. */
static tensor join_contexts(const batch *b, dev *d, int32_t tokens[BATCH_ROWS_MAX])
{
    int32_t most = 0;
    for (int i = 0; i < b->rows; i++) {
        tokens[i] = seq_text(b->at[i].seq, b->at[i].row)->tokens;
        if (tokens[i] > most)
            most = tokens[i];
    }
    const int64_t c = b->resident->model->config.context;
    tensor all = dev_tensor(d, F32, b->rows, 1, most, c);
    for (int i = 0; i < b->rows; i++) {
        tensor one = tensor_sample(all, i);
        one.dim[2] = tokens[i];
        op_gather(d, &one, &seq_text(b->at[i].seq, b->at[i].row)->context, 1, c, 1.0f);
    }
    return all;
}

/* What the UNet takes: x of every row, and behind it what the model wants besides. */
static tensor join_inputs(const batch *b, dev *d)
{
    const model_config *config = &b->resident->model->config;
    const int64_t c = config->latent_channels, all = config->in_channels;
    tensor input[BATCH_ROWS_MAX], extra[BATCH_ROWS_MAX];
    for (int i = 0; i < b->rows; i++) {
        input[i] = b->at[i].seq->input;
        extra[i] = b->at[i].seq->extra;
    }
    tensor x = dev_tensor(d, F32, b->rows, b->h, b->w, all);
    op_place(d, x, 0, input, c, 1.0f);
    if (all > c)
        op_place(d, x, c, extra, all - c, 1.0f);
    return x;
}

void batch_evaluate(batch *b, residents *all, bool finite[BATCH_ROWS_MAX])
{
    dev *d = all->d;
    double t[BATCH_ROWS_MAX];
    int32_t tokens[BATCH_ROWS_MAX];
    for (int i = 0; i < b->rows; i++) {
        t[i] = b->at[i].seq->eval.timestep;
        finite[i] = true;
    }
    const int64_t c = b->resident->model->config.out_channels;
    size_t mark = dev_mark(d);
    tensor x = join_inputs(b, d);                 /* [n,h,w,in] */
    tensor context = join_contexts(b, d, tokens); /* [n,1,t,c] */
    tensor eps = unet_forward(d, NEW, b->resident->model->unet, x, t, context, tokens);
    op_finite(d, eps, finite);
    for (int i = 0; i < b->rows; i++) {
        tensor one = tensor_sample(eps, i);
        op_gather(d, &b->at[i].seq->row[b->at[i].row].prediction, &one, 1, c, 1.0f);
    }
    dev_release(d, mark);
    for (int i = 0; i < b->rows && d->status == DEV_OK; i++)
        b->at[i].seq->row[b->at[i].row].ready = true;
}

double batch_flops(const batch *b, residents *all)
{
    return residents_cost(all, b->resident, shape_of(b, b->rows, b->tokens)).step.flops;
}
