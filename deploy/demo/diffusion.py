"""Stage 4: trains the text encoder and the UNet together on the latents. WORKDIR/diffusion.pt

The noise schedule of SD 1.x, prediction of the noise, min-SNR weights, times spread evenly over
each batch, some captions empty so that classifier-free guidance works.
"""
import sys
from pathlib import Path

import torch
from torch import nn

import pictures
import settings
from nets import TextEncoder, Unet
from tokens import vocabulary_of
from training import Training, device, save_atomically

TIMES = 1000


def signal_parts():
    """How much of the variance is picture, at each time [1000]."""
    root = torch.linspace(0.00085**0.5, 0.012**0.5, TIMES, dtype=torch.float64)
    return torch.cumprod(1 - root**2, 0).float()


class Examples:
    """Random batches of latents with their captions."""

    def __init__(self, data, work):
        self.data = data
        self.sets = {side: torch.load(work / f"latents-{side}.pt") for side in settings.SIDES}

    def batch(self, side, n, rng):
        """(latents [n,4,h,w], n captions)"""
        latents = self.sets[side]["latent"]
        concept = torch.randint(latents.shape[0], (n,))
        colour = torch.randint(latents.shape[1], (n,))
        plain, pixel = settings.PLACEMENTS["plain"], settings.PLACEMENTS["pixel art"]
        pixel_art = torch.rand(n) < settings.PIXEL_SHARE
        of_plain, of_pixel = torch.randint(plain, (n,)), plain + torch.randint(pixel, (n,))
        place = torch.where(pixel_art, of_pixel, of_plain)
        small = self.sets[side]["small"][concept, colour, place]
        index = zip(*(part.tolist() for part in (concept, colour, pixel_art.long(), small)))
        return latents[concept, colour, place].float(), [self.caption(*i, rng) for i in index]

    def caption(self, concept, colour, style, small, rng):
        if rng.random() < settings.DROP_CAPTION:
            return ""
        named = rng.random() >= settings.DROP_BACKGROUND
        return pictures.caption(
            self.data["name"][concept],
            self.data["words"][concept],
            pictures.COLOUR_NAMES[colour] if named else None,
            settings.STYLES[style],
            small,
            rng,
        )


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
    snr = parts[t] / (1 - parts[t])
    loss = (error * snr.clamp(max=settings.SNR_MOST) / snr).mean()
    return loss, {"mse": error.mean().item()}


def make_model(rows):
    """The UNet and a text encoder of so many vocabulary rows, the last one (unknown) zero."""
    text = TextEncoder(rows)
    table = text.embeddings.token_embedding
    table.padding_idx = rows - 1  # keeps the row as it is
    with torch.no_grad():
        table.weight[rows - 1] = 0
    return nn.ModuleDict({"unet": Unet(), "text": text}).to(
        device(), memory_format=torch.channels_last
    )


def main(work):
    data = torch.load(work / "data.pt")
    vocabulary = vocabulary_of(data, pictures.COLOUR_NAMES, settings.STYLES)
    examples, parts = Examples(data, work), signal_parts().to(device())
    torch.manual_seed(settings.SEED)
    model = make_model(len(vocabulary))
    training = Training(model, settings.DIFFUSION, work / "diffusion-training.pt")

    def loss_of(step, rng):
        n = settings.DIFFUSION_BATCH
        latents, captions = examples.batch(side_at(step, rng), n, rng)
        loss, values = loss_parts(model, latents, vocabulary.rows(captions), parts)
        return loss, values, n

    save_atomically(training.run(loss_of).state_dict(), work / "diffusion.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
