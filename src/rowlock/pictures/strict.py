"""Truncated is an error, whatever another library has told Pillow to put up with.

``PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True`` belongs to the whole process. Setting it back would be as rude as
setting it, and not safe among threads; so each of its three effects is undone here:

* reading beyond the end of the file is taken for its end: `StrictFile` raises instead;
* a missing end of a PNG, and damage in it, are passed over: `check_png` looks itself, always;
* the decoder's complaint is dropped: `check_tiles` asks the decoder once more while the flag is set.

libtiff does not look at the checksums of deflated strips, since it stops when all rows are there: `check_deflate` does.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile

from rowlock.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StrictFile", "check_deflate", "check_png", "check_tiles", "is_relaxed"]

_CODECS_WITH_COMPLAINTS = ("gif", "zip")
"""Those whose complaint only reaches us through the flag; the others raise or decode any bytes."""

_DEFLATE = ("tiff_adobe_deflate", "tiff_deflate")
_STRIPS, _TILES = (273, 279), (324, 325)
"""Tags of a TIFF: offsets and lengths, TIFF 6.0, sections 8 and 15."""
_PIECE_BYTES = 1 << 20
_MOST_BYTES_A_PIXEL, _SLACK_BYTES = 16, 64 << 20
"""What deflated strips may inflate to: padded tiles and channels beyond the fourth count too."""


class StrictFile(io.BytesIO):
    """Bytes of a picture that are never read beyond their end."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes, or raise `DecodeError` where there are none left."""
        data = super().read(size)
        if not data and size != 0:
            raise DecodeError(f"the picture is truncated: it goes on after byte {self.tell()}", stage="decode")
        return data


def is_relaxed() -> bool:
    """Return whether Pillow is told to deliver truncated pictures as if they were whole."""
    return bool(ImageFile.LOAD_TRUNCATED_IMAGES)


def check_png(data: bytes) -> None:
    """Check that a PNG has all of its chunks, to the last, and that their checksums are right.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    DecodeError
    """
    for kind, start, stop in _png_chunks(data):
        (stored,) = struct.unpack_from(">I", data, stop)
        if zlib.crc32(memoryview(data)[start - 4 : stop]) != stored:
            raise DecodeError(f"the PNG is corrupt: wrong checksum of its {kind!r} at byte {start}", stage="decode")


def check_tiles(tiles: list[Any], data: bytes, mode: str, interlaced: bool) -> None:
    """Decode once more, by a way of Pillow that no flag relaxes.

    Parameters
    ----------
    tiles : list of (codec, box, offset, arguments)
        ``image.tile`` before it was loaded.
    data : bytes
        The whole file.
    mode : str
        ``image.mode`` before it was loaded.
    interlaced : bool
        Of a PNG.

    Raises
    ------
    ValueError
        The decoder complains.
    """
    for codec, (left, top, right, bottom), offset, arguments in tiles:
        if codec not in _CODECS_WITH_COMPLAINTS:
            continue
        size = right - left, bottom - top
        if codec == "gif":
            Image.frombytes(mode, size, data[offset:], codec, *arguments)
        else:
            content = b"".join(data[start:stop] for kind, start, stop in _png_chunks(data) if kind == b"IDAT")
            Image.frombytes(mode, size, content, codec, arguments, int(interlaced))


def check_deflate(image: Any, data: bytes) -> None:
    """Check the checksums of a TIFF whose strips or tiles are deflated.

    Parameters
    ----------
    image : PIL.TiffImagePlugin.TiffImageFile
    data : bytes
        The whole file.

    Raises
    ------
    zlib.error
        One is wrong.
    DecodeError
        One is missing, or they inflate to far more than pixels.
    """
    if image.info.get("compression") not in _DEFLATE:
        return
    left = _MOST_BYTES_A_PIXEL * image.width * image.height + _SLACK_BYTES
    for offsets, lengths in (_STRIPS, _TILES):
        for offset, num_bytes in zip(image.tag_v2.get(offsets, ()), image.tag_v2.get(lengths, ()), strict=False):
            left -= _inflated_bytes(data[offset : offset + num_bytes], left)


def _inflated_bytes(strip: bytes, most: int) -> int:
    inflater, total = zlib.decompressobj(), 0
    while part := inflater.decompress(strip, _PIECE_BYTES):  # in pieces: a strip may be all of a large picture
        strip = inflater.unconsumed_tail
        total += len(part)
        if total > most:
            raise DecodeError("the TIFF is corrupt: it inflates to far more than its pixels", stage="decode")
    if not inflater.eof:
        raise DecodeError("the TIFF is truncated or corrupt: one of its strips has no end", stage="decode")
    return total


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give (type, first byte, end) of each chunk's content, to the last; PNG specification, section 5."""
    at = 8
    while at + 12 <= len(data):
        num_bytes, kind = struct.unpack_from(">I4s", data, at)
        start, stop = at + 8, at + 8 + num_bytes
        if stop + 4 > len(data):
            break
        yield kind, start, stop
        if kind == b"IEND":
            return
        at = stop + 4
    raise DecodeError(f"the PNG is truncated: it goes on after byte {len(data)}", stage="decode")
