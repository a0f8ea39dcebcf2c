# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202, PLR0917 - kernels are typed by their signatures, and take no keywords
"""Records of pictures whose files are as they were; imported on first use, because importing Numba takes time."""

from __future__ import annotations

import numba
import numpy as np
from numba import types

from rowlock.key_kernels import mix64
from rowlock.picture_cache.kernels import read_records
from rowlock.pictures.file_kernels import stat_at

__all__ = ["NOBODY", "recall_records", "remember"]

NOBODY = -1

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_FACTS = types.Array(types.int64, 2, "C", readonly=True)
_PIXELS = types.Array(types.uint8, 2, "C")
_BYTES_OUT = types.Array(types.uint8, 1, "C")
_FLAGS_OUT = types.Array(types.boolean, 1, "C")
_NUMBERS_OUT = types.Array(types.int64, 1, "C")
_NOTES = types.Array(types.int64, 2, "C")

_MOST_PATH_BYTES = 4096
_SLASH = 47
_OWNER, _FACT, _PLACE, _HIGH, _CHECK = 0, 1, 4, 5, 6
"""Columns of the notes; a fact has three."""


@numba.njit(types.int64(_NUMBERS_OUT), nogil=True, cache=True)
def _check_of(note):
    """Return a word that tells a note of one piece from one that two threads wrote parts of."""
    total = np.uint64(0)
    for column in range(_CHECK):
        total = mix64(total ^ np.uint64(note[column])) + np.uint64(column)
    return np.int64(total)


@numba.njit(types.void(_NOTES, _NUMBERS, _FACTS, _NUMBERS, _WORDS), nogil=True, cache=True)
def remember(notes, pictures, facts, places, high):
    """Note for each picture the state of its file, and where its record is; an older note in its place is lost."""
    for i in range(pictures.size):
        note = notes[pictures[i] % len(notes)]
        note[_OWNER] = pictures[i]
        note[_FACT : _FACT + 3] = facts[i]
        note[_PLACE], note[_HIGH] = places[i], np.int64(high[i])
        note[_CHECK] = _check_of(note)


@numba.njit(types.boolean(_BYTES, _BYTES, types.int64, types.int64, _BYTES_OUT), nogil=True, cache=True)
def _make_path(base, values, start, stop, path):
    """Write an absolute path, and a NUL behind it; False: it is too long."""
    at = np.int64(0)
    if start == stop or values[start] != _SLASH:
        path[: base.size] = base
        at = base.size
    if at + stop - start >= path.size:
        return False
    path[at : at + stop - start] = values[start:stop]
    path[at + stop - start] = 0
    return True


@numba.njit(
    types.void(
        types.UniTuple(types.uint64, 2), _BYTES, _NUMBERS, _BYTES, _NUMBERS, _NOTES, _NUMBERS, types.int64, types.int64,
        _PIXELS, _NUMBERS, _WORDS, types.uint64, _FLAGS_OUT,
    ),
    nogil=True, cache=True,
)  # fmt: skip
def recall_records(
    functions, base, path_starts, path_values, pictures, notes, descriptors, slot_bits, record_bytes, pixels, rows,
    factors, salt, are_right,
):  # fmt: skip
    """Read the records of those pictures whose file is as noted into rows of `pixels`; write which were, and proved.

    Parameters
    ----------
    functions : uint64
        Addresses of ``statx`` and ``preadv``.
    base : uint8, shape (b,)
        Folder that relative paths start from, with a slash at its end.
    path_starts, path_values : int64, uint8
        Path p is ``path_values[path_starts[p]:path_starts[p + 1]]``.
    pictures : int64, shape (n,)
        Number of the path of each.
    notes : int64, shape (m, 7)
        What `remember` noted.
    descriptors : int64, shape (s,)
        Open files by number of the segment, which stands in a place above `slot_bits`; negative: not open.
    record_bytes, pixels, rows, factors, salt, are_right
        As of `read_records`.
    """
    path, facts = np.empty(_MOST_PATH_BYTES, np.uint8), np.empty(3, np.int64)
    note = np.empty(notes.shape[1], np.int64)  # a copy: what was checked is what is used, whoever writes meanwhile
    files, offsets = np.full(pictures.size, -1), np.zeros(pictures.size, np.int64)
    high = np.zeros(pictures.size, np.uint64)
    for i in range(pictures.size):
        picture = pictures[i]
        note[:] = notes[picture % len(notes)]
        if note[_OWNER] != picture or note[_CHECK] != _check_of(note):
            continue
        segment = note[_PLACE] >> slot_bits
        if segment < 0 or segment >= descriptors.size:
            continue
        if not _make_path(base, path_values, path_starts[picture], path_starts[picture + 1], path):
            continue
        if stat_at(functions[0], np.uint64(path.ctypes.data), facts) and (facts == note[_FACT : _FACT + 3]).all():
            files[i] = descriptors[segment]
            offsets[i] = (note[_PLACE] & ((np.int64(1) << slot_bits) - 1)) * record_bytes
            high[i] = np.uint64(note[_HIGH])
    read_records(functions[1], files, offsets, pixels, rows, factors, salt, high, are_right)
