"""PyTorch's own pictures of an exported file: DPM++ 2M on Karras sigmas, noise of the CPU generator.

What agree.py compares the worker with; also a quick look: sample.py FILE OUT.png PROMPT...
"""
import sys

import torch

import settings
from autoencoder import save_sheet
from diffusion import signal_parts
from export import load
from nets import FACTOR, LATENT_CHANNELS, TOKENS
from tokens import END, START, Tokenizer

RHO = 7.0


def token_ids(texts):
    """CLIP's ids [n,77], padded with the end."""
    tokenizer = Tokenizer()
    out = torch.full((len(texts), TOKENS), END)
    out[:, 0] = START
    for i, text in enumerate(texts):
        ids = tokenizer.encode(text)[: TOKENS - 2]
        out[i, 1 : 1 + len(ids)] = torch.tensor(ids, dtype=torch.long)
    return out


def model_sigmas():
    parts = signal_parts().double()
    return ((1 - parts) / parts).sqrt()


def karras(steps):
    """[steps + 1], the last one 0."""
    table = model_sigmas()
    low, high = table[0] ** (1 / RHO), table[-1] ** (1 / RHO)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    return torch.cat([(high + ramp * (low - high)) ** RHO, torch.zeros(1, dtype=torch.float64)])


def time_of(sigma):
    """The time, between the model's own ones, at which the noise has this deviation."""
    logs = model_sigmas().log()
    at = sigma.log()
    low = int((logs <= at).sum().clamp(1, len(logs) - 1)) - 1
    return low + float(((at - logs[low]) / (logs[low + 1] - logs[low])).clamp(0, 1))


@torch.no_grad()
def sample(model, prompts, seeds, steps=20, guidance=3.0, size=(settings.SIDE, settings.SIDE)):
    """Pictures [n,3,h,w] in -1..1; size: (height, width)."""
    n = len(prompts)
    context = model["text"](token_ids([""] * n + list(prompts)))
    shape = (1, LATENT_CHANNELS, size[0] // FACTOR, size[1] // FACTOR)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    sigmas = karras(steps)
    x, before = torch.cat(noise) * sigmas[0].float(), None
    for i in range(steps):
        sigma, after = sigmas[i], sigmas[i + 1]
        scaled = (x / (sigma**2 + 1).sqrt().float()).repeat(2, 1, 1, 1)
        t = torch.full((2 * n,), time_of(sigma))
        empty, wanted = model["unet"](scaled, t, context).chunk(2)
        clean = x - sigma.float() * (empty + guidance * (wanted - empty))
        guess = clean
        if before is not None and after > 0:
            ratio = float((sigmas[i - 1] / sigma).log() / (sigma / after).log())
            guess = (1 + 0.5 / ratio) * clean - 0.5 / ratio * before
        shrink = float(after / sigma)
        x, before = shrink * x + (1 - shrink) * guess, clean
    return model["autoencoder"].decode(x)


def main():
    model = load(sys.argv[1])
    prompts = sys.argv[3:]
    made = sample(model, prompts, range(len(prompts)))
    save_sheet(made, sys.argv[2], len(prompts))


if __name__ == "__main__":
    main()
