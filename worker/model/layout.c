/* Names of other layouts to LDM names: see layout.h. The one idea: a name is its place in the
 * network and its role inside a block, and each has a small table. Only the places need arithmetic,
 * since LDM numbers the blocks of all levels through. */
#include "worker/model/layout.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEVELS_MOST = 1000, DIGITS_MOST = 3, PATH_MOST = 4096 };

/* `from` is a prefix; every # in it stands for a number (a, then b). In `to` stand
 *   %a %b  these numbers         %n  a + 1       %m  2 a       %r  a counted from the last level
 *   %i  input block of resblock b of level a     %d  input block that shrinks level a
 *   %o  output block of resblock b of level a    %u  output block that enlarges level a
 *   %k  place in it: behind the attention if the level has one
 * What follows the prefix is renamed by `inner`. */
typedef struct rule {
    const char *from, *to;
    const struct rule *inner;
} rule;

static const rule unet_resblock[] = {
    {"norm1.", "in_layers.0.", NULL},
    {"conv1.", "in_layers.2.", NULL},
    {"time_emb_proj.", "emb_layers.1.", NULL},
    {"norm2.", "out_layers.0.", NULL},
    {"conv2.", "out_layers.3.", NULL},
    {"conv_shortcut.", "skip_connection.", NULL},
    {0},
};

static const rule unet[] = {
    {"time_embedding.linear_1.", "time_embed.0.", NULL},
    {"time_embedding.linear_2.", "time_embed.2.", NULL},
    {"conv_in.", "input_blocks.0.0.", NULL},
    {"down_blocks.#.resnets.#.", "input_blocks.%i.0.", unet_resblock},
    {"down_blocks.#.attentions.#.", "input_blocks.%i.1.", NULL},
    {"down_blocks.#.downsamplers.0.conv.", "input_blocks.%d.0.op.", NULL},
    {"mid_block.resnets.#.", "middle_block.%m.", unet_resblock},
    {"mid_block.attentions.0.", "middle_block.1.", NULL},
    {"up_blocks.#.resnets.#.", "output_blocks.%o.0.", unet_resblock},
    {"up_blocks.#.attentions.#.", "output_blocks.%o.1.", NULL},
    {"up_blocks.#.upsamplers.0.conv.", "output_blocks.%u.%k.conv.", NULL},
    {"conv_norm_out.", "out.0.", NULL},
    {"conv_out.", "out.2.", NULL},
    {0},
};

static const rule vae_resblock[] = {
    {"conv_shortcut.", "nin_shortcut.", NULL},
    {0},
};

/* Both generations of names. */
static const rule vae_attention[] = {
    {"group_norm.", "norm.", NULL},
    {"to_q.", "q.", NULL},
    {"to_k.", "k.", NULL},
    {"to_v.", "v.", NULL},
    {"to_out.0.", "proj_out.", NULL},
    {"query.", "q.", NULL},
    {"key.", "k.", NULL},
    {"value.", "v.", NULL},
    {"proj_attn.", "proj_out.", NULL},
    {0},
};

static const rule vae[] = {
    {"encoder.down_blocks.#.resnets.#.", "encoder.down.%a.block.%b.", vae_resblock},
    {"encoder.down_blocks.#.downsamplers.0.conv.", "encoder.down.%a.downsample.conv.", NULL},
    {"encoder.mid_block.resnets.#.", "encoder.mid.block_%n.", vae_resblock},
    {"encoder.mid_block.attentions.0.", "encoder.mid.attn_1.", vae_attention},
    {"encoder.conv_norm_out.", "encoder.norm_out.", NULL},
    {"decoder.up_blocks.#.resnets.#.", "decoder.up.%r.block.%b.", vae_resblock},
    {"decoder.up_blocks.#.upsamplers.0.conv.", "decoder.up.%r.upsample.conv.", NULL},
    {"decoder.mid_block.resnets.#.", "decoder.mid.block_%n.", vae_resblock},
    {"decoder.mid_block.attentions.0.", "decoder.mid.attn_1.", vae_attention},
    {"decoder.conv_norm_out.", "decoder.norm_out.", NULL},
    {0},
};

/* transformers before version 5 writes the prefix, later ones do not. */
static const rule text[] = {
    {"text_model.", "text_model.", NULL},
    {"", "text_model.", NULL},
    {0},
};

static const rule single[] = {
    {"cond_stage_model.transformer.", "cond_stage_model.transformer.", text},
    {0},
};

static const struct {
    const char *file[3]; /* in the order they are tried */
    const char *prefix;
    const rule *rules;
} layouts[LAYOUT_COUNT] = {
    [LAYOUT_SINGLE] = {.prefix = "", .rules = single},
    [LAYOUT_UNET] = {.file = {"unet/diffusion_pytorch_model.safetensors",
                              "unet/diffusion_pytorch_model.fp16.safetensors"},
                     .prefix = "model.diffusion_model.",
                     .rules = unet},
    [LAYOUT_VAE] = {.file = {"vae/diffusion_pytorch_model.safetensors",
                             "vae/diffusion_pytorch_model.fp16.safetensors"},
                    .prefix = "first_stage_model.",
                    .rules = vae},
    [LAYOUT_TEXT] = {.file = {"text_encoder/model.safetensors",
                              "text_encoder/model.fp16.safetensors",
                              "text_encoder/pytorch_model.safetensors"},
                     .prefix = "cond_stage_model.transformer.",
                     .rules = text},
};

/* What the numbering needs to know of the whole network. */
typedef struct {
    int blocks;                  /* resblocks a level, going down */
    int levels;                  /* of the decoder */
    bool attention[LEVELS_MOST]; /* by up block */
} extent;

/* What follows the prefix, or NULL. */
static const char *match(const char *pattern, const char *name, int number[2])
{
    for (int found = 0; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*pattern != *name++)
                return NULL;
            continue;
        }
        int digits = 0, value = 0;
        for (; digits < DIGITS_MOST && isdigit((unsigned char)*name); digits++)
            value = 10 * value + (*name++ - '0');
        if (!digits)
            return NULL;
        number[found++] = value;
    }
    return name;
}

static void measure(extent *x, const tensor_list *list, size_t first)
{
    *x = (extent){0};
    for (size_t i = first; i < list->count; i++) {
        const char *name = list->tensor[i].name;
        int n[2];
        if (match("down_blocks.#.resnets.#.", name, n) && n[1] >= x->blocks)
            x->blocks = n[1] + 1;
        if (match("decoder.up_blocks.#.", name, n) && n[0] >= x->levels)
            x->levels = n[0] + 1;
        if (match("up_blocks.#.attentions.", name, n))
            x->attention[n[0]] = true;
    }
}

static int place(const extent *x, char what, const int number[2])
{
    int a = number[0], b = number[1], stride = x->blocks + 1;
    switch (what) {
    case 'b': return b;
    case 'n': return a + 1;
    case 'm': return 2 * a;
    case 'r': return x->levels - 1 - a;
    case 'i': return 1 + a * stride + b;
    case 'd': return (a + 1) * stride;
    case 'o': return a * stride + b;
    case 'u': return a * stride + x->blocks;
    case 'k': return x->attention[a] ? 2 : 1;
    default: return a;
    }
}

/* The new name in `out`, which has room for it: a rule adds less than RENAME_GROWS. */
enum { RENAME_GROWS = 128 };

static void rename_one(char *out, const char *name, const rule *rules, const extent *x)
{
    int number[2] = {0};
    for (; rules && rules->from; rules++) {
        const char *rest = match(rules->from, name, number);
        if (!rest)
            continue;
        for (const char *to = rules->to; *to; to++) {
            if (*to == '%')
                out += sprintf(out, "%d", place(x, *++to, number));
            else
                *out++ = *to;
        }
        rename_one(out, rest, rules->inner, x);
        return;
    }
    strcpy(out, name);
}

bool layout_rename(tensor_list *list, size_t first, layout from)
{
    extent x;
    measure(&x, list, first);
    const char *prefix = layouts[from].prefix;
    for (size_t i = first; i < list->count; i++) {
        const char *name = list->tensor[i].name;
        char *longer = malloc(strlen(prefix) + strlen(name) + RENAME_GROWS);
        if (!longer)
            return false;
        rename_one(stpcpy(longer, prefix), name, layouts[from].rules, &x);
        free((char *)name);
        list->tensor[i].name = longer;
    }
    return true;
}

const char *layout_file(layout part, const char *folder, problems *p)
{
    char path[PATH_MOST];
    for (int i = 0; i < 3 && layouts[part].file[i]; i++) {
        int length = snprintf(path, sizeof path, "%s/%s", folder, layouts[part].file[i]);
        if (length < PATH_MOST && access(path, F_OK) == 0)
            return layouts[part].file[i];
    }
    if (p)
        problems_add(p, ERR_NOT_FOUND, "there is no %s (nor %s)", layouts[part].file[0],
                     strrchr(layouts[part].file[1], '/') + 1);
    return NULL;
}
