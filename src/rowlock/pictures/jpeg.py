"""JPEG: the header by hand, the pixels by libjpeg-turbo, strictly and no larger than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import simplejpeg

from rowlock.errors import DecodeError
from rowlock.pictures.exif import orientation_in
from rowlock.pictures.jpeg_kernels import NO_MARKER, walk_segments

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["JpegHeader", "decode_jpeg", "read_header", "scale_for"]

MAX_SCANS = 500
"""Scans of a progressive JPEG. Encoders write about ten; each costs a pass over all coefficients."""

_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))


class JpegHeader(NamedTuple):
    """What is known of a JPEG before it is decoded."""

    height: int
    width: int
    orientation: int
    progressive: bool


def read_header(data: bytes | memoryview) -> JpegHeader:
    """Walk the segments of a JPEG up to its first scan.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file.

    Raises
    ------
    DecodeError
        The file ends, or is no longer a JPEG, before the first scan.

    Notes
    -----
    ITU-T T.81, annex B. Height and width are as stored, before the orientation is applied.
    """
    at, frame, height, width, exif_start, exif_stop = walk_segments(np.frombuffer(data, np.uint8))
    if frame == NO_MARKER:
        raise DecodeError(f"a JPEG marker is missing at byte {at}: the file is corrupt", stage="decode")
    if not frame or at + 4 > len(data):
        raise DecodeError(f"the JPEG ends within its header ({len(data)} bytes)", stage="decode")
    orientation = orientation_in(bytes(data[exif_start:exif_stop])) if exif_stop else 1
    return JpegHeader(height, width, orientation, frame in _PROGRESSIVE)


def scale_for(height: int, width: int, min_height: int, min_width: int) -> int:
    """Return the largest of 8, 4, 2, 1 by which the picture may shrink and still be large enough.

    Only these have SIMD inverse transforms in libjpeg-turbo; others (3/8, 5/8, ...) are no faster.
    """
    for factor in (8, 4, 2):
        if -(-height // factor) >= min_height and -(-width // factor) >= min_width:
            return factor
    return 1


def decode_jpeg(data: bytes | memoryview, header: JpegHeader, factor: int, num_channels: int) -> AnyArray | None:
    """Decode a JPEG at ``1 / factor`` of its size; any warning of the decoder is an error.

    Parameters
    ----------
    data : bytes or memoryview
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
    if header.progressive and (num_scans := bytes(data).count(b"\xff\xda")) > MAX_SCANS:
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
