"""What may be varied at random in a picture, written down; `rowlock.pictures.alter` does it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from rowlock.arrays import AnyArray
from rowlock.errors import ConfigError

__all__ = ["BORDERS", "Augment", "Function"]

Function = Callable[[AnyArray, np.random.Generator], AnyArray]

BORDERS = ("reflect", "zero")


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of the pictures of an input, in training only.

    Each picture of each epoch draws anew, from the seed of `batches`, the epoch, the row of the table and the name of
    the input: the same pictures for any number of threads, and after resuming. Off where `batches` has
    ``augment=False``, as with ``shuffle=False``. In this order: crop (before the resize, from the stored picture),
    resize, flip, rotate and translate, brightness and contrast, function.

    Parameters
    ----------
    flip : float
        Probability of mirroring left and right, 0 to 1.
    crop : (float, float), optional
        A random part of the picture fills the target ("random resized crop"): its area, as a share of what is
        delivered without augmentation, is drawn evenly from this range, within 0 (excluded) to 1.
    ratio : (float, float)
        With `crop`: width / height of that part, as a multiple of that of what is delivered without augmentation,
        is drawn from this range, evenly on a logarithmic scale, as far as the part fits into the picture.
    rotate : float
        Largest angle in degrees, to either side, 0 to 180.
    translate : float
        Largest shift, in shares of the height and width, to either side, 0 to 1.
    brightness : float
        All values are multiplied by a factor from 1 - brightness to 1 + brightness, 0 to 1.
    contrast : float
        Distances to the mean grey are multiplied by a factor from 1 - contrast to 1 + contrast, 0 to 1.
    border : {"reflect", "zero"}
        What turns and shifts bring into the picture: its mirror image, or black. The zeros around a picture that
        is padded stay where they are.
    together : bool
        With several pictures a row: all of them draw alike, as frames of a clip must.
    function : callable, optional
        ``f(image, rng) -> image``, last of all: `image` is uint8 of shape (height, width, channels), its own to
        change; the result has the same shape and dtype; `rng` is a NumPy generator of this picture. Called from several
        threads at once. An exception is an error of the row.

    Raises
    ------
    ConfigError
        A value outside its range.

    Examples
    --------
    >>> Augment(flip=0.5, crop=(0.6, 1.0), rotate=10)
    Augment(flip=0.5, crop=(0.6, 1.0), rotate=10.0)
    """

    flip: float = 0.0
    crop: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    rotate: float = 0.0
    translate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    border: str = "reflect"
    together: bool = False
    function: Function | None = None

    def __post_init__(self) -> None:
        for name, most in {"flip": 1, "rotate": 180, "translate": 1, "brightness": 1, "contrast": 1}.items():
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= most):
                raise ConfigError(f"augment: {name} must be a number from 0 to {most}, not {value!r}")
            object.__setattr__(self, name, float(value))  # so that 1 and 1.0 have one fingerprint
        if self.crop is not None:
            object.__setattr__(self, "crop", _range("crop", self.crop, 1.0))
        object.__setattr__(self, "ratio", _range("ratio", self.ratio, math.inf))
        if self.border not in BORDERS:
            raise ConfigError(f"augment: border must be one of {', '.join(map(repr, BORDERS))}, not {self.border!r}")
        if not isinstance(self.together, bool):
            raise ConfigError(f"augment: together must be True or False, not {self.together!r}")
        if self.function is not None and not callable(self.function):
            raise ConfigError(f"augment: function must be callable as f(image, rng), not {self.function!r}")

    def __repr__(self) -> str:
        """Return what was given; a function by its name, so that it reads the same in every process."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        shown = {field.name: given[field.name] for field in fields(self) if given[field.name] != field.default}
        if self.function is not None:
            shown["function"] = _Name(self.function)
        return f"Augment({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class _Name:
    """Shows a function by where it is defined, without its address."""

    def __init__(self, function: Function) -> None:
        named = function if hasattr(function, "__qualname__") else type(function)
        self._text = f"{named.__module__}.{named.__qualname__}"

    def __repr__(self) -> str:
        return self._text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _range(name: str, value: Any, most: float) -> tuple[float, float]:
    pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (math.nan, math.nan)
    if not (all(map(_is_number, pair)) and 0 < pair[0] <= pair[1] <= most and math.isfinite(pair[1])):
        limit = "above 0" if most == math.inf else f"above 0 and at most {most:g}"
        raise ConfigError(f"augment: {name} must be (smallest, largest), both {limit}, not {value!r}")
    return float(pair[0]), float(pair[1])
