"""A picture of its final size, changed as its draw says: flip, affine map, brightness and contrast, function."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import RowError
from rowlock.meter import note_scratch
from rowlock.pictures.augment_kernels import adjust, mirror, warp
from rowlock.pictures.draws import Slot
from rowlock.pictures.fit import Crop, Placement

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray
    from rowlock.pictures.augment import Augment, Function
    from rowlock.pictures.draws import PictureDraw

__all__ = ["alter", "crop_of"]

_ONE = 1 << 16
"""1.0 in the kernels' fixed point."""


def crop_of(augment: Augment, draw: PictureDraw) -> Crop | None:
    """Return which part of the picture is used, or None for what is used without augmentation."""
    if augment.crop is None:
        return None
    area = draw.uniform(Slot.CROP_AREA, *augment.crop)
    at = [draw.uniform(slot) for slot in (Slot.CROP_RATIO, Slot.CROP_TOP, Slot.CROP_LEFT)]
    return Crop(area, *augment.ratio, *at)


def alter(picture: AnyArray, placed: Placement, augment: Augment, draw: PictureDraw) -> None:
    """Change a picture in place; all but the crop, which comes before the resize.

    The zeros around a padded picture stay as they are, for all but the function.

    Parameters
    ----------
    picture : uint8, shape (height, width, 1 or 3)
        C-contiguous.
    placed : Placement
        Where in it the picture is.
    augment : Augment
    draw : PictureDraw

    Raises
    ------
    RowError
        The user's function raised, or returned something else than a picture of the same shape and dtype.
    """
    inner = picture[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width]
    if inner.shape == picture.shape:
        _alter(picture, augment, draw)
    else:
        own = inner.copy()
        _alter(own, augment, draw)
        inner[...] = own
    if augment.function is not None:
        picture[...] = _called(augment.function, picture.copy(), draw)  # a copy: functions may keep what they are given


def _alter(picture: AnyArray, augment: Augment, draw: PictureDraw) -> None:
    if draw.uniform(Slot.FLIP) < augment.flip:
        mirror(picture)
    if augment.rotate or augment.translate:
        _move(picture, augment, draw)
    if augment.brightness or augment.contrast:
        adjust(
            picture.reshape(-1),
            picture.shape[2],
            _factor(draw, Slot.BRIGHTNESS, augment.brightness),
            _factor(draw, Slot.CONTRAST, augment.contrast),
        )


def _move(picture: AnyArray, augment: Augment, draw: PictureDraw) -> None:
    height, width = picture.shape[:2]
    angle = math.radians(draw.uniform(Slot.ROTATE, -augment.rotate, augment.rotate))
    cosine, sine = round(math.cos(angle) * _ONE), round(math.sin(angle) * _ONE)
    down = round(draw.uniform(Slot.TRANSLATE_Y, -augment.translate, augment.translate) * height * _ONE)
    right = round(draw.uniform(Slot.TRANSLATE_X, -augment.translate, augment.translate) * width * _ONE)
    note_scratch(8 * height * width)
    warp(picture, cosine, sine, down, right, augment.border == "reflect")


def _factor(draw: PictureDraw, slot: Slot, most: float) -> int:
    return round(draw.uniform(slot, 1 - most, 1 + most) * _ONE)


def _called(function: Function, picture: AnyArray, draw: PictureDraw) -> AnyArray:
    shape = picture.shape
    key = np.array([draw.word(Slot.FUNCTION_LOW), draw.word(Slot.FUNCTION_HIGH)], np.uint64)
    try:
        result = function(picture, np.random.Generator(np.random.Philox(key=key)))
    except (RowError, OSError, MemoryError):  # of the machine, or said in our own words
        raise
    except Exception as error:
        raise RowError(f"the function of augment raised {type(error).__name__}: {error}", stage="transform") from error
    if not isinstance(result, np.ndarray) or result.shape != shape or result.dtype != np.uint8:
        found = (
            f"{result.dtype} of shape {result.shape}"
            if isinstance(result, np.ndarray)
            else f"a {type(result).__name__}"
        )
        raise RowError(
            f"the function of augment must return uint8 of shape {shape}, as it was given; it returned {found}",
            stage="transform",
        )
    return result
