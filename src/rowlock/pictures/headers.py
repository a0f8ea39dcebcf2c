"""Height and width from the first bytes, where a decoder would allocate before it can be asked."""

from __future__ import annotations

import struct

__all__ = ["size_in_header"]


def size_in_header(data: bytes, kind: str) -> tuple[int, int] | None:
    """Return (height, width) of a PNG, GIF, BMP or WebP.

    Parameters
    ----------
    data : bytes
        The whole file.
    kind : str
        What `kind_of` said.

    Returns
    -------
    (int, int) or None
        None for the other kinds, whose decoders allocate nothing when they are opened, and where the file
        is too short, which its decoder will say better.
    """
    try:
        if kind == "png":
            width, height = struct.unpack_from(">II", data, 16)
        elif kind == "gif":
            width, height = struct.unpack_from("<HH", data, 6)
        elif kind == "bmp":
            width, height = _bmp(data)
        elif kind == "webp":
            width, height = _webp(data)
        else:
            return None
    except struct.error:
        return None
    return height, width


def _bmp(data: bytes) -> tuple[int, int]:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # a negative height means that rows go from top to bottom


def _webp(data: bytes) -> tuple[int, int]:
    # RFC 9649: the first chunk is VP8X (canvas), VP8L (lossless) or "VP8 " (lossy)
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, high = struct.unpack_from("<HB", data, 24)
        height, high_too = struct.unpack_from("<HB", data, 27)
        return (width | high << 16) + 1, (height | high_too << 16) + 1
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
