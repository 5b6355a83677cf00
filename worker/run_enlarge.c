/* Scenes that are enlarged: see run.h. The one idea: a network sees one tile at a time, so that
 * others step in between, and what it makes does not depend on the size of the picture. */
#include <stdlib.h>

#include "worker/run.h"

/* ---------------------------------------------------------------- networks */

static resident *network_of(const run *r, int scene)
{
    const char *name = r->work->task.scene[scene].upscaler;
    for (int i = 0; i < r->networks; i++)
        if (r->network[i].name == name)
            return r->network[i].resident;
    return NULL;
}

static int add_network(residents *all, run *r, const char *folder, const char *name, err *e)
{
    model_file file;
    if (r->networks == RUN_NETWORKS)
        return err_set(e, ERR_INVALID, "the job uses more than %d upscalers", RUN_NETWORKS);
    int rc = upscalers_find(folder, name, &file, e);
    if (rc)
        return rc;
    resident *found = residents_enlarger(all, &file, RUN_TILE_SIDE, RUN_TILE_SIDE, e);
    if (!found)
        return e->code;
    r->network[r->networks++] = (run_network){name, found};
    const model_cost cost = residents_enlarge_cost(all, found, RUN_TILE_SIDE, RUN_TILE_SIDE);
    if (cost.scratch > r->scratch)
        r->scratch = cost.scratch;
    return 0;
}

int run_find_networks(residents *all, run *r, const char *folder, err *e)
{
    const task *t = &r->work->task;
    int rc = 0;
    for (int i = 0; i < t->scenes && !rc; i++)
        if (t->scene[i].upscaler && !network_of(r, i))
            rc = add_network(all, r, folder, t->scene[i].upscaler, e);
    return rc;
}

/* ---------------------------------------------------------------- tiles */

bool run_enlarges(const run *r, int scene)
{
    return r->work->task.scene[scene].upscaler && r->scene[scene].input.init.px;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

int run_enlarge_begin(run *r, int scene, uint64_t turn, err *e)
{
    const image *init = &r->scene[scene].input.init;
    run_enlarging *now = &r->enlarging;
    *now = (run_enlarging){.scene = scene, .turn = turn};
    now->made.grid = (tile_grid){.w = init->w,
                                 .h = init->h,
                                 .tile_w = smaller(init->w, RUN_TILE_SIDE),
                                 .tile_h = smaller(init->h, RUN_TILE_SIDE)};
    now->made.grid.overlap =
        smaller(RUN_TILE_OVERLAP, smaller(now->made.grid.tile_w, now->made.grid.tile_h) - 1);
    now->made.scale = network_of(r, scene)->enlarger->config.scale;
    if (init->w > UPSCALE_SIDE_MAX / now->made.scale ||
        init->h > UPSCALE_SIDE_MAX / now->made.scale)
        return err_set(e, ERR_TOO_LARGE,
                       "%s makes %dx%d pixels %d times as large, at most %d a side are allowed",
                       r->work->task.scene[scene].upscaler, init->w, init->h, now->made.scale,
                       UPSCALE_SIDE_MAX);
    int rc = tile_grid_init(&now->made.grid, e);
    if (rc)
        return rc;
    now->made.tile = calloc((size_t)tile_count(&now->made.grid), sizeof *now->made.tile);
    if (!now->made.tile)
        return err_set(e, ERR_NO_MEMORY, "no memory for %d tiles", tile_count(&now->made.grid));
    now->active = true;
    r->tiles += tile_count(&now->made.grid);
    r->scene[scene].begun++;
    return 0;
}

double run_enlarge_flops(residents *all, const run *r)
{
    const tile_grid *g = &r->enlarging.made.grid;
    return residents_enlarge_cost(all, network_of(r, r->enlarging.scene), g->tile_w, g->tile_h)
        .flops;
}

/* One tile through the network. */
static int enlarge_tile(residents *all, const run *r, const image *in, image *out, err *e)
{
    dev *d = all->d;
    const resident *network = network_of(r, r->enlarging.scene);
    const int scale = r->enlarging.made.scale;
    int rc = image_new(out, in->w * scale, in->h * scale, 3, e);
    if (rc)
        return rc;
    size_t mark = dev_mark(d);
    bool finite = true;
    tensor bytes = dev_tensor(d, U8, 1, in->h, in->w, 3);
    dev_upload(d, bytes, in->px);
    dev_download(d, out->px, upscaler_enlarge(d, NEW, network->enlarger, bytes, &finite));
    dev_release(d, mark);
    if (d->status != DEV_OK)
        return residents_error(all, "enlarging a tile", e);
    return finite
               ? 0
               : err_set(e, ERR_DEVICE, "upscaler %s gave NaN or infinity: its weights are damaged",
                         resident_name(network));
}

int run_enlarge(residents *all, run *r, err *e)
{
    run_enlarging *now = &r->enlarging;
    image in = {0};
    int rc =
        image_crop(&in, &r->scene[now->scene].input.init, tile_box(&now->made.grid, now->next), e);
    if (!rc)
        rc = enlarge_tile(all, r, &in, &now->made.tile[now->next], e);
    image_done(&in);
    now->next++;
    r->tiles_done++;
    return rc;
}

bool run_enlarged(run *r, scene_result *out)
{
    run_enlarging *now = &r->enlarging;
    if (!now->active || now->next < tile_count(&now->made.grid))
        return false;
    *out = now->made;
    *now = (run_enlarging){0};
    return true;
}
