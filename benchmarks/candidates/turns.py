"""What does the same few pictures in turns with all others, in one process: functions, called without a loader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image

from rowlock.inputs.images import Images
from rowlock.pictures.jpeg import read_header, scale_for
from rowlock.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference.build import Reference

PIECE_ROWS = 8

FLOORS = ("C, without its resize", "simplejpeg, without a resize")
"""They deliver no pictures, so there is no quality to tell."""


def by_rowlock(paths: list[str], size: int) -> Callable:
    reader = Images("path", size=(size, size)).open(Table(pa.table({"path": paths})), "image")
    return lambda rows, out: reader.gather(rows, out, None)


def by_simplejpeg(paths: list[str], size: int) -> Callable:
    """Decode at the same scale as Rowlock, and throw the pixels away."""

    def run(rows, out) -> None:  # noqa: ARG001 - nothing is kept
        for row in rows:
            data = Path(paths[row]).read_bytes()
            height, width = read_header(data)[:2]
            factor = scale_for(height, width, size, size)
            simplejpeg.decode_jpeg(
                data,
                "RGB",
                fastdct=True,
                fastupsample=True,
                min_factor=factor,
                min_height=-(-height // factor),
                min_width=-(-width // factor),
            )

    return run


def by_pillow(paths: list[str], size: int) -> Callable:
    """All pixels are decoded, then resized antialiased: what the quality of the others is measured against."""

    def run(rows, out) -> None:
        for place, row in enumerate(rows):
            with Image.open(paths[row]) as image:
                out[place] = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)

    return run


def by_pillow_draft(paths: list[str], size: int) -> Callable:
    """Pillow at its best: a DCT scale for JPEGs, then its antialiased resize."""

    def run(rows, out) -> None:
        for place, row in enumerate(rows):
            with Image.open(paths[row]) as image:
                image.draft("RGB", (size, size))
                out[place] = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)

    return run


def by_keras(paths: list[str], size: int) -> Callable:
    """`load_img` with its defaults takes the nearest pixel: not antialiased."""
    from keras.utils import img_to_array, load_img

    def run(rows, out) -> None:
        for place, row in enumerate(rows):
            out[place] = img_to_array(load_img(paths[row], target_size=(size, size)), dtype="uint8")

    return run


def in_turns(paths: list[str], size: int, num_threads: int, pool, reference: Reference | None, has_keras: bool) -> dict:
    """Return ``{name: run(rows, out)}``; each fills `out` with as many threads as asked for."""
    made = {"rowlock.Images": by_rowlock(paths, size)}
    floors = {"simplejpeg, without a resize": by_simplejpeg(paths, size)}
    made |= floors | {"Pillow, draft, antialiased": by_pillow_draft(paths, size)}
    made["Pillow, antialiased"] = by_pillow(paths, size)
    if has_keras:
        made["Keras load_img (nearest)"] = by_keras(paths, size)
    runs = {name: shared_out(run, num_threads, pool) for name, run in made.items()}
    if reference is None:
        return runs
    names = [os.fsencode(path) for path in paths]

    def by_c(rows, out, *, decode_only: bool = False) -> None:
        reference.decode([names[row] for row in rows], out, num_threads, decode_only=decode_only)

    return {"C": by_c, "C, without its resize": lambda rows, out: by_c(rows, out, decode_only=True)} | runs


def shared_out(run: Callable, num_threads: int, pool) -> Callable:
    """Return `run` in pieces, by all threads of the pool."""
    if num_threads == 1:
        return run

    def by_all(rows, out) -> None:
        piece = min(PIECE_ROWS, -(-len(rows) // (2 * num_threads)))  # few large pictures: work for all threads, too
        starts = range(0, len(rows), piece)
        list(pool.map(lambda at: run(rows[at : at + piece], out[at : at + piece]), starts))

    return by_all


def quality(pixels, expected) -> tuple[float, float]:
    """Return the median and the 5th percentile of the pictures' peak signal-to-noise ratios, in dB."""
    square = ((pixels.astype(np.float32) - expected) ** 2).mean((1, 2, 3))
    ratios = 10 * np.log10(255**2 / np.maximum(square, 255**2 / 1e10))  # 100 dB stand for the same
    return float(np.median(ratios)), float(np.percentile(ratios, 5))
