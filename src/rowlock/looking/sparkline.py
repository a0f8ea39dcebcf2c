"""A row of numbers as a small picture: bars if they are few, a line if they are many, a band if they are very many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["sparkline"]

_FINER: Final = 4
"""Drawn that much larger and reduced, for smooth lines."""

_FEW: Final = 16
_GREY: Final = "#c9c7bf"
_GAP: Final = "#b3261e"


def sparkline(
    values: AnyArray, limits: tuple[float, float], size: tuple[int, int], colour: str, background: str
) -> Image.Image:
    """Draw a series.

    Parameters
    ----------
    values : float64, shape (n,)
        NaN is a gap, with a red mark at the foot; what is beyond the limits is drawn at the edge.
    limits : (low, high)
        Of the drawing.
    size : (width, height)
        In pixels.
    """
    width, height = size[0] * _FINER, size[1] * _FINER
    image = Image.new("RGB", (width, height), background)
    draw = ImageDraw.Draw(image)
    low, high = limits if limits[1] > limits[0] else (limits[0] - 1, limits[0] + 1)
    level = height - 1 - (np.clip(values, low, high) - low) / (high - low) * (height - 1 - 2 * _FINER) - _FINER
    zero = height - 1 - (min(max(0.0, low), high) - low) / (high - low) * (height - 1 - 2 * _FINER) - _FINER
    draw.line((0, zero, width, zero), _GREY, _FINER // 2)
    if len(values) <= _FEW:
        _bars(draw, level, zero, width, colour)
    elif len(values) <= 2 * size[0]:
        _line(draw, level, width, colour)
    else:
        _band(draw, level, width, colour)
    for place in np.flatnonzero(np.isnan(values))[:200]:
        at = (place + 0.5) / len(values) * width
        draw.rectangle((at - _FINER, height - 3 * _FINER, at + _FINER, height), _GAP)
    return image.resize(size, Image.Resampling.LANCZOS)


def _bars(draw: ImageDraw.ImageDraw, level: AnyArray, zero: float, width: int, colour: str) -> None:
    step = width / len(level)
    for place, top in enumerate(level.tolist()):
        if np.isfinite(top):
            upper, lower = sorted((top, zero))
            draw.rectangle((place * step + step * 0.15, upper, (place + 1) * step - step * 0.15, lower), colour)


def _line(draw: ImageDraw.ImageDraw, level: AnyArray, width: int, colour: str) -> None:
    across = np.linspace(_FINER, width - _FINER, len(level))
    known = np.isfinite(level)
    for part in np.split(np.arange(len(level)), np.flatnonzero(~known)):
        points = [(across[i], level[i]) for i in part if known[i]]
        if len(points) > 1:
            draw.line(points, colour, _FINER * 3 // 2, joint="curve")
        elif points:
            x, y = points[0]
            draw.ellipse((x - _FINER, y - _FINER, x + _FINER, y + _FINER), colour)


def _band(draw: ImageDraw.ImageDraw, level: AnyArray, width: int, colour: str) -> None:
    """Draw lowest to highest of the values that fall on a column of pixels."""
    columns = width // _FINER
    edges = np.linspace(0, len(level), columns + 1).astype(int)
    for column in range(columns):
        part = level[edges[column] : max(edges[column + 1], edges[column] + 1)]
        part = part[np.isfinite(part)]
        if len(part):
            box = (column * _FINER, part.min() - _FINER / 2, (column + 1) * _FINER - 1, part.max() + _FINER / 2)
            draw.rectangle(box, colour)
