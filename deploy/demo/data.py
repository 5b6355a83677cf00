"""Stage 1: the emoji bitmaps of the font joined to their English names. WORKDIR/data.pt

Sources: Debian's fonts-noto-color-emoji (bitmaps in the font's CBDT table) and unicode-cldr-core
(names and keywords). Only emoji of a single code point are used.
"""
import io
import random
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import torch
from fontTools.ttLib import TTFont
from PIL import Image

import settings
from training import save_atomically

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
ANNOTATIONS = "/usr/share/unicode/cldr/common/annotations/en.xml"
CONCEPTS = Path(__file__).with_name("concepts.txt")
MARGIN = 2  # pixels around the longer side
HELD_OUT = 48  # emoji that no stage learns from, to test the autoencoder with
LEFT_OUT = re.compile("skin|flag|clock|button|symbol|o’clock|-thirty")


def bitmaps():
    """{character: RGBA picture} of every single code point in the font."""
    font = TTFont(FONT)
    strike = font["CBDT"].strikeData[0]
    return {
        chr(code): Image.open(io.BytesIO(strike[glyph].imageData)).convert("RGBA")
        for code, glyph in font.getBestCmap().items()
        if glyph in strike
    }


def annotations():
    """({character: name}, {character: [keywords]}), in lower case."""
    names, words = {}, {}
    for entry in ElementTree.parse(ANNOTATIONS).getroot().iter("annotation"):
        text = entry.text.lower()
        if entry.get("type") == "tts":
            names[entry.get("cp")] = text
        else:
            words[entry.get("cp")] = [word.strip() for word in text.split("|")]
    return names, words


def centred(picture):
    """The painted part in the middle of a square, as premultiplied RGBA [4,SOURCE,SOURCE] bytes."""
    side = settings.SOURCE
    picture = picture.crop(picture.getbbox())
    ratio = (side - 2 * MARGIN) / max(picture.size)
    if ratio < 1:
        size = [max(1, round(edge * ratio)) for edge in picture.size]
        picture = picture.resize(size, Image.LANCZOS)
    square = Image.new("RGBA", (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    pixels = np.asarray(square).astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    return torch.from_numpy(pixels.round().astype(np.uint8)).permute(2, 0, 1)


def is_other(character, name):
    """Whether the autoencoder may learn from an emoji that is no concept."""
    return 0x1F300 <= ord(character) <= 0x1FAFF and not LEFT_OUT.search(name)


def main(work):
    found = bitmaps()
    names, words = annotations()
    concepts = "".join(CONCEPTS.read_text(encoding="utf-8").split())
    missing = [c for c in concepts if c not in found or c not in names]
    if missing or len(set(concepts)) != len(concepts):
        raise SystemExit(f"concepts.txt: without a bitmap or a name, or twice: {missing}")
    others = [c for c in found if c in names and c not in concepts and is_other(c, names[c])]
    random.Random(settings.SEED).shuffle(others)
    stacked = lambda characters: torch.stack([centred(found[c]) for c in characters])
    data = {
        "character": list(concepts),
        "name": [names[c] for c in concepts],
        "words": [words[c] for c in concepts],
        "picture": stacked(concepts),
        "held_out": stacked(others[:HELD_OUT]),
        "other": stacked(others[HELD_OUT:]),
    }
    save_atomically(data, work / "data.pt")
    print(f"{len(concepts)} concepts, {len(others) - HELD_OUT} other emoji, {HELD_OUT} held out")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
