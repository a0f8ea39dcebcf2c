"""EXIF orientation: found in a picture's metadata, applied to its pixels."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["orientation_in", "swaps_axes", "upright"]

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def orientation_in(exif: bytes) -> int:
    r"""Return the orientation, 1 to 8, of an EXIF block; 1 where it names none or is damaged.

    Parameters
    ----------
    exif : bytes
        A TIFF structure, with or without ``Exif\0\0`` before it. Only its first directory is read.
    """
    tiff = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (num_entries,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(start + 2, min(start + 2 + 12 * num_entries, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _ORIENTATION_TAG and kind == _SHORT:
            return value if 1 <= value <= 8 else 1
    return 1


def swaps_axes(orientation: int) -> bool:
    """Return whether the upright picture is as wide as the stored one is high."""
    return orientation >= 5


def upright(pixels: AnyArray, orientation: int) -> AnyArray:
    """Turn and mirror stored pixels so that they are as the photographer saw them.

    Parameters
    ----------
    pixels : uint8, shape (h, w, c)
    orientation : int
        1 to 8, as in the EXIF standard (tag 274).

    Returns
    -------
    uint8, shape (h, w, c), or (w, h, c) for orientations 5 to 8
        C-contiguous.
    """
    if swaps_axes(orientation):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
