/* plans: each is made once, choices come from the table or are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cuda/plans.h"
#include "tests/cuda/survey.h"

static const tuning_device h200 = {"NVIDIA H200", 132, 13000, 91900, 130100};
static const plan_shape large = {SHAPE_CONV, F16, .conv = {64, 64, 320, 320, 3, 1, 0, 1, 1}};
static const plan_shape small = {SHAPE_CONV, F16, .conv = {8, 8, 1280, 1280, 3, 1, 0, 0, 1}};

typedef struct {
    char folder[64];
    planner *planner;
    plan_store store;
} place;

static int begin(void **state)
{
    char why[PLAN_WHY_BYTES];
    place *p = calloc(1, sizeof *p);
    if (!p)
        return -1;
    strcpy(p->folder, "/tmp/overpaint-plans-XXXXXX");
    *state = p;
    if (!mkdtemp(p->folder) || !plan_store_open(&p->store, p->folder, &h200, why))
        return -1;
    p->planner = survey_planner("h200");
    return 0;
}

static int finish(void **state)
{
    place *p = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", p->folder);
    planner_free(&p->planner);
    free(p);
    return system(command);
}

static plans *open_ones(const place *p, const tuning *table, bool by_rows)
{
    char why[PLAN_WHY_BYTES];
    plans *opened = plans_new(
        &(plans_sources){
            .planner = p->planner, .table = table, .store = &p->store, .by_rows = by_rows},
        why);
    if (!opened)
        fail_msg("%s", why);
    return opened;
}

static plans *open_plans(const place *p, const tuning *table)
{
    return open_ones(p, table, false);
}

static void assert_counts(const plans *p, int chosen, int built)
{
    plans_counts c = plans_count(p);
    assert_int_equal(c.picked, chosen);
    assert_int_equal(c.built, built);
    assert_int_equal(c.loaded, 0); /* a described device cannot load */
}

static void each_is_made_once(void **state)
{
    const place *p = *state;
    char why[PLAN_WHY_BYTES];
    plans *all = open_plans(p, NULL);
    const plan *two = plans_get(all, &large, 2, why), *four = plans_get(all, &large, 4, why);
    assert_true(two && four && two != four);
    assert_ptr_equal(plans_get(all, &large, 2, why), two);
    assert_non_null(plans_get(all, &small, 2, why));
    assert_counts(all, 2, 3);
    plans_free(&all);
    assert_null(all);
}

static void choices_are_remembered(void **state)
{
    const place *p = *state;
    char why[PLAN_WHY_BYTES];
    plans *all = open_plans(p, NULL);
    assert_non_null(plans_get(all, &large, 2, why));
    assert_true(plans_keep(all));
    plans_free(&all);
    all = open_plans(p, NULL);
    assert_non_null(plans_get(all, &large, 8, why));
    assert_counts(all, 0, 1);
    plans_free(&all);

    place newer = *p; /* another driver: another device class */
    newer.store.device.driver++;
    all = open_plans(&newer, NULL);
    assert_non_null(plans_get(all, &large, 2, why));
    assert_counts(all, 1, 1);
    plans_free(&all);
}

/* What was built can be found under the choice that it was built with. */
static void plans_are_put_on_disk(void **state)
{
    const place *p = *state;
    char why[PLAN_WHY_BYTES], name[SHAPE_NAME_BYTES];
    size_t bytes;
    plan_pick pick;
    plans *all = open_plans(p, NULL);
    assert_non_null(plans_get(all, &large, 2, why));
    plans_free(&all);
    assert_true(plan_choose(p->planner, &large, EVERY_ROWS, &pick, why));
    plan_shape_name(&large, name);
    char *text = plan_store_get(&p->store, &(plan_key){name, 2, &pick.choice}, &bytes);
    assert_non_null(text);
    assert_non_null(strstr(text, "CONV_ADD_BIAS_ACT"));
    free(text);
}

static void the_table_comes_first(void **state)
{
    const place *p = *state;
    char why[PLAN_WHY_BYTES], name[SHAPE_NAME_BYTES];
    tuning table = {.device = h200};
    plan_candidate list[PLAN_CANDIDATES];
    int n = planner_candidates(p->planner, &small, REFERENCE_ROWS, list, why), safe = -1, not = -1;
    for (int i = 0; i < n; i++)
        *(choice_is_safe(&list[i].choice, &small) ? &safe : &not ) = i;
    assert_true(safe > 0 && not > 0);
    plan_shape_name(&small, name);

    assert_true(tuning_set(&table, name, &list[safe].choice));
    plans *all = open_plans(p, &table);
    assert_non_null(plans_get(all, &small, 1, why));
    assert_counts(all, 0, 1);
    plans_free(&all);

    assert_true(tuning_set(&table, name, &list[not ].choice));
    all = open_plans(p, &table);
    assert_null(plans_get(all, &small, 1, why));
    assert_non_null(strstr(why, "tune again"));
    assert_counts(all, 0, 0);
    plans_free(&all);

    const choice on = {.kind = CHOICE_SWITCH, .on = true};
    assert_true(tuning_set(&table, name, &on));
    all = open_plans(p, &table);
    assert_non_null(plans_get(all, &small, 1, why));
    assert_counts(all, 1, 1);
    plans_free(&all);

    const choice unknown = {.kind = CHOICE_ENGINE, .engine = 9999};
    assert_true(tuning_set(&table, name, &unknown));
    all = open_plans(p, &table);
    assert_null(plans_get(all, &small, 1, why));
    assert_true(why[0]);
    plans_free(&all);
    tuning_done(&table);
}

/* Heads of 33 channels are not the library's; those of 40 are, unless the table says "off". */
static void what_is_not_served_is_remembered(void **state)
{
    static const plan_shape odd = {SHAPE_ATTENTION, F16, .attention = {1, 33, 7, 31, 33, 33, true}};
    static const plan_shape even = {SHAPE_ATTENTION, F16,
                                    .attention = {8, 40, 64, 64, 320, 320, false}};
    const place *p = *state;
    const choice off = {.kind = CHOICE_SWITCH};
    char name[SHAPE_NAME_BYTES], why[PLAN_WHY_BYTES];
    plans *all = open_plans(p, NULL);
    assert_true(plans_serve(all, &even, 2, why));
    assert_counts(all, 0, 0);
    assert_false(plans_serve(all, &odd, 2, why));
    assert_false(plans_serve(all, &odd, 2, why));
    assert_counts(all, 1, 0);
    assert_true(plans_keep(all));
    plans_free(&all);

    tuning table = {.device = h200};
    plan_shape_name(&even, name);
    assert_true(tuning_set(&table, name, &off));
    all = open_plans(p, &table);
    assert_false(plans_serve(all, &odd, 2, why));
    assert_false(plans_serve(all, &even, 2, why));
    assert_counts(all, 0, 0);
    assert_null(plans_get(all, &odd, 1, why));
    plans_free(&all);
    tuning_done(&table);
}

/* What was kept under `file`, to be looked at. */
static tuning kept(const place *p, const char *file)
{
    const choice nothing = {.kind = CHOICE_SWITCH};
    char why[TUNING_WHY_BYTES];
    size_t bytes;
    tuning t = {0};
    char *text = plan_store_get(&p->store, &(plan_key){.shape = file, .choice = &nothing}, &bytes);
    assert_non_null(text);
    if (!tuning_read(&t, text, bytes, why))
        fail_msg("%s", why);
    free(text);
    return t;
}

/* With `by_rows` each is the best of its own list, safe or not; else one is for all of them, and
 * what the others have chosen is not even read. */
static void rows_have_their_own_when_they_may(void **state)
{
    const place *p = *state;
    char why[PLAN_WHY_BYTES], shape[SHAPE_NAME_BYTES], name[SHAPE_NAME_BYTES];
    plans *own = open_ones(p, NULL, true);
    for (int i = 0; i < BUCKETS; i++)
        assert_non_null(plans_get(own, &small, bucket_rows[i], why));
    assert_counts(own, BUCKETS, BUCKETS);
    assert_true(plans_keep(own));
    plans_free(&own);
    plans *all = open_plans(p, NULL);
    for (int i = 0; i < BUCKETS; i++)
        assert_non_null(plans_get(all, &small, bucket_rows[i], why));
    assert_counts(all, 1, BUCKETS);
    assert_true(plans_keep(all));
    plans_free(&all);

    tuning by_rows = kept(p, "choices by rows"), same = kept(p, "choices");
    int others = 0, unsafe = 0;
    plan_shape_name(&small, shape);
    assert_int_equal(same.entries, 1);
    assert_string_equal(same.entry[0].name, shape);
    assert_int_equal(by_rows.entries, BUCKETS);
    for (int i = 0; i < BUCKETS; i++) {
        plan_candidate list[PLAN_CANDIDATES];
        choice_name(shape, bucket_rows[i], name);
        const choice *c = tuning_find(&by_rows, name);
        const int n = planner_candidates(p->planner, &small, bucket_rows[i], list, why);
        assert_non_null(c);
        int rank = 0;
        while (rank < n && !choice_equal(&list[rank].choice, c))
            rank++;
        for (int k = 0; k < rank; k++) /* those before it cannot be had at any price */
            assert_false(list[k].exact && list[k].tensor_cores && !list[k].compiled &&
                         plan_is_good(p->planner, &small, bucket_rows[i], &list[k].choice, why));
        assert_true(rank < n);
        others += !choice_equal(c, &same.entry[0].choice);
        unsafe += !choice_is_safe(c, &small);
    }
    print_message("%d of %d are others, %d not safe\n", others, BUCKETS, unsafe);
    assert_true(others > 0 && unsafe > 0);
    tuning_done(&by_rows);
    tuning_done(&same);
}

/* An entry for some rows is for these, and only where rows may have their own. */
static void tables_by_rows_are_for_rows(void **state)
{
    const place *p = *state;
    char why[PLAN_WHY_BYTES], shape[SHAPE_NAME_BYTES], name[SHAPE_NAME_BYTES];
    plan_candidate list[PLAN_CANDIDATES];
    tuning table = {.device = h200};
    const int n = planner_candidates(p->planner, &small, 8, list, why);
    int not = -1;
    for (int i = 0; i < n && not < 0; i++)
        if (list[i].exact && !list[i].compiled && !choice_is_safe(&list[i].choice, &small) &&
            plan_is_good(p->planner, &small, 8, &list[i].choice, why))
            not = i;
    assert_true(not >= 0);
    plan_shape_name(&small, shape);
    choice_name(shape, 8, name);
    assert_true(tuning_set(&table, name, &list[not ].choice));

    plans *own = open_ones(p, &table, true);
    assert_non_null(plans_get(own, &small, 8, why));
    assert_counts(own, 0, 1);
    size_t bytes;
    plan_shape_name(&small, name);
    char *text = plan_store_get(&p->store, &(plan_key){name, 8, &list[not ].choice}, &bytes);
    assert_non_null(text); /* built with that very choice */
    free(text);
    assert_non_null(plans_get(own, &small, 2, why));
    assert_counts(own, 1, 2);
    plans_free(&own);

    plans *all = open_plans(p, &table);
    assert_non_null(plans_get(all, &small, 8, why));
    assert_counts(all, 1, 1);
    plans_free(&all);
    assert_false(plan_is_good(p->planner, &small, EVERY_ROWS, &list[not ].choice, why));
    tuning_done(&table);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, finish)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(each_is_made_once),
        IN_A_FOLDER(choices_are_remembered),
        IN_A_FOLDER(plans_are_put_on_disk),
        IN_A_FOLDER(the_table_comes_first),
        IN_A_FOLDER(what_is_not_served_is_remembered),
        IN_A_FOLDER(rows_have_their_own_when_they_may),
        IN_A_FOLDER(tables_by_rows_are_for_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
