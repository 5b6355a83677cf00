/* The catalog: every name and alias leads to its row, endings give a schedule, and an unknown name
 * is answered with the nearest one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/catalog.h"

static void every_row_is_complete(void **state)
{
    (void)state;
    for (int k = 0; k < SAMPLER_COUNT; k++) {
        const sampler_row *row = catalog_sampler((sampler_kind)k);
        assert_non_null(row->name);
        assert_int_not_equal(row->fallback, SCHEDULE_AUTOMATIC);
        for (int i = 0; i < CATALOG_ALIASES; i++) {
            sampler_kind found = SAMPLER_COUNT;
            const char *name = row->alias[i] ? row->alias[i] : row->name;
            assert_int_equal(catalog_find_sampler(name, &found, NULL, NULL), 0);
            assert_int_equal(found, k);
        }
    }
    for (int k = 0; k < SCHEDULE_COUNT; k++) {
        schedule found = SCHEDULE_COUNT;
        assert_int_equal(catalog_find_schedule(catalog_schedule((schedule)k), &found, NULL), 0);
        assert_int_equal(found, k);
    }
}

static void a_sampler_and_its_schedule_make_a_name(void **state)
{
    (void)state;
    for (int k = 0; k < SAMPLER_COUNT; k++)
        for (int j = 0; j < SCHEDULE_COUNT; j++) {
            char name[64];
            sampler_kind kind = SAMPLER_COUNT;
            schedule s = SCHEDULE_COUNT;
            snprintf(name, sizeof name, "%s %s", catalog_sampler((sampler_kind)k)->name,
                     catalog_schedule((schedule)j));
            assert_int_equal(catalog_find_sampler(name, &kind, &s, NULL), 0);
            assert_int_equal(kind, k);
            assert_int_equal(s, j);
        }
}

static void spellings(void **state)
{
    (void)state;
    const struct {
        const char *name;
        sampler_kind kind;
        schedule s; /* SCHEDULE_COUNT: not written */
    } row[] = {
        {"euler_a", SAMPLER_EULER_A, SCHEDULE_COUNT},
        {"EULER A", SAMPLER_EULER_A, SCHEDULE_COUNT},
        {"k_euler_a", SAMPLER_EULER_A, SCHEDULE_COUNT},
        {"k_euler_ancestral", SAMPLER_EULER_A, SCHEDULE_COUNT},
        {"k_dpmpp_2m", SAMPLER_DPMPP_2M, SCHEDULE_COUNT},
        {"dpmpp_2m", SAMPLER_DPMPP_2M, SCHEDULE_COUNT},
        {"dpm++ 2m karras", SAMPLER_DPMPP_2M, SCHEDULE_KARRAS},
        {"DPM++ 2M SGMUniform", SAMPLER_DPMPP_2M, SCHEDULE_SGM_UNIFORM},
        {"DPM++ 2M Uniform", SAMPLER_DPMPP_2M, SCHEDULE_UNIFORM},
        {"dpm2", SAMPLER_DPM2, SCHEDULE_COUNT},
        {"k_dpm_2", SAMPLER_DPM2, SCHEDULE_COUNT},
        {"dpm2_a", SAMPLER_DPM2_A, SCHEDULE_COUNT},
        {"k_dpm_2_a_karras", SAMPLER_DPM2_A, SCHEDULE_KARRAS},
        {"ddim", SAMPLER_DDIM, SCHEDULE_COUNT},
        {"Euler DDIM", SAMPLER_EULER, SCHEDULE_DDIM},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        sampler_kind kind = SAMPLER_COUNT;
        schedule s = SCHEDULE_COUNT;
        assert_int_equal(catalog_find_sampler(row[i].name, &kind, &s, NULL), 0);
        assert_int_equal(kind, row[i].kind);
        assert_int_equal(s, row[i].s);
    }
    schedule s = SCHEDULE_COUNT;
    assert_int_equal(catalog_find_schedule("sgm_uniform", &s, NULL), 0);
    assert_int_equal(s, SCHEDULE_SGM_UNIFORM);
}

static void unknown_names_name_the_nearest(void **state)
{
    (void)state;
    const struct {
        const char *name, *nearest;
    } row[] = {
        {"Eular", "\"Euler\""},     {"Eulr a", "\"Euler a\""},      {"DPM+ 2M", "\"DPM++ 2M\""},
        {"k_huen", "\"Heun\""},     {"Karras", "the nearest"},      {"", "the nearest"},
        {" Karras", "the nearest"}, {"DDIMM", "\"DDIM\""},          {"Euler a b", "\"Euler a\""},
        {"Heun\xff", "\"Heun\""},   {"DPM++ 2S a", "\"DPM++ 2M\""},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        sampler_kind kind = SAMPLER_COUNT;
        schedule s = SCHEDULE_COUNT;
        err e = {0};
        assert_int_equal(catalog_find_sampler(row[i].name, &kind, &s, &e), ERR_INVALID);
        assert_int_equal(kind, SAMPLER_COUNT);
        assert_int_equal(s, SCHEDULE_COUNT);
        assert_non_null(strstr(e.text, row[i].name));
        assert_non_null(strstr(e.text, row[i].nearest));
    }
    schedule s = SCHEDULE_COUNT;
    err e = {0};
    assert_int_equal(catalog_find_schedule("Karas", &s, &e), ERR_INVALID);
    assert_int_equal(s, SCHEDULE_COUNT);
    assert_non_null(strstr(e.text, "\"Karras\""));
}

/* A long name is cut where names are compared; what stands before the cut must not match. */
static void long_names(void **state)
{
    (void)state;
    char *name = malloc(70000);
    assert_non_null(name);
    for (size_t size = 30; size < 69999; size = size < 200 ? size + 1 : size * 2) {
        sampler_kind kind;
        schedule s;
        memset(name, 'x', size);
        memcpy(name, "Euler Karras", 12);
        name[size] = 0;
        assert_int_equal(catalog_find_sampler(name, &kind, &s, NULL), ERR_INVALID);
        assert_int_equal(catalog_find_schedule(name + 6, &s, NULL), ERR_INVALID);
        memset(name + 5, ' ', size - 11);
        memcpy(name + size - 6, "Karras", 6);
        assert_int_equal(catalog_find_sampler(name, &kind, &s, NULL), 0);
        assert_int_equal(s, SCHEDULE_KARRAS);
    }
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(a_sampler_and_its_schedule_make_a_name),
        cmocka_unit_test(spellings),
        cmocka_unit_test(unknown_names_name_the_nearest),
        cmocka_unit_test(long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
