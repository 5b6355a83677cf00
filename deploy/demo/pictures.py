"""Training pictures and their captions, made from the emoji on the fly."""
import re

import torch
import torch.nn.functional as F

import settings

COLOUR_NAMES = list(settings.COLOURS)
PALETTE = torch.tensor(list(settings.COLOURS.values())) / 255  # [colours,3]
USUAL_SIZES = (0.82, 1.06)  # of the emoji in the picture; beyond 1 its edges are cropped
SMALL_SIZES = (0.5, 0.66)
SMALL_SHARE = 0.12
FLIPPED_SHARE = 0.3
COLOUR_JITTER = 0.025
HARD_EDGE = 0.45  # how much of a block of pixel art the emoji must cover
PIXEL_SHADES = 8


def uniform(count, low, high):
    return low + (high - low) * torch.rand(count)


def placements(count):
    """Random sizes, shifts and flips: (scale [n,2], negative across where it is flipped; shift [n,2]
    in parts of the side; small [n])."""
    small = torch.rand(count) < SMALL_SHARE
    scale = torch.where(small, uniform(count, *SMALL_SIZES), uniform(count, *USUAL_SIZES))
    room = (1 - scale).abs() / 2
    shift = (torch.rand(count, 2) * 2 - 1) * room[:, None] * 0.8
    across = torch.where(torch.rand(count) < FLIPPED_SHARE, -scale, scale)
    return torch.stack([across, scale], 1), shift, small


def render(emoji, ground, scale, shift, pixel_art, side=settings.SIDE):
    """Emoji [n,4,S,S] (premultiplied bytes) on grounds [n,3] in 0..1 -> [n,3,side,side] in -1..1.

    Drawn twice as large and averaged; pixel_art [n] chooses pictures of hard-edged blocks."""
    n = len(emoji)
    place = torch.zeros(n, 2, 3)
    place[:, 0, 0], place[:, 1, 1] = 1 / scale[:, 0], 1 / scale[:, 1]
    place[:, :, 2] = -2 * shift / scale
    grid = F.affine_grid(place, (n, 4, 2 * side, 2 * side), align_corners=False)
    drawn = F.grid_sample(emoji.float() / 255, grid, align_corners=False)
    drawn = F.avg_pool2d(drawn, 2)
    ground = ground[:, :, None, None]
    out = drawn[:, :3] + (1 - drawn[:, 3:]) * ground
    if pixel_art.any():
        out[pixel_art] = blocks(drawn[pixel_art], ground[pixel_art])
    return (out * 2 - 1).contiguous(memory_format=torch.channels_last)


def blocks(drawn, ground):
    """Pixel art: each block all emoji or all ground, in few shades."""
    mean = F.avg_pool2d(drawn, settings.PIXEL)
    alpha = mean[:, 3:]
    colour = (mean[:, :3] / alpha.clamp(min=1e-3) * PIXEL_SHADES).round() / PIXEL_SHADES
    art = torch.where(alpha > HARD_EDGE, colour, ground)
    return F.interpolate(art, scale_factor=float(settings.PIXEL), mode="nearest")


def named_grounds(colours):
    """The named colours [n], each a little off."""
    jitter = uniform((len(colours), 3), -COLOUR_JITTER, COLOUR_JITTER)
    return (PALETTE[colours] + jitter).clamp(0, 1)


def words_of(text):
    return set(re.findall(r"\w+", text))


def noun(name, small):
    """The name with its article, where it takes one."""
    name = f"small {name}" if small else name
    last = name.split()[-1]
    if last.endswith("s") and not last.endswith("ss") and last not in ("bus", "cactus"):
        return name
    return ("an " if name[0] in "aeiou" else "a ") + name


def caption(name, keywords, colour, style, small, rng):
    """'pixel art of a small red apple on a blue background, fruit': up to two keywords that the
    name does not hold, in random order; colour None leaves the background out."""
    others = [word for word in keywords if not words_of(word) & words_of(name)]
    chosen = rng.sample(others, min(len(others), rng.choice((0, 1, 1, 2))))
    text = noun(name, small)
    if style != "plain":
        text = f"{style} of {text}"
    if colour:
        text += f" on a {colour} background"
    return ", ".join([text] + chosen)
