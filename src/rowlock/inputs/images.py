"""Pictures from files: a column of paths in, arrays of one size out."""

from __future__ import annotations

import functools
import math
import operator
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arrays import ArraySpec
from rowlock.errors import ConfigError, RowError
from rowlock.inputs.base import Draw, Input, Reader, check_rows
from rowlock.meter import note_scratch, stage
from rowlock.pictures.fit import FITS
from rowlock.pictures.limits import MAX_PIXELS, max_file_bytes

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.table import Table

__all__ = ["Images"]

_PIECE_ROWS = 8


class Images(Input):
    """Pictures, read from where they are, one path a row.

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, and HEIC where pillow-heif is installed; by content, whatever the
    extension says. What becomes of grey, CMYK, 16-bit, palette, transparent, turned and animated pictures is in
    ``docs/pictures.md``. A truncated or corrupt file is an error of its row, never grey pixels.

    Parameters
    ----------
    column : str
        Column of the table that holds the paths, as text.
    size : (height, width)
        Of the delivered pictures, in pixels.
    root : str or path, optional
        Folder that relative paths start from, and that no path may leave, neither by ``..`` nor by a link.
        By default relative paths start from the working directory at the time when the dataset is made, and
        paths may lead anywhere.
    channels : {3, 1}
        RGB or grey (luma).
    dtype : {"uint8", "float32"}
        ``"uint8"``, 0 to 255, is a quarter of the bytes: let the model rescale on its own device.
        ``"float32"`` holds the same whole numbers, 0.0 to 255.0, times `scale`.
    scale : float
        Factor for float32, such as ``1 / 255``.
    resize : {"stretch", "crop", "pad"}
        ``"stretch"``: all of the picture, its sides not in proportion. ``"crop"``: the largest centred part
        that has the proportions of `size`. ``"pad"``: all of the picture in proportion, centred, zeros around.
        Always with an antialiased triangle filter (bilinear).
    max_pixels : int
        A file whose header promises more (height * width) is an error of its row, and not decoded.

    Raises
    ------
    ConfigError
        A wrong argument; and when the dataset is made: no such column, a column that is not text, rows without
        a path, paths that leave `root`.

    Examples
    --------
    >>> Images("imgpath", size=(150, 150))
    Images('imgpath', size=(150, 150))
    """

    def __init__(
        self,
        column: str,
        *,
        size: tuple[int, int],
        root: str | os.PathLike[str] | None = None,
        channels: int = 3,
        dtype: DTypeLike = "uint8",
        scale: float = 1.0,
        resize: str = "stretch",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if not isinstance(column, str):
            raise ConfigError(f'Images takes the name of a column of paths: rl.Images("imgpath", ...), not {column!r}')
        self.column = column
        self.size = _size(size)
        self.root = root
        self.channels = channels
        self.dtype = _dtype(dtype)
        self.scale = float(scale)
        self.resize = resize
        self.max_pixels = max_pixels
        self._check()

    def _check(self) -> None:
        if self.channels not in (1, 3) or isinstance(self.channels, bool):
            raise ConfigError(f"channels must be 3 (RGB) or 1 (grey), not {self.channels!r}")
        if self.resize not in FITS:
            raise ConfigError(f"resize must be one of {', '.join(map(repr, FITS))}, not {self.resize!r}")
        if not math.isfinite(self.scale):
            raise ConfigError(f"scale must be a finite number, not {self.scale!r}")
        if self.scale != 1.0 and self.dtype != np.float32:
            raise ConfigError(f'scale={self.scale!r} needs dtype="float32": uint8 pictures are 0 to 255')
        if isinstance(self.max_pixels, bool) or not isinstance(self.max_pixels, int) or self.max_pixels < 1:
            raise ConfigError(f"max_pixels must be a whole number of pixels, at least 1, not {self.max_pixels!r}")

    def __repr__(self) -> str:
        defaults = {"root": None, "channels": 3, "dtype": np.dtype("uint8"), "scale": 1.0, "resize": "stretch"}
        defaults["max_pixels"] = MAX_PIXELS
        given = {name: getattr(self, name) for name, default in defaults.items() if getattr(self, name) != default}
        if "dtype" in given:
            given["dtype"] = str(given["dtype"])
        more = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"Images({self.column!r}, size={self.size}{more})"

    def open(self, table: Table, name: str) -> Reader:  # noqa: ARG002, D102 - as in Input
        return _ImagesReader(self, table)


class _ImagesReader(Reader):
    """Reads, decodes and resizes straight into the batch."""

    def __init__(self, images: Images, table: Table) -> None:
        # PLC0415: pyarrow, Pillow and Numba are loaded when pictures are used, and not in a worker thread
        from rowlock.pictures import decode, paths, resize, roots  # noqa: PLC0415

        self._images = images
        self._paths = paths.PathColumn(table.column(images.column), images.column)
        self._root = roots.Root(images.root)
        self._root.check_text(self._paths, images.column)
        self._decode = decode.decode
        self._resize_into = resize.resize_into
        self.spec = ArraySpec((*images.size, images.channels), images.dtype)
        self.piece_rows = _PIECE_ROWS

    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:  # noqa: ARG002 - no augmentation here
        check_rows(rows, len(self._paths))
        as_float = self.spec.dtype == np.float32
        byte_picture = np.empty(self.spec.shape, np.uint8) if as_float else None
        for place, (row, path) in enumerate(zip(rows.tolist(), self._paths.take(rows), strict=True)):
            if byte_picture is None:
                self._load(row, path, out[place])
            else:
                self._load(row, path, byte_picture)
                np.multiply(byte_picture, np.float32(self._images.scale), out=out[place], dtype=np.float32)

    def will_need(self, rows: Int64Array) -> None:
        from rowlock.pictures.advice import will_need  # noqa: PLC0415 - with the rest of the package, on first use

        will_need(map(self._root.locate, self._paths.take(rows)))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Which files, and what is made of them; decoder versions are left out, so that an upgrade ends no run."""
        images = self._images
        shape = "x".join(map(str, self.spec.shape))
        return f"{self._paths.digest()}:{shape}:{images.dtype}:{images.scale!r}:{images.resize}"

    def _load(self, row: int, path: bytes, out: AnyArray) -> None:
        images = self._images
        full_path = self._root.locate(path)
        try:
            with stage("read"):
                data = self._root.read(full_path, max_file_bytes(images.max_pixels))
            with stage("decode"):
                pixels = self._decode(data, images.channels, images.max_pixels, images.size, images.resize)
                self._resize_into(pixels, out, images.resize)
        except RowError as error:
            error.row, error.path = row, os.fsdecode(full_path)
            raise
        except OSError as error:
            error.row, error.filename = row, os.fsdecode(full_path)  # type: ignore[attr-defined]  # for the message above
            error.add_note(f"while reading row {row}, path {error.filename!r}")
            raise
        note_scratch(len(data) + pixels.nbytes)


def _size(size: Any) -> tuple[int, int]:
    wrong = ConfigError(f"size must be (height, width) in whole pixels, such as size=(150, 150); it is {size!r}")
    try:
        height, width = size
        height, width = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        raise wrong from None
    if isinstance(size, str) or height < 1 or width < 1:
        raise wrong
    return height, width


def _dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.dtype(np.uint8), np.dtype(np.float32)):
        raise ConfigError(f'dtype must be "uint8" or "float32", not {dtype!r}')
    return found
