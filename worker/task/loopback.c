/* loopback: every round is a scene made of the picture that the round before it gave.
 *
 * Rounds of n_iter batches run side by side, each batch from the job's own picture: scene
 * round * n_iter + batch. */
#include <math.h>
#include <stdlib.h>

#include "worker/task/masked.h"
#include "worker/task/start.h"

typedef struct {
    frame frame;
    image from; /* RGB: what the round starts from */
} round_state;

typedef struct {
    start start; /* the job's picture; its mask, or none */
    int rounds;  /* of all batches */
    round_state round[];
} own;

static int batches_of(const job *j)
{
    return j->n_iter;
}

static double curve_at(loop_curve curve, double p)
{
    switch (curve) {
    case LOOP_AGGRESSIVE: return sin(p * M_PI / 2);
    case LOOP_LAZY: return 1 - cos(p * M_PI / 2);
    default: return p;
    }
}

/* On its way to 0 a curve passes strengths for which fix_steps has no schedule: those are 0. */
static double strength_at(const job *j, int round)
{
    const loopback_options *o = &j->loopback;
    double strength = j->denoising_strength;
    if (o->loops > 1)
        strength += (o->final_strength - j->denoising_strength) *
                    curve_at(o->curve, (double)round / (o->loops - 1));
    return j->fix_steps && j->steps / strength > JOB_SCHEDULE_MAX ? 0 : strength;
}

/* One batch gives every round, several give the last round of each. */
static int result_of(const job *j, int index)
{
    const int round = index / batches_of(j), batch = index % batches_of(j);
    if (batches_of(j) == 1)
        return round;
    return round == j->loopback.loops - 1 ? batch : -1;
}

static int list_rounds(task *t, const job *j, err *e)
{
    const own *o = t->own;
    const int before = o->start.scenes;
    int rc = task_add_scenes(t, before + o->rounds, e);
    if (rc)
        return rc;
    start_list(&o->start, t, j);
    for (int i = 0; i < o->rounds; i++) {
        const int round = i / batches_of(j), batch = i % batches_of(j);
        scene_plan *s = &t->scene[before + i];
        *s = task_job_scene(j, strength_at(j, round), o->start.width, o->start.height);
        s->pictures = 1;
        s->seed = j->seed + (int64_t)batch * j->loopback.loops + round;
        s->after = before + i - batches_of(j);
        if (round == 0)
            s->after = before - 1;
    }
    t->results = (batches_of(j) == 1 ? j->loopback.loops : batches_of(j)) *
                 (o->start.mask.px ? masked_results(j) : 1);
    return 0;
}

static int plan(task *t, const job *j, err *e)
{
    const int rounds = batches_of(j) * j->loopback.loops;
    own *o = t->own = calloc(1, sizeof *o + (size_t)rounds * sizeof *o->round);
    if (!o)
        return err_set(e, ERR_NO_MEMORY, "no memory for %d rounds", rounds);
    o->rounds = rounds;
    int rc = job_find_input(j, INPUT_MASK) ? masked_read(&o->start.picture, &o->start.mask, t, j, e)
                                           : task_read_flat(&o->start.picture, j, e);
    if (!rc)
        rc = start_plan(&o->start, j, e);
    return rc ? rc : list_rounds(t, j, e);
}

/* Colours are corrected towards the job's own picture in every round; what is under the mask
 * changes before the first alone. */
static int make_round(own *o, const job *j, int round, scene_input *out, err *e)
{
    round_state *r = &o->round[round];
    frame_source from = start_source(&o->start, j);
    from.colours = &o->start.picture;
    if (round >= batches_of(j)) {
        from.source = &r->from;
        from.enlarged = NULL;
        from.options.content = CONTENT_ORIGINAL;
    }
    int rc = frame_make(&r->frame, out, &from, e);
    image_done(&r->from);
    return rc;
}

static int make_scene(task *t, const job *j, int index, scene_input *out, err *e)
{
    own *o = t->own;
    return index < o->start.scenes ? start_scene(&o->start, out, e)
                                   : make_round(o, j, index - o->start.scenes, out, e);
}

/* The pictures of a round that are results. */
static int emit_round(const own *o, const job *j, task_output *made, int round, task_outputs *out,
                      err *e)
{
    const int index = result_of(j, round), each = o->start.mask.px ? masked_results(j) : 1;
    int rc = 0;
    for (int i = 0; i < each && index >= 0 && !rc; i++)
        rc = task_emit(out, index * each + i, &made[i].picture, made[i].scene, made[i].number, e);
    return rc;
}

static int take(task *t, const job *j, int scene, int number, scene_result *sampled,
                task_outputs *out, err *e)
{
    own *o = t->own;
    const int round = scene - o->start.scenes, next = round + batches_of(j);
    task_outputs made = {0};
    if (round < 0)
        return start_take(&o->start, scene, sampled, e);
    int rc = masked_emit(&made, &o->round[round].frame, j, 0, sampled, scene, number, e);
    if (!rc && next < o->rounds)
        rc = image_copy(&o->round[next].from, &made.at[0].picture, e);
    if (!rc)
        rc = emit_round(o, j, made.at, round, out, e);
    task_outputs_done(&made);
    frame_done(&o->round[round].frame);
    return rc;
}

static int settings(infotext *text, const task *t, const job *j, int scene, err *e)
{
    static const char *const curves[] = {
        [LOOP_LINEAR] = "Linear", [LOOP_AGGRESSIVE] = "Aggressive", [LOOP_LAZY] = "Lazy"};
    const own *o = t->own;
    (void)scene;
    int rc = o->start.mask.px ? masked_settings(text, &j->inpaint, e) : 0;
    rc = rc ? rc : infotext_add_number(text, "Loops", j->loopback.loops, e);
    rc = rc ? rc
            : infotext_add_number(text, "Final denoising strength", j->loopback.final_strength, e);
    return rc ? rc : infotext_add(text, "Denoising curve", curves[j->loopback.curve], e);
}

static void done(void *at)
{
    own *o = at;
    if (!o)
        return;
    for (int i = 0; i < o->rounds; i++) {
        frame_done(&o->round[i].frame);
        image_done(&o->round[i].from);
    }
    start_done(&o->start);
    free(o);
}

const task_row task_loopback = {.prompts = true,
                                .from_picture = true,
                                .plan = plan,
                                .scene = make_scene,
                                .take = take,
                                .settings = settings,
                                .done = done};
