/* worker/model/config: architectures from names and shapes, and lists of defects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fixture.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define UNET        "model.diffusion_model."
#define VAE         "first_stage_model."
#define TEXT        "cond_stage_model.transformer.text_model."

static void same_config(const model_config *a, const model_config *b)
{
    assert_int_equal(a->in_channels, b->in_channels);
    assert_int_equal(a->out_channels, b->out_channels);
    assert_int_equal(a->levels, b->levels);
    assert_memory_equal(a->width, b->width, sizeof a->width);
    assert_int_equal(a->blocks, b->blocks);
    assert_memory_equal(a->attention, b->attention, sizeof a->attention);
    assert_int_equal(a->time_width, b->time_width);
    assert_int_equal(a->context, b->context);
    assert_int_equal(a->heads, b->heads);
    assert_int_equal(a->vae_levels, b->vae_levels);
    assert_memory_equal(a->vae_width, b->vae_width, sizeof a->vae_width);
    assert_int_equal(a->vae_blocks, b->vae_blocks);
    assert_int_equal(a->factor, b->factor);
    assert_int_equal(a->latent_channels, b->latent_channels);
    assert_true(a->latent_scale == b->latent_scale);
    assert_int_equal(a->text_width, b->text_width);
    assert_int_equal(a->text_layers, b->text_layers);
    assert_int_equal(a->text_heads, b->text_heads);
    assert_int_equal(a->text_mlp, b->text_mlp);
    assert_int_equal(a->vocabulary, b->vocabulary);
    assert_int_equal(a->positions, b->positions);
}

/* Writes the file without values, reads its configuration, removes it. */
static int read_back(const char *folder, fixture f, model_config *c, err *e)
{
    char path[256];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    f.type = F16;
    f.zeros = true;
    if (fixture_write(&f, path, e) < 0)
        fail_msg("%s", e->text);
    checkpoint *file = checkpoint_open(path, e);
    if (!file)
        fail_msg("%s", e->text);
    int rc = model_config_read(c, file, e);
    checkpoint_free(&file);
    assert_int_equal(unlink(path), 0);
    return rc;
}

static void known_architectures(void **state)
{
    static const char *const arch[] = {"tiny", "tiny3", "tiny9", "sd15"};
    for (size_t i = 0; i < COUNT(arch); i++) {
        err e = {0};
        model_config c;
        if (read_back(*state, (fixture){.config = fixture_config(arch[i])}, &c, &e) < 0)
            fail_msg("%s", e.text);
        same_config(&c, fixture_config(arch[i]));
    }
}

static void other_architectures(void **state)
{
    const model_config tiny = *fixture_config("tiny");
    model_config table[5] = {tiny, tiny, tiny, tiny, tiny};
    /* two levels, three blocks, odd widths, attention only at the top */
    table[0].levels = 2;
    table[0].blocks = 3;
    memcpy(table[0].width, (int[MODEL_LEVELS_MAX]){96, 160}, sizeof table[0].width);
    memcpy(table[0].attention, (bool[MODEL_LEVELS_MAX]){true}, sizeof table[0].attention);
    table[0].time_width = 100;
    /* one level, and an autoencoder of one */
    table[1].levels = table[1].vae_levels = table[1].factor = 1;
    memcpy(table[1].width, (int[MODEL_LEVELS_MAX]){32}, sizeof table[1].width);
    memcpy(table[1].vae_width, (int[MODEL_LEVELS_MAX]){32}, sizeof table[1].vae_width);
    memcpy(table[1].attention, (bool[MODEL_LEVELS_MAX]){true}, sizeof table[1].attention);
    /* attention at the bottom only, five levels, deeper autoencoder */
    table[2].levels = 5;
    table[2].vae_levels = 5;
    table[2].factor = 16;
    table[2].vae_blocks = 3;
    table[2].width[4] = 256;
    table[2].vae_width[4] = 32;
    memcpy(table[2].attention, (bool[MODEL_LEVELS_MAX]){0, 0, 0, 0, 1}, sizeof table[2].attention);
    /* heads of 64 channels */
    table[3].context = table[3].text_width = 1024;
    table[3].text_heads = 16;
    table[3].text_mlp = 4096;
    table[3].heads = 0;
    /* more tokens than the tokenizer makes, an odd hidden width */
    table[4].vocabulary = 49410;
    table[4].text_mlp = 100;
    for (size_t i = 0; i < COUNT(table); i++) {
        err e = {0};
        model_config c;
        if (read_back(*state, (fixture){.config = &table[i]}, &c, &e) < 0)
            fail_msg("%zu: %s", i, e.text);
        same_config(&c, &table[i]);
    }
}

/* What published files have beside the model, and 1x1 convolutions stored as linear layers. */
static void harmless_tensors(void **state)
{
    static const fixture_defect defect[] = {
        {.name = "model_ema.decay", .dims = 1, .dim = {1}},
        {.name = "model_ema.diffusion_modelinput_blocks00weight", .dims = 1, .dim = {7}},
        {.name = "alphas_cumprod", .dims = 1, .dim = {1000}},
        {.name = TEXT "embeddings.position_ids", .dims = 2, .dim = {1, 77}, .type = "I16"},
        {.name = VAE "encoder.mid.attn_1.q.weight", .dims = 2, .dim = {64, 64}},
    };
    err e = {0};
    model_config c;
    const fixture f = {
        .config = fixture_config("tiny"), .defect = defect, .defects = COUNT(defect)};
    if (read_back(*state, f, &c, &e) < 0)
        fail_msg("%s", e.text);
    same_config(&c, fixture_config("tiny"));
}

static void check_says(const char *text, const char *const *says)
{
    for (; *says; says++)
        if (!strstr(text, *says))
            fail_msg("\"%s\" does not say \"%s\"", text, *says);
}

/* One message for all that is wrong, and nothing that is right in it. */
static void all_defects_listed(void **state)
{
    static const fixture_defect defect[] = {
        {.name = UNET "input_blocks.1.0.in_layers.2.bias"},
        {.name = UNET "input_blocks.4.0.out_layers.3.weight", .dims = 4, .dim = {99, 128, 3, 3}},
        {.name = VAE "decoder.conv_in.weight"},
        {.name = TEXT "final_layer_norm.weight", .dims = 1, .dim = {64}, .type = "I16"},
    };
    static const char *const says[] = {
        ": " UNET "input_blocks.1.0.in_layers.2.bias is missing; ",
        UNET "input_blocks.4.0.out_layers.3.weight is [99,128,3,3], expected [128,128,3,3]; ",
        VAE "decoder.conv_in.weight is missing; ",
        TEXT "final_layer_norm.weight is I16, expected F32, F16 or BF16", NULL};
    err e = {0};
    model_config c;
    const fixture f = {
        .config = fixture_config("tiny"), .defect = defect, .defects = COUNT(defect)};
    assert_int_equal(read_back(*state, f, &c, &e), ERR_INVALID);
    check_says(e.text, says);
    assert_null(strstr(e.text, "more"));
    int separators = 0;
    for (const char *at = e.text; (at = strstr(at, "; ")); at++)
        separators++;
    assert_int_equal(separators, 3);
}

static void refused_models(void **state)
{
    model_config sd2 = *fixture_config("sd15"), odd = *fixture_config("tiny");
    model_config uneven = odd, tokens = odd, inputs = odd, pix2pix = odd, latents = odd;
    sd2.context = sd2.text_width = 1024;
    sd2.text_mlp = 4096;
    sd2.text_layers = 23;
    odd.width[1] = 100;
    uneven.context = 96;
    tokens.vocabulary = 30000;
    inputs.in_channels = 3;
    pix2pix.in_channels = 8;
    latents.latent_channels = 16;
    const struct {
        const model_config *config;
        fixture_defect defect;
        const char *says;
    } table[] = {
        {&sd2, {0}, "not supported: this is Stable Diffusion 2"},
        {&odd, {0}, "level 1 is 100 wide, expected a multiple of 32"},
        {&uneven, {0}, "takes text of width 96, the text encoder gives 64"},
        {&tokens, {0}, "knows 30000 tokens in 77 places, expected 49408 in 77"},
        {&inputs, {0}, "takes 3 and gives 4 channels"},
        {&pix2pix, {0}, "takes 8 and gives 4 channels, expected 4 (9 for inpainting) and 4"},
        {&latents, {0}, "latents of 16 channels, expected 4"},
        {fixture_config("tiny"),
         {.name = "conditioner.embedders.0.x", .dims = 1, .dim = {1}},
         "not supported: this is Stable Diffusion XL"},
        {fixture_config("tiny"),
         {.name = "cond_stage_model.model.ln_final.weight", .dims = 1, .dim = {1}},
         "not supported: this is Stable Diffusion 2"},
        {fixture_config("tiny"),
         {.name = UNET "label_emb.0.0.weight", .dims = 1, .dim = {1}},
         "not supported: this is a network with class labels"},
        {fixture_config("tiny"),
         {.name = UNET "input_blocks.2.1.transformer_blocks.1.norm1.weight", .dims = 1, .dim = {1}},
         "input_blocks.2 has several transformer blocks"},
        {fixture_config("tiny"),
         {.name = UNET "input_blocks.14.0.in_layers.2.bias", .dims = 1, .dim = {128}},
         "input_blocks.12 is missing"},
        {fixture_config("tiny"),
         {.name = UNET "input_blocks.12.0.in_layers.2.bias", .dims = 1, .dim = {128}},
         "level 3 has 3 blocks and level 0 has 2"},
        {fixture_config("tiny"),
         {.name = UNET "input_blocks.0.0.weight", .dims = 4, .dim = {64, 1ll << 40, 1, 0}},
         UNET "input_blocks.0.0.weight is [64,1099511627776,1,0], expected [64,4,3,3]"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        err e = {0};
        model_config c;
        const fixture f = {.config = table[i].config,
                           .defect = &table[i].defect,
                           .defects = table[i].defect.name != NULL};
        assert_int_equal(read_back(*state, f, &c, &e), ERR_INVALID);
        check_says(e.text, (const char *const[]){table[i].says, NULL});
    }
}

/* A whole network that is not there is one line, not hundreds. */
static void missing_networks(void **state)
{
    static const struct {
        size_t network; /* offset of the field that says there is none */
        const char *says;
    } table[] = {
        {offsetof(model_config, levels), ": there is no diffusion network (" UNET},
        {offsetof(model_config, vae_levels), ": there is no autoencoder with 1 to 8 levels (" VAE},
        {offsetof(model_config, text_layers), ": there is no text encoder (" TEXT},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        err e = {0};
        model_config c, part = *fixture_config("tiny3");
        memset((char *)&part + table[i].network, 0, sizeof(int));
        assert_int_equal(read_back(*state, (fixture){.config = &part}, &c, &e), ERR_INVALID);
        check_says(e.text, (const char *const[]){table[i].says, NULL});
        assert_null(strstr(e.text, "; "));
    }
}

typedef struct {
    char name[1024][128];
    size_t count;
} name_list;

static void list_name(void *arg, const char *name, const int64_t *dim, int dims)
{
    name_list *l = arg;
    (void)dim;
    (void)dims;
    assert_true(l->count < COUNT(l->name));
    snprintf(l->name[l->count++], sizeof l->name[0], "%s", name);
}

/* Each tensor in turn is left out: the message names it and nothing else. */
static void any_tensor_missing(void **state)
{
    name_list *l = calloc(1, sizeof *l);
    assert_non_null(l);
    model_config_tensors(fixture_config("tiny3"), list_name, l);
    assert_int_equal(l->count, 512);
    for (size_t i = 0; i < l->count; i++) {
        err e = {0};
        model_config c;
        char says[256];
        const fixture_defect defect = {.name = l->name[i]};
        const fixture f = {.config = fixture_config("tiny3"), .defect = &defect, .defects = 1};
        assert_int_equal(read_back(*state, f, &c, &e), ERR_INVALID);
        snprintf(says, sizeof says, ": %s is missing", l->name[i]);
        check_says(e.text, (const char *const[]){says, NULL});
        assert_null(strstr(e.text, "; "));
    }
    free(l);
}

static int make_folder(void **state)
{
    static char folder[] = "/tmp/test_config.XXXXXX";
    *state = mkdtemp(folder);
    return *state ? 0 : -1;
}

static int drop_folder(void **state)
{
    return rmdir(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_architectures), cmocka_unit_test(other_architectures),
        cmocka_unit_test(harmless_tensors),    cmocka_unit_test(all_defects_listed),
        cmocka_unit_test(refused_models),      cmocka_unit_test(missing_networks),
        cmocka_unit_test(any_tensor_missing),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
