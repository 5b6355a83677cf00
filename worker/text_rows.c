/* Texts of rows: see text_rows.h. The one idea: a text has a number that is never used again, so
 * that what lies in a row is known by comparing two numbers, whatever was freed in between. */
#include "worker/text_rows.h"

#include <assert.h>
#include <string.h>

#include "kernels/ops.h"

static int64_t longest(const text_row *row, int rows)
{
    int64_t most = 0;
    for (int i = 0; i < rows; i++)
        if (row[i].tokens > most)
            most = row[i].tokens;
    return most;
}

static void forget(text_rows *t)
{
    memset(t->seen, 0, sizeof t->seen);
}

/* The same place for as long as it is large enough: what is recorded for it stays right. */
static void keep_place(text_rows *t, dev *d, dtype type, int64_t values)
{
    if (t->place.data && t->place.type == type && tensor_count(t->place) >= values)
        return;
    dev_drop(d, &t->place);
    forget(t);
    t->place = dev_keep(d, type, 1, 1, 1, values);
    if (d->status != DEV_OK)
        dev_drop(d, &t->place);
}

static void set_shape(text_rows *t, int64_t tokens, int64_t width)
{
    if (t->tokens != tokens || t->width != width)
        forget(t);
    t->tokens = tokens;
    t->width = width;
}

static void put(text_rows *t, dev *d, int i, tensor to, const text_row *from)
{
    if (from->number && t->seen[i] == from->number)
        return;
    to.dim[2] = from->tokens;
    op_gather(d, &to, &from->text, 1, to.dim[3], 1.0f);
    t->seen[i] = d->status == DEV_OK ? from->number : 0;
}

tensor text_rows_join(text_rows *kept, dev *d, const text_row *row, int rows)
{
    text_rows once = {0}, *t = kept ? kept : &once;
    const int64_t tokens = longest(row, rows), width = row[0].text.dim[3];
    const dtype type = row[0].text.type;
    assert(rows > 0 && rows <= TEXT_ROWS_MAX);
    if (kept)
        keep_place(t, d, type, rows * tokens * width);
    else
        t->place = dev_tensor(d, type, rows, 1, tokens, width);
    set_shape(t, tokens, width);
    tensor all = tensor_of(t->place.data, type, rows, 1, tokens, width);
    for (int i = 0; i < rows; i++)
        put(t, d, i, tensor_sample(all, i), &row[i]);
    return all;
}
