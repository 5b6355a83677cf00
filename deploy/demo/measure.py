"""The model's figures, over pictures that the worker made. measure.py BIN_FOLDER WORKDIR FILE OUT_FOLDER

Retrieval: a picture is described by its 16x16 mean colours in CIE Lab; the training pictures nearest
to it, by Euclidean distance, say which emoji it shows. Top-5 counts the five nearest emoji.
Writes OUT_FOLDER/sheet.png and img2img.png, prints the figures.
"""
import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import pictures
import settings
from autoencoder import save_sheet
from latents import training_pictures
from service import Service

CAPTIONS = 200
PAIRS = 100
PIXEL_SHARE = 0.25
CELLS = 16
SHEET = 64
OPTIONS = {
    "steps": 20,
    "cfg_scale": 3,
    "sampler": "DPM++ 2M Karras",
    "width": settings.SIDE,
    "height": settings.SIDE,
}
XYZ = torch.tensor(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
WHITE = torch.tensor([0.9505, 1.0, 1.089])


def features(x):
    """[n,3,h,w] in -1..1 -> [n,CELLS*CELLS*3] Lab values of the cells."""
    srgb = (F.interpolate(x, (CELLS, CELLS), mode="area") + 1) / 2
    linear = torch.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    xyz = torch.einsum("ij,njhw->nihw", XYZ, linear) / WHITE[:, None, None]
    root = torch.where(xyz > 0.008856, xyz.clamp(min=1e-8) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1).flatten(1)


class Bank:
    """The features of all training pictures."""

    def __init__(self, data):
        sets = [features(drawn) for drawn, _ in training_pictures(data["picture"], settings.SIDE)]
        self.features = torch.stack(sets)  # [concepts, pictures, values]

    def ranked(self, picture):
        """All concepts, nearest first."""
        wanted = features(picture[None])[0]
        distance = (self.features - wanted).square().sum(-1).amin(1)
        return distance.argsort().tolist()


class Ranks:
    """Counts of right answers."""

    def __init__(self):
        self.places = []

    def add(self, ranked, wanted):
        self.places.append(ranked.index(wanted))

    def share(self, most):
        return 100 * sum(place < most for place in self.places) / max(1, len(self.places))

    def text(self):
        return f"top-1 {self.share(1):.1f} %, top-5 {self.share(5):.1f} % of {len(self.places)}"


def random_caption(data, rng, concept, style, colour=None):
    colour = colour or rng.choice(pictures.COLOUR_NAMES)
    name, words = data["name"][concept], data["words"][concept]
    return pictures.caption(name, words, colour, style, False, rng)


def measure_txt2img(service, data, bank, out):
    rng = random.Random(settings.SEED)
    all_ranks, ranks = Ranks(), {style: Ranks() for style in settings.STYLES}
    made = []
    for seed in range(CAPTIONS):
        concept = rng.randrange(len(data["name"]))
        style = settings.STYLES[rng.random() < PIXEL_SHARE]
        prompt = random_caption(data, rng, concept, style)
        picture = service.make("txt2img", prompt=prompt, seed=seed, **OPTIONS)
        ranked = bank.ranked(picture)
        all_ranks.add(ranked, concept)
        ranks[style].add(ranked, concept)
        made.append(picture)
    save_sheet(torch.stack(made[:SHEET]), out / "sheet.png", 8)
    print(f"txt2img: {all_ranks.text()}")
    for style, part in ranks.items():
        print(f"  {style}: {part.text()}")


def save_picture(x, path):
    save_sheet(x[None], path, 1)
    return str(path)


def measure_img2img(service, data, bank, out):
    """A training picture of one emoji, and the prompt of another one on the same colour."""
    rng = random.Random(settings.SEED + 1)
    ranks, near, rows = Ranks(), 0, []
    sets = training_pictures(data["picture"], settings.SIDE)
    each = sum(settings.PLACEMENTS.values())
    at = [rng.randrange(len(pictures.COLOUR_NAMES) * each) for _ in data["name"]]
    every = torch.stack([drawn[i] for i, (drawn, _) in zip(at, sets)])
    for seed in range(PAIRS):
        first, second = rng.sample(range(len(data["name"])), 2)
        start = every[first]
        path = save_picture(start, out / "input.png")
        colour = pictures.COLOUR_NAMES[at[first] // each]
        prompt = random_caption(data, rng, second, settings.STYLES[0], colour)
        weak, strong = (
            service.make(
                "img2img", path, prompt=prompt, seed=seed, denoising_strength=strength, **OPTIONS
            )
            for strength in (0.5, 0.8)
        )
        other = every[rng.randrange(len(every))]
        seen, wanted, away = features(torch.stack([weak, start, other]))
        near += int((seen - wanted).norm() < (seen - away).norm())
        ranks.add(bank.ranked(strong), second)
        rows.append(torch.stack([start, weak, strong]))
    (out / "input.png").unlink()
    save_sheet(torch.stack(rows[:16], 1).flatten(0, 1), out / "img2img.png", 16)
    print(f"img2img at 0.5: {100 * near / PAIRS:.1f} % nearer to their input than to another picture")
    print(f"img2img at 0.8: {ranks.text()}")


def main():
    programs, work, file, out = (Path(argument) for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    data = torch.load(work / "data.pt")
    bank = Bank(data)
    with Service(programs, file) as service:
        measure_txt2img(service, data, bank, out)
        measure_img2img(service, data, bank, out)


if __name__ == "__main__":
    main()
