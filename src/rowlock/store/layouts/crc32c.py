"""CRC-32C (Castagnoli), as Zarr's ``crc32c`` codec has it; imported on first use, because of Numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["crc32c"]

_REVERSED_POLYNOMIAL = 0x82F63B78


def _table() -> AnyArray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = (values >> np.uint32(1)) ^ np.where(
            values & np.uint32(1), np.uint32(_REVERSED_POLYNOMIAL), np.uint32(0)
        )
    return values


_TABLE = _table()


@numba.njit(types.uint32(types.Array(types.uint8, 1, "C", readonly=True)), nogil=True, cache=True)
def crc32c(data: AnyArray) -> np.uint32:
    """Return the checksum of bytes."""
    value = np.uint32(0xFFFFFFFF)
    for byte in data:
        value = _TABLE[(value ^ byte) & np.uint32(0xFF)] ^ (value >> np.uint32(8))
    return value ^ np.uint32(0xFFFFFFFF)
