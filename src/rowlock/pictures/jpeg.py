"""JPEG: the header by hand, the pixels by libjpeg-turbo, strictly and no larger than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import simplejpeg

from rowlock.errors import DecodeError
from rowlock.pictures.exif import orientation_in

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["JpegHeader", "decode_jpeg", "read_header", "scale_for"]

MAX_SCANS = 500
"""Scans of a progressive JPEG. Encoders write about ten; each costs a pass over all coefficients."""

_APP1 = 0xE1
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


class JpegHeader(NamedTuple):
    """What is known of a JPEG before it is decoded."""

    height: int
    width: int
    orientation: int
    progressive: bool


def read_header(data: bytes) -> JpegHeader:
    """Walk the segments of a JPEG up to its first scan.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    DecodeError
        The file ends, or is no longer a JPEG, before the first scan.

    Notes
    -----
    ITU-T T.81, annex B. Height and width are as stored, before the orientation is applied.
    """
    at, end, orientation = 2, len(data), 1
    height = width = frame = 0
    while at + 4 <= end:
        if data[at] != 0xFF:
            raise DecodeError(f"a JPEG marker is missing at byte {at}: the file is corrupt", stage="decode")
        marker = data[at + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in {_START_OF_SCAN, _END_OF_IMAGE}:
            break
        num_bytes = data[at + 2] << 8 | data[at + 3]
        if marker in _FRAMES and at + 9 <= end:
            frame = marker
            height, width = data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
        elif marker == _APP1 and data.startswith(b"Exif\0\0", at + 4):
            orientation = orientation_in(data[at + 4 : at + 2 + num_bytes])
        at += 2 + max(num_bytes, 2)
    if not frame or at + 4 > end:
        raise DecodeError(f"the JPEG ends within its header ({end} bytes)", stage="decode")
    return JpegHeader(height, width, orientation, frame in _PROGRESSIVE)


def scale_for(height: int, width: int, min_height: int, min_width: int) -> int:
    """Return the largest of 8, 4, 2, 1 by which the picture may shrink and still be large enough.

    Only these have SIMD inverse transforms in libjpeg-turbo; others (3/8, 5/8, ...) are no faster.
    """
    for factor in (8, 4, 2):
        if -(-height // factor) >= min_height and -(-width // factor) >= min_width:
            return factor
    return 1


def decode_jpeg(data: bytes, header: JpegHeader, factor: int, num_channels: int) -> AnyArray | None:
    """Decode a JPEG at ``1 / factor`` of its size; any warning of the decoder is an error.

    Parameters
    ----------
    data : bytes
        The whole file.
    header : JpegHeader
        Of the same bytes.
    factor : int
        1, 2, 4 or 8.
    num_channels : int
        1 (luma) or 3 (RGB). Grey, YCbCr, RGB, CMYK and YCCK sources all become that.

    Returns
    -------
    uint8, shape (ceil(height / factor), ceil(width / factor), num_channels), or None
        None: a chroma subsampling that simplejpeg does not decode.

    Raises
    ------
    DecodeError
        The file is truncated or corrupt, as far as libjpeg-turbo notices.
    """
    if header.progressive and (num_scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise DecodeError(f"a progressive JPEG of {num_scans} scans (at most {MAX_SCANS})", stage="decode")
    height, width = -(-header.height // factor), -(-header.width // factor)
    try:
        pixels: AnyArray = simplejpeg.decode_jpeg(
            data,
            "GRAY" if num_channels == 1 else "RGB",
            fastdct=True,
            fastupsample=True,
            min_height=height,
            min_width=width,
            min_factor=factor,
            strict=True,
        )
    except ValueError as error:
        if "subsampling" in str(error):  # one that the TurboJPEG interface has no name for; the header is whole
            return None
        raise DecodeError(f"the JPEG is truncated or corrupt: {error}", stage="decode") from error
    if pixels.shape != (height, width, num_channels):
        raise DecodeError(
            f"the JPEG decoder gave shape {pixels.shape} for a header of {header.height} x {header.width}"
            f" at 1/{factor}",
            stage="decode",
        )
    return pixels
