"""Values of a matrix into the dtype of a batch: rounded if need be, never wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import RowError

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["copy_cast"]


def copy_cast(values: AnyArray, out: AnyArray) -> None:
    """Copy `values` into `out` of another dtype of the same kind, or of floats.

    Raises
    ------
    RowError
        A value overflows, or integers or NaN do not fit.
    """
    with np.errstate(over="raise", invalid="raise"):
        try:
            np.copyto(out, values, casting="same_kind")
            fits = out.dtype.kind == "f" or np.array_equal(out, values)  # integers wrap without a word
        except (FloatingPointError, TypeError):
            fits = False
    if not fits:
        raise RowError(f"values of type {values.dtype} do not fit {out.dtype}. Choose another dtype=.")
