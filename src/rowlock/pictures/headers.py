"""Height and width from the first bytes, where a decoder would allocate before it can be asked."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["size_in_header"]


def size_in_header(data: bytes, kind: str) -> tuple[int, int] | None:
    """Return (height, width) of a PNG, GIF, BMP, WebP or AVIF.

    Parameters
    ----------
    data : bytes
        The whole file.
    kind : str
        What `kind_of` said.

    Returns
    -------
    (int, int) or None
        None for the other kinds, whose decoders allocate nothing and say the size when they are opened, and where
        the file is too short, which its decoder will say better.
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
        elif kind == "avif":
            width, height = _avif(data)
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


def _avif(data: bytes) -> tuple[int, int]:
    # ISO/IEC 23008-12, 6.5.3: the largest, since tiles and thumbnails have a size too. libavif knows it, but calls a
    # picture beyond its own limit damaged.
    spans = [(0, len(data))]
    for kind, skipped in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0)):
        spans = [(at + skipped, stop) for span in spans for found, at, stop in _boxes(data, *span) if found == kind]
    sizes = [
        struct.unpack_from(">II", data, at + 4)
        for span in spans
        for found, at, _ in _boxes(data, *span)
        if found == b"ispe"
    ]
    if not sizes:
        raise struct.error
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height


def _boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Give (type, first byte, end) of each box's content; ISO/IEC 14496-12, 4.2."""
    while at + 8 <= stop:
        num_bytes, kind = struct.unpack_from(">I4s", data, at)
        if num_bytes < 8:  # 0: to the end, 1: 64 bits; the sizes stand in boxes that need neither
            return
        yield kind, at + 8, min(at + num_bytes, stop)
        at += num_bytes
