"""Compiled loop that fills and standardises rows; imported on first use, because importing Numba takes time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["scale_rows"]

_WIDTH = 512  # columns whose numbers stay in the first-level cache from row to row
_ROWS = [types.Array(kind, 2, "C") for kind in (types.float32, types.float64)]
_COLUMNS = types.Array(types.float64, 1, "C", readonly=True)


@numba.njit(
    [types.void(kind, _COLUMNS, _COLUMNS, _COLUMNS) for kind in _ROWS],
    nogil=True,
    cache=True,
)
def scale_rows(rows: AnyArray, center: AnyArray, scale: AnyArray, fill: AnyArray) -> None:
    """Write ``(value - center) * scale`` over every value, in float64; NaN is replaced by `fill` first.

    Parameters
    ----------
    rows : float32 or float64, shape (n, num_columns)
        Changed in place.
    center, scale, fill : float64, shape (num_columns,)
        Where `scale` is 0, the result is 0, also of infinities. A `fill` of NaN leaves NaN as it is.
    """
    num_rows, num_columns = rows.shape
    for start in range(0, num_columns, _WIDTH):
        stop = min(start + _WIDTH, num_columns)
        centers, scales, fills = center[start:stop], scale[start:stop], fill[start:stop]
        for i in range(num_rows):
            row = rows[i, start:stop]
            for j in range(stop - start):
                value = np.float64(row[j])
                deviation = (fills[j] if math.isnan(value) else value) - centers[j]
                is_flat = scales[j] == 0.0 and not math.isnan(deviation)
                row[j] = 0.0 if is_flat else deviation * scales[j]
