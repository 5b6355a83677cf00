"""CLIP's byte pair encoding, for the plain captions of this recipe: lower case, no entities.

The vocabulary is the one that the worker is built with."""
import gzip
import re
from functools import lru_cache
from pathlib import Path

import torch

from nets import TOKENS

VOCABULARY = (
    Path(__file__).resolve().parents[2]
    / "worker/model/clip_vocabulary/bpe_simple_vocab_16e6.txt.gz"
)
MERGES = 49152 - 256 - 2
START, END = 49406, 49407
WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+")


def byte_characters():
    """The printable character that stands for each byte, in the vocabulary's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [byte for byte in range(256) if byte not in plain]
    table = {byte: chr(byte) for byte in plain}
    table.update({byte: chr(256 + i) for i, byte in enumerate(shifted)})
    return table


class Tokenizer:
    def __init__(self):
        lines = gzip.open(VOCABULARY).read().decode("utf-8").split("\n")
        merges = [tuple(line.split()) for line in lines[1 : MERGES + 1]]
        self.bytes = byte_characters()
        pieces = list(self.bytes.values())
        pieces += [piece + "</w>" for piece in pieces]
        pieces += ["".join(merge) for merge in merges]
        self.id = {piece: i for i, piece in enumerate(pieces)}
        self.rank = {merge: i for i, merge in enumerate(merges)}
        self.word = lru_cache(maxsize=None)(self.split_word)

    def split_word(self, word):
        """Merges the pair of the lowest rank, everywhere, until no known pair is left."""
        parts = [self.bytes[byte] for byte in word.encode("utf-8")]
        parts[-1] += "</w>"
        while len(parts) > 1:
            pairs = list(zip(parts, parts[1:]))
            best = min(pairs, key=lambda pair: self.rank.get(pair, MERGES))
            if best not in self.rank:
                break
            merged, i = [], 0
            while i < len(parts):
                step = 2 if tuple(parts[i : i + 2]) == best else 1
                merged.append("".join(parts[i : i + step]))
                i += step
            parts = merged
        return [self.id[part] for part in parts]

    def encode(self, text):
        """The tokens of a text, without start and end."""
        return [token for word in WORD.findall(text.lower()) for token in self.word(word)]


class Vocabulary:
    """The tokens that captions use, numbered without gaps, so that training carries no dead rows.
    The first row is the start, then the end and the padding, the last row every unknown token."""

    START_ROW, END_ROW = 0, 1

    def __init__(self, texts):
        self.tokenizer = Tokenizer()
        used = {token for text in texts for token in self.tokenizer.encode(text)}
        self.used = [START, END, *sorted(used)]
        self.row = {token: i for i, token in enumerate(self.used)}

    def __len__(self):
        return len(self.used) + 1

    def rows(self, texts):
        """[n,77]"""
        out = torch.full((len(texts), TOKENS), self.END_ROW)
        out[:, 0] = self.START_ROW
        for i, text in enumerate(texts):
            tokens = self.tokenizer.encode(text)[: TOKENS - 2]
            known = [self.row.get(token, len(self.used)) for token in tokens]
            out[i, 1 : 1 + len(known)] = torch.tensor(known, dtype=torch.long)
        return out


def vocabulary_of(data, colours, styles):
    """The vocabulary of all captions that the data can give."""
    frame = "a an small of on a background , , ," + " ".join([*colours, *styles])
    return Vocabulary([frame, *data["name"], *(" ".join(words) for words in data["words"])])
