"""How a picture of any size is laid on the fixed size of a batch."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["FITS", "Crop", "Placement", "min_size", "place"]

FITS = ("stretch", "crop", "pad")
"""``stretch``: all of the picture, sides not in proportion. ``crop``: the largest centred part of the
target's proportions. ``pad``: all of the picture in proportion, centred, zeros around it."""


class Crop(NamedTuple):
    """A random part of a picture of any size, in shares: it is the same part at every scale, up to rounding."""

    area: float
    """Share of the area that is used without it, above 0 and at most 1."""
    min_ratio: float
    max_ratio: float
    """Limits of width / height, as multiples of that of what is used without it; the picture may narrow them."""
    at_ratio: float
    at_top: float
    at_left: float
    """Where between its limits each of these is, from 0 to below 1."""


class Placement(NamedTuple):
    """The part of the source that is used, and the part of the target that it fills."""

    source_top: int
    source_left: int
    source_height: int
    source_width: int
    top: int
    left: int
    height: int
    width: int


def place(fit: str, source: tuple[int, int], target: tuple[int, int], crop: Crop | None = None) -> Placement:
    """Return where what goes.

    Parameters
    ----------
    fit : str
        One of `FITS`.
    source, target : (height, width)
        In pixels.
    crop : Crop, optional
        Only this part of the source, onto the same part of the target.
    """
    placed = _placed(fit, source, target)
    return placed if crop is None else _cropped(placed, source, crop)


def _placed(fit: str, source: tuple[int, int], target: tuple[int, int]) -> Placement:
    height, width = source
    to_height, to_width = target
    if fit == "crop":
        # in integers, so that the same sizes give the same box on every machine
        box_height = min(height, max(1, _rounded(width * to_height, to_width)))
        box_width = min(width, max(1, _rounded(height * to_width, to_height)))
        top, left = (height - box_height) // 2, (width - box_width) // 2
        return Placement(top, left, box_height, box_width, 0, 0, to_height, to_width)
    if fit == "pad":
        in_height = min(to_height, max(1, _rounded(height * to_width, width)))
        in_width = min(to_width, max(1, _rounded(width * to_height, height)))
        top, left = (to_height - in_height) // 2, (to_width - in_width) // 2
        return Placement(0, 0, height, width, top, left, in_height, in_width)
    return Placement(0, 0, height, width, 0, 0, to_height, to_width)


def _cropped(placed: Placement, source: tuple[int, int], crop: Crop) -> Placement:
    height, width = source
    # the ratios at which a part of this area is just as high, or just as wide, as the whole picture
    least = crop.area * (placed.source_height / height) ** 2
    most = (width / placed.source_width) ** 2 / crop.area
    low, high = (min(max(ratio, least), most) for ratio in (crop.min_ratio, crop.max_ratio))
    ratio = low * (high / low) ** crop.at_ratio
    box_height = min(height, max(1, round(placed.source_height * math.sqrt(crop.area / ratio))))
    box_width = min(width, max(1, round(placed.source_width * math.sqrt(crop.area * ratio))))
    top, left = int(crop.at_top * (height - box_height + 1)), int(crop.at_left * (width - box_width + 1))
    return Placement(top, left, box_height, box_width, *placed[4:])


def min_size(fit: str, source: tuple[int, int], target: tuple[int, int], crop: Crop | None = None) -> tuple[int, int]:
    """Return the height and width that a decoded `source` needs so that `target` is not an enlargement of it.

    A decoder that can shrink while it decodes may go down to this.
    """
    placed = place(fit, source, target, crop)
    return (
        -(-placed.height * source[0] // placed.source_height),
        -(-placed.width * source[1] // placed.source_width),
    )


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
