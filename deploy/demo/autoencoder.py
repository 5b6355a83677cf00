"""Stage 2: trains the autoencoder. WORKDIR/autoencoder.pt

Loss: absolute error of pixels and of their differences to the neighbours, and a weak pull of the
latents towards a unit normal distribution. At the end the scale is folded into the 1x1
convolutions around the latents, so that each channel has zero mean and unit deviation.
"""
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import pictures
import settings
from nets import Autoencoder
from straight import start_straight
from training import Training, device, save_atomically

CONCEPT_SHARE = 0.7  # of the training pictures; the rest are the other emoji
NAMED_SHARE = 0.6  # of the grounds; the rest are any colour
PIXEL_SHARE = 0.2
FOLD_PICTURES = 512
LOOK_PICTURES = 48


def chosen(emoji, n):
    return emoji[torch.randint(len(emoji), (n,))]


def random_pictures(emoji, n, side=settings.SIDE, pixel_share=PIXEL_SHARE):
    """n pictures of given emoji on named and other grounds, mirrored half of the time."""
    named = pictures.named_grounds(torch.randint(len(pictures.PALETTE), (n,)))
    ground = torch.where(torch.rand(n, 1) < NAMED_SHARE, named, torch.rand(n, 3))
    emoji = torch.where(torch.rand(n, 1, 1, 1) < 0.5, emoji, emoji.flip(3))
    scale, shift, _ = pictures.placements(n)
    return pictures.render(emoji, ground, scale, shift, torch.rand(n) < pixel_share, side)


def differences(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def loss_parts(net, x):
    """(loss, what to log) of pictures [n,3,h,w]."""
    mean, logvar = net.moments(x)
    y = net.expand(mean + torch.randn_like(mean) * (0.5 * logvar).exp())
    pixels = (y - x).abs().mean()
    edges = sum((a - b).abs().mean() for a, b in zip(differences(y), differences(x)))
    kl = (mean**2 + logvar.exp() - 1 - logvar).mean() / 2
    loss = pixels + settings.EDGE_WEIGHT * edges + settings.KL_WEIGHT * kl
    return loss, {"l1": pixels.item(), "kl": kl.item()}


def psnr(y, x):
    """Mean over the pictures, in dB."""
    error = ((y.clamp(-1, 1) - x) / 2).square().mean((1, 2, 3))
    return (-10 * error.log10()).mean().item()


@torch.no_grad()
def round_trip(net, x):
    parts = [net.expand(net.moments(part.to(device()))[0]).cpu() for part in x.split(16)]
    return torch.cat(parts)


def save_sheet(x, path, columns):
    """Pictures [n,3,h,w] in -1..1 as one PNG."""
    n, c, h, w = x.shape
    rows = x.reshape(n // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)
    sheet = rows.reshape(n // columns * h, columns * w, c)
    data = ((sheet.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
    Image.fromarray(np.ascontiguousarray(data)).save(path)


def test_sets(data):
    """New placements of the concepts, of held-out emoji, and concepts as pixel art."""
    torch.manual_seed(settings.SEED - 1)
    n = LOOK_PICTURES
    return {
        "concepts": random_pictures(chosen(data["picture"], n), n, pixel_share=0),
        "held-out": random_pictures(data["held_out"][:n], n, pixel_share=0),
        "pixel-art": random_pictures(chosen(data["picture"], n), n, pixel_share=1),
        "concepts-small": random_pictures(
            chosen(data["picture"], n), n, settings.SIDES[0], pixel_share=0
        ),
    }


def report(net, sets, work, step):
    """Prints the PSNR over the test sets; writes a sheet of pictures above their round trips."""
    said = []
    for name, x in sets.items():
        y = round_trip(net, x)
        said.append(f"{name} {psnr(y, x):.2f}")
        columns = 12
        rows = [part for k in (0, columns) for part in (x[k : k + columns], y[k : k + columns])]
        save_sheet(torch.cat(rows), work / f"autoencoder-{name}.png", columns)
    print(f"step {step} PSNR: {', '.join(said)} dB", flush=True)


@torch.no_grad()
def fold(net, x):
    """Moves mean and deviation of the latents of x into quant_conv and post_quant_conv."""
    mean = torch.cat([net.moments(part.to(device()))[0] for part in x.split(16)])
    centre = mean.mean((0, 2, 3))
    spread = mean.std((0, 2, 3)) * settings.LATENT_SCALE
    half = len(centre)
    before, after = net.quant_conv, net.post_quant_conv
    after.bias += after.weight[:, :, 0, 0] @ centre
    after.weight *= spread[None, :, None, None]
    before.bias[:half] -= centre
    before.bias[:half] /= spread
    before.weight[:half] /= spread[:, None, None, None]
    before.bias[half:] -= 2 * spread.log()
    print(f"latents had mean {centre.tolist()}, deviation {spread.tolist()}")


def main(work):
    data = torch.load(work / "data.pt")
    torch.manual_seed(settings.SEED)
    net = Autoencoder()
    start_straight(net)
    net = net.to(device(), memory_format=torch.channels_last)
    training = Training(net, settings.AUTOENCODER, work / "autoencoder-training.pt")
    sets = test_sets(data)

    def loss_of(step, _rng):
        side = settings.SIDES[step % len(settings.SIDES)]
        n = settings.AUTOENCODER_BATCH[side]
        pool = torch.rand(n, 1, 1, 1) < CONCEPT_SHARE
        emoji = torch.where(pool, chosen(data["picture"], n), chosen(data["other"], n))
        loss, values = loss_parts(net, random_pictures(emoji, n, side).to(device()))
        return loss, values, n

    net = training.run(loss_of, lambda average, step: report(average, sets, work, step))
    report(net, sets, work, training.step)
    torch.manual_seed(settings.SEED)
    sample = chosen(data["picture"], FOLD_PICTURES)
    fold(net, random_pictures(sample, FOLD_PICTURES))
    save_atomically(net.state_dict(), work / "autoencoder.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
