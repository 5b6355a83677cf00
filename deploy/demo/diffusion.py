"""Stage 5: trains the UNet, and the text encoder more slowly, on the latents. WORKDIR/diffusion.pt

The noise schedule of SD 1.x, prediction of the noise, times spread evenly over each batch, some
captions empty so that classifier-free guidance works. An error counts by how much of the picture is
left at its time (as if velocities were predicted): what a caption decides is decided in noise.
"""
import sys
from pathlib import Path

import torch
from torch import nn

import pictures
import settings
from examples import Examples
from nets import Unet
from text import make_text
from tokens import vocabulary_of
from training import Training, device, save_atomically

TIMES = 1000


def signal_parts():
    """How much of the variance is picture, at each time [1000]."""
    root = torch.linspace(0.00085**0.5, 0.012**0.5, TIMES, dtype=torch.float64)
    return torch.cumprod(1 - root**2, 0).float()


def side_at(step, rng):
    """Small pictures for most of the first half, large ones for most of the second."""
    second = step >= settings.DIFFUSION["steps"] // 2
    return settings.SIDES[0 if rng.random() < settings.SMALL_SHARE[second] else 1]


def loss_parts(model, latents, rows, parts):
    """(loss, what to log): the error of the predicted noise, weighted by the time's min-SNR."""
    n = len(latents)
    t = ((torch.arange(n) + torch.rand(n)) / n * TIMES).long().to(device())
    noise = torch.randn(latents.shape).to(device())
    part = parts[t][:, None, None, None]
    noisy = part.sqrt() * latents.to(device()) + (1 - part).sqrt() * noise
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    guess = model["unet"](noisy, t, model["text"](rows.to(device())))
    error = (guess - noise).square().mean((1, 2, 3))
    weight = (1 / parts[t]).clamp(max=settings.WEIGHT_MOST)
    loss = (error * weight).sum() / weight.sum()
    return loss, {"mse": error.mean().item()}


def make_model(rows):
    """The UNet and a text encoder of so many vocabulary rows."""
    return nn.ModuleDict({"unet": Unet(), "text": make_text(rows)}).to(
        device(), memory_format=torch.channels_last
    )


def main(work):
    data = torch.load(work / "data.pt")
    vocabulary = vocabulary_of(data, pictures.COLOUR_NAMES, settings.STYLES)
    examples, parts = Examples(data, work), signal_parts().to(device())
    torch.manual_seed(settings.SEED)
    model = make_model(len(vocabulary))
    model["text"].load_state_dict(torch.load(work / "text.pt", map_location=device()))
    training = Training(model, settings.DIFFUSION, work / "diffusion-training.pt")

    def loss_of(step, rng):
        n = settings.DIFFUSION_BATCH
        latents, captions = examples.batch(side_at(step, rng), n, rng)
        loss, values = loss_parts(model, latents, vocabulary.rows(captions), parts)
        return loss, values, n

    save_atomically(training.run(loss_of).state_dict(), work / "diffusion.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
