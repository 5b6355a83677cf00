/* check_plans: every convolution, product and attention that the dry walk of SD 1.5, 2.1 and SDXL
 * reports from 512 to 1536 pixels, with a plan for each described device and every number of rows.
 * Prints a Markdown table a kind of shape; fails when a shape has no plan.
 *
 *     check_plans [DEVICE...]      default: all of them */
#include <stdio.h>
#include <stdlib.h>

#include "tests/cuda/survey.h"
#include "tests/cuda/walk.h"

enum { CONVOLUTIONS, UPSAMPLES, ATTENTIONS, PRODUCTS, KINDS };
static const char *const kind_names[KINDS] = {"3x3 convolutions", "x2 upsamples", "attention",
                                              "1x1 and linear, as convolutions"};

static const walk_picture pictures[] = {
    {"sd15", 512, 512},   {"sd15", 512, 768},   {"sd15", 768, 768},   {"sd15", 1024, 1024},
    {"sd21", 512, 512},   {"sd21", 768, 768},   {"sd21", 1024, 1024}, {"sdxl", 512, 512},
    {"sdxl", 1024, 1024}, {"sdxl", 896, 1152},  {"sdxl", 832, 1216},  {"sdxl", 1536, 1024},
    {"sdxl", 1536, 1536}, {"sd15", 1536, 1536}, {"tiny", 64, 64},     {"tiny3", 64, 96},
};

static void print_head(const walk *w)
{
    printf("%d convolutions, upsamples and attentions, %d products\n\n", w->plans, w->products);
    puts("| device | shapes | without plan | heuristic's first | worst rank | "
         "among the first 5 at 1, 2, 4, 8, 16 rows | split sums | "
         "workspace at 16 rows | engines | ms a choice |");
    puts("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
}

static void print_line(const char *device, int kind, const survey *s)
{
    printf("| %s, %s | %d | %d | %d | %d | ", device, kind_names[kind], s->shapes, s->failed,
           s->first, s->rank_most);
    for (int i = 0; i < BUCKETS; i++)
        printf("%d%s", s->near[i], i < BUCKETS - 1 ? ", " : " | ");
    printf("%d | %lld | ", s->split, (long long)s->workspace);
    for (int i = 0; i < SURVEY_ENGINES; i++)
        if (s->engine[i])
            printf("%d: %d; ", i, s->engine[i]);
    printf("| %.0f |\n", s->shapes ? 1e3 * s->seconds / s->shapes : 0);
    for (int i = 0; i < s->failed && i < SURVEY_REASONS; i++)
        fprintf(stderr, "%s: %s\n", device, s->reason[i]);
    fflush(stdout);
}

/* The number of shapes without a plan. */
static int check_device(const char *device, const walk *w)
{
    survey *all = calloc(KINDS, sizeof *all);
    planner *p = survey_planner(device);
    int failed = 0;
    if (!all)
        abort();
    for (int kind = 0; kind < KINDS; kind++)
        all[kind].ranks = true;
    for (int i = 0; i < w->plans; i++)
        survey_add(&all[(int)w->plan[i].kind], p, &w->plan[i]);
    for (int i = 0; i < w->products; i++) {
        plan_shape s = product_as_conv(&w->product[i]);
        survey_add(&all[PRODUCTS], p, &s);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        print_line(device, kind, &all[kind]);
        failed += all[kind].failed;
    }
    planner_free(&p);
    free(all);
    return failed;
}

int main(int argc, char **argv)
{
    walk *w = calloc(1, sizeof *w);
    int failed = 0;
    if (!w)
        abort();
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        walk_add(w, pictures[i]);
    print_head(w);
    const char *const *device = argc > 1 ? (const char *const *)argv + 1 : survey_devices;
    for (; *device; device++)
        failed += check_device(*device, w);
    free(w);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
