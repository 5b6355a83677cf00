"""One call of each network of Stable Diffusion 1.x in PyTorch + diffusers, fp32 on the CPU, as JSON.

    pytorch_step.py MODEL.safetensors WIDTH HEIGHT THREADS [ROUNDS]

The keys are those of bench_step: text_ms (two prompts), unet_step_ms (both halves of guidance in one call),
vae_encode_ms, vae_decode_ms; the best of ROUNDS."""
import json
import sys
import time

import torch

from networks import load

path, width, height, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
torch.set_num_threads(threads)
torch.manual_seed(0)


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
    unet, vae, text = load(path)
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
