/* SD upscale: the picture is enlarged, cut into overlapping tiles, each tile goes through img2img,
 * and the tiles are put together again. n_iter repeats give one picture each. */
#include <stdlib.h>

#include "worker/task/enlarge.h"
#include "worker/task/frame.h"

typedef struct {
    frame frame;
    image made; /* until its repeat is put together */
} tile_state;

typedef struct {
    enlarge up;
    int scenes_up; /* before those of the tiles */
    image large;   /* the enlarged picture */
    tile_grid grid;
    tile_state *tile; /* of all repeats */
    atomic_int *left; /* tiles of each repeat that were not taken */
    int repeats;
} own;

/* The picture itself where it is not enlarged. */
static int plan_grid(own *w, const job *j, const image *in, err *e)
{
    enlarge_goal goal = {1, in->w, in->h};
    if (!enlarge_is_none(j->upscale.upscaler))
        goal = enlarge_by(in->w, in->h, j->upscale.scale);
    w->grid =
        tile_grid_within(goal.width, goal.height, j->width, j->height, j->upscale.tile_overlap);
    return tile_grid_init(&w->grid, e);
}

/* A seed for each batch of tiles and each tile of a batch, as the web UI counts them. */
static int64_t seed_of(const job *j, int repeat, int tile)
{
    return j->seed + repeat + tile / j->batch_size + tile % j->batch_size;
}

static int list_scenes(task *t, const job *j, err *e)
{
    own *w = t->own;
    const int tiles = tile_count(&w->grid);
    if (tiles > TASK_SCENES_MAX / w->repeats)
        return err_set(e, ERR_TOO_LARGE, "%d x %d tiles, at most %d are allowed", w->repeats, tiles,
                       TASK_SCENES_MAX);
    int rc = task_add_scenes(t, w->scenes_up + w->repeats * tiles, e);
    if (rc)
        return rc;
    enlarge_plan(t, 0, j->upscale.upscaler, -1);
    for (int i = 0; i < w->repeats * tiles; i++) {
        scene_plan *s = &t->scene[w->scenes_up + i];
        *s = task_job_scene(j, j->denoising_strength, w->grid.tile_w, w->grid.tile_h);
        s->pictures = 1;
        s->seed = seed_of(j, i / tiles, i % tiles);
        s->after = w->scenes_up - 1;
    }
    t->results = w->repeats;
    w->tile = calloc((size_t)(w->repeats * tiles), sizeof *w->tile);
    w->left = calloc((size_t)w->repeats, sizeof *w->left);
    for (int i = 0; w->left && i < w->repeats; i++)
        atomic_store(&w->left[i], tiles);
    return w->tile && w->left ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %d tiles", tiles);
}

static int plan(task *t, const job *j, err *e)
{
    image in = {0};
    own *w = t->own = calloc(1, sizeof *w);
    int rc = w ? task_read_flat(&in, j, e) : err_set(e, ERR_NO_MEMORY, "no memory");
    if (rc)
        return rc;
    w->repeats = j->n_iter;
    w->scenes_up = enlarge_scenes(j->upscale.upscaler);
    rc = plan_grid(w, j, &in, e);
    if (!rc)
        rc = enlarge_begin(&w->up, j->upscale.upscaler, &in,
                           enlarge_by(in.w, in.h, j->upscale.scale), e);
    if (!rc)
        rc = list_scenes(t, j, e);
    image_done(&in);
    return rc;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* A tile may end beyond the picture, by less than 16 pixels: there the edge goes on. */
static int make_tile(own *w, const job *j, int index, scene_input *out, err *e)
{
    const tile_grid *g = &w->grid;
    image cut = {0};
    int rc = image_crop(&cut, &w->large, tile_box(g, index % tile_count(g)), e);
    if (!rc) {
        image_repeat_edge(&cut, smaller(g->w, g->tile_w), smaller(g->h, g->tile_h));
        rc = frame_make(
            &w->tile[index].frame, out,
            &(frame_source){
                .width = g->tile_w, .height = g->tile_h, .source = &cut, .options = j->inpaint},
            e);
    }
    image_done(&cut);
    return rc;
}

static int make_scene(task *t, const job *j, int index, scene_input *out, err *e)
{
    own *w = t->own;
    return index < w->scenes_up ? enlarge_scene(&w->up, out, e)
                                : make_tile(w, j, index - w->scenes_up, out, e);
}

/* The tiles of a repeat as one picture. */
static int put_together(own *w, int repeat, image *out, err *e)
{
    const int tiles = tile_count(&w->grid);
    image *made = calloc((size_t)tiles, sizeof *made);
    if (!made)
        return err_set(e, ERR_NO_MEMORY, "no memory for %d tiles", tiles);
    for (int i = 0; i < tiles; i++)
        made[i] = w->tile[repeat * tiles + i].made; /* on loan */
    int rc = tiles_combine(out, &w->grid, made, 1, e);
    free(made);
    for (int i = 0; i < tiles; i++)
        image_done(&w->tile[repeat * tiles + i].made);
    return rc;
}

static int take_tile(own *w, int scene, scene_result *sampled, task_outputs *out, err *e)
{
    const int index = scene - w->scenes_up, repeat = index / tile_count(&w->grid);
    tile_state *tile = &w->tile[index];
    image whole = {0};
    int rc = frame_finish(&tile->frame, sampled, &tile->made, NULL, NULL, e);
    frame_done(&tile->frame);
    if (rc || atomic_fetch_sub(&w->left[repeat], 1) > 1)
        return rc;
    rc = put_together(w, repeat, &whole, e);
    /* its metadata tell of the first tile, whichever was the last to be taken */
    return rc ? rc
              : task_emit(out, repeat, &whole, w->scenes_up + repeat * tile_count(&w->grid), 0, e);
}

static int take(task *t, const job *j, int scene, int number, scene_result *sampled,
                task_outputs *out, err *e)
{
    own *w = t->own;
    (void)j, (void)number;
    if (scene >= w->scenes_up)
        return take_tile(w, scene, sampled, out, e);
    int rc = enlarge_take(&w->up, sampled, e);
    return rc || scene + 1 < w->scenes_up ? rc : enlarge_finish(&w->up, &w->large, e);
}

static int settings(infotext *text, const task *t, const job *j, int scene, err *e)
{
    char name[256];
    (void)t, (void)scene;
    enlarge_name(j->upscale.upscaler, name);
    int rc = infotext_add_number(text, "SD upscale overlap", j->upscale.tile_overlap, e);
    rc = rc ? rc : infotext_add_number(text, "SD upscale scale", j->upscale.scale, e);
    return rc ? rc : infotext_add(text, "SD upscale upscaler", name, e);
}

static void done(void *at)
{
    own *w = at;
    if (!w)
        return;
    for (int i = 0; w->tile && i < w->repeats * tile_count(&w->grid); i++) {
        frame_done(&w->tile[i].frame);
        image_done(&w->tile[i].made);
    }
    enlarge_done(&w->up);
    image_done(&w->large);
    free(w->tile);
    free(w->left);
    free(w);
}

const task_row task_sd_upscale = {.prompts = true,
                                  .from_picture = true,
                                  .plan = plan,
                                  .scene = make_scene,
                                  .take = take,
                                  .settings = settings,
                                  .done = done};
