"""Pixels of any size into a batch row: antialiased, straight into its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rowlock.pictures.fit import Placement, place
from rowlock.pictures.resize_kernels import MIN_LINE, resize_rows
from rowlock.pictures.taps import taps

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray
    from rowlock.pictures.fit import Crop

__all__ = ["MAX_SHRINK", "resize_into"]

MAX_SHRINK = 16
"""Beyond it, weights in 256ths are too coarse, and Pillow resizes. A JPEG has shrunk eightfold by then."""


def resize_into(pixels: AnyArray, out: AnyArray, fit: str = "stretch", crop: Crop | None = None) -> Placement:
    """Fill `out` with `pixels`, by an antialiased triangle filter.

    Parameters
    ----------
    pixels : uint8, shape (h, w, c)
        C-contiguous; c is 1 or 3.
    out : uint8, shape (height, width, c)
        C-contiguous; overwritten completely.
    fit : str
        One of `rowlock.pictures.fit.FITS`.
    crop : Crop, optional
        Only this part of the picture.

    Returns
    -------
    Placement
        What of `pixels` is where in `out`.
    """
    height, width, num_channels = out.shape
    placed = place(fit, (pixels.shape[0], pixels.shape[1]), (height, width), crop)
    if (placed.height, placed.width) == (height, width):
        _resize(pixels, placed, out)
        return placed
    inner = np.empty((placed.height, placed.width, num_channels), np.uint8)
    _resize(pixels, placed, inner)
    out[...] = 0
    out[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width] = inner
    return placed


def _resize(pixels: AnyArray, placed: Placement, out: AnyArray) -> None:
    num_channels = out.shape[2]
    if max(placed.source_height / placed.height, placed.source_width / placed.width) > MAX_SHRINK:
        out[...] = _by_pillow(pixels, placed).reshape(out.shape)
        return
    source = pixels.reshape(len(pixels), -1)
    left, num_bytes = placed.source_left * num_channels, placed.source_width * num_channels
    if num_bytes < MIN_LINE:
        narrow = source[:, left : left + num_bytes]
        source = np.zeros((len(source), MIN_LINE), np.uint8)
        source[:, :num_bytes] = narrow
        left, num_bytes = 0, MIN_LINE
    resize_rows(
        source,
        placed.source_top,
        left,
        left + num_bytes,
        num_channels,
        *taps(placed.source_height, placed.height),
        *taps(placed.source_width, placed.width),
        out.reshape(len(out), -1),
    )


def _by_pillow(pixels: AnyArray, placed: Placement) -> AnyArray:
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    top, left = placed.source_top, placed.source_left
    box = (left, top, left + placed.source_width, top + placed.source_height)
    return np.asarray(image.resize((placed.width, placed.height), Image.Resampling.BILINEAR, box=box))
