/* What belongs together in a job of one task: inputs by role and the options that task reads, each
 * rule a row or a small function. Fields out of their range are job_range.c's: rules here skip them
 * rather than say it twice. */
#include <inttypes.h>

#include "proto/job_inside.h"

/* How many inputs of each role a task takes: `least` pictures, up to `most` of each. */
static const struct {
    bool supported, tiles;
    size_t least, most[INPUT_COUNT];
} rows[TASK_COUNT] = {
    [TASK_NOOP] = {.supported = true},
    [TASK_TXT2IMG] = {.supported = true},
    [TASK_IMG2IMG] = {.supported = true, .least = 1, .most = {1}},
    [TASK_INPAINT] = {.supported = true, .least = 1, .most = {1, 1, 1}},
    [TASK_OUTPAINT] = {.supported = true, .tiles = true, .least = 1, .most = {1}},
    [TASK_LOOPBACK] = {.supported = true, .least = 1, .most = {1, 1}},
    [TASK_UPSCALE] = {.supported = true, .least = 1, .most = {1}},
    [TASK_SD_UPSCALE] = {.supported = true, .tiles = true, .least = 1, .most = {1}},
};

static const char *const role_names[INPUT_COUNT] = {"input pictures", "masks", "sketches"};

static void check_roles(const job *j, err *found)
{
    size_t have[INPUT_COUNT] = {0};
    for (size_t i = 0; i < j->inputs; i++) {
        if ((unsigned)j->input[i].role >= INPUT_COUNT) {
            err_add(found, ERR_INVALID, "input %zu has role %d, expected 0 to %d", i,
                    (int)j->input[i].role, INPUT_COUNT - 1);
            return;
        }
        have[j->input[i].role]++;
    }
    for (int role = 0; role < INPUT_COUNT; role++) {
        const size_t least = role == INPUT_PICTURE ? rows[j->task].least : 0;
        const size_t most = rows[j->task].most[role];
        if (have[role] < least || have[role] > most)
            err_add(found, ERR_INVALID, "task %s has %zu %s, expected %s%zu", task_name(j->task),
                    have[role], role_names[role], least < most ? "at most " : "", most);
    }
    if (j->task == TASK_INPAINT && have[INPUT_MASK] && have[INPUT_SKETCH])
        err_add(found, ERR_INVALID, "task inpaint has a mask and a sketch, expected one of them");
}

/* A tile's side: what the job says, or will say once resolved. */
static int tile_side(int32_t given)
{
    return given ? given : JOB_SIDE;
}

/* Tiles must move on: what two of them share is less than a side. */
static void check_overlap(const job *j, const char *field, int32_t overlap, err *found)
{
    const int width = tile_side(j->width), height = tile_side(j->height);
    if (width >= JOB_SIDE_MIN && height >= JOB_SIDE_MIN && (overlap >= width || overlap >= height))
        err_add(found, ERR_INVALID, "%s is %" PRId32 ", expected less than the tile's %dx%d", field,
                overlap, width, height);
}

static void check_outpaint(const job *j, err *found)
{
    const outpaint_options *o = &j->outpaint;
    if (!(o->left || o->right || o->up || o->down))
        err_add(found, ERR_INVALID, "outpaint has no direction, expected left, right, up or down");
    if (o->method == OUTPAINT_POOR_MANS)
        check_overlap(j, "outpaint.pixels", o->pixels, found);
}

static void check_upscaler(const job *j, err *found)
{
    if (!j->upscale.upscaler[0])
        err_add(found, ERR_INVALID, "upscale.upscaler is empty, expected a name, or None");
}

static void check_upscale(const job *j, err *found)
{
    const upscale_options *u = &j->upscale;
    check_upscaler(j, found);
    if (!u->width != !u->height)
        err_add(found, ERR_INVALID,
                "upscale.width is %" PRId32 " and upscale.height %" PRId32
                ", expected both or neither",
                u->width, u->height);
    else if (u->width && u->scale != 0)
        err_add(found, ERR_INVALID,
                "upscale.scale is %g with a size of %" PRId32 "x%" PRId32 ", expected one of them",
                u->scale, u->width, u->height);
}

enum { SD_UPSCALE_MOST = 4 };

static void check_sd_upscale(const job *j, err *found)
{
    check_upscaler(j, found);
    check_overlap(j, "upscale.tile_overlap", j->upscale.tile_overlap, found);
    if (j->upscale.scale > SD_UPSCALE_MOST)
        err_add(found, ERR_INVALID, "upscale.scale is %g, expected 1 to %d for task sd-upscale",
                j->upscale.scale, SD_UPSCALE_MOST);
}

/* Every picture, round and tile counts the seed up, so the last one must have a seed too. */
static int64_t seeds(const job *j)
{
    if (rows[j->task].tiles)
        return (int64_t)JOB_TILES_MAX + JOB_PICTURES_MAX;
    if (j->task == TASK_LOOPBACK)
        return (int64_t)j->loopback.loops * j->n_iter;
    return (int64_t)j->batch_size * j->n_iter;
}

static bool within(int32_t value, int32_t most)
{
    return value >= 1 && value <= most;
}

static void check_pictures(const job *j, err *found)
{
    if (!within(j->batch_size, JOB_BATCH_MAX) || !within(j->n_iter, JOB_PICTURES_MAX) ||
        !within(j->loopback.loops, JOB_PICTURES_MAX))
        return;
    const int pictures = job_pictures(j);
    if (pictures > JOB_PICTURES_MAX)
        err_add(found, ERR_INVALID, "batch_size x n_iter is %d pictures%s, expected at most %d",
                pictures, pictures > j->batch_size * j->n_iter ? " with masks and composites" : "",
                JOB_PICTURES_MAX);
    else if (j->seed > INT64_MAX - (seeds(j) - 1))
        err_add(found, ERR_INVALID,
                "seed is %" PRId64 ", expected at most %" PRId64 " for %" PRId64 " pictures",
                j->seed, INT64_MAX - (seeds(j) - 1), seeds(j));
}

void job_check_task(const job *j, err *found)
{
    if ((unsigned)j->task >= TASK_COUNT)
        return;
    if (!rows[j->task].supported)
        err_add(found, ERR_INVALID, "task %s is not supported yet, expected img2img or another",
                task_name(j->task));
    else if (j->inputs <= JOB_INPUTS_MAX)
        check_roles(j, found);
    if (j->noop_engine && j->task != TASK_NOOP)
        err_add(found, ERR_INVALID, "noop_engine is set for task %s, expected task noop",
                task_name(j->task));
    if (j->task == TASK_OUTPAINT)
        check_outpaint(j, found);
    if (j->task == TASK_UPSCALE)
        check_upscale(j, found);
    if (j->task == TASK_SD_UPSCALE)
        check_sd_upscale(j, found);
    check_pictures(j, found);
}

void job_resolve(job *j)
{
    upscale_options *u = &j->upscale;
    if (j->task == TASK_TXT2IMG || rows[j->task].tiles) {
        j->width = tile_side(j->width);
        j->height = tile_side(j->height);
    }
    if (j->task == TASK_UPSCALE && u->scale == 0 && !u->width)
        u->scale = 4;
    if (j->task == TASK_SD_UPSCALE && u->scale == 0)
        u->scale = 2;
    if (j->task == TASK_OUTPAINT && j->outpaint.mask_blur < 0)
        j->outpaint.mask_blur = j->outpaint.method == OUTPAINT_MK2 ? 8 : 4;
}
