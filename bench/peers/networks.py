"""The networks of Stable Diffusion 1.x in diffusers and transformers, with the weights of a single file: for the
peers. `tiny` is the small model of the tests (make_model tiny)."""
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as convert
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

WIDTHS = {  # of the UNet, its context, the autoencoder, the text encoder's layers, heads and MLP
    "sd15": ([320, 640, 1280, 1280], 768, [128, 256, 512, 512], 12, 12, 3072),
    "tiny": ([64, 128, 128, 128], 64, [32, 64, 64, 64], 3, 1, 256),
}


def configs(arch):
    unet, context, vae, layers, heads, mlp = WIDTHS[arch]
    return (dict(sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, cross_attention_dim=context,
                 attention_head_dim=8, block_out_channels=unet,
                 down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
                 up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3),
            dict(in_channels=3, out_channels=3, latent_channels=4, layers_per_block=2, sample_size=512,
                 block_out_channels=vae, down_block_types=["DownEncoderBlock2D"] * 4,
                 up_block_types=["UpDecoderBlock2D"] * 4),
            dict(vocab_size=49408, hidden_size=context, intermediate_size=mlp, num_hidden_layers=layers,
                 num_attention_heads=heads, max_position_embeddings=77, hidden_act="quick_gelu"))


def filled(module, state):
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in name for name in missing), (missing[:3], unexpected[:3])
    return module.float().eval()


def load(path, arch="sd15"):
    """UNet, autoencoder and text encoder, fp32 on the CPU."""
    weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    unet, vae, text = configs(arch)
    prefix = "cond_stage_model.transformer."
    encoder = CLIPTextModel(CLIPTextConfig(**text))
    state = {name[len(prefix):]: w for name, w in weights.items() if name.startswith(prefix)}
    if not any(name.startswith("text_model.") for name in encoder.state_dict()):
        state = {name[len("text_model."):]: w for name, w in state.items()}
    return (filled(UNet2DConditionModel(**unet), convert.convert_ldm_unet_checkpoint(dict(weights), unet)),
            filled(AutoencoderKL(**vae), convert.convert_ldm_vae_checkpoint(dict(weights), vae)),
            filled(encoder, state))
