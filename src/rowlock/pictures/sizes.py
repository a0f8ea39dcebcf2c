"""Height and width of a picture as a viewer shows it, without decoding a pixel."""

from __future__ import annotations

from rowlock.pictures import jpeg, other
from rowlock.pictures.exif import swaps_axes
from rowlock.pictures.kinds import kind_of

__all__ = ["picture_size_of"]


def picture_size_of(data: bytes) -> tuple[int, int]:
    """Return (height, width).

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    DecodeError
        Not a picture of a known kind, or its header is damaged.
    """
    kind = kind_of(data)
    if kind != "jpeg":
        return other.size_of_other(data, kind)
    header = jpeg.read_header(data)
    turned = swaps_axes(header.orientation)
    return (header.width, header.height) if turned else (header.height, header.width)
