"""Stage 6: one fp16 safetensors file with the names of SD 1.x. export.py WORKDIR [FILE] [--untrained]

Before the training has ended the averaged weights of its checkpoints are taken, so a model can be
looked at any time. --untrained: random weights instead, to test what reads the file.
"""
import argparse
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

import pictures
import settings
from diffusion import make_model
from nets import Autoencoder, TextEncoder, Unet
from tokens import END, vocabulary_of

PREFIXES = {
    "autoencoder": "first_stage_model.",
    "unet": "model.diffusion_model.",
    "text": "cond_stage_model.transformer.text_model.",
}
TOKEN_ROWS = "embeddings.token_embedding.weight"
FP16_MOST = 65504


def trained(work, stage):
    """The finished weights of a stage, or else those of its checkpoint."""
    done, running = work / f"{stage}.pt", work / f"{stage}-training.pt"
    if done.exists():
        return torch.load(done, map_location="cpu")
    print(f"{stage} is not finished: its checkpoint is taken")
    return torch.load(running, map_location="cpu")["average"]


def randomise(module):
    """Normal values of a size that keeps activations near one, also where training starts at 0."""
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.dim() > 1:
                value.normal_(std=value[0].numel() ** -0.5)
            elif name.endswith("weight"):
                value.normal_(1, 0.1)


def modules(work, vocabulary, untrained):
    """{part: module} with its weights."""
    if untrained:
        torch.manual_seed(settings.SEED)
    model, autoencoder = make_model(len(vocabulary)), Autoencoder()
    if untrained:
        randomise(model)
        randomise(autoencoder)
    else:
        model.load_state_dict(trained(work, "diffusion"))
        autoencoder.load_state_dict(trained(work, "autoencoder"))
    return {"autoencoder": autoencoder, "unet": model["unet"], "text": model["text"]}


def all_rows(table, vocabulary):
    """The embeddings of every CLIP token: zero for those that no caption uses."""
    full = torch.zeros(END + 1, table.shape[1])
    full[vocabulary.used] = table[: len(vocabulary.used)]
    return full


def tensors(parts, vocabulary):
    """{name in the file: fp16 tensor}"""
    out = {}
    for part, module in parts.items():
        for name, value in module.state_dict().items():
            if part == "text" and name == TOKEN_ROWS:
                value = all_rows(value.cpu(), vocabulary)
            assert value.abs().max() < FP16_MOST, name
            out[PREFIXES[part] + name] = value.cpu().half().contiguous()
    return out


def load(path):
    """{part: module} in fp32 from such a file."""
    state = {name: value.float() for name, value in load_file(path).items()}
    parts = {"autoencoder": Autoencoder(), "unet": Unet(), "text": TextEncoder(END + 1)}
    for part, module in parts.items():
        prefix = PREFIXES[part]
        module.load_state_dict(
            {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)}
        )
    return nn.ModuleDict(parts).eval().requires_grad_(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--untrained", action="store_true")
    options = parser.parse_args()
    path = options.file or options.work / "demo.safetensors"
    data = torch.load(options.work / "data.pt")
    vocabulary = vocabulary_of(data, pictures.COLOUR_NAMES, settings.STYLES)
    out = tensors(modules(options.work, vocabulary, options.untrained), vocabulary)
    partial = path.with_suffix(".partial")
    save_file(out, partial, metadata={"format": "pt"})
    os.replace(partial, path)
    count = sum(value.numel() for value in out.values())
    print(f"{path}: {count / 1e6:.2f} million parameters, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
