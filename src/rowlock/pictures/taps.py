"""Which source pixels make which target pixel: tables of the antialiased triangle filter."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["WEIGHT_SUM", "taps"]

WEIGHT_SUM = 256
"""Weights are whole multiples of 1/256: 255 * 256 is the largest sum, which 16 bits hold."""


@functools.lru_cache(maxsize=4096)
def taps(num_in: int, num_out: int) -> tuple[AnyArray, AnyArray]:
    """Return the filter of a resize along one axis.

    Parameters
    ----------
    num_in, num_out : int
        Lengths of the axis in the source and in the target.

    Returns
    -------
    starts : uint32, shape (num_out,)
        First source index of each target index.
    weights : uint16, shape (num_out, n)
        Weights of source indices ``starts[i] + k``, in 256ths; each row sums to 256. n is 4, 6 or a multiple
        of 4; indices beyond the source have weight 0. Both arrays are read-only: threads share them.

    Notes
    -----
    A triangle that reaches one target pixel to each side when shrinking (so it antialiases), and one source
    pixel when enlarging: what Pillow calls BILINEAR, and others bilinear with antialias. Centre of target
    pixel i: ``(i + 0.5) * num_in / num_out``.
    """
    scale = num_in / num_out
    reach = max(scale, 1.0)
    centres = (np.arange(num_out) + 0.5) * scale
    num_taps = _padded(math.ceil(2 * reach))
    starts = np.maximum(np.floor(centres - reach + 0.5), 0).astype(np.int64)
    at = starts[:, None] + np.arange(num_taps)
    weights = np.maximum(0.0, 1.0 - np.abs((at + 0.5 - centres[:, None]) / reach))
    weights[at >= num_in] = 0.0
    return _frozen(starts.astype(np.uint32)), _frozen(_whole(weights / weights.sum(axis=1, keepdims=True)))


def _padded(num_taps: int) -> int:
    """Round up to a number of taps that the kernels have a loop for."""
    if num_taps in (5, 6):
        return 6
    return -(-num_taps // 4) * 4


def _whole(weights: AnyArray) -> AnyArray:
    """Round weights to 256ths; what is over goes to those that were rounded most, so that sums are exact."""
    exact = weights * WEIGHT_SUM
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, axis=1, kind="stable")  # largest remainder first
    place = np.argsort(order, axis=1, kind="stable")
    missing = WEIGHT_SUM - whole.sum(axis=1, keepdims=True)
    rounded: AnyArray = (whole + (place < missing)).astype(np.uint16)
    return rounded


def _frozen(array: AnyArray) -> AnyArray:
    array.flags.writeable = False
    return array
