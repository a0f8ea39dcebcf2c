"""Pictures from files: a column of paths in, arrays of one size out."""

from __future__ import annotations

import functools
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rowlock.arrays import ArraySpec
from rowlock.errors import ConfigError, RowError
from rowlock.inputs.base import Draw, Input, Reader, check_rows
from rowlock.inputs.image_arguments import (
    check_cache,
    check_choice,
    check_column,
    check_count,
    check_numbers,
    picture_dtype,
    picture_size,
)
from rowlock.memory import parse_bytes
from rowlock.meter import note_scratch, stage
from rowlock.pictures.augment import Augment
from rowlock.pictures.draws import PictureDraw
from rowlock.pictures.fit import FITS
from rowlock.pictures.limits import MAX_PIXELS, max_file_bytes

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.picture_cache.cache import PictureCache
    from rowlock.pictures.fit import Crop, Placement
    from rowlock.table import Table

__all__ = ["Images"]

_PIECE_IMAGES = 8
_LONGER = ("raise", "cut")


class Images(Input):
    """Pictures, read from where they are, one path a row, or a list of paths a row.

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, and HEIC where pillow-heif is installed; by content, whatever the
    extension says. What becomes of grey, CMYK, 16-bit, palette, transparent, turned and animated pictures is in
    ``docs/pictures.md``. A truncated or corrupt file is an error of its row, never grey pixels.

    Parameters
    ----------
    column : str
        Column of the table that holds the paths, as text; with `num_images`, lists of them.
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
    num_images : int, optional
        Pictures a row, from a column of lists: a row has shape ``(num_images, height, width, channels)``. Shorter
        lists, empty ones too, are filled up with zeros at the end; `ImagesMask` tells where.
    longer : {"raise", "cut"}
        What becomes of lists of more than `num_images`: an error when the dataset is made, or the first ones count.
    augment : Augment, optional
        Random changes in training; off wherever `batches` has ``augment=False``, as with ``shuffle=False``.
    cache : str or path, optional
        Folder for decoded pixels, made where it is missing, of this user alone. The first epoch fills it; the next
        ones, and other processes, need not decode. It never changes a batch and never fails a run: see
        ``docs/pictures.md``. Pictures that are augmented are decoded every time.
    cache_bytes : int or str, optional
        Most that the folder may hold, such as ``"200GiB"``. By default, until a tenth of the disk is free.

    Raises
    ------
    ConfigError
        A wrong argument; and when the dataset is made: no such column, a column that is not text (or lists of it),
        rows without a path, paths that leave `root`, lists that are too long.

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
        num_images: int | None = None,
        longer: str = "raise",
        augment: Augment | None = None,
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int | str | None = None,
    ) -> None:
        check_column("Images", column)
        self.column = column
        self.size = picture_size(size)
        self.root = root
        self.channels = channels
        self.dtype = picture_dtype(dtype)
        self.scale = float(scale)
        self.resize = resize
        self.max_pixels = max_pixels
        self.num_images = num_images
        self.longer = longer
        self.augment = augment
        self.cache = cache
        self.cache_bytes = None if cache_bytes is None else parse_bytes(cache_bytes)
        self._check()

    def _check(self) -> None:
        check_numbers(self.channels, self.dtype, self.scale)
        check_choice("resize", self.resize, FITS)
        check_choice("longer", self.longer, _LONGER)
        check_count("max_pixels", self.max_pixels, "pixels")
        if self.num_images is not None:
            check_count("num_images", self.num_images, "pictures")
        elif self.longer != "raise":
            raise ConfigError(f"longer={self.longer!r} is about lists of paths, and needs num_images=")
        if not (self.augment is None or isinstance(self.augment, Augment)):
            raise ConfigError(f"augment must be an rl.Augment, such as rl.Augment(flip=0.5), not {self.augment!r}")
        check_cache(self.cache, self.cache_bytes)

    def __repr__(self) -> str:
        defaults = {"root": None, "channels": 3, "dtype": np.dtype("uint8"), "scale": 1.0, "resize": "stretch"}
        defaults |= {"max_pixels": MAX_PIXELS, "num_images": None, "longer": "raise", "augment": None}
        defaults |= {"cache": None, "cache_bytes": None}
        given = {name: getattr(self, name) for name, default in defaults.items() if getattr(self, name) != default}
        if "dtype" in given:
            given["dtype"] = str(given["dtype"])
        more = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"Images({self.column!r}, size={self.size}{more})"

    def open(self, table: Table, name: str) -> Reader:  # noqa: D102 - as in Input
        return _ImagesReader(self, table, name)


class _Picture(NamedTuple):
    """One picture of a row, and the random numbers that it has in this epoch."""

    row: int
    path: bytes
    of_list: str
    """``"picture 3 of 5"``, or nothing where a row has one."""
    draw: PictureDraw | None


class _ImagesReader(Reader):
    """Reads, decodes and resizes straight into the batch."""

    def __init__(self, images: Images, table: Table, name: str) -> None:
        # PLC0415: pyarrow, Pillow and Numba are loaded when pictures are used, and not in a worker thread
        from rowlock.pictures import decode, path_lists, paths, resize, roots  # noqa: PLC0415 - as said

        self._images = images
        self._name = name
        series = table.column(images.column)
        shape: tuple[int, ...] = (*images.size, images.channels)
        if images.num_images is None:
            self._paths = paths.PathColumn(series, images.column)
        else:
            self._paths = path_lists.PathLists(series, images.column, images.num_images, images.longer)
            shape = (images.num_images, *shape)
        self._root = roots.Root(images.root)
        self._root.check_text(self._paths, images.column)
        self._decode = decode.decode
        self._resize_into = resize.resize_into
        if images.augment is not None:
            from rowlock.pictures import alter  # noqa: PLC0415 - as above

            self._alter, self._crop_of = alter.alter, alter.crop_of
        self.spec = ArraySpec(shape, images.dtype)
        self._cache = _open_cache(images)
        self.piece_rows = max(1, _PIECE_IMAGES // (images.num_images or 1))

    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        check_rows(rows, len(self._paths))
        images = self._images
        byte_picture = np.empty((*images.size, images.channels), np.uint8) if images.dtype == np.float32 else None
        places = out.reshape(len(rows), images.num_images or 1, *images.size, images.channels)
        for row, row_paths, row_out in zip(rows.tolist(), self._paths.take_lists(rows), places, strict=True):
            for position, path in enumerate(row_paths):
                of_list = "" if images.num_images is None else f"picture {position + 1} of {len(row_paths)}"
                picture = _Picture(row, path, of_list, self._picture_draw(draw, row, position))
                if byte_picture is None:
                    self._load(picture, row_out[position])
                else:
                    self._load(picture, byte_picture)
                    np.multiply(byte_picture, np.float32(images.scale), out=row_out[position], dtype=np.float32)
            row_out[len(row_paths) :] = 0

    def will_need(self, rows: Int64Array) -> None:
        from rowlock.pictures.advice import will_need  # noqa: PLC0415 - with the rest of the package, on first use

        paths = (self._root.locate(path) for row_paths in self._paths.take_lists(rows) for path in row_paths)
        cached = self._cache is not None and self._images.augment is None
        will_need(self._cache.will_need(paths) if cached and self._cache is not None else paths)

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Which files, and what is made of them; decoder versions are left out, so that an upgrade ends no run."""
        images = self._images
        shape = "x".join(map(str, self.spec.shape))
        augment = "" if images.augment is None else f":{images.augment!r}"
        return f"{self._paths.digest()}:{shape}:{images.dtype}:{images.scale!r}:{images.resize}{augment}"

    def _picture_draw(self, draw: Draw | None, row: int, position: int) -> PictureDraw | None:
        augment = self._images.augment
        if draw is None or augment is None:
            return None
        return PictureDraw(*draw, self._name, row, 0 if augment.together else position)

    def _load(self, picture: _Picture, out: AnyArray) -> None:
        full_path = self._root.locate(picture.path)
        try:
            self._fill(full_path, picture.draw, out)
        except RowError as error:
            error.row, error.path = picture.row, os.fsdecode(full_path)
            if picture.of_list:
                error.reason = f"{picture.of_list}: {error.reason}"
            raise
        except OSError as error:
            error.row, error.filename = picture.row, os.fsdecode(full_path)  # type: ignore[attr-defined]  # for the message above
            where = f"{picture.of_list}, path" if picture.of_list else "path"
            error.add_note(f"while reading row {picture.row}, {where} {error.filename!r}")
            raise

    def _fill(self, full_path: bytes, draw: PictureDraw | None, out: AnyArray) -> None:
        augment = self._images.augment
        if draw is not None and augment is not None:
            placed = self._decode_into(full_path, self._crop_of(augment, draw), out)
            with stage("transform"):
                self._alter(out, placed, augment, draw)
        elif self._cache is not None:
            self._cache.load(full_path, out, functools.partial(self._decode_into, full_path, None, out))
        else:
            self._decode_into(full_path, None, out)

    def _decode_into(self, full_path: bytes, crop: Crop | None, out: AnyArray) -> Placement:
        images = self._images
        with stage("read"):
            data = self._root.read(full_path, max_file_bytes(images.max_pixels))
        with stage("decode"):
            pixels = self._decode(data, images.channels, images.max_pixels, images.size, images.resize, crop)
            placed = self._resize_into(pixels, out, images.resize, crop)
        note_scratch(len(data) + pixels.nbytes)
        return placed


def _open_cache(images: Images) -> PictureCache | None:
    if images.cache is None or not hasattr(os, "preadv"):
        return None
    from rowlock.picture_cache.cache import PictureCache  # noqa: PLC0415 - Numba is loaded when pictures are used
    from rowlock.picture_cache.identity import digest_of  # noqa: PLC0415 - as above
    from rowlock.pictures.versions import versions  # noqa: PLC0415 - as above

    shape = (*images.size, images.channels)
    fence = None if images.root is None else os.path.realpath(images.root)
    settings = digest_of("pixels-1", shape, images.resize, images.max_pixels, fence, versions())
    return PictureCache(images.cache, settings, math.prod(shape), images.cache_bytes)
