"""Twenty pictures that some reader or other gets wrong: one motif, whose corners and letter tell what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samples.formats import available, encoded

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH = 240, 320
ORIENTATION = 0x0112
# what a camera stores of an upright scene, by orientation
STORED = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}


class Awkward(NamedTuple):
    """A file, and what it is."""

    title: str
    detail: str
    path: Path


def motif(letter: str = "F") -> Image.Image:
    """Return a scene with red, green, blue and white corners, and a letter that shows turns and mirrors."""
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH]
    sky = np.stack((90 + down * 0.3, 150 + down * 0.25, 225 - down * 0.15), axis=2)
    hill = (HEIGHT * 0.72 - 26 * np.sin(right / WIDTH * 5))[:, :, None]
    ground = np.stack((95 + right * 0.2, 130 - down * 0.2 + right * 0.1, 60 + right * 0.05), axis=2)
    pixels = np.where(down[:, :, None] < hill, sky, ground)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for colour, (left, top) in zip(
        ("#d62020", "#18a030", "#2038d0", "#ffffff"),
        ((8, 8), (WIDTH - 52, 8), (8, HEIGHT - 52), (WIDTH - 52, HEIGHT - 52)),
        strict=True,
    ):
        draw.rectangle((left, top, left + 44, top + 44), fill=colour)
    draw.text((WIDTH / 2, HEIGHT / 2), letter, "#ffd23c", ImageFont.load_default(180), "mm", stroke_width=4)
    return image


def stripes() -> Image.Image:
    """Return rings that become finer outwards: whoever does not filter sees rings that are not there."""
    down, right = np.mgrid[0:600, 0:600] - 300.0
    return Image.fromarray((127.5 + 127.5 * np.cos((down**2 + right**2) / 330)).astype(np.uint8))


def make_awkward(folder: Path) -> list[Awkward]:
    """Write the pictures into `folder`; those that cannot be written here are left out."""
    image, made = motif(), available()
    found = []

    def add(title: str, detail: str, name: str, data: bytes) -> None:
        path = folder / name
        path.write_bytes(data)
        found.append(Awkward(title, detail, path))

    def save(title: str, detail: str, name: str, picture: Image.Image, **options) -> None:
        picture.save(folder / name, **options)
        found.append(Awkward(title, detail, folder / name))

    for orientation, detail in ((6, "turned by 90 degrees"), (3, "upside down"), (5, "mirrored and turned")):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        stored = image.transpose(STORED[orientation])
        save(f"JPEG, EXIF {orientation}", detail, f"exif{orientation}.jpg", stored, exif=exif, quality=92)
    add("JPEG, grey", "one channel", "grey.jpg", encoded(image, made["JPEG, grey"]))
    add("JPEG, CMYK", "for printers", "cmyk.jpg", encoded(image, made["JPEG, CMYK"]))
    add("JPEG, progressive", "in several scans", "progressive.jpg", encoded(image, made["JPEG, progressive"]))
    save("JPEG, fine rings", "600 x 600, they alias", "rings.jpg", stripes(), quality=95)
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    save("PNG, 16 bits", "grey, 0 to 65535", "deep.png", deep)
    _transparent(image, save)
    save("PNG, 1 bit", "black and white", "bit.png", image.convert("1"))
    save("PNG, 1 x 1", "one orange pixel", "dot.png", Image.new("RGB", (1, 1), "#f08020"))
    save("PNG, 2000 x 20", "very wide", "wide.png", image.resize((2000, 20)))
    save("PNG, 20 x 2000", "very tall", "tall.png", image.resize((20, 2000)))
    frames = [motif(letter).quantize(128) for letter in "FGH"]
    save("GIF, animated", "F, G, H: the first", "frames.gif", frames[0], save_all=True, append_images=frames[1:])
    add("BMP", "from bottom to top", "plain.bmp", encoded(image, made["BMP"]))
    save("TIFF, 16 bits", "grey, 0 to 65535", "deep.tif", deep)
    for name, detail in (("AVIF", "of web pages"), ("HEIC", "of telephones")):
        if name in made:
            add(name, detail, f"new.{name.lower()}", encoded(image, made[name]))
    return found


def _transparent(image: Image.Image, save) -> None:
    """Save pictures through which a viewer shows what lies behind them."""
    fading = Image.fromarray(np.tile(np.linspace(255, 0, WIDTH).astype(np.uint8), (HEIGHT, 1)))
    faded = image.copy()
    faded.putalpha(fading)
    save("PNG, RGBA", "fades to the right", "alpha.png", faded)
    save("WebP, alpha", "fades to the right", "alpha.webp", faded, quality=92, exact=True)
    palette = image.quantize(64)
    blue = int(np.asarray(palette)[HEIGHT - 30, 30])
    save("PNG, palette", "one colour transparent", "palette.png", palette, transparency=blue)
