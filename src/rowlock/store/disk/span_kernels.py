"""Compiled loops that read spans of files, and tell the system about them, by the C library's own functions.

The shards of an array are numbered as if they lay one after the other, each `shard_bytes` long: a span is a start on
that line and a length, and may cross the edge of a shard. Spans that follow each other are read as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

from rowlock.store.disk.raw_memory import call_at_offset

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array

__all__ = ["advise_spans", "read_spans"]

_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_NUMBERS_OUT = types.Array(types.int64, 1, "C")


@numba.njit(types.UniTuple(types.int64, 2)(_NUMBERS, _NUMBERS, types.int64), nogil=True, cache=True)
def _run(starts: Int64Array, num_bytes: Int64Array, first: int) -> tuple[int, int]:
    """Return the span behind the last that follows `first` without a gap, and their length together."""
    total = num_bytes[first]
    last = first + 1
    while last < starts.size and starts[last] == starts[first] + total:
        total += num_bytes[last]
        last += 1
    return last, total


@numba.njit(
    types.UniTuple(types.int64, 2)(types.uint64, _NUMBERS, types.int64, types.int64, types.int64, types.uint64),
    nogil=True,
    cache=True,
)
def _read_run(
    pread: np.uint64, descriptors: Int64Array, shard_bytes: int, start: int, num_bytes: int, target: np.uint64
) -> tuple[int, int]:
    """Read one run; return how many bytes were read, and what pread said last: less than 0 if it failed."""
    done, said = 0, 1
    while done < num_bytes and said > 0:
        shard = (start + done) // shard_bytes
        if shard < 0 or shard >= descriptors.size:
            break
        offset = start + done - shard * shard_bytes
        count = min(num_bytes - done, shard_bytes - offset)
        said = call_at_offset(pread, descriptors[shard], np.int64(target) + done, count, offset)
        done += max(said, 0)
    return done, said


@numba.njit(
    types.int64(types.uint64, _NUMBERS, types.int64, _NUMBERS, _NUMBERS, types.uint64, _NUMBERS_OUT),
    nogil=True,
    cache=True,
)
def read_spans(
    pread: np.uint64,
    descriptors: Int64Array,
    shard_bytes: int,
    starts: Int64Array,
    num_bytes: Int64Array,
    target: np.uint64,
    num_read: Int64Array,
) -> int:
    """Read spans to `target`, one after the other.

    Parameters
    ----------
    pread : uint64
        Address of ``pread``.
    descriptors : int64, shape (num_shards,)
    shard_bytes : int
    starts, num_bytes : int64, shape (n,)
    target : uint64
        Address of as many bytes as all spans have.
    num_read : int64, shape (n,)
        Receives how many bytes of each span there were: fewer, where its file ends.

    Returns
    -------
    int
        Number of the first span that the system refused to read, and where this stopped; n if there is none.
    """
    i = 0
    while i < starts.size:
        last, total = _run(starts, num_bytes, i)
        done, said = _read_run(pread, descriptors, shard_bytes, starts[i], total, target)
        target += np.uint64(total)
        for k in range(i, last):
            num_read[k] = min(done, num_bytes[k])
            done -= num_read[k]
            if said < 0 and num_read[k] < num_bytes[k]:
                return k
        i = last
    return i


@numba.njit(types.void(types.uint64, _NUMBERS, types.int64, _NUMBERS, _NUMBERS, types.int64), nogil=True, cache=True)
def advise_spans(
    fadvise: np.uint64,
    descriptors: Int64Array,
    shard_bytes: int,
    starts: Int64Array,
    num_bytes: Int64Array,
    advice: int,
) -> None:
    """Give advice on spans by the ``posix_fadvise`` at an address; what it answers means nothing here."""
    i = 0
    while i < starts.size:
        last, total = _run(starts, num_bytes, i)
        done = 0
        while done < total:
            shard = (starts[i] + done) // shard_bytes
            if shard < 0 or shard >= descriptors.size:
                break
            offset = starts[i] + done - shard * shard_bytes
            count = min(total - done, shard_bytes - offset)
            call_at_offset(fadvise, descriptors[shard], offset, count, advice)
            done += count
        i = last
