"""Stage 4: shows the text encoder what its captions mean, before any UNet listens. WORKDIR/text.pt

A linear map of what comes after the caption's end guesses the caption's latents. That costs next to
nothing, and it decides whether the next stage works: the UNet's attention reads 77 tokens at once,
most of them padding, and learns to listen many times sooner when each of those already says
which picture is meant.
"""
import sys
from pathlib import Path

import torch
from torch import nn

import pictures
import settings
from examples import Examples
from nets import FACTOR, LATENT_CHANNELS, TextEncoder
from tokens import vocabulary_of
from training import Training, device, save_atomically


def make_text(rows):
    """A text encoder of so many vocabulary rows, the last one (unknown) zero for good."""
    text = TextEncoder(rows)
    table = text.embeddings.token_embedding
    table.padding_idx = rows - 1  # keeps the row as it is
    with torch.no_grad():
        table.weight[rows - 1] = 0
    return text


class Guess(nn.Module):
    """Rows [n,77], which of them come after the caption [n,77] -> latents [n,4,h,w]."""

    def __init__(self, rows, side):
        super().__init__()
        self.text = make_text(rows)
        self.shape = LATENT_CHANNELS, side // FACTOR, side // FACTOR
        self.head = nn.Linear(settings.TEXT_WIDTH, self.shape[0] * self.shape[1] * self.shape[2])

    def forward(self, rows, ended):
        share = ended / ended.sum(1, keepdim=True)
        said = torch.einsum("nt,ntc->nc", share, self.text(rows))
        return self.head(said).unflatten(1, self.shape)


def main(work):
    side = settings.SIDES[0]
    data = torch.load(work / "data.pt")
    vocabulary = vocabulary_of(data, pictures.COLOUR_NAMES, settings.STYLES)
    examples = Examples(data, work, [side])
    torch.manual_seed(settings.SEED)
    guess = Guess(len(vocabulary), side).to(device())
    training = Training(guess, settings.TEXT, work / "text-training.pt")

    def loss_of(_step, rng):
        n = settings.TEXT_BATCH
        latents, captions = examples.batch(side, n, rng)
        rows = vocabulary.rows(captions)
        ended = (rows == vocabulary.END_ROW).float()
        made = guess(rows.to(device()), ended.to(device()))
        return (made - latents.to(device())).square().mean(), {}, n

    average = training.run(loss_of)
    save_atomically(average.text.state_dict(), work / "text.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
