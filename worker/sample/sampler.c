/* Samplers: see sampler.h. The one idea: with d = (x - D) / sigma = eps every update is linear in
 * x, eps and what earlier steps stored, so a sampler is a function from (levels of this step,
 * stage) to coefficients, and nothing here touches a latent. */
#include "worker/sample/sampler.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "worker/sample/schedule.h"

/* The noise levels of one step. `down` and `up` split the way to `next`: go down to `down`, then
 * add noise of size `up`. Without ancestral noise down = next, up = 0. */
typedef struct {
    double sigma, next, down, up;
    double before; /* sigma of the step before; 0 in the first */
    double middle; /* sigma of the second evaluation; 0: there is none */
} levels;

typedef struct {
    double (*middle)(const levels *l); /* NULL: one evaluation a step */
    void (*update)(const levels *l, int stage, sampler_step *out);
} method;

/* Ancestral step with eta = 1 (k-diffusion, get_ancestral_step). */
static void split(levels *l)
{
    double s2 = l->sigma * l->sigma, n2 = l->next * l->next;
    l->up = fmin(l->next, sqrt(n2 * (s2 - n2) / s2));
    l->down = sqrt(n2 - l->up * l->up);
}

/* Euler and Euler a (Karras et al. 2022, Algorithm 1 without the correction). */
static void euler(const levels *l, int stage, sampler_step *out)
{
    (void)stage;
    out->x[TERM_X] = 1;
    out->x[TERM_EPS] = l->down - l->sigma;
    out->x[TERM_NOISE] = l->up;
}

/* First evaluation of a step with two: go to `middle` along eps and keep where it began. */
static void probe(const levels *l, sampler_step *out)
{
    out->x[TERM_X] = 1;
    out->x[TERM_EPS] = l->middle - l->sigma;
    out->history[0][TERM_X] = 1;
    out->stored[0] = true;
}

static double heun_middle(const levels *l)
{
    return l->next;
}

/* Karras et al. 2022, Algorithm 1: x0 + (d + d2) / 2 * (next - sigma). The half with d is the way
 * from x0 to the x of now. */
static void heun(const levels *l, int stage, sampler_step *out)
{
    if (stage == 0) {
        probe(l, out);
        return;
    }
    out->x[TERM_HISTORY] = 0.5;
    out->x[TERM_X] = 0.5;
    out->x[TERM_EPS] = (l->next - l->sigma) / 2;
}

static double dpm2_middle(const levels *l)
{
    return exp((log(l->sigma) + log(l->down)) / 2);
}

/* DPM2 and DPM2 a (Karras et al. 2022, Algorithm 2): the midpoint in log sigma. */
static void dpm2(const levels *l, int stage, sampler_step *out)
{
    if (stage == 0) {
        probe(l, out);
        return;
    }
    out->x[TERM_HISTORY] = 1;
    out->x[TERM_EPS] = l->down - l->sigma;
    out->x[TERM_NOISE] = l->up;
}

/* DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2), h0 = D of the step before:
 *     x = next/sigma x + (1 - next/sigma) ((1 + w) D - w h0),   w = h / (2 h_before)
 * with h the width of a step in log sigma. w is 0 in the first step, and after a step of no width
 * (a sigma that repeats), where there is no slope to continue. */
static void dpmpp_2m(const levels *l, int stage, sampler_step *out)
{
    (void)stage;
    double w = 0;
    if (l->before > l->sigma && l->next > 0)
        w = log(l->sigma / l->next) / (2 * log(l->before / l->sigma));
    double ratio = l->next / l->sigma;
    out->x[TERM_X] = ratio + (1 - ratio) * (1 + w);
    out->x[TERM_EPS] = -(1 - ratio) * (1 + w) * l->sigma;
    out->x[TERM_HISTORY] = -(1 - ratio) * w;
    out->history[0][TERM_X] = 1;
    out->history[0][TERM_EPS] = -l->sigma;
    out->stored[0] = true;
}

static const method methods[SAMPLER_COUNT] = {
    [SAMPLER_DPMPP_2M] = {NULL, dpmpp_2m}, [SAMPLER_EULER_A] = {NULL, euler},
    [SAMPLER_EULER] = {NULL, euler},       [SAMPLER_HEUN] = {heun_middle, heun},
    [SAMPLER_DPM2] = {dpm2_middle, dpm2},  [SAMPLER_DPM2_A] = {dpm2_middle, dpm2},
};

/* The sigmas that run: the schedule from `first` on, its smallest left out where the sampler's row
 * says so, then 0. */
static int sigma_count(const sampler_row *row, schedule sched, int length)
{
    return schedule_sigmas(sched, length) - row->discard_penultimate;
}

static double sigma_at(const sampler *s, int step)
{
    return step < s->steps ? schedule_sigma_at(s->sched, s->length, s->first + step) : 0;
}

static levels levels_at(const sampler *s)
{
    levels l = {
        .sigma = sigma_at(s, s->step),
        .next = sigma_at(s, s->step + 1),
        .before = s->step > 0 ? sigma_at(s, s->step - 1) : 0,
    };
    l.down = l.next;
    if (catalog_sampler(s->kind)->ancestral)
        split(&l);
    if (methods[s->kind].middle && l.down > 0)
        l.middle = methods[s->kind].middle(&l);
    return l;
}

static sampler_eval sigma_eval(const sampler *s)
{
    levels l = levels_at(s);
    double sigma = s->stage ? l.middle : l.sigma;
    return (sampler_eval){.sigma = sigma,
                          .timestep = schedule_timestep(sigma),
                          .input_scale = 1 / sqrt(sigma * sigma + 1)};
}

static void sigma_accept(sampler *s, sampler_step *out)
{
    const levels l = levels_at(s);
    const method *m = &methods[s->kind];
    /* The last step of a sampler with two evaluations has nothing to correct: it is Euler's. */
    if (m->middle && l.middle == 0)
        euler(&l, s->stage, out);
    else
        m->update(&l, s->stage, out);
    out->denoised[TERM_X] = 1;
    out->denoised[TERM_EPS] = s->stage ? -l.middle : -l.sigma;
    bool another = s->stage == 0 && l.middle > 0;
    out->noise = catalog_sampler(s->kind)->ancestral && l.next > 0 && !another;
    s->stage = another;
    s->step += !another;
}

/* DDIM with eta 0 (Song et al. 2020, equation 12). Step k goes from timestep steps-k to the one
 * below; x keeps variance 1, so it is not scaled for the UNet. */
static double ddim_alpha(const sampler *s, int step)
{
    return schedule_alpha_cumprod(schedule_timestep_at(s->length, s->steps - step));
}

static sampler_eval ddim_eval(const sampler *s)
{
    double a = ddim_alpha(s, s->step);
    int t = schedule_timestep_at(s->length, s->steps - s->step);
    return (sampler_eval){.sigma = sqrt((1 - a) / a),
                          .timestep = t,
                          .input_scale = 1,
                          .holds_input = true,
                          .known_latent = sqrt(a),
                          .known_noise = sqrt(1 - a)};
}

static void ddim_accept(sampler *s, sampler_step *out)
{
    double a = ddim_alpha(s, s->step), next = ddim_alpha(s, s->step + 1);
    out->denoised[TERM_X] = 1 / sqrt(a);
    out->denoised[TERM_EPS] = -sqrt((1 - a) / a);
    out->x[TERM_X] = sqrt(next / a);
    out->x[TERM_EPS] = sqrt(1 - next) - sqrt(next) * sqrt((1 - a) / a);
    s->step++;
}

/* The web UI's rule: x gets the noise of timesteps[t_enc], but the first evaluation is at
 * timesteps[t_enc - 1] and the last one at timesteps[1]. */
static void ddim_start(sampler *s, int t_enc, bool from_latent)
{
    int kept = from_latent ? t_enc : schedule_timesteps(s->length);
    s->steps = kept > 0 ? kept - 1 : 0;
    if (!from_latent) {
        s->start_noise = 1;
        return;
    }
    double a = schedule_alpha_cumprod(schedule_timestep_at(s->length, t_enc));
    s->start_latent = sqrt(a);
    s->start_noise = sqrt(1 - a);
}

static void sigma_start(sampler *s, int steps, int t_enc, bool from_latent)
{
    const sampler_row *row = catalog_sampler(s->kind);
    s->length = steps + row->discard_penultimate;
    int count = sigma_count(row, s->sched, s->length);
    s->first = from_latent ? steps - t_enc - 1 : 0;
    if (s->first > count - 1)
        s->first = count - 1; /* DDIM's 999 sigmas for 1000 steps: at least one step runs */
    s->steps = count - s->first;
    s->start_latent = from_latent;
    s->start_noise = sigma_at(s, 0);
}

int sampler_init(sampler *s, sampler_kind kind, schedule sched, int steps, int t_enc,
                 bool from_latent, err *e)
{
    memset(s, 0, sizeof *s);
    if (steps < 1)
        return err_set(e, ERR_INVALID, "steps is %d, expected at least 1", steps);
    assert(!from_latent || (t_enc >= 0 && t_enc < steps));
    const sampler_row *row = catalog_sampler(kind);
    s->kind = kind;
    s->sched = sched == SCHEDULE_AUTOMATIC || row->timesteps ? row->fallback : sched;
    /* fix_steps at a small strength asks for more steps than there are integer timesteps. Every
     * timestep is a step then; the noise level is what must not change, so fewer are run. */
    if (s->sched == SCHEDULE_DDIM && steps > SCHEDULE_TRAINING_STEPS) {
        t_enc = (int)((long long)t_enc * SCHEDULE_TRAINING_STEPS / steps);
        steps = SCHEDULE_TRAINING_STEPS;
    }
    s->length = steps;
    if (row->timesteps)
        ddim_start(s, t_enc, from_latent);
    else
        sigma_start(s, steps, t_enc, from_latent);
    return 0;
}

bool sampler_next(const sampler *s, sampler_eval *eval)
{
    if (s->step == s->steps)
        return false;
    *eval = catalog_sampler(s->kind)->timesteps ? ddim_eval(s) : sigma_eval(s);
    return true;
}

void sampler_accept(sampler *s, sampler_step *step)
{
    assert(s->step < s->steps);
    memset(step, 0, sizeof *step);
    if (catalog_sampler(s->kind)->timesteps)
        ddim_accept(s, step);
    else
        sigma_accept(s, step);
}

/* The last step of a second-order sampler ends at 0 and is one evaluation. */
int sampler_evaluations(const sampler *s)
{
    bool second_order = catalog_sampler(s->kind)->second_order;
    return second_order && s->steps ? 2 * s->steps - 1 : s->steps;
}

int sampler_evaluations_done(const sampler *s)
{
    if (s->step == s->steps)
        return sampler_evaluations(s);
    return catalog_sampler(s->kind)->second_order ? 2 * s->step + s->stage : s->step;
}
