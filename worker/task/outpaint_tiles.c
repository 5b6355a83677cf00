/* outpaint, poor man's: the picture on a larger canvas, cut into tiles; each tile that is not all
 * old is repainted by itself, where it is new, and the tiles are put together again. A tile is
 * never larger than the canvas, and where the canvas is larger than the result (an axis that does
 * not grow) the picture's edge goes on: nothing that is sampled sees the black beyond a picture. */
#include "worker/image/outpaint.h"

#include <stdlib.h>

#include "worker/image/tiles.h"
#include "worker/task/masked.h"
#include "worker/task/outpaint_sides.h"

typedef struct {
    outpaint_plan plan;
    image canvas, mask, latent_mask; /* of the canvas's size */
    tile_grid grid;
    image *tile;  /* finished */
    frame *frame; /* of each tile */
    int *of;      /* the tile of each scene */
} own;

static int repainted(const own *w)
{
    int count = 0;
    for (int i = 0; i < tile_count(&w->grid); i++)
        count += !outpaint_is_old(&w->plan, tile_box(&w->grid, i));
    return count;
}

static int make_canvas(own *w, const job *j, const image *picture, err *e)
{
    const outpaint_plan *p = &w->plan;
    const int blur = j->outpaint.mask_blur;
    int rc = image_new(&w->canvas, p->canvas_w, p->canvas_h, 3, e);
    if (rc)
        return rc;
    image_put(&w->canvas, picture, p->pixels[SIDE_LEFT], p->pixels[SIDE_UP]);
    image_repeat_edge(&w->canvas, p->result_w, p->result_h);
    rc = outpaint_mask(&w->mask, p->canvas_w, p->canvas_h, outpaint_kept(p, 2 * blur), e);
    return rc ? rc
              : outpaint_mask(&w->latent_mask, p->canvas_w, p->canvas_h, outpaint_kept(p, blur / 2),
                              e);
}

static int make_grid(own *w, const job *j, err *e)
{
    w->grid = tile_grid_within(w->plan.canvas_w, w->plan.canvas_h, j->width, j->height,
                               j->outpaint.pixels);
    int rc = tile_grid_init(&w->grid, e);
    if (rc)
        return rc;
    const size_t tiles = (size_t)tile_count(&w->grid);
    w->tile = calloc(tiles, sizeof *w->tile);
    w->frame = calloc(tiles, sizeof *w->frame);
    w->of = calloc(tiles, sizeof *w->of);
    return w->tile && w->frame && w->of
               ? 0
               : err_set(e, ERR_NO_MEMORY, "no memory for %zu tiles", tiles);
}

/* Old tiles are taken as they are; each of the others is a scene with a seed of its own. */
static int list_scenes(task *t, const job *j, err *e)
{
    own *w = t->own;
    int scenes = 0, rc = task_add_scenes(t, repainted(w), e);
    for (int i = 0; i < tile_count(&w->grid) && !rc; i++) {
        const image_box box = tile_box(&w->grid, i);
        if (outpaint_is_old(&w->plan, box)) {
            rc = image_crop(&w->tile[i], &w->canvas, box, e);
            continue;
        }
        scene_plan *s = &t->scene[scenes];
        *s = task_job_scene(j, j->denoising_strength, w->grid.tile_w, w->grid.tile_h);
        s->pictures = 1;
        s->seed = j->seed + scenes;
        w->of[scenes++] = i;
    }
    t->results = 1;
    return rc;
}

static int plan(task *t, const job *j, err *e)
{
    image picture = {0};
    int asked[SIDE_COUNT];
    own *w = t->own = calloc(1, sizeof *w);
    int rc = w ? task_read_flat(&picture, j, e) : err_set(e, ERR_NO_MEMORY, "no memory");
    if (rc)
        return rc;
    outpaint_sides(asked, &j->outpaint);
    w->plan = outpaint_plan_of(picture.w, picture.h, asked);
    rc = make_canvas(w, j, &picture, e);
    if (!rc)
        rc = make_grid(w, j, e);
    if (!rc)
        rc = list_scenes(t, j, e);
    image_done(&picture);
    return rc;
}

/* How the tiles are repainted: in the web UI the script says so, not the user. */
static inpaint_options options_of(const job *j)
{
    inpaint_options o = j->inpaint;
    o.invert = o.only_masked = false;
    o.blur_x = o.blur_y = 2 * j->outpaint.mask_blur;
    o.content = j->outpaint.content;
    return o;
}

static int make_scene(task *t, const job *j, int index, scene_input *out, err *e)
{
    own *w = t->own;
    const image_box box = tile_box(&w->grid, w->of[index]);
    image part = {0}, mask = {0}, latent_mask = {0};
    int rc = image_crop(&part, &w->canvas, box, e);
    if (!rc)
        rc = image_crop(&mask, &w->mask, box, e);
    if (!rc)
        rc = image_crop(&latent_mask, &w->latent_mask, box, e);
    if (!rc)
        rc = frame_make(&w->frame[w->of[index]], out,
                        &(frame_source){.width = w->grid.tile_w,
                                        .height = w->grid.tile_h,
                                        .source = &part,
                                        .mask = &mask,
                                        .latent_mask = &latent_mask,
                                        .options = options_of(j)},
                        e);
    image_done(&part);
    image_done(&mask);
    image_done(&latent_mask);
    return rc;
}

static int take(task *t, const job *j, int scene, int number, scene_result *sampled,
                task_outputs *out, err *e)
{
    own *w = t->own;
    const int tile = w->of[scene];
    (void)j, (void)number, (void)out;
    int rc = frame_finish(&w->frame[tile], sampled, &w->tile[tile], NULL, NULL, e);
    frame_done(&w->frame[tile]);
    return rc;
}

static int finish(task *t, const job *j, task_outputs *out, err *e)
{
    own *w = t->own;
    image canvas = {0}, picture = {0};
    (void)j;
    int rc = tiles_combine(&canvas, &w->grid, w->tile, 1, e);
    if (!rc)
        rc =
            image_crop(&picture, &canvas, (image_box){0, 0, w->plan.result_w, w->plan.result_h}, e);
    image_done(&canvas);
    return rc ? rc : task_emit(out, 0, &picture, 0, 0, e);
}

static int settings(infotext *text, const task *t, const job *j, int scene, err *e)
{
    const inpaint_options o = options_of(j);
    (void)t, (void)scene;
    int rc = masked_settings(text, &o, e);
    return rc ? rc : outpaint_settings(text, &j->outpaint, e);
}

static void done(void *at)
{
    own *w = at;
    if (!w)
        return;
    for (int i = 0; w->tile && i < tile_count(&w->grid); i++)
        image_done(&w->tile[i]);
    for (int i = 0; w->frame && i < tile_count(&w->grid); i++)
        frame_done(&w->frame[i]);
    image_done(&w->canvas);
    image_done(&w->mask);
    image_done(&w->latent_mask);
    free(w->tile);
    free(w->frame);
    free(w->of);
    free(w);
}

const task_row task_poor_mans = {.prompts = true,
                                 .from_picture = true,
                                 .plan = plan,
                                 .scene = make_scene,
                                 .take = take,
                                 .finish = finish,
                                 .settings = settings,
                                 .done = done};
