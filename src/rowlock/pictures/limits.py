"""Sizes that are checked before memory is asked for."""

from __future__ import annotations

from rowlock.errors import DecodeError

__all__ = ["MAX_PIXELS", "check_pixels", "max_file_bytes"]

MAX_PIXELS = 178_956_970
"""Default limit: 512 MiB of RGB. Above it, Pillow too calls a picture a decompression bomb."""


def check_pixels(height: int, width: int, max_pixels: int) -> None:
    """Refuse a picture whose header promises no pixels, or more than `max_pixels`."""
    if height < 1 or width < 1:
        raise DecodeError(f"its header says {width} x {height} pixels", stage="decode")
    if height * width > max_pixels:
        raise DecodeError(
            f"its header says {width} x {height} = {height * width:,} pixels, more than max_pixels={max_pixels:,};"
            " it was not decoded. Raise max_pixels if the picture is meant to be that large",
            stage="decode",
        )


def max_file_bytes(max_pixels: int) -> int:
    """Return the size of a file beyond which it cannot be a picture of `max_pixels`.

    Eight bytes a pixel are uncompressed 16-bit RGBA, the largest that is decoded; 64 MiB are for metadata.
    """
    return 8 * max_pixels + (64 << 20)
