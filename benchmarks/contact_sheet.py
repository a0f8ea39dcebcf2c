"""A contact sheet: awkward pictures in rows, ways to read them in columns; for the eye.

The first column is the original as a viewer shows it. Columns of rowlock.Images must look like it, but for what their
heading says. The last two are what others deliver by default.

    python benchmarks/contact_sheet.py [docs/contact-sheet.png]
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont, ImageOps
from samples.awkward import Awkward, make_awkward

import rowlock as rl

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE, GAP, LEFT, TOP, MARGIN = 104, 8, 172, 124, 24
INK, SOFT, LINE, PAPER = "#1c1f24", "#6a7078", "#c9ced6", "#ffffff"
AUGMENT = rl.Augment(flip=0.5, crop=(0.5, 0.9), rotate=12, brightness=0.2, contrast=0.2)
LEAST_DB = 26.0
SHEET = Path(__file__).parents[1] / "docs" / "contact-sheet.png"
DELIVERED = {
    "stretch": {},
    "crop": {"resize": "crop"},
    "pad": {"resize": "pad"},
    "channels=1": {"channels": 1},
    "float32": {"dtype": "float32", "scale": 1 / 255},
    "augmented": {"augment": AUGMENT},
}


def as_viewer(path: Path) -> Image.Image:
    """Return the first frame, upright, 8 bits a channel, on a chequered ground where it is transparent."""
    if path.suffix == ".heic":
        import pillow_heif

        return pillow_heif.open_heif(path).to_pillow()
    with Image.open(path) as opened:
        if opened.mode.startswith("I;16"):
            return Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8)).convert("RGB")
        image = ImageOps.exif_transpose(opened).convert("RGBA")
    down, right = np.mgrid[0 : image.height, 0 : image.width] // max(4, min(image.size) // 24)
    ground = np.where((down + right) % 2, 190, 235).astype(np.uint8)
    return Image.alpha_composite(Image.fromarray(ground).convert("RGBA"), image).convert("RGB")


def within(image: Image.Image) -> Image.Image:
    """Return the picture in proportion, within a cell."""
    factor = SIDE / max(image.size)
    size = tuple(max(1, round(length * factor)) for length in image.size)
    return image.resize(size, Image.Resampling.LANCZOS if factor < 4 else Image.Resampling.NEAREST)


def by_rowlock(pictures: list[Awkward], settings: dict) -> list[np.ndarray]:
    """Return all pictures, through `rl.Dataset`, in one batch."""
    data = rl.Dataset(
        pa.table({"path": [str(one.path) for one in pictures]}),
        inputs={"image": rl.Images("path", size=(SIDE, SIDE), **settings)},
    )
    loader = data.batches(len(pictures), shuffle=False, augment="augment" in settings, seed=3)
    (batch,) = loader
    if "cache" in settings:
        loader = data.batches(len(pictures), shuffle=False)  # the first filled it
        (batch,) = loader
        print(f"from the cache: {loader.stats().inputs['image'].num_cache_hits} of {len(pictures)}")
    pixels = batch.inputs["image"]
    if pixels.dtype == np.float32:
        assert pixels.max() <= 1.0
        pixels = (pixels * 255).round().astype(np.uint8)
    return list(pixels)


def by_keras(path: Path) -> np.ndarray:
    from keras.utils import img_to_array, load_img

    return img_to_array(load_img(path, target_size=(SIDE, SIDE)), dtype="uint8")


def by_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def of_others(pictures: list[Awkward], read: Callable) -> list[np.ndarray | str]:
    """Return pictures, or a word where there is an error."""
    found: list[np.ndarray | str] = []
    for one in pictures:
        try:
            found.append(read(one.path))
        except Exception as error:  # noqa: BLE001 - it is shown
            found.append("cannot\nread it")
            print(f"{read.__name__}, {one.title}: {type(error).__name__}: {error}"[:100])
    return found


def compare(pictures: list[Awkward], columns: dict[str, list]) -> None:
    """Check what numbers can tell: the same bytes where they must be, and likeness to the original."""
    for one, stretched, cached, scaled in zip(
        pictures, columns["stretch"], columns["cache="], columns["float32"], strict=True
    ):
        assert (stretched == cached).all(), f"{one.title}: another picture from the cache"
        assert (stretched == scaled).all(), f"{one.title}: another picture as float32"
        seen = as_viewer(one.path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        error = ((np.asarray(seen, np.float32) - stretched) ** 2).mean()
        decibels = 10 * np.log10(255**2 / max(error, 1e-5))
        is_seen_through = "alpha" in one.path.name or "palette" in one.path.name
        if not is_seen_through and decibels < LEAST_DB:
            print(f"LOOK AT {one.title}: {decibels:.1f} dB from the original")


def draw_sheet(pictures: list[Awkward], groups: dict[str, dict[str, list]]) -> Image.Image:
    """Return the sheet: a group of columns has a heading above theirs."""
    num_columns = sum(map(len, groups.values()))
    between = 2 * GAP * (len(groups) - 1)
    width = MARGIN * 2 + LEFT + num_columns * (SIDE + GAP) - GAP + between
    sheet = Image.new("RGB", (width, MARGIN + TOP + len(pictures) * (SIDE + GAP) + MARGIN - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    small, middle, large = (ImageFont.load_default(size) for size in (13, 15, 21))
    title = f"{len(pictures)} awkward pictures, each read into {SIDE} x {SIDE} pixels"
    draw.text((MARGIN, MARGIN), title, font=large, fill=INK)
    for row, one in enumerate(pictures):
        at = MARGIN + TOP + row * (SIDE + GAP) + SIDE // 2
        draw.text((MARGIN, at - 3), one.title, font=middle, fill=INK, anchor="ls")
        draw.text((MARGIN, at + 5), one.detail, font=small, fill=SOFT, anchor="la")
    left = MARGIN + LEFT
    for title, columns in groups.items():
        stop = left + len(columns) * (SIDE + GAP) - GAP
        draw.text(((left + stop) / 2, MARGIN + 50), title, font=middle, fill=INK, anchor="mm")
        draw.line((left, MARGIN + 66, stop, MARGIN + 66), fill=LINE, width=2)
        for heading, cells in columns.items():
            words = heading.split("\n")
            for number, word in enumerate(words):
                height = MARGIN + TOP - 10 - 16 * (len(words) - 1 - number)
                draw.text((left + SIDE / 2, height), word, font=small, fill=SOFT, anchor="ms")
            for row, cell in enumerate(cells):
                draw_cell(sheet, draw, (left, MARGIN + TOP + row * (SIDE + GAP)), cell, small)
            left += SIDE + GAP
        left += 2 * GAP
    return sheet


def draw_cell(sheet: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], cell, font) -> None:
    left, top = corner
    draw.rectangle((left - 1, top - 1, left + SIDE, top + SIDE), outline=LINE)
    if isinstance(cell, str):
        draw.text((left + SIDE / 2, top + SIDE / 2), cell, font=font, fill="#b3261e", anchor="mm", align="center")
        return
    image = cell if isinstance(cell, Image.Image) else Image.fromarray(cell.squeeze())
    sheet.paste(image.convert("RGB"), (left + (SIDE - image.width) // 2, top + (SIDE - image.height) // 2))


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SHEET
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with tempfile.TemporaryDirectory() as folder:
        pictures = make_awkward(Path(folder))
        time.sleep(2.1)  # what has just been written is not put into the cache
        columns = {name: by_rowlock(pictures, settings) for name, settings in DELIVERED.items()}
        columns["cache="] = by_rowlock(pictures, {"cache": Path(folder) / "cache"})
        compare(pictures, columns)
        others = {"Pillow\nBILINEAR": of_others(pictures, by_pillow)}
        if importlib.util.find_spec("keras"):
            others["Keras\nload_img"] = of_others(pictures, by_keras)
        original = {"in a viewer": [within(as_viewer(one.path)) for one in pictures]}
        sheet = draw_sheet(pictures, {"original": original, "rowlock.Images": columns, "others, by default": others})
    sheet = sheet.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)  # a third of the bytes
    sheet.save(target, optimize=True)
    print(f"{target}: {sheet.width} x {sheet.height} pixels, {target.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
