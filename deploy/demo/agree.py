"""Compares the worker's pictures with PyTorch's of the same file, prompts and seeds.
agree.py BIN_FOLDER FILE: prints the PSNR of each; fails below 35 dB."""
import sys

import settings
from autoencoder import psnr
from export import load
from sample import sample
from service import Service

LEAST = 35.0
PROMPTS = [
    "a red apple on a blue background, fruit",
    "a panda on a green background",
    "pixel art of a taxi on a white background",
    "a soccer ball on a pink background",
    "a small rocket on a black background",
    "an owl on a purple background",
    "a fire engine on a gray background",
    "a sunflower",
]
SIZES = [(settings.SIDE, settings.SIDE)] * 6 + [(96, 96), (64, 128)]  # height, width


def main():
    model = load(sys.argv[2])
    worst = float("inf")
    with Service(sys.argv[1], sys.argv[2]) as service:
        for seed, (prompt, size) in enumerate(zip(PROMPTS, SIZES)):
            theirs = service.make(
                "txt2img",
                prompt=prompt,
                seed=seed,
                steps=20,
                cfg_scale=3,
                sampler="DPM++ 2M Karras",
                height=size[0],
                width=size[1],
            )
            ours = sample(model, [prompt], [seed], size=size).clamp(-1, 1)
            same = psnr(theirs[None], ours)
            worst = min(worst, same)
            print(f"{same:6.2f} dB  {size[1]}x{size[0]}  {prompt}", flush=True)
    if worst < LEAST:
        raise SystemExit(f"{worst:.2f} dB, expected at least {LEAST}")


if __name__ == "__main__":
    main()
