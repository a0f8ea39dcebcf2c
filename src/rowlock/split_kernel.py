"""The compiled loop of `rowlock.split`; imported on first use, since it loads numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["share_out"]

_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_TABLE = types.Array(types.int64, 2, "C", readonly=True)


@numba.njit(types.void(_NUMBERS, types.int64[::1], _TABLE, types.int16[::1]), nogil=True, cache=True)
def share_out(classes: Int64Array, seen: Int64Array, ends: Int64Array, out: AnyArray) -> None:
    """Write which part each row goes to, and count it in `seen`.

    Of the rows of class c, in the order in which they come, the first ``ends[c, 0]`` go to part 0, those up to
    ``ends[c, 1]`` to part 1, and so on.
    """
    for i in range(classes.size):
        number = seen[classes[i]]
        seen[classes[i]] = number + 1
        part = 0
        while number >= ends[classes[i], part]:
            part += 1
        out[i] = part
