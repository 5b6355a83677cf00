/* The options of outpainting: as pixels, and as metadata that a later job can be made from. */
#include "worker/task/outpaint_sides.h"

void outpaint_sides(int asked[SIDE_COUNT], const outpaint_options *o)
{
    const bool grows[SIDE_COUNT] = {
        [SIDE_LEFT] = o->left, [SIDE_RIGHT] = o->right, [SIDE_UP] = o->up, [SIDE_DOWN] = o->down};
    for (int i = 0; i < SIDE_COUNT; i++)
        asked[i] = grows[i] ? o->pixels : 0;
}

static int mk2_settings(infotext *text, const outpaint_options *o, err *e)
{
    int rc = infotext_add_number(text, "Outpaint falloff", o->falloff, e);
    return rc ? rc : infotext_add_number(text, "Outpaint color variation", o->colour_variation, e);
}

int outpaint_settings(infotext *text, const outpaint_options *o, err *e)
{
    static const char *const contents[] = {[CONTENT_FILL] = "fill",
                                           [CONTENT_ORIGINAL] = "original",
                                           [CONTENT_LATENT_NOISE] = "latent noise",
                                           [CONTENT_LATENT_NOTHING] = "latent nothing"};
    const bool mk2 = o->method == OUTPAINT_MK2;
    char directions[OUTPAINT_DIRECTIONS_TEXT];
    outpaint_directions_text(o, directions);
    int rc = infotext_add(text, "Outpaint method", mk2 ? "mk2" : "poor-mans", e);
    rc = rc ? rc : infotext_add(text, "Outpaint direction", directions, e);
    rc = rc ? rc : infotext_add_number(text, "Outpaint pixels", o->pixels, e);
    rc = rc ? rc : infotext_add_number(text, "Outpaint mask blur", o->mask_blur, e);
    if (rc || mk2)
        return rc ? rc : mk2_settings(text, o, e);
    return infotext_add(text, "Outpaint masked content", contents[o->content], e);
}
