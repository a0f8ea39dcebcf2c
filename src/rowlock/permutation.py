"""The order of an epoch: a keyed bijection of 0 .. num_rows-1, in memory that does not grow with num_rows.

Algorithm ``feistel-1``. A Feistel network (Luby and Rackoff, *How to construct pseudorandom permutations
from pseudorandom functions*, 1988) over the smallest power of two that holds `num_rows`, at least 2**8, with
cycle walking back into range (Black and Rogaway, *Ciphers with arbitrary finite domains*, 2002):

* width ``bits = max(8, (num_rows - 1).bit_length())``; the low half has ``bits // 2`` of them;
* eight rounds; even rounds xor ``mix(high + key[i])`` into the low half, odd rounds ``mix(low + key[i])``
  into the high half, each cut to the half's width; ``mix`` is the finaliser of splitmix64 (Steele et al. 2014);
* the round keys are the first 64 bytes of SHAKE-256 over ``"rowlock feistel-1 {seed} {epoch} {num_rows}"``,
  read as little-endian 64-bit words;
* a result outside the range goes through the network again, until it is inside.

Golden files hold the order: it never changes under this name.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array, UInt64Array

__all__ = ["ALGORITHM", "key_words", "permute"]

ALGORITHM = "feistel-1"
NUM_ROUNDS = 8


def permute(positions: Int64Array, num_rows: int, seed: int, epoch: int) -> Int64Array:
    """Return the rows that stand at `positions` of the order of (seed, epoch).

    Parameters
    ----------
    positions : int64, shape (n,)
        0 <= position < num_rows.
    num_rows : int
        Size of the whole order, below 2**62.
    seed, epoch : int
        Any integers; different pairs give unrelated orders.

    Returns
    -------
    rows : int64, shape (n,)
    """
    from rowlock import permutation_kernel  # noqa: PLC0415 - numba is loaded on first use

    bits = max(8, (num_rows - 1).bit_length())
    rows = np.empty(len(positions), np.int64)
    keys = key_words(f"rowlock {ALGORITHM} {seed} {epoch} {num_rows}", NUM_ROUNDS)
    permutation_kernel.permute(positions, np.uint64(num_rows), np.uint64(bits // 2), np.uint64(bits), keys, rows)
    return rows


@lru_cache(maxsize=256)
def key_words(text: str, num_words: int) -> UInt64Array:
    """Return the first words of SHAKE-256 over a text: different texts give unrelated keys.

    Returns
    -------
    words : uint64, shape (num_words,)
        Read-only.
    """
    digest = hashlib.shake_256(text.encode()).digest(8 * num_words)
    words = np.frombuffer(digest, "<u8").astype(np.uint64)
    words.flags.writeable = False
    return words
