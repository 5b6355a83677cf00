/* Schedules: see schedule.h. The one idea: a function per schedule gives one sigma from its index;
 * no list of sigmas exists anywhere. */
#include "worker/sample/schedule.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>

enum { LAST = SCHEDULE_TRAINING_STEPS - 1 };

/* Point i of n equally spaced ones from a to b, exact at both ends. */
static double linspace(double a, double b, int n, int i)
{
    if (n == 1)
        return a;
    double step = (b - a) / (n - 1);
    return i < n / 2 ? a + step * i : b - step * (n - 1 - i);
}

typedef struct {
    double alpha_cumprod[SCHEDULE_TRAINING_STEPS];
    double log_sigma[SCHEDULE_TRAINING_STEPS]; /* ascending */
} training_schedule;

static training_schedule computed_once; /* read through training() only */

static void compute(void)
{
    double product = 1;
    for (int t = 0; t <= LAST; t++) {
        double root = linspace(sqrt(0.00085), sqrt(0.012), SCHEDULE_TRAINING_STEPS, t);
        product *= 1 - root * root;
        double ac = (float)product;
        computed_once.alpha_cumprod[t] = ac;
        computed_once.log_sigma[t] = log(sqrt((1 - ac) / ac));
    }
}

static const training_schedule *training(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, compute);
    return &computed_once;
}

double schedule_alpha_cumprod(int t)
{
    assert(t >= 0 && t <= LAST);
    return training()->alpha_cumprod[t];
}

double schedule_sigma(double t)
{
    t = fmin(fmax(t, 0), LAST);
    const double *log_sigma = training()->log_sigma;
    int low = (int)t, high = (int)ceil(t);
    double w = t - low;
    return exp((1 - w) * log_sigma[low] + w * log_sigma[high]);
}

double schedule_timestep(double sigma)
{
    assert(sigma > 0);
    const double *log_sigma = training()->log_sigma, x = log(sigma);
    int low = 0, high = LAST; /* log_sigma[low] <= x < log_sigma[high], but for the clamping */
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (log_sigma[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    double w = (x - log_sigma[low]) / (log_sigma[high] - log_sigma[low]);
    return low + fmin(fmax(w, 0), 1);
}

static double uniform(int n, int i)
{
    return schedule_sigma(linspace(LAST, 0, n, i));
}

/* Karras et al. 2022, equation 5, with rho = 7. */
static double karras(int n, int i)
{
    const double rho = 7;
    double high = pow(schedule_sigma(LAST), 1 / rho), low = pow(schedule_sigma(0), 1 / rho);
    return pow(high + linspace(0, 1, n, i) * (low - high), rho);
}

static double exponential(int n, int i)
{
    return exp(linspace(log(schedule_sigma(LAST)), log(schedule_sigma(0)), n, i));
}

/* n+1 points without the last. */
static double sgm_uniform(int n, int i)
{
    return schedule_sigma(linspace(LAST, 0, n + 1, i));
}

static double simple(int n, int i)
{
    return schedule_sigma(LAST - (int)((long long)i * SCHEDULE_TRAINING_STEPS / n));
}

static int ddim_stride(int n)
{
    return n < SCHEDULE_TRAINING_STEPS ? SCHEDULE_TRAINING_STEPS / n : 1;
}

/* The timesteps 1, 1+c … below 1000. */
static int ddim_count(int n)
{
    return (LAST - 1) / ddim_stride(n) + 1;
}

static double ddim(int n, int i)
{
    return schedule_sigma(1 + (ddim_count(n) - 1 - i) * ddim_stride(n));
}

int schedule_sigmas(schedule s, int n)
{
    assert(n >= 1);
    return s == SCHEDULE_DDIM ? ddim_count(n) : n;
}

double schedule_sigma_at(schedule s, int n, int i)
{
    static double (*const formula[SCHEDULE_COUNT])(int n, int i) = {
        [SCHEDULE_UNIFORM] = uniform,         [SCHEDULE_KARRAS] = karras,
        [SCHEDULE_EXPONENTIAL] = exponential, [SCHEDULE_SGM_UNIFORM] = sgm_uniform,
        [SCHEDULE_SIMPLE] = simple,           [SCHEDULE_DDIM] = ddim,
    };
    assert((unsigned)s < SCHEDULE_COUNT && formula[s]);
    assert(i >= 0 && i < schedule_sigmas(s, n));
    return formula[s](n, i);
}

/* Unlike the sigmas above, 1 + 999 still counts, as 999. */
int schedule_timesteps(int n)
{
    assert(n >= 1);
    return LAST / ddim_stride(n) + 1;
}

int schedule_timestep_at(int n, int i)
{
    assert(i >= 0 && i < schedule_timesteps(n));
    int t = 1 + i * ddim_stride(n);
    return t < LAST ? t : LAST;
}
