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

/* Rows that the busier device gets. */
static int share_of(const residents *all, int rows)
{
    return all->partner ? (rows + 1) / 2 : rows;
}

static call_shape shape_of(const residents *all, const batch *b, int rows, int tokens)
{
    return (call_shape){dev_rows(all->d, share_of(all, rows)), b->h, b->w, tokens};
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

/* With EXACT_PAIRS a batch is the rows of one sequence, all of them. */
static bool in_pairs(const residents *all)
{
    return all->d->options.exact == EXACT_PAIRS;
}

/* Adds as many rows of a sequence as there is room for; false: no more after this one. */
static bool add(batch *b, residents *all, run *r, seq *s, uint64_t turn)
{
    const int tokens = tokens_of(s) > b->tokens ? tokens_of(s) : b->tokens;
    const int all_of_it = b->rows + s->rows;
    int most = all_of_it;
    if (most > BATCH_ROWS_MAX)
        return false;
    while (most > b->rows && !in_pairs(all) && !fits(all, b, most, tokens))
        most--;
    if (most == b->rows && b->rows > 0)
        return false;
    if (most == 0)
        most = 1; /* so much was promised when the job was admitted; in pairs, all of it */
    add_rows(b, r, s, most);
    b->tokens = tokens;
    s->turn = turn;
    return most == all_of_it && !in_pairs(all);
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
    if (b->rows == 1 || in_pairs(all))
        return false;
    residents_starved(all, b->resident, shape_of(all, b, b->rows, b->tokens));
    for (; b->rows > rows; b->rows--)
        if (b->at[b->rows - 1].seq != b->at[b->rows - 2].seq)
            b->sequences--;
    return true;
}

/* ---------------------------------------------------------------- evaluating */

static_assert((int)BATCH_ROWS_MAX == (int)TEXT_ROWS_MAX, "a batch has one place for its texts");

/* A row as its device knows it. */
typedef struct {
    tensor input, extra, time;
    text_row text;
} share_row;

/* What one device evaluates: every `step`-th row of the batch from the first on, and its own first
 * one as often again as the device wants a batch filled up to. */
typedef struct {
    const model_config *config;
    const unet *unet;
    int first, step;
    int given, rows; /* of the batch, and with what fills up */
    share_row row[BATCH_ROWS_MAX];
    text_rows *kept; /* where the texts stay; NULL: nowhere */
    tensor text;     /* [n,1,t_max,*], side by side */
    tensor eps;      /* [n,h,w,c], what comes of it */
    bool finite[BATCH_ROWS_MAX];
} share;

static void fill_up(share *s)
{
    for (int i = s->given; i < s->rows; i++)
        s->row[i] = s->row[0];
}

/* The share of the device where the batch lives. */
static share share_rows(const batch *b, const dev *d, int first, int step)
{
    const model *m = b->resident->model;
    share s = {.config = &m->config, .unet = m->unet, .first = first, .step = step};
    for (int i = first; i < b->rows; i += step) {
        const seq *q = b->at[i].seq;
        const conditioning *text = seq_text(q, b->at[i].row);
        s.row[s.given++] = (share_row){.input = q->input,
                                       .extra = q->extra,
                                       .text = {text->text, text->tokens, text->number},
                                       .time = seq_time(q)};
    }
    s.rows = dev_rows(d, s.given);
    assert(s.given > 0 && s.rows >= s.given && s.rows <= BATCH_ROWS_MAX);
    fill_up(&s);
    return s;
}

static tensor join_texts(const share *s, dev *d)
{
    text_row row[BATCH_ROWS_MAX];
    for (int i = 0; i < s->rows; i++)
        row[i] = s->row[i].text;
    return text_rows_join(s->kept, d, row, s->rows);
}

/* What the UNet takes: x of every row, and behind it what the model wants besides. */
static tensor join_inputs(const share *s, dev *d)
{
    const int64_t c = s->config->latent_channels, all = s->config->in_channels;
    const tensor like = s->row[0].input;
    tensor input[BATCH_ROWS_MAX], extra[BATCH_ROWS_MAX];
    for (int i = 0; i < s->rows; i++) {
        input[i] = s->row[i].input;
        extra[i] = s->row[i].extra;
    }
    tensor x = dev_tensor(d, d->storage, s->rows, like.dim[1], like.dim[2], all);
    op_place(d, x, 0, input, c, 1.0f);
    if (all > c)
        op_place(d, x, c, extra, all - c, 1.0f);
    return x;
}

static tensor join_times(const share *s, dev *d)
{
    tensor row[BATCH_ROWS_MAX];
    for (int i = 0; i < s->rows; i++)
        row[i] = s->row[i].time;
    return op_gather(d, NEW, row, s->rows, row[0].dim[3], 1.0f);
}

/* The evaluation as a dev_walk. */
static void evaluate(dev *d, void *arg)
{
    share *s = arg;
    int32_t tokens[BATCH_ROWS_MAX];
    for (int i = 0; i < s->rows; i++)
        tokens[i] = s->row[i].text.tokens;
    size_t mark = dev_mark(d);
    tensor x = join_inputs(s, d);   /* [n,h,w,in] */
    tensor time = join_times(s, d); /* [n,1,1,*] */
    unet_forward(d, &s->eps, s->unet, x, time, s->text, tokens);
    op_finite(d, s->eps, s->finite);
    dev_release(d, mark);
}

/* The same with eps left on the scratch stack. Texts are joined apart from the walk: they may be
 * there already. */
static void evaluate_share(dev *d, void *arg)
{
    share *s = arg;
    const tensor like = s->row[0].input;
    s->eps = dev_tensor(d, d->storage, s->rows, like.dim[1], like.dim[2], s->config->out_channels);
    s->text = join_texts(s, d);
    dev_run(d, evaluate, s);
}

/* Hands out predictions, not in the walk: a prediction's place is its sequence's. */
static void deliver(batch *b, dev *d, const share *s, bool *finite)
{
    for (int i = 0; i < s->given; i++) {
        const int at = s->first + i * s->step;
        tensor one = tensor_sample(s->eps, i);
        op_gather(d, &b->at[at].seq->row[b->at[at].row].prediction, &one, 1,
                  s->config->out_channels, 1.0f);
        finite[at] = s->finite[i];
    }
}

static text_rows *kept_rows(const batch *b, residents *all)
{
    return residents_text_rows(all, b->resident, shape_of(all, b, b->rows, b->tokens));
}

static void evaluate_in_one(batch *b, residents *all, bool *finite)
{
    share s = share_rows(b, all->d, 0, 1);
    s.kept = kept_rows(b, all);
    evaluate_share(all->d, &s);
    deliver(b, all->d, &s, finite);
}

/* ---------------------------------------------------------------- on two devices */

static tensor bring(dev *d, const dev *other, tensor from)
{
    if (!tensor_given(from))
        return from;
    tensor to = dev_tensor(d, from.type, from.dim[0], from.dim[1], from.dim[2], from.dim[3]);
    dev_copy(d, to, other, from, COPY_OFTEN);
    return to;
}

/* The partner's share: its own weights and texts, and copies of what changes from step to step. */
static share share_with(const batch *b, residents *all)
{
    dev *d = partner_dev(all->partner);
    share s = share_rows(b, d, 1, 2);
    s.unet = b->resident->copy.unet;
    dev_wait(all->d);
    for (int i = 0; i < s.given; i++) {
        const int at = s.first + i * s.step;
        s.row[i].input = bring(d, all->d, s.row[i].input);
        s.row[i].extra = bring(d, all->d, s.row[i].extra);
        s.row[i].time = bring(d, all->d, s.row[i].time);
        s.row[i].text.text = seq_text(b->at[at].seq, b->at[at].row)->copy;
    }
    fill_up(&s);
    return s;
}

/* The even rows here, the odd ones, which with guidance are the other halves, on the partner. */
static void evaluate_in_two(batch *b, residents *all, bool *finite)
{
    dev *d = all->d, *other = partner_dev(all->partner);
    const size_t mark = dev_mark(other);
    share own = share_rows(b, d, 0, 2), odd = share_with(b, all);
    own.kept = kept_rows(b, all);
    odd.kept = own.kept ? &all->partner_rows : NULL;
    partner_begin(all->partner, evaluate_share, &odd);
    evaluate_share(d, &own);
    partner_end(all->partner, d);
    odd.eps = bring(d, other, odd.eps);
    deliver(b, d, &own, finite);
    deliver(b, d, &odd, finite);
    dev_release(other, mark);
}

void batch_evaluate(batch *b, residents *all, bool finite[BATCH_ROWS_MAX])
{
    dev *d = all->d;
    for (int i = 0; i < BATCH_ROWS_MAX; i++)
        finite[i] = true;
    size_t mark = dev_mark(d);
    parts_enter(&b->resident->model->parts, d, PART_UNET);
    for (int i = 0; i < b->rows; i++)
        seq_know_time(d, b->at[i].seq, b->resident->model->unet);
    if (all->partner && b->rows > 1)
        evaluate_in_two(b, all, finite);
    else
        evaluate_in_one(b, all, finite);
    dev_release(d, mark);
    for (int i = 0; i < b->rows && d->status == DEV_OK; i++)
        b->at[i].seq->row[b->at[i].row].ready = true;
}

double batch_flops(const batch *b, residents *all)
{
    return residents_cost(all, b->resident, shape_of(all, b, b->rows, b->tokens)).step.flops;
}
