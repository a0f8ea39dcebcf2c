"""Telling the system which pieces of mapped files will be read, where it can be told."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array, UInt64Array

__all__ = ["advise"]

_SAMPLES = 8  # pieces of which all are in memory, before a whole batch is taken for cached


def advise(addresses: UInt64Array, num_bytes: Int64Array, *, residency_is_told: bool) -> None:
    """Start reading pieces of mapped files, unless they seem to be in memory.

    Parameters
    ----------
    addresses : uint64, shape (n,)
        Inside of maps, with the pieces that start there.
    num_bytes : int64, shape (n,)
        Lengths of the pieces; 0: none.
    residency_is_told : bool
        Whether the system can be asked what is in memory.
    """
    if not hasattr(mmap, "MADV_WILLNEED"):
        return
    from rowlock.store.disk.advice_kernels import advise_pieces  # noqa: PLC0415 - Numba is loaded on first use

    samples = _SAMPLES if residency_is_told else 0
    advise_pieces(addresses, num_bytes, mmap.PAGESIZE, mmap.MADV_WILLNEED, samples)
