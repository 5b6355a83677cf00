"""Stage 3: the latents that the diffusion learns from, one file for each side. WORKDIR/latents-SIDE.pt

Every concept on every colour in several placements, those of pixel art last. Saved: `latent`
[concepts,colours,placements,4,h,w] in fp16, `small` [concepts,colours,placements].
"""
import sys
from pathlib import Path

import torch

import pictures
import settings
from nets import Autoencoder
from training import device, save_atomically


def load_autoencoder(work):
    net = Autoencoder().to(device(), memory_format=torch.channels_last)
    net.load_state_dict(torch.load(work / "autoencoder.pt", map_location=device()))
    return net.eval().requires_grad_(False)


def training_pictures(emoji, side):
    """For each emoji [4,S,S], in order: (pictures [n,3,side,side], small [n]), where n counts
    colours and, faster, placements. Always the same ones."""
    colours, each = len(pictures.PALETTE), sum(settings.PLACEMENTS.values())
    n = colours * each
    torch.manual_seed(settings.SEED + side)
    pixel_art = torch.arange(n) % each >= settings.PLACEMENTS["plain"]
    for one in emoji:
        ground = pictures.named_grounds(torch.arange(colours).repeat_interleave(each))
        scale, shift, small = pictures.placements(n)
        one = one.expand(n, -1, -1, -1)
        yield pictures.render(one, ground, scale, shift, pixel_art, side), small


@torch.no_grad()
def encoded(net, drawn):
    """fp16 latents of pictures."""
    return torch.cat([net.encode(part.to(device())).half().cpu() for part in drawn.split(12)])


def main(work):
    data = torch.load(work / "data.pt")
    net = load_autoencoder(work)
    for side in settings.SIDES:
        path = work / f"latents-{side}.pt"
        if path.exists():
            continue
        made = [
            (encoded(net, drawn), small)
            for drawn, small in training_pictures(data["picture"], side)
        ]
        shape = len(pictures.PALETTE), sum(settings.PLACEMENTS.values())
        latent, small = (torch.stack(parts).unflatten(1, shape) for parts in zip(*made))
        save_atomically({"latent": latent, "small": small}, path)
        deviation = latent.float().std((0, 1, 2, 4, 5)).tolist()
        print(f"side {side}: {tuple(latent.shape)}, deviation {deviation}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
