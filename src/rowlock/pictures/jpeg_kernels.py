# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202 - kernels are typed by their signatures
"""The walk through the segments of a JPEG; imported on first use, because importing Numba takes time."""

from __future__ import annotations

import numba
import numpy as np
from numba import types

__all__ = ["NO_MARKER", "walk_segments"]

NO_MARKER = -1
"""In place of the frame: something else stands where a marker must be."""

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_NUMBERS = types.UniTuple(types.int64, 6)

_MARKER = 0xFF
_APP1 = 0xE1
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_EXIF_BYTES = 6


@numba.njit(types.boolean(types.int64), nogil=True, cache=True)
def _is_frame(marker):
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


@numba.njit(types.boolean(types.int64), nogil=True, cache=True)
def _has_no_length(marker):
    return marker == 0x01 or 0xD0 <= marker <= 0xD8


@numba.njit(types.int64(_BYTES, types.int64), nogil=True, cache=True)
def _two_bytes(data, at):
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@numba.njit(types.boolean(_BYTES, types.int64), nogil=True, cache=True)
def _is_exif(data, at):
    r"""Return whether ``Exif\0\0`` is there."""
    if at + _EXIF_BYTES > data.size:
        return False
    starts = data[at] == 0x45 and data[at + 1] == 0x78 and data[at + 2] == 0x69 and data[at + 3] == 0x66
    return starts and data[at + 4] == 0 and data[at + 5] == 0


@numba.njit(_NUMBERS(_BYTES), nogil=True, cache=True)
def walk_segments(data):
    """Return where the walk ended, frame marker, height, width, and from where to where the last EXIF block is.

    The walk ends before the first scan, or where the bytes end, or at what is no marker. Frame, height and width are 0
    where no frame came; both ends of the block are 0 where there is none. ITU-T T.81, annex B.
    """
    at, end = 2, data.size
    frame = height = width = exif_start = exif_stop = 0
    while at + 4 <= end:
        word = _two_bytes(data, at)
        marker = word & 0xFF
        if word >> 8 != _MARKER:
            return at, NO_MARKER, height, width, exif_start, exif_stop
        if marker == _MARKER or _has_no_length(marker):
            at += 1 if marker == _MARKER else 2
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            break
        num_bytes = _two_bytes(data, at + 2)
        if _is_frame(marker) and at + 9 <= end:
            frame = marker
            height = _two_bytes(data, at + 5)
            width = _two_bytes(data, at + 7)
        elif marker == _APP1 and _is_exif(data, at + 4):
            exif_start, exif_stop = at + 4, min(at + 2 + num_bytes, end)
        at += 2 + max(num_bytes, 2)
    return at, frame, height, width, exif_start, exif_stop
