/* One turn of the device: a batch of rows, what follows from it, and how far its runs are. */
#include "worker/engine_state.h"

#include "proto/clock.h"
#include "proto/log.h"

enum { PREVIEW_EVERY_MS = 1000 };

/* ---------------------------------------------------------------- the batch */

/* Says which rows the batch holds. */
static void show_rows(engine *en, const batch *b)
{
    engine_status *s = &en->status;
    pthread_mutex_lock(&en->lock);
    s->evaluations++;
    s->rows = b->rows;
    for (int i = 0; i < b->rows; i++) {
        const seq *q = b->at[i].seq;
        s->row[i] = (engine_row){.id = b->at[i].run->work->job.id,
                                 .picture = run_picture(b->at[i].run, q),
                                 .sampler = q->sampler.kind,
                                 .step = q->sampler.step,
                                 .steps = q->sampler.steps};
    }
    pthread_mutex_unlock(&en->lock);
}

static bool is_in(const batch *b, const run *r)
{
    for (int i = 0; i < b->sequences; i++)
        if (b->owner[i] == r)
            return true;
    return false;
}

static bool is_finite(const batch *b, const run *r, const bool *finite)
{
    for (int i = 0; i < b->rows; i++)
        if (b->at[i].run == r && !finite[i])
            return false;
    return true;
}

/* Ends the runs with a row that is not finite; the sequences of the others go into `alive`. */
static int fail_not_finite(engine *en, const batch *b, const bool *finite, seq **alive)
{
    int n = 0;
    for (int i = 0; i < b->sequences; i++)
        if (is_finite(b, b->owner[i], finite))
            alive[n++] = b->seq[i];
    for (run *r = en->runs, *next; r; r = next) {
        next = r->next;
        if (is_finite(b, r, finite))
            continue;
        err e = {0};
        err_set(&e, ERR_DEVICE,
                "the UNet gave NaN or infinity: model %s is damaged or does not suit the job",
                b->resident->model->name);
        engine_end(en, r, &e);
    }
    return n;
}

/* A device error hits everybody in the batch, but a stop only those who were cancelled
 * (engine_drop_cancelled will find them). */
static void fail_batch(engine *en, const batch *b)
{
    err e = {0};
    if (residents_error(&en->held, "stepping", &e) == ERR_CANCELLED)
        return;
    for (run *r = en->runs, *next; r; r = next) {
        next = r->next;
        if (is_in(b, r))
            engine_end(en, r, &e);
    }
}

static void evaluate(engine *en, batch *b, bool *finite)
{
    show_rows(en, b);
    engine_busy(en, NULL, b, batch_flops(b, &en->held), ENGINE_STEP_MS);
    batch_evaluate(b, &en->held, finite);
    engine_idle(en);
}

/* The device found no memory although the budget has it: the call is tried again without all that
 * is cached, then with half the rows, down to one. A row's bits are the same in every call. */
static void evaluate_what_fits(engine *en, batch *b, bool *finite)
{
    dev *d = en->held.d;
    evaluate(en, b, finite);
    for (bool more = true; d->status == DEV_NO_MEMORY && more;) {
        log_event(LOG_WARN, "engine", "no_memory", "device=%s rows=%d", d->name, b->rows);
        dev_clear(d);
        residents_relieve(&en->held);
        evaluate(en, b, finite);
        more = d->status == DEV_NO_MEMORY && batch_halve(b, &en->held);
    }
}

/* One UNet call and the steps that follow from it. */
static void run_batch(engine *en, batch *b)
{
    dev *d = en->held.d;
    bool finite[BATCH_ROWS_MAX];
    seq *alive[BATCH_ROWS_MAX];
    evaluate_what_fits(en, b, finite);
    if (d->status == DEV_OK) {
        int n = fail_not_finite(en, b, finite, alive);
        seq_step(d, alive, n);
    }
    if (d->status != DEV_OK)
        fail_batch(en, b);
}

/* ---------------------------------------------------------------- progress */

/* The x0 prediction of a run's first picture, small; false: there is none, or not yet again. */
static bool preview_of(engine *en, run *r, image *out)
{
    /* rows: latent channels; columns: R, G, B (the web UI's "approx cheap" matrix for SD 1.x) */
    static const float matrix[4][3] = {{0.298f, 0.207f, 0.208f},
                                       {0.187f, 0.286f, 0.173f},
                                       {-0.158f, 0.189f, 0.264f},
                                       {-0.184f, -0.271f, -0.473f}};
    dev *d = en->held.d;
    const seq *s = r->first;
    const int64_t now = clock_ms();
    err ignored = {0};
    if (!s || !tensor_given(s->denoised) || !sampler_evaluations_done(&s->sampler) ||
        now - r->preview_ms < PREVIEW_EVERY_MS)
        return false;
    if (image_new(out, (int)s->x.dim[2], (int)s->x.dim[1], 3, &ignored))
        return false;
    r->preview_ms = now;
    size_t mark = dev_mark(d);
    dev_download(d, out->px, op_preview(d, NEW, s->denoised, matrix));
    dev_release(d, mark);
    if (d->status == DEV_OK)
        return true;
    residents_error(&en->held, "preview", &ignored); /* the next batch fails if it is serious */
    image_done(out);
    return false;
}

void engine_report(engine *en)
{
    const engine_events *events = &en->options.events;
    for (run *r = en->runs; r; r = r->next) {
        work_progress p;
        image preview = {0};
        run_progress(r, &p);
        if (p.evaluations_done == r->reported)
            continue;
        r->reported = p.evaluations_done;
        bool seen = preview_of(en, r, &preview);
        events->progress(events->arg, r->work, &p, seen ? &preview : NULL);
    }
}

bool engine_step(engine *en)
{
    batch b;
    if (!batch_pick(&b, &en->held, en->runs, ++en->turn))
        return false;
    run_batch(en, &b);
    engine_report(en);
    return true;
}
