/* make_model ARCH OUT [SEED] [--type f16|f32|bf16] [--folder old|new]
 *
 * Writes a test model (tiny, tiny3, tiny9, sd15): real names and shapes, weights that are a
 * formula. Its pictures are noise; it is for tests, benchmarks and trying out the programs. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fixture.h"

/* Index of `word` in a list that ends with NULL, or -1. */
static int choice(const char *word, const char *const *list)
{
    for (int i = 0; list[i]; i++)
        if (strcmp(word, list[i]) == 0)
            return i;
    return -1;
}

static int usage(void)
{
    fputs("usage: make_model tiny|tiny3|tiny9|sd15 OUT [SEED] [--type f16|f32|bf16] "
          "[--folder old|new]\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"type", required_argument, NULL, 't'}, {"folder", required_argument, NULL, 'f'}, {0}};
    static const char *const type_name[] = {"f32", "f16", "bf16", NULL}; /* as in dtype */
    static const char *const folder_name[] = {"", "old", "new", NULL};   /* as in fixture_layout */
    fixture f = {.seed = 1, .type = F16};
    err e = {0};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int picked = o == 't'   ? choice(optarg, type_name)
                     : o == 'f' ? choice(optarg, folder_name)
                                : -1;
        if (picked < (o == 'f'))
            return usage();
        if (o == 't')
            f.type = (dtype)picked;
        else
            f.layout = (fixture_layout)picked;
    }
    char **word = argv + optind, *end = "";
    int words = argc - optind;
    if (words < 2 || words > 3 || !(f.config = fixture_config(word[0])))
        return usage();
    if (words == 3)
        f.seed = strtoull(word[2], &end, 10);
    if (*end)
        return usage();
    if (fixture_write(&f, word[1], &e) < 0) {
        fprintf(stderr, "make_model: %s\n", e.text);
        return 1;
    }
    return 0;
}
