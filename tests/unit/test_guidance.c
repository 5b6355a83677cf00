/* Guidance: rows, shares and texts of a job's prompts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/task/guidance.h"

static tokenizer *words;

static int start(void **state)
{
    (void)state;
    err e = {0};
    words = tokenizer_new(&e);
    return words ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    tokenizer_free(&words);
    return 0;
}

static job job_of(const char *text, const char *negative, double cfg)
{
    job j;
    job_init(&j);
    j.cfg_scale = cfg;
    assert_int_equal(job_set_text(&j.prompt, text, strlen(text), NULL), 0);
    if (negative)
        assert_int_equal(job_set_text(&j.negative_prompt, negative, strlen(negative), NULL), 0);
    return j;
}

static int plan(guidances *g, const job *j, int steps)
{
    err e = {0};
    int index = guidances_plan(g, j, steps, words, &e);
    if (index < 0)
        fail_msg("'%s': %s", j->prompt, e.text);
    assert_int_equal(g->plan[index].steps, steps);
    return index;
}

/* The shares of every row add up to 1, and rows without a share are not there. */
static void rows_and_shares(void **state)
{
    (void)state;
    static const struct {
        const char *prompt;
        double cfg;
        int rows;
        double share[4];
    } cases[] = {
        {"a", 7, 2, {7, -6}},
        {"a", 1, 1, {1}},
        {"a", 0, 1, {1}}, /* the negative prompt alone */
        {"a AND b", 7, 3, {7, 7, -13}},
        {"a :0.5 AND b :0.5", 1, 2, {0.5, 0.5}},
        {"a :0.5 AND b :-1.5", 4, 3, {2, -6, 5}},
        {"a :0 AND b", 3, 2, {3, -2}},
        {"a :0 AND b:0", 3, 1, {1}},
        {"a AND b:-1 AND c:0.25", 4, 3, {4, -4, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job j = job_of(cases[i].prompt, "n", cases[i].cfg);
        guidances g = {0};
        const int index = plan(&g, &j, 3);
        const guidance *p = &g.plan[index];
        assert_int_equal(p->rows, cases[i].rows);
        assert_int_equal(g.texts, cases[i].rows);
        double sum = 0;
        for (int k = 0; k < p->rows; k++) {
            assert_true(p->row[k].share == cases[i].share[k]);
            sum += p->row[k].share;
        }
        assert_true(fabs(sum - 1) < 1e-12);
        guidances_done(&g);
        job_done(&j);
    }
}

/* One text of a job is kept once, whatever uses it; plans differ where the steps do. */
static void texts_of_two_plans(void **state)
{
    (void)state;
    job j = job_of("[cat:dog:0.5] AND  dog", "[dog|cat]", 7);
    guidances g = {0};
    const int four = plan(&g, &j, 4), two = plan(&g, &j, 2);
    assert_int_equal(plan(&g, &j, 4), four);
    assert_int_equal(g.plans, 2);
    assert_int_equal(g.texts, 2);
    assert_int_equal(g.chunks, 2);
    static const int want[2][3][4] = {{{0, 0, 1, 1}, {1, 1, 1, 1}, {1, 0, 1, 0}},
                                      {{0, 1}, {1, 1}, {1, 0}}};
    for (int row = 0; row < 3; row++) {
        assert_memory_equal(g.plan[four].row[row].text, want[0][row], 4 * sizeof(int));
        assert_memory_equal(g.plan[two].row[row].text, want[1][row], 2 * sizeof(int));
    }
    assert_int_equal(g.longest, 1);
    guidances_done(&g);
    job_done(&j);
}

/* What no row sees is not read: it may be as long as it likes. */
static void unused_texts(void **state)
{
    (void)state;
    char longest[8192] = "";
    for (int i = 0; i < 75 * CHUNKS_MAX + 1; i++)
        strcat(longest, "a ");
    job j = job_of("a", longest, 1);
    guidances g = {0};
    plan(&g, &j, 5);
    assert_int_equal(g.texts, 1);
    j.cfg_scale = 2;
    err e = {0};
    assert_int_equal(guidances_plan(&g, &j, 6, words, &e), ERR_TOO_LARGE);
    assert_non_null(strstr(e.text, "tokens"));
    assert_int_equal(g.plans, 1);
    guidances_done(&g);
    job_done(&j);
}

/* "[a0 BREAK ... |a1 BREAK ... |": `count` alternatives of `chunks` chunks. */
static char *alternatives(int count, int chunks)
{
    char *text = malloc((size_t)count * (size_t)(chunks * 8 + 16) + 3), *to = text;
    *to++ = '[';
    for (int i = 0; i < count; i++) {
        to += sprintf(to, i ? "|%d" : "%d", i);
        for (int k = 1; k < chunks; k++)
            to = stpcpy(to, " BREAK a");
    }
    strcpy(to, "]");
    return text;
}

static void many_texts(void **state)
{
    (void)state;
    char *small = alternatives(1000, 1), *large = alternatives(100, 20);
    job j = job_of(small, small, 7);
    guidances g = {0};
    plan(&g, &j, 150);
    assert_int_equal(g.texts, 150);
    assert_int_equal(g.chunks, 150);
    guidances_done(&g);
    job_done(&j);
    j = job_of(large, "", 7);
    plan(&g, &j, 25);
    assert_int_equal(g.chunks, 501);
    assert_int_equal(g.longest, 20);
    err e = {0};
    assert_int_equal(guidances_plan(&g, &j, 26, words, &e), ERR_TOO_LARGE);
    assert_non_null(strstr(e.text, "more than 512 chunks"));
    guidances_done(&g);
    job_done(&j);
    free(small);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_shares),
        cmocka_unit_test(texts_of_two_plans),
        cmocka_unit_test(unused_texts),
        cmocka_unit_test(many_texts),
    };
    return cmocka_run_group_tests(tests, start, end);
}
