"""Picture files of every kind and what they hold, by Pillow:   python make.py OUT

OUT/NAME.EXT is the file, OUT/NAME-EXT-is.png its pixels: 8-bit, upright, sRGB. formats.json lists them with the number of levels that may differ."""
import io, json, pathlib, struct, sys, zlib
import numpy as np
from PIL import Image, ImageCms, ImageOps

OUT = pathlib.Path(sys.argv[1]); OUT.mkdir(exist_ok=True); rec = {}
W, H = 23, 17
y, x = np.mgrid[0:H, 0:W]
RGB = np.stack([x * 11, y * 15, (x * 7 + y * 5) % 256], -1).astype(np.uint8)
GREY, ALPHA = RGB[..., 2], ((x * 37 + y * 11) % 256).astype(np.uint8)
PHOTO = Image.fromarray(RGB)


def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def scan(rows, depth):
    """Rows of samples [h, w, c] as PNG lines without a filter."""
    h = rows.shape[0]; flat = rows.reshape(h, -1)
    if depth == 16: return b"".join(b"\0" + r.astype(">u2").tobytes() for r in flat)
    bits = np.unpackbits(flat.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth:].reshape(h, -1)
    return b"".join(b"\0" + np.packbits(b).tobytes() for b in bits)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
def png(samples, depth, colour, interlaced=False, extra=b"", late=b""):
    s = samples.reshape(H, W, -1)
    body = b"".join(scan(s[y0::dy, x0::dx], depth) for x0, y0, dx, dy in ADAM7 if s[y0::dy, x0::dx].size) if interlaced else scan(s, depth)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, interlaced)) + extra + chunk(b"IDAT", zlib.compress(body)) + late + chunk(b"IEND", b"")
def save(im, form, **options):
    b = io.BytesIO(); im.save(b, form, **options); return b.getvalue()
def keep(name, data, pixels, levels=0):
    (OUT / name).write_bytes(data); stem = name.replace(".", "-") + "-is.png"
    pixels = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    pixels.save(OUT / stem); rec[name] = dict(pixels=stem, levels=levels)
def opened(data): return Image.open(io.BytesIO(data))
def grey3(g): return np.repeat(g[..., None], 3, -1)
def div257(v): return ((v.astype(np.uint32) + 128) // 257).astype(np.uint8)


# PNG: depths, colour types, transparent colours, interlacing
g16 = (GREY.astype(np.uint16) * 257 + y.astype(np.uint16) * 13) & 0xFFFF; c16 = np.stack([g16, g16[::-1], 65535 - g16], -1)
keep("grey16.png", png(g16, 16, 0), grey3(div257(g16))); keep("rgb16.png", png(c16, 16, 2), div257(c16))
keep("rgba16-interlaced.png", png(np.dstack([c16, g16]), 16, 6, True), np.dstack([div257(c16), div257(g16)]))
for depth in (1, 2, 4): keep(f"grey{depth}.png", png(GREY >> (8 - depth), depth, 0, depth == 2), grey3((GREY >> (8 - depth)) * (255 // (2**depth - 1))))
keep("grey-alpha.png", png(np.dstack([GREY, ALPHA]), 8, 4), np.dstack([grey3(GREY), ALPHA])); keep("rgba-interlaced.png", png(np.dstack([RGB, ALPHA]), 8, 6, True), np.dstack([RGB, ALPHA]))
d = png(RGB, 8, 2, extra=chunk(b"tRNS", struct.pack(">HHH", *map(int, RGB[3, 4])))); keep("rgb-transparent.png", d, opened(d).convert("RGBA"))
d = png(GREY, 8, 0, extra=chunk(b"tRNS", struct.pack(">H", int(GREY[3, 4])))); keep("grey-transparent.png", d, opened(d).convert("RGBA"))
a = np.full((H, W), 255, np.uint8); a[g16 == g16[3, 4]] = 0; keep("grey16-transparent.png", png(g16, 16, 0, extra=chunk(b"tRNS", struct.pack(">H", int(g16[3, 4])))), np.dstack([grey3(div257(g16)), a]))
keep("gamma.png", png(RGB, 8, 2, extra=chunk(b"gAMA", struct.pack(">I", 100000))), RGB)
p = PHOTO.quantize(16); pal = np.array(p.getpalette()[:48], np.uint8); keep("palette4-interlaced.png", png(np.asarray(p), 4, 3, True, chunk(b"PLTE", pal.tobytes()) + chunk(b"tRNS", bytes(range(0, 160, 10)))), np.dstack([pal.reshape(-1, 3)[np.asarray(p)], (np.asarray(p) * 10).astype(np.uint8)]))

# JPEG: kinds of samples and of scans
for name, im, options in (("444.jpg", PHOTO, dict(subsampling=0)), ("420.jpg", PHOTO, dict(subsampling=2)), ("progressive.jpg", PHOTO, dict(progressive=True)), ("grey.jpg", PHOTO.convert("L"), {}), ("cmyk.jpg", PHOTO.convert("CMYK"), {})):
    d = save(im, "JPEG", quality=92, **options); keep(name, d, opened(d).convert("RGB"), 3)

# WebP: lossy, alpha, an animation (its first frame)
d = save(PHOTO, "WEBP", quality=90); keep("lossy.webp", d, opened(d).convert("RGB"), 3)
rgba = Image.fromarray(np.dstack([RGB, ALPHA])); d = save(rgba, "WEBP", lossless=True, exact=True); keep("alpha.webp", d, rgba)
d = save(rgba, "WEBP", quality=90, exact=True); keep("alpha-lossy.webp", d, opened(d).convert("RGBA"), 3)
d = save(PHOTO, "WEBP", lossless=True, save_all=True, append_images=[ImageOps.invert(PHOTO)]); keep("animated.webp", d, PHOTO)

# Orientation where it is not JPEG's
e = Image.Exif(); e[0x112] = 6; turned = PHOTO.transpose(Image.ROTATE_270)
keep("orientation-6.png", save(PHOTO, "PNG", exif=e), turned); keep("orientation-6.webp", save(PHOTO, "WEBP", lossless=True, exif=e), turned)
keep("orientation-6-late.png", png(RGB, 8, 2, late=chunk(b"eXIf", e.tobytes()[6:])), turned)


# Colour profiles
def profile(space, tags):
    """A version 2 display profile."""
    data, table, at = b"", struct.pack(">I", len(tags)), 132 + 12 * len(tags)
    for kind, body in tags: table += kind + struct.pack(">II", at + len(data), len(body)); data += body + b"\0" * (-len(body) % 4)
    n = at + len(data)
    head = struct.pack(">I4sI4s4s4s12s4s4sIIIIII", n, b"", 0x02100000, b"mntr", space, b"XYZ ", struct.pack(">6H", 2026, 1, 1, 0, 0, 0), b"acsp", b"", 0, 0, 0, 0, 0, 0)
    head += struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D); return head + b"\0" * (128 - len(head)) + table + data
def xyz(*v): return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * q) for q in v))
def curve(gamma): return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma)) + b"\0\0"
desc = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78; text = b"text\0\0\0\0none\0\0\0\0"; base = [(b"desc", desc), (b"cprt", text), (b"wtpt", xyz(0.9642, 1, 0.8249))]
wide = profile(b"RGB ", base + [(b"rXYZ", xyz(0.6097, 0.3111, 0.0195)), (b"gXYZ", xyz(0.2053, 0.6257, 0.0609)), (b"bXYZ", xyz(0.1492, 0.0632, 0.7446)), (b"rTRC", curve(1.8)), (b"gTRC", curve(1.8)), (b"bTRC", curve(1.8))])
dark = profile(b"GRAY", base + [(b"kTRC", curve(1.4))]); srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
def to_srgb(im, p): return ImageCms.profileToProfile(im, ImageCms.ImageCmsProfile(io.BytesIO(p)), ImageCms.createProfile("sRGB"), outputMode="RGB")
def with_alpha(im, alpha): im = im.copy(); im.putalpha(Image.fromarray(alpha)); return im
keep("icc.png", save(PHOTO, "PNG", icc_profile=wide), to_srgb(PHOTO, wide), 1); keep("icc.webp", save(PHOTO, "WEBP", lossless=True, icc_profile=wide), to_srgb(PHOTO, wide), 1)
keep("icc-alpha.png", save(rgba, "PNG", icc_profile=wide), with_alpha(to_srgb(PHOTO, wide), ALPHA), 1)
d = save(PHOTO, "JPEG", quality=95, icc_profile=wide); keep("icc.jpg", d, to_srgb(opened(d).convert("RGB"), wide), 6)
g = PHOTO.getchannel(2); keep("icc-grey.png", save(g, "PNG", icc_profile=dark), to_srgb(g, dark), 1)
keep("icc-grey-alpha.png", png(np.dstack([GREY, ALPHA]), 8, 4, extra=chunk(b"iCCP", b"dark\0\0" + zlib.compress(dark))), with_alpha(to_srgb(g, dark), ALPHA), 1)
keep("icc-is-srgb.png", save(PHOTO, "PNG", icc_profile=srgb), PHOTO)
keep("icc-broken.png", save(PHOTO, "PNG", icc_profile=wide[:150] + b"\xff" * 400), PHOTO); keep("icc-broken.webp", save(PHOTO, "WEBP", lossless=True, icc_profile=b"no profile at all"), PHOTO)
keep("icc-of-grey.webp", save(PHOTO, "WEBP", lossless=True, icc_profile=dark), PHOTO)

# Bombs: 48 MiB behind some 48 KiB; the picture itself is fine
keep("bomb-ztxt.png", png(RGB, 8, 2, extra=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(48 << 20), 9))), RGB)
keep("bomb-iccp.png", png(RGB, 8, 2, extra=chunk(b"iCCP", b"bomb\0\0" + zlib.compress(struct.pack(">I", 48 << 20) + wide[4:] + bytes((48 << 20) - len(wide)), 9))), RGB)
json.dump(rec, open(OUT / "formats.json", "w"), indent=0)
