"""What the text encoder and the UNet learn from: latents with their captions."""
import torch

import pictures
import settings


class Examples:
    """Random batches of latents with their captions."""

    def __init__(self, data, work, sides=settings.SIDES):
        self.data = data
        self.sets = {side: torch.load(work / f"latents-{side}.pt") for side in sides}

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
