"""What Pillow (13) makes of small pictures: python make.py writes the files beside this script.

Only Pillow's own operations are used: resize, GaussianBlur, paste with a mask, alpha_composite."""
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps

here = Path(__file__).parent
picture = Image.open(here / "../resize/in.png").convert("RGB")
grey = picture.convert("L")
circle = Image.open(here / "../masks/circle.png").convert("L")
mask = circle.resize(picture.size, Image.BICUBIC).filter(ImageFilter.GaussianBlur(5))


def save(name, im):
    im.save(here / name)


def faded(im, alpha):
    out = Image.new("RGBa", im.size)
    out.paste(im.convert("RGBA").convert("RGBa"), mask=alpha)
    return out.convert("RGBA")


def pasted(source, result, overlay):
    out = result.convert("RGBA")
    out.alpha_composite(faded(source, ImageOps.invert(overlay)))
    return out.convert("RGB")


for w, h in ((20, 13), (150, 90), (7, 200)):
    save(f"bicubic-{w}x{h}.png", picture.resize((w, h), Image.BICUBIC))
    save(f"nearest-{w}x{h}.png", picture.resize((w, h), Image.NEAREST))
for radius in (0.7, 3, 40, 300):
    save(f"soften-{radius}.png", picture.filter(ImageFilter.GaussianBlur(radius)))
    save(f"soften-alpha-{radius}.png", faded(picture, mask).filter(ImageFilter.GaussianBlur(radius)))
save("soften-grey-3.png", grey.filter(ImageFilter.GaussianBlur(3)))
save("alpha.png", faded(picture, mask))
save("mask.png", mask)
flipped = ImageOps.flip(picture)
save("pasted.png", pasted(picture, flipped, mask))
