#!/usr/bin/env python3
"""Every picture task on one sheet, to be looked at.

Runs the real command (`overpaint up` with a generated `tiny` model and the networks of deploy/models) on a
photograph, and lays inputs, masks and results side by side with their captions. `tiny` has no training: what
it paints is noise, so whatever is not noise must be the photograph, in its place. A result "at 0" has
denoising strength 0 and shows what the sampler would have started from.

Under each result stands what can be counted: how many pixels outside its mask differ (0, always).

    tests/contact_sheet.py [--photo examples/chelsea.png] [--build build] [--output build/sheet] [WORD ...]

WORD: only rows whose title has it. Writes OUTPUT-1.png, OUTPUT-2.png ... and the single pictures into the
folder OUTPUT. Needs Pillow. Exit code 1: a command failed that should not, did not fail that should, or
changed what it had to keep.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROMPT = ["--prompt", "a red fox", "--seed", "7", "--steps", "6", "--model", "tiny"]
CELL, GAP, LINE, ACROSS, SHEET = 300, 12, 15, 5, 1500


class Service:
    """`overpaint up` in a folder of its own; `run` is one command."""

    def __init__(self, build, folder):
        self.bin = build / "bin"
        models = folder / "models"
        models.mkdir()
        for name in ("tiny", "tiny9"):
            subprocess.run([self.bin / "make_model", name, models / f"{name}.safetensors"], check=True)
        self.environment = dict(os.environ, OVERPAINT_ENDPOINT=f"ipc://{folder}/broker")
        self.up = subprocess.Popen([self.bin / "overpaint", "up", "--models", models],
                                   env=self.environment, stdout=subprocess.PIPE, text=True,
                                   stderr=open(folder / "log", "w"))
        if not self.up.stdout.readline().startswith("ready"):
            sys.exit((folder / "log").read_text())

    def run(self, command, source, output, options):
        """(pictures, error text or "")"""
        prompt = [] if command == "upscale" else PROMPT
        done = subprocess.run([self.bin / "overpaint", command, source, "--output", output, "--json",
                               *prompt, *map(str, options)],
                              env=self.environment, stdout=subprocess.PIPE, text=True)
        said = json.loads(done.stdout)
        if "error" in said:
            return [], said["error"]["text"]
        return [pathlib.Path(p["path"]) for p in said["pictures"]], said.get("note") or ""

    def end(self):
        self.up.terminate()
        self.up.wait()


# ------------------------------------------------------------------------------------- inputs

def draw_mask(size, shape, fill=255):
    """A mask with a disc a little above and right of the middle (or what `shape` draws)."""
    mask = Image.new("L", size, 0)
    shape(ImageDraw.Draw(mask), *size, fill)
    return mask


def disc(draw, w, h, fill):
    draw.ellipse((w * .5, h * .15, w * .5 + h * .5, h * .65), fill=fill)


def corner(draw, w, h, fill):
    draw.rectangle((0, h - h // 3, w // 4, h), fill=fill)


def make_inputs(photo, folder):
    """Every input by name, as a file."""
    whole = Image.open(photo).convert("RGB")
    base = whole.crop((0, 0, whole.width // 8 * 8, whole.height // 8 * 8))
    mask = draw_mask(base.size, disc)
    opaque = Image.merge("RGBA", [Image.new("L", base.size, 40)] * 3 + [mask])
    clear = base.copy()
    clear.putalpha(ImageChops.invert(mask))
    sketch = base.copy()
    disc(ImageDraw.Draw(sketch), *base.size, (30, 160, 60))
    pictures = {
        "photo": base,
        "odd": whole.crop((0, 0, base.width - 5, base.height - 3)),
        "small": base.resize((base.width // 3, base.height // 3), Image.LANCZOS),
        "mask": mask,
        "corner": draw_mask(base.size, corner),
        "grey": mask.filter(ImageFilter.GaussianBlur(base.height / 16)),
        "opaque": opaque,
        "clear": clear,
        "sketch": sketch,
        "black": Image.new("L", base.size, 0),
        "double": mask.resize((base.width * 2, base.height * 2)),
        "square": mask.resize((256, 256)),
        "seen through": Image.new("RGBA", base.size, (255, 255, 255, 0)),
    }
    paths = {}
    for name, picture in pictures.items():
        paths[name] = folder / f"input {name}.png"
        picture.save(paths[name])
    return paths


# ------------------------------------------------------------------------------------- rows

class Case:
    """One command: its input, options, what it must keep and whether it must fail.

    kept: None, or (result, input pictures) -> how many pixels that it had to keep are different."""

    def __init__(self, caption, command, source, *options, shows=(), kept=None, fails=False):
        self.caption, self.command, self.source, self.options = caption, command, source, options
        self.shows, self.kept, self.fails = shows, kept, fails


def differing(a, b, where=None):
    """Pixels of two pictures that are not equal, where the mask `where` is white."""
    if a.size != b.size:
        return a.width * a.height
    bands = ImageChops.difference(a.convert("RGB"), b.convert("RGB")).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    if where:
        most = ImageChops.multiply(most.point(lambda v: 255 * (v > 0)), where)
    return sum(most.histogram()[1:])


def outside(mask, reach, source="photo", invert=False):
    """Everything farther than `reach` pixels from what `mask` repaints is the input's."""
    def check(result, inputs):
        painted = Image.open(inputs[mask]).convert("L").point(lambda v: 255 * (v > 0))
        if invert:
            painted = ImageChops.invert(painted)
        grown = painted.filter(ImageFilter.MaxFilter(2 * reach + 1)) if reach else painted
        return differing(result, Image.open(inputs[source]), ImageChops.invert(grown))
    return check


def inside(left, top, source="photo", edge=0):
    """The input stands at (left, top) of the result, but for `edge` pixels of its border."""
    def check(result, inputs):
        old = Image.open(inputs[source])
        box = (edge, edge, old.width - edge, old.height - edge)
        return differing(result.crop((left + edge, top + edge, left + box[2], top + box[3])), old.crop(box))
    return check


def grown(source="photo", left=False, up=False, edge=0):
    """Outpainted: the input stands where it must, but for `edge` pixels along the sides that grew.

    Without left and up it lies at the upper left; with both, all sides grew and share the surplus."""
    def check(result, inputs):
        old = Image.open(inputs[source])
        x, y = result.width - old.width, result.height - old.height
        if left and up:
            x, y = x // 2, y // 2
        return inside(x if left else 0, y if up else 0, source, edge)(result, inputs)
    return check


def resized(scale, method, source="small"):
    """The result is the input, resized by Pillow."""
    def check(result, inputs):
        old = Image.open(inputs[source])
        size = tuple(int(side * scale) // 8 * 8 for side in old.size)
        return differing(result, old.resize(size, method))
    return check


def rows(inputs):
    size = Image.open(inputs["photo"]).size
    plain = ["--width", size[0], "--height", size[1]]
    masked = [*plain, "--mask", inputs["mask"], "--mask-blur", 4]
    zero = ["--denoising-strength", 0, "--fix-steps"]
    near = outside("mask", 11)
    network = "animevideov3-x4"
    tile = ["--width", 128, "--height", 128, "--denoising-strength"]
    half = ["--inpaint-area", "only-masked"]
    tall = ["--width", 256, "--height", 384, *zero, "--resize-mode"]

    def inpaint(caption, *options, **more):
        return Case(caption, "inpaint", "photo", *masked, *options, **{"kept": near, **more})

    return {
        "img2img": [
            Case("strength 0", "img2img", "photo", *plain, *zero, kept=inside(0, 0)),
            Case("strength 0.3", "img2img", "photo", *plain, "--denoising-strength", .3),
            Case("0.3, colour correction", "img2img", "photo", *plain, "--denoising-strength", .3,
                 "--color-correction"),
            Case("256x384 at 0, just", "img2img", "photo", *tall, "just"),
            Case("256x384 at 0, crop", "img2img", "photo", *tall, "crop"),
            Case("256x384 at 0, fill", "img2img", "photo", *tall, "fill"),
            Case("x3 at 0, without upscaler", "img2img", "small", *plain, *zero),
            Case("x3 at 0, network", "img2img", "small", *plain, *zero, "--img2img-upscaler", network),
            Case("transparent, background #2060ff", "img2img", "clear", *plain, *zero, "--background",
                 "#2060ff", kept=outside("mask", 0), shows=["clear"]),
        ],
        "inpaint: whole picture": [
            inpaint("original", shows=["mask"]),
            inpaint("fill", "--masked-content", "fill"),
            inpaint("fill, at 0", "--masked-content", "fill", *zero),
            inpaint("latent noise", "--masked-content", "latent-noise"),
            inpaint("latent nothing", "--masked-content", "latent-nothing"),
            inpaint("blur 0", "--mask-blur", 0, kept=outside("mask", 0)),
            inpaint("blur 16 along x, 0 along y", "--mask-blur-x", 16, "--mask-blur-y", 0,
                    kept=outside("mask", 40)),
            inpaint("not masked", "--mask-mode", "not-masked", kept=outside("mask", 11, invert=True)),
            inpaint("colour correction", "--color-correction"),
        ],
        "inpaint: only masked": [
            inpaint("padding 32", *half),
            inpaint("padding 0, sampled at 256x256", *half, "--padding", 0,
                    "--width", 256, "--height", 256),
            inpaint("fill at 0", *half, "--masked-content", "fill", *zero),
            Case("an odd size, mask in a corner", "inpaint", "odd", "--mask", inputs["corner"],
                 *half, "--width", 256, "--height", 128, shows=["corner"]),
            inpaint("and the mask, the composite", *half, "--give-mask",
                    "--give-composite"),
        ],
        "inpaint: what a mask may be": [
            inpaint("opaque where repainted", "--mask", inputs["opaque"], shows=["opaque"]),
            inpaint("grey", "--mask", inputs["grey"], kept=outside("grey", 11), shows=["grey"]),
            inpaint("twice as large", "--mask", inputs["double"], kept=outside("mask", 13)),
            Case("the transparent part of the input", "inpaint", "clear", *plain,
                 "--masked-content", "fill", kept=near, shows=["clear"]),
            Case("a sketch", "inpaint", "photo", *plain, "--sketch", inputs["sketch"], shows=["sketch"],
                 kept=outside("mask", 23)),
            Case("a sketch at 0", "inpaint", "photo", *plain, "--sketch", inputs["sketch"], *zero,
                 kept=outside("mask", 23)),
            Case("a sketch at 0, transparency 50", "inpaint", "photo", *plain, "--sketch",
                 inputs["sketch"], "--sketch-transparency", 50, *zero, kept=outside("mask", 23)),
            inpaint("all black", "--mask", inputs["black"], fails=True),
            inpaint("of another shape", "--mask", inputs["square"], fails=True),
            inpaint("wholly transparent", "--mask", inputs["seen through"], fails=True),
        ],
        "inpaint: an inpainting model": [
            inpaint("weight 1", "--model", "tiny9"),
            inpaint("weight 0", "--model", "tiny9", "--mask-weight", 0),
            inpaint("only masked", "--model", "tiny9", *half),
        ],
        "inpaint: soft": [
            inpaint("blur 32", "--mask-blur", 32, "--soft-inpainting", kept=None),
            inpaint("strength 0.3", "--mask-blur", 32, "--soft-inpainting", "--denoising-strength", .3,
                    kept=None),
            inpaint("threshold 4", "--mask-blur", 32, "--soft-inpainting", "--soft-difference-threshold",
                    4, kept=None),
            inpaint("mask influence 1", "--mask-blur", 32, "--soft-inpainting", "--soft-mask-influence",
                    1, kept=None),
            inpaint("only masked", "--mask-blur", 32, "--soft-inpainting", *half, kept=None),
        ],
        "loopback": [
            Case("0.3 to 0.6, three rounds", "loopback", "photo", *plain, "--loops", 3,
                 "--denoising-strength", .3, "--final-denoising-strength", .6),
            Case("with a mask, two rounds", "loopback", "photo", *masked, "--loops", 2, kept=near),
        ],
        "outpaint: poor man's": [
            Case("every side, 64, at 0", "outpaint", "photo", "--pixels", 64, *zero,
                 kept=grown(left=True, up=True, edge=29)),
            Case("every side, 64", "outpaint", "photo", "--pixels", 64,
                 kept=grown(left=True, up=True, edge=29)),
            Case("left", "outpaint", "odd", "--direction", "left", "--pixels", 64,
                 kept=grown("odd", left=True, edge=29)),
            Case("down, blur 16", "outpaint", "odd", "--direction", "down", "--pixels", 64, "--mask-blur",
                 16, kept=grown("odd", edge=113)),
            Case("tiles of 256", "outpaint", "photo", "--pixels", 64, "--width", 256, "--height", 256,
                 kept=grown(left=True, up=True, edge=29)),
            Case("right, original", "outpaint", "odd", "--direction", "right", "--pixels", 64,
                 "--masked-content", "original", kept=grown("odd", edge=29)),
        ],
        "outpaint: mk2": [
            Case("every side, 64, at 0", "outpaint", "photo", "--method", "mk2", "--pixels", 64, *zero,
                 kept=grown(left=True, up=True, edge=89)),
            Case("every side, 64", "outpaint", "photo", "--method", "mk2", "--pixels", 64,
                 kept=grown(left=True, up=True, edge=89)),
            Case("right", "outpaint", "odd", "--method", "mk2", "--direction", "right", "--pixels", 64,
                 kept=grown("odd", edge=89)),
            Case("up, variation 1, at 0", "outpaint", "odd", "--method", "mk2", "--direction", "up",
                 "--pixels", 64, "--color-variation", 1, *zero, kept=grown("odd", up=True, edge=89)),
            Case("left, fall-off 2, at 0", "outpaint", "odd", "--method", "mk2", "--direction", "left",
                 "--pixels", 64, "--falloff", 2, *zero, kept=grown("odd", left=True, edge=89)),
        ],
        "sd-upscale": [
            Case("Lanczos x2, at 0", "sd-upscale", "small", *tile, 0, "--fix-steps",
                 kept=resized(2, Image.LANCZOS)),
            Case("Lanczos x2, 0.2", "sd-upscale", "small", *tile, .2),
            Case("None, at 0", "sd-upscale", "photo", "--upscaler", "None", *tile, 0, "--fix-steps",
                 kept=inside(0, 0)),
            Case("None, 0.2, overlap 16", "sd-upscale", "photo", "--upscaler", "None", *tile, .2,
                 "--tile-overlap", 16),
            Case("network x2, at 0", "sd-upscale", "small", "--upscaler", network, *tile, 0,
                 "--fix-steps"),
            Case("a tile larger than the picture", "sd-upscale", "small", "--width", 512, "--height", 512,
                 *zero, "--scale", 1.5, kept=resized(1.5, Image.LANCZOS)),
        ],
        "upscale": [
            Case("None", "upscale", "small", "--upscaler", "None", kept=inside(0, 0, "small")),
            Case("Lanczos x4", "upscale", "small", kept=resized(4, Image.LANCZOS)),
            Case("Nearest x4", "upscale", "small", "--upscaler", "Nearest", kept=resized(4, Image.NEAREST)),
            Case("network x4", "upscale", "small", "--upscaler", network),
            Case("network x2", "upscale", "small", "--upscaler", network, "--scale", 2),
            Case("network x8", "upscale", "small", "--upscaler", network, "--scale", 8),
            Case("network, half Nearest", "upscale", "small", "--upscaler", network, "--upscaler-2",
                 "Nearest", "--upscaler-2-visibility", .5),
            Case("to 400x400, cut", "upscale", "small", "--upscaler", network, "--width", 400, "--height",
                 400),
            Case("to 400x400, --no-crop", "upscale", "small", "--upscaler", network, "--width", 400,
                 "--height", 400, "--no-crop"),
            Case("an unknown one", "upscale", "small", "--upscaler", "nothing", fails=True),
        ],
    }


# ------------------------------------------------------------------------------------- sheets

def board(size):
    """What transparent pictures are shown on."""
    small = Image.new("L", (size[0] // 8 + 1, size[1] // 8 + 1))
    small.putdata([200 if (x + y) % 2 else 240 for y in range(small.height) for x in range(small.width)])
    return small.resize((small.width * 8, small.height * 8), Image.NEAREST).crop((0, 0, *size)).convert("RGB")


def cell(picture, caption):
    """A picture (none: its caption alone) over its caption."""
    font = ImageFont.load_default()
    lines, line = [], ""
    for word in caption.split():
        if font.getlength(f"{line} {word}") > CELL:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    lines.append(line)
    height = 0
    if picture:
        shown = board(picture.size)
        rgba = picture.convert("RGBA")
        shown.paste(rgba, (0, 0), rgba.getchannel("A"))
        shown.thumbnail((CELL, CELL * 4 // 5), Image.BOX)
        height = shown.height
    out = Image.new("RGB", (CELL, height + LINE * len(lines) + 4), "white")
    if picture:
        out.paste(shown, (0, 0))
    for number, text in enumerate(lines):
        ImageDraw.Draw(out).text((0, height + 2 + LINE * number), text, "black", font)
    return out


def lay_out(title, cells):
    """One row of the sheet (or several, where it is full)."""
    head = Image.new("RGB", (GAP + ACROSS * (CELL + GAP), 26), (225, 225, 235))
    ImageDraw.Draw(head).text((GAP, 7), title, "black", ImageFont.load_default())
    lines = []
    for start in range(0, len(cells), ACROSS):
        part = cells[start:start + ACROSS]
        line = Image.new("RGB", (head.width, max(c.height for c in part) + GAP), "white")
        for number, picture in enumerate(part):
            line.paste(picture, (GAP + number * (CELL + GAP), GAP // 2))
        lines.append(line)
    first = Image.new("RGB", (head.width, head.height + lines[0].height), "white")
    first.paste(head, (0, 0))
    first.paste(lines[0], (0, head.height))
    return [first, *lines[1:]]


def save_sheets(lines, output):
    sheets, height = [[]], 0
    for line in lines:
        if sheets[-1] and height + line.height > SHEET:
            sheets.append([])
            height = 0
        sheets[-1].append(line)
        height += line.height
    for number, part in enumerate(sheets, 1):
        sheet = Image.new("RGB", (part[0].width, sum(line.height for line in part)), "white")
        y = 0
        for line in part:
            sheet.paste(line, (0, y))
            y += line.height
        sheet.save(f"{output}-{number}.png")
        print(f"{output}-{number}.png")


def run_case(service, case, inputs, folder, name):
    """(cells, whether all is as it must be)"""
    paths, said = service.run(case.command, inputs[case.source], folder / f"{name}.png", case.options)
    if not paths:
        return [cell(None, f"{case.caption}: {said}")], case.fails
    good, cells = not case.fails, []
    for number, path in enumerate(paths):
        picture = Image.open(path)
        caption = f"{case.caption}: " if number == 0 else "  and: "
        caption += f"{picture.width}x{picture.height}"
        if case.kept and picture.mode == "RGB" and (number == 0 or case.command == "loopback"):
            wrong = case.kept(picture, inputs)
            good = good and wrong == 0
            caption += f", {wrong} pixels wrong" if wrong else ", kept"
        cells.append(cell(picture, caption if number or not said else f"{caption} ({said})"))
    return cells, good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--photo", type=pathlib.Path, default=ROOT / "examples/chelsea.png")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    output = options.output or options.build / "sheet"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    inputs = make_inputs(options.photo, output)
    lines, bad = [], []
    with tempfile.TemporaryDirectory() as folder:
        service = Service(options.build, pathlib.Path(folder))
        try:
            for title, cases in rows(inputs).items():
                if options.words and not any(word in title for word in options.words):
                    continue
                cells, shown = [], set()
                for number, case in enumerate(cases, 1):
                    for name in (case.source, *case.shows):
                        if name not in shown:
                            shown.add(name)
                            cells.append(cell(Image.open(inputs[name]), f"input: {name}"))
                    made, good = run_case(service, case, inputs, output,
                                          f"{title.replace(':', '')} {number:02}")
                    cells += made
                    if not good:
                        bad.append(f"{title}: {case.caption}")
                lines += lay_out(title, cells)
        finally:
            service.end()
    save_sheets(lines, output)
    for text in bad:
        print(f"wrong: {text}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
