"""One call of each network of Stable Diffusion 1.x in PyTorch + diffusers, fp32 on the CPU, as JSON.

    pytorch_step.py MODEL.safetensors WIDTH HEIGHT THREADS [ROUNDS]

The keys are those of bench_step: text_ms (two prompts), unet_step_ms (both halves of guidance in one call),
vae_encode_ms, vae_decode_ms; the best of ROUNDS."""
import json
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as convert
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

path, width, height, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
torch.set_num_threads(threads)
torch.manual_seed(0)

UNET = dict(sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, cross_attention_dim=768,
            attention_head_dim=8, block_out_channels=[320, 640, 1280, 1280],
            down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3)
VAE = dict(in_channels=3, out_channels=3, latent_channels=4, layers_per_block=2, sample_size=512,
           block_out_channels=[128, 256, 512, 512], down_block_types=["DownEncoderBlock2D"] * 4,
           up_block_types=["UpDecoderBlock2D"] * 4)
TEXT = dict(vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
            num_attention_heads=12, max_position_embeddings=77, hidden_act="quick_gelu")


def filled(module, state):
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in name for name in missing), (missing[:3], unexpected[:3])
    return module.float().eval()


def load():
    weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    unet = filled(UNet2DConditionModel(**UNET), convert.convert_ldm_unet_checkpoint(dict(weights), UNET))
    vae = filled(AutoencoderKL(**VAE), convert.convert_ldm_vae_checkpoint(dict(weights), VAE))
    text = CLIPTextModel(CLIPTextConfig(**TEXT))
    prefix = "cond_stage_model.transformer."
    state = {name[len(prefix):]: w for name, w in weights.items() if name.startswith(prefix)}
    if not any(name.startswith("text_model.") for name in text.state_dict()):
        state = {name[len("text_model."):]: w for name, w in state.items()}
    return unet, vae, filled(text, state)


def best_ms(call):
    call()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


@torch.no_grad()
def measure():
    unet, vae, text = load()
    ids = torch.randint(0, 49405, (2, 77))
    context = text(ids).last_hidden_state
    latent = torch.randn(2, 4, height // 8, width // 8)
    picture = torch.rand(1, 3, height, width) * 2 - 1
    t = torch.tensor([981.0, 981.0])
    return dict(
        program=f"PyTorch {torch.__version__}", threads=threads,
        text_ms=best_ms(lambda: text(ids).last_hidden_state),
        unet_step_ms=best_ms(lambda: unet(latent, t, encoder_hidden_states=context).sample),
        vae_encode_ms=best_ms(lambda: vae.encode(picture).latent_dist.mean),
        vae_decode_ms=best_ms(lambda: vae.decode(latent[:1]).sample))


print(json.dumps(measure()))
