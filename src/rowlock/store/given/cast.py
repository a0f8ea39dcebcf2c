"""Values into another dtype, by one rule: rounding is fine, anything else that loses is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, RowError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rowlock.arrays import AnyArray, BoolArray

__all__ = ["cast_block", "cast_columns", "copy_cast", "storable_dtype"]


def storable_dtype(dtype: Any) -> np.dtype[Any]:
    """Return a dtype that a store can hold, in little-endian order, or raise a `ConfigError`."""
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise ConfigError(f"dtype={dtype!r} is not a dtype: {error}") from error
    if wanted.kind == "b":
        raise ConfigError('a store holds numbers: write booleans with dtype="uint8"')
    if wanted.kind not in "iuf" or wanted.itemsize > 8:
        raise ConfigError(f"a store holds float16, float32, float64 or whole numbers, not {wanted}")
    little: np.dtype[Any] = wanted.newbyteorder("<")
    return little


def cast_block(
    block: AnyArray, dtype: np.dtype[Any], *, first_row: int = 0, columns: tuple[str, ...] | None = None
) -> AnyArray:
    """Return `block` as a C-contiguous array of `dtype`.

    Floats may be rounded to narrower floats, and whole numbers to floats; NaN and infinities stay. Refused are
    a finite value that would become infinite, a whole number out of range, and NaN, infinities or fractions
    where whole numbers are stored; so are floats of 2**53 or more there (float32: 2**24), which may stand for another
    whole number that was rounded before it came here.

    Parameters
    ----------
    block : shape (n, num_columns)
        Numbers or booleans.
    dtype : numpy.dtype
    first_row : int
        Row of the store that the block's first row becomes, for messages.
    columns : tuple of str or None
        Names for messages.

    Raises
    ------
    ConfigError
        Names the first value that does not fit, its row and its column.
    """
    if block.dtype.kind not in "biuf":
        raise ConfigError(f"a feature matrix holds numbers, not {block.dtype}")
    if block.dtype == dtype or np.can_cast(block.dtype, dtype, "safe"):
        return np.ascontiguousarray(block, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        out = np.ascontiguousarray(block, dtype)
        wrong = _lost(block, out)
    if wrong is not None and wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        name = f"column {columns[column]!r}" if columns else f"column {column}"
        raise ConfigError(
            f"{block[row, column]!s} in row {first_row + row}, {name}, cannot be stored as {dtype.name}"
            f" ({int(wrong.sum()):,} such values in this block). Nothing of the block was written."
            f" Choose a wider dtype=, or clip the values first.{_rounded_already(block[row, column], dtype)}"
        )
    return out


def cast_columns(columns: Iterable[AnyArray], dtype: np.dtype[Any]) -> AnyArray | None:
    """Return columns as one array of a whole-number dtype, each cast on its own; None where that would lose.

    A common dtype of int64 with uint64 or floats is float64, which rounds whole numbers of 2**53 and more.
    """
    cast = []
    for column in columns:
        with np.errstate(over="ignore", invalid="ignore"):
            values = column.astype(dtype, copy=False)
            if not np.can_cast(column.dtype, dtype, "safe"):
                wrong = _lost(column, values)
                if wrong is not None and wrong.any():
                    return None
        cast.append(values)
    return np.stack(cast, axis=1)


def copy_cast(values: AnyArray, out: AnyArray) -> None:
    """Copy `values` into `out`, of another dtype of the same kind or of floats; for batches.

    Raises
    ------
    RowError
        A finite value would become infinite, or a whole number is out of range; the message shows the first.
    """
    if np.can_cast(values.dtype, out.dtype, "safe"):
        np.copyto(out, values)
        return
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(out, values, casting="same_kind")
        wrong = _lost(values, out)
    if wrong is not None and wrong.any():
        first = values[tuple(np.argwhere(wrong)[0])]
        raise RowError(f"{first!s} does not fit {out.dtype} ({int(wrong.sum()):,} such). Choose another dtype=.")


def _lost(block: AnyArray, out: AnyArray) -> BoolArray | None:
    """Return where a value became another one, beyond rounding; None where that cannot be."""
    if out.dtype.kind == "f":
        infinite = np.isinf(out)
        return infinite & np.isfinite(block) if infinite.any() else None
    limits = np.iinfo(out.dtype)
    if block.dtype.kind == "f":
        # The limits + 1 are powers of two, hence exact as floats; the limits themselves need not be.
        above = block >= block.dtype.type(2.0 ** (limits.bits - (limits.min < 0)))
        below = block < block.dtype.type(limits.min)
        rounded = np.abs(block) >= block.dtype.type(_exact_below(block.dtype))
        lost: BoolArray = above | below | rounded | ~np.isfinite(block) | (np.trunc(block) != block)
        return lost
    # NumPy compares Python integers with arrays of any integer type exactly.
    wrong: BoolArray = (block > int(limits.max)) | (block < int(limits.min))
    return wrong


def _exact_below(dtype: np.dtype[Any]) -> float:
    """Return the number below which a float dtype has every whole number."""
    return 2.0 ** (np.finfo(dtype).nmant + 1)


def _rounded_already(value: Any, dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f" or value.dtype.kind != "f" or not _exact_below(value.dtype) <= abs(value) < np.inf:
        return ""
    return (
        f" It came as {value.dtype}, which has not every whole number of that size, and may have been rounded already:"
        " give it as whole numbers."
    )
