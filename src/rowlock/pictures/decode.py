"""Bytes of a file to upright pixels, by whichever decoder its kind needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.pictures import jpeg, other
from rowlock.pictures.exif import swaps_axes, upright
from rowlock.pictures.fit import min_size
from rowlock.pictures.kinds import JPEG_START, kind_of
from rowlock.pictures.limits import check_pixels

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray
    from rowlock.pictures.fit import Crop

__all__ = ["decode"]


def decode(
    data: bytes | memoryview,
    num_channels: int,
    max_pixels: int,
    target: tuple[int, int],
    fit: str,
    crop: Crop | None = None,
) -> AnyArray:
    """Decode a picture strictly.

    Parameters
    ----------
    data : bytes or memoryview
        The whole file.
    num_channels : int
        1 or 3.
    max_pixels : int
        Limit on height * width, checked in the header.
    target : (height, width)
        What the picture will be resized to; a JPEG may come back smaller than stored, not smaller than this.
    fit : str
        One of `rowlock.pictures.fit.FITS`.
    crop : Crop, optional
        The part that will be used: a JPEG comes back large enough for it. All of the picture is returned.

    Returns
    -------
    uint8, shape (h, w, num_channels), C-contiguous
        As a viewer shows it: EXIF orientation applied.

    Raises
    ------
    DecodeError
        Not a picture of a known kind, too many pixels, truncated, or corrupt.
    """
    if data[: len(JPEG_START)] != JPEG_START:
        whole = bytes(data)
        return other.decode_other(whole, kind_of(whole), num_channels, max_pixels)
    header = jpeg.read_header(data)
    check_pixels(header.height, header.width, max_pixels)
    source = header.height, header.width
    if swaps_axes(header.orientation):
        min_width, min_height = min_size(fit, source[::-1], target, crop)
    else:
        min_height, min_width = min_size(fit, source, target, crop)
    factor = jpeg.scale_for(*source, min_height, min_width)
    pixels = jpeg.decode_jpeg(data, header, factor, num_channels)
    if pixels is None:
        return other.decode_other(bytes(data), "jpeg", num_channels, max_pixels)
    return pixels if header.orientation == 1 else upright(pixels, header.orientation)
