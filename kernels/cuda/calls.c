/* The kernels that are our own: each op of the table as one launch. What the table keeps on the
 * host is handed over; the rest of the arguments decides the launch and is noted. */
#include "kernels/cuda/note.h"

/* What hand() gives, or NULL on a dry device. */
static const void *handed(dev *d, const void *host, size_t bytes)
{
    return d->options.dry ? NULL : hand(d, host, bytes);
}

/* After begins(), which has chosen the GPU. */
static cudaStream_t stream_of(const dev *d)
{
    const gpu *g = d->impl;
    return g->stream;
}

void cuda_group_norm(dev *d, const group_norm_args *a)
{
    const gpu *g = d->impl;
    const size_t mark = dev_mark(d);
    void *scratch = dev_scratch(d, launch_group_norm_scratch(a, g->cluster_shared));
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    note_tensor(&n, a->x2);
    note_tensor(&n, a->add);
    note_number(&n, a->add_at);
    note_tensor(&n, a->scale);
    note_tensor(&n, a->shift);
    note_number(&n, a->groups);
    note_number(&n, a->act);
    note_real(&n, a->eps);
    if (d->status == DEV_OK && begins(d, "group_norm", &n))
        gpu_launched(d, launch_group_norm(stream_of(d), a, g->cluster_shared, scratch),
                     "group_norm");
    dev_release(d, mark);
}

void cuda_layer_norm(dev *d, const layer_norm_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    note_tensor(&n, a->scale);
    note_tensor(&n, a->shift);
    note_real(&n, a->eps);
    if (begins(d, "layer_norm", &n))
        gpu_launched(d, launch_layer_norm(stream_of(d), a), "layer_norm");
}

void cuda_geglu(dev *d, const geglu_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    if (begins(d, "geglu", &n))
        gpu_launched(d, launch_geglu(stream_of(d), a), "geglu");
}

void cuda_activate(dev *d, const activate_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    note_number(&n, a->act);
    if (begins(d, "activate", &n))
        gpu_launched(d, launch_activate(stream_of(d), a), "activate");
}

void cuda_add(dev *d, const add_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->a);
    note_tensor(&n, a->b);
    note_real(&n, a->scale);
    if (begins(d, "add", &n))
        gpu_launched(d, launch_add(stream_of(d), a), "add");
}

void cuda_pixel_shuffle(dev *d, const pixel_shuffle_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    note_tensor(&n, a->base);
    note_number(&n, a->factor);
    if (begins(d, "pixel_shuffle", &n))
        gpu_launched(d, launch_pixel_shuffle(stream_of(d), a), "pixel_shuffle");
}

void cuda_pixel_unshuffle(dev *d, const pixel_unshuffle_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    note_number(&n, a->factor);
    if (begins(d, "pixel_unshuffle", &n))
        gpu_launched(d, launch_pixel_unshuffle(stream_of(d), a), "pixel_unshuffle");
}

void cuda_resize_nearest(dev *d, const resize_nearest_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    if (begins(d, "resize_nearest", &n))
        gpu_launched(d, launch_resize_nearest(stream_of(d), a), "resize_nearest");
}

void cuda_timestep_embedding(dev *d, const timestep_embedding_args *a)
{
    timestep_embedding_args b = *a;
    note n = {0};
    b.t = handed(d, a->t, (size_t)a->out.dim[0] * sizeof *a->t);
    note_tensor(&n, a->out);
    if (begins(d, "timestep_embedding", &n))
        gpu_launched(d, launch_timestep_embedding(stream_of(d), &b), "timestep_embedding");
}

void cuda_embed(dev *d, const embed_args *a)
{
    embed_args b = *a;
    note n = {0};
    b.ids = handed(d, a->ids, (size_t)(a->out.dim[0] * a->out.dim[2]) * sizeof *a->ids);
    note_tensor(&n, a->out);
    note_tensor(&n, a->table);
    note_tensor(&n, a->position);
    if (begins(d, "embed", &n))
        gpu_launched(d, launch_embed(stream_of(d), &b), "embed");
}

void cuda_emphasis(dev *d, const emphasis_args *a)
{
    emphasis_args b = *a;
    note n = {0};
    b.weights = handed(d, a->weights, (size_t)(a->x.dim[0] * a->x.dim[2]) * sizeof *a->weights);
    note_tensor(&n, a->x);
    if (begins(d, "emphasis", &n))
        gpu_launched(d, launch_emphasis(stream_of(d), &b), "emphasis");
}

void cuda_gather(dev *d, const gather_args *a)
{
    gather_args b = *a;
    note n = {0};
    b.source = handed(d, a->source, (size_t)a->out.dim[0] * sizeof *a->source);
    note_tensor(&n, a->out);
    note_number(&n, a->first);
    note_number(&n, a->c);
    note_real(&n, a->scale);
    if (begins(d, "gather", &n))
        gpu_launched(d, launch_gather(stream_of(d), &b), "gather");
}

void cuda_step(dev *d, const step_args *a)
{
    step_args b = *a;
    note n = {0};
    int64_t pixels = 0;
    const int channels = (int)a->row[0].x.dim[3];
    for (int i = 0; i < a->n; i++) {
        const int64_t of_row = a->row[i].x.dim[1] * a->row[i].x.dim[2];
        assert(a->row[i].x.dim[3] == channels);
        if (of_row > pixels)
            pixels = of_row;
    }
    b.row = handed(d, a->row, (size_t)a->n * sizeof *a->row);
    note_number(&n, a->n);
    note_number(&n, pixels);
    note_number(&n, channels);
    if (begins(d, "step", &n))
        gpu_launched(d, launch_step(stream_of(d), &b, pixels, channels), "step");
}

void cuda_pixels_in(dev *d, const pixels_in_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    note_number(&n, a->range);
    if (begins(d, "pixels_in", &n))
        gpu_launched(d, launch_pixels_in(stream_of(d), a), "pixels_in");
}

void cuda_pixels_out(dev *d, const pixels_out_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    note_number(&n, a->range);
    if (begins(d, "pixels_out", &n))
        gpu_launched(d, launch_pixels_out(stream_of(d), a), "pixels_out");
}

void cuda_preview(dev *d, const preview_args *a)
{
    note n = {0};
    note_tensor(&n, a->out);
    note_tensor(&n, a->x);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            note_real(&n, a->matrix[i][j]);
    if (begins(d, "preview", &n))
        gpu_launched(d, launch_preview(stream_of(d), a), "preview");
}

void cuda_finite(dev *d, const finite_args *a)
{
    finite_args b = *a;
    note n = {0};
    if (d->options.dry)
        return;
    b.flag = ask(d, a->flag, (size_t)a->x.dim[0] * sizeof *a->flag);
    note_tensor(&n, a->x);
    if (begins(d, "finite", &n))
        gpu_launched(d, launch_finite(stream_of(d), &b), "finite");
    asked(d);
}
