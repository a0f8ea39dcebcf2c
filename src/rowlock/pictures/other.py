"""PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC: everything that libjpeg-turbo does not read, by Pillow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import DecodeError
from rowlock.pictures.exif import orientation_in, swaps_axes, upright
from rowlock.pictures.headers import size_in_header
from rowlock.pictures.heic import load_heic, size_of_heic
from rowlock.pictures.limits import check_pixels
from rowlock.pictures.strict import StrictFile, check_deflate, check_png, check_tiles, is_relaxed

if TYPE_CHECKING:
    from PIL import Image, ImageFile

    from rowlock.arrays import AnyArray

__all__ = ["decode_other", "size_of_other"]

# The classes are called directly: Image.open would try other plugins too, and it warns and refuses by limits
# that belong to the whole process.
_PLUGINS = {
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
}
_TURNED_BY_PLUGIN = ("tiff",)
_WITHOUT_RANGE = ("I", "F")
# A palette with transparency: Pillow warns where it is not asked for. The others: Pillow has no direct way to grey.
_BY_WAY_OF = {"P": "RGBA", "La": "LA", "LAB": "RGB"}


def decode_other(data: bytes, kind: str, num_channels: int, max_pixels: int) -> AnyArray:
    """Decode the first picture of a file.

    Parameters
    ----------
    data : bytes
        The whole file.
    kind : str
        What `kind_of` said.
    num_channels : int
        1 or 3.
    max_pixels : int
        Limit on height * width.

    Returns
    -------
    uint8, shape (h, w, num_channels), C-contiguous

    Raises
    ------
    DecodeError
        Too many pixels, truncated, corrupt, or pixels of a kind that has no agreed meaning.
    """
    size = size_in_header(data, kind)
    if size is not None:
        check_pixels(*size, max_pixels)
    if kind == "png":
        check_png(data)
    try:
        if kind == "heic":
            return _as_uint8(load_heic(data, max_pixels), num_channels)
        with _plugin(kind)(StrictFile(data)) as image:
            check_pixels(image.height, image.width, max_pixels)
            _load(image, data)
            if kind == "tiff":
                check_deflate(image, data)
            pixels = _as_uint8(image, num_channels)
            orientation = 1 if kind in _TURNED_BY_PLUGIN else orientation_in(image.info.get("exif") or b"")
    except (DecodeError, MemoryError):
        raise
    except Exception as error:  # decoders of hostile bytes raise anything
        raise DecodeError(f"the {kind.upper()} is truncated or corrupt: {error}", stage="decode") from error
    return pixels if orientation == 1 else upright(pixels, orientation)


def size_of_other(data: bytes, kind: str) -> tuple[int, int]:
    """Return (height, width) of the first picture of a file, as a viewer shows it; no pixel is decoded.

    Raises
    ------
    DecodeError
        The header is damaged.
    """
    try:
        if kind == "heic":
            return size_of_heic(data)
        with _plugin(kind)(StrictFile(data)) as image:
            turned = kind not in _TURNED_BY_PLUGIN and swaps_axes(orientation_in(image.info.get("exif") or b""))
            return (image.width, image.height) if turned else (image.height, image.width)
    except (DecodeError, MemoryError):
        raise
    except Exception as error:  # decoders of hostile bytes raise anything
        raise DecodeError(f"the {kind.upper()} is truncated or corrupt: {error}", stage="decode") from error


def _plugin(kind: str) -> Any:
    module, name = _PLUGINS[kind]
    return getattr(importlib.import_module(module), name)


def _load(image: ImageFile.ImageFile, data: bytes) -> None:
    tiles, mode = list(image.tile), image.mode
    was_relaxed = is_relaxed()
    image.load()
    if was_relaxed or is_relaxed():
        check_tiles(tiles, data, mode, interlaced=bool(image.info.get("interlace")))


def _as_uint8(image: Image.Image, num_channels: int) -> AnyArray:
    """Return pixels of any mode as docs/pictures.md says."""
    if image.mode in _WITHOUT_RANGE:
        raise DecodeError(
            f"its pixels are 32-bit numbers (mode {image.mode!r}), for which no range is agreed; save it with 8 or"
            " 16 bits a channel",
            stage="decode",
        )
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)[:, :, None]  # convert() would clip at 255
        return grey if num_channels == 1 else np.repeat(grey, 3, axis=2)
    if image.mode in _BY_WAY_OF:
        image = image.convert(_BY_WAY_OF[image.mode])
    converted = np.asarray(image.convert("L" if num_channels == 1 else "RGB"))
    return converted[:, :, None] if num_channels == 1 else converted
