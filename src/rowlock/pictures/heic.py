"""HEIC, by pillow-heif's own reader.

Not by its plugin for Pillow: where another library has set ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES``, that delivers
black pixels for a file that is cut anywhere behind its header.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rowlock.errors import DecodeError
from rowlock.pictures.limits import check_pixels

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["load_heic", "size_of_heic"]


def load_heic(data: bytes, max_pixels: int) -> Image.Image:
    """Return the primary picture of a file, upright, 8 bits a channel.

    Parameters
    ----------
    data : bytes
        The whole file.
    max_pixels : int
        Limit on height * width, by the header.

    Raises
    ------
    DecodeError
        Too many pixels.
    OSError, ValueError, EOFError, RuntimeError
        From libheif: truncated or corrupt.
    """
    opened = _reader()(data, convert_hdr_to_8bit=True)
    width, height = opened.size
    check_pixels(height, width, max_pixels)
    image: Image.Image = opened.to_pillow()
    return image


def size_of_heic(data: bytes) -> tuple[int, int]:
    """Return (height, width) of the primary picture, upright; no pixel is decoded."""
    width, height = _reader()(data, convert_hdr_to_8bit=True).size
    return height, width


def _reader() -> Any:
    try:
        return importlib.import_module("pillow_heif").open_heif
    except ImportError as error:
        raise DecodeError(
            "the file is HEIC, which needs another package: pip install pillow-heif", stage="decode"
        ) from error
