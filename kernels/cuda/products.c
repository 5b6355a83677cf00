/* products: see products.h. */
#include "kernels/cuda/products.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/why.h"

typedef struct {
    char shape[SHAPE_NAME_BYTES];
    int64_t rows;
    choice choice;
    product *product;
} made_product;

struct products {
    products_sources from;
    picked picked;
    made_product *made;
    int count, room, asked;
};

products *products_new(const products_sources *from, char why[PRODUCT_WHY_BYTES])
{
    products *p = calloc(1, sizeof *p);
    why[0] = 0;
    if (!p) {
        snprintf(why, PRODUCT_WHY_BYTES, WHY_MEMORY ": products");
        return NULL;
    }
    p->from = *from;
    picked_open(&p->picked, from->store, from->by_rows ? "products by rows" : "products");
    return p;
}

void products_free(products **p)
{
    if (!*p)
        return;
    for (int i = 0; i < (*p)->count; i++)
        product_free(&(*p)->made[i].product);
    free((*p)->made);
    picked_done(&(*p)->picked);
    free(*p);
    *p = NULL;
}

bool products_keep(products *p)
{
    return picked_keep(&p->picked);
}

int products_picked(const products *p)
{
    return p->asked;
}

static made_product *find(const products *p, const char *name, int64_t rows)
{
    for (int i = 0; i < p->count; i++)
        if (p->made[i].rows == rows && strcmp(p->made[i].shape, name) == 0)
            return &p->made[i];
    return NULL;
}

static bool choose(products *p, const product_shape *s, const char *shape, int64_t rows, choice *c,
                   char *why)
{
    char name[SHAPE_NAME_BYTES];
    const int64_t alone = p->from.by_rows ? rows : EVERY_ROWS;
    choice_name(shape, alone, name);
    const choice *known = p->from.table ? tuning_find(p->from.table, name) : NULL;
    if (known && !product_is_good(p->from.handle, s, alone, known, why))
        return false; /* never another kernel than the table's */
    if (!known)
        known = picked_find(&p->picked, name);
    if (known) {
        *c = *known;
        return true;
    }
    p->asked++;
    if (!product_choose(p->from.handle, s, alone, c, why))
        return false;
    if (picked_add(&p->picked, name, c))
        return true;
    snprintf(why, PRODUCT_WHY_BYTES, WHY_MEMORY ": the choice for %s", name);
    return false;
}

static made_product *make(products *p, const product_shape *s, const char *name, int64_t rows,
                          char *why)
{
    made_product m = {.rows = rows};
    if (p->count == p->room) {
        int room = p->room ? 2 * p->room : 64;
        made_product *more = realloc(p->made, (size_t)room * sizeof *more);
        if (!more) {
            snprintf(why, PRODUCT_WHY_BYTES, WHY_MEMORY ": %d products", room);
            return NULL;
        }
        p->made = more;
        p->room = room;
    }
    if (!choose(p, s, name, rows, &m.choice, why))
        return NULL;
    m.product = product_new(s, rows, why);
    if (!m.product)
        return NULL;
    strcpy(m.shape, name);
    p->made[p->count] = m;
    return &p->made[p->count++];
}

bool products_run(products *p, const product_shape *s, int64_t rows, const product_places *at,
                  struct CUstream_st *stream, char why[PRODUCT_WHY_BYTES])
{
    char name[SHAPE_NAME_BYTES];
    why[0] = 0;
    product_shape_name(s, name);
    made_product *m = find(p, name, rows);
    if (!m)
        m = make(p, s, name, rows, why);
    return m && product_run(p->from.handle, m->product, &m->choice, at, stream, why);
}
