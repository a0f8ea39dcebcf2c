"""Checks of plain arguments, so that a wrong one is refused where it is given, and a right one has one type."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rowlock.arrays import Int64Array

__all__ = ["nearest", "number_dtype", "refuse_masked", "row_numbers", "texts", "true_or_false", "whole_number"]


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the name in `names` that is most like `name`, or nothing."""
    found = difflib.get_close_matches(name, [str(other) for other in names], n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


def whole_number(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return an integer of any kind as a Python int, or raise a `ConfigError`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ConfigError(f"{name} must be an integer, not {value!r}")
    if least is not None and value < least:
        raise ConfigError(f"{name} must be at least {least}, not {value}")
    if most is not None and value > most:
        raise ConfigError(f"{name} must be at most {most:,}, not {value:,}")
    return int(value)


def true_or_false(name: str, value: Any) -> bool:
    """Return a boolean of any kind as a Python bool, or raise a `ConfigError`."""
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def texts(name: str, values: Any) -> list[str]:
    """Return one or more different texts as a list, or raise a `ConfigError`."""
    if isinstance(values, str):
        raise ConfigError(f"{name} is a list: write [{values!r}]")
    try:
        found = list(values)
    except TypeError:
        raise ConfigError(f"{name} is a list of column names, not {values!r}") from None
    if not found or len({str(value) for value in found}) < len(found) or not all(isinstance(v, str) for v in found):
        raise ConfigError(f"{name} names one or more different columns, not {found!r}")
    return found


def number_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    """Return the dtype of batches, in the machine's byte order; only real numbers and booleans.

    Raises
    ------
    ConfigError
        Not a dtype, or not of numbers.
    """
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise ConfigError(f"{name}: dtype={dtype!r} is not a type of numbers, such as 'float32'") from None
    if found.kind not in "fiub":
        raise ConfigError(f"{name}: dtype={dtype!r} is not a type of real numbers, such as 'float32'")
    return found.newbyteorder("=")


def refuse_masked(what: str, values: Any) -> None:
    """Raise a `ConfigError` where a NumPy array masks values: the numbers behind the mask are not data."""
    if not isinstance(values, np.ma.MaskedArray) or not np.ma.is_masked(values):
        return
    masked = np.ma.getmaskarray(values)
    first = ", ".join(str(int(place)) for place in np.argwhere(masked)[0])
    fill = "filled(np.nan)" if values.dtype.kind == "f" else "astype(float).filled(np.nan)"
    raise ConfigError(
        f"{what} masks {int(masked.sum()):,} of its {values.size:,} values, first at [{first}], and what stands behind"
        f" a mask is not data. Nothing of it was read. Fill them in first, such as with .{fill} or .filled(0)."
    )


def row_numbers(values: Any, what: str) -> Int64Array:
    """Return row numbers as an int64 array of our own, shape (n,), or raise a `ConfigError`."""
    try:
        found = np.asarray(values)
    except ValueError:
        raise ConfigError(f"{what} are integers, one after the other, not {values!r}") from None
    if found.ndim != 1 or (found.dtype.kind not in "iu" and len(found)):
        raise ConfigError(f"{what} are integers, one after the other, not {found.dtype} of shape {found.shape}")
    return found.astype(np.int64)
