"""Pictures from files: a column of paths in, arrays of one size out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rowlock.errors import ConfigError
from rowlock.inputs.base import Input, Reader
from rowlock.inputs.image_arguments import (
    check_cache,
    check_choice,
    check_column,
    check_count,
    check_numbers,
    check_remote,
    hashes_column,
    picture_dtype,
    picture_size,
)
from rowlock.memory import parse_bytes
from rowlock.pictures.augment import Augment
from rowlock.pictures.fit import FITS
from rowlock.pictures.limits import MAX_PIXELS

if TYPE_CHECKING:
    import os

    from numpy.typing import DTypeLike

    from rowlock.remote.settings import Remote
    from rowlock.table import Table

__all__ = ["Images"]

_LONGER = ("raise", "cut")


class Images(Input):
    """Pictures, read from where they are, one path or URL a row, or a list of them a row.

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, and HEIC where pillow-heif is installed; by content, whatever the
    extension says. What becomes of grey, CMYK, 16-bit, palette, transparent, turned and animated pictures is in
    ``docs/pictures.md``. A truncated or corrupt file is an error of its row, never grey pixels.

    Parameters
    ----------
    column : str
        Column of the table that holds the paths, as text or path objects; with `num_images`, lists of them. With
        `remote`, also URLs.
    size : (height, width)
        Of the delivered pictures, in pixels.
    root : str or path, optional
        Folder that relative paths start from, and that no path may leave, neither by ``..`` nor by a link.
        By default relative paths start from the working directory at the time when the dataset is made, and
        paths may lead anywhere. Or the beginning of URLs, such as ``"s3://bucket/photos"``, which is then allowed.
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
    remote : Remote, optional
        Servers that may be asked for pictures: ``rl.Remote("https", "s3://bucket/photos/")``. Without it, URLs are
        refused.
    verify : {"hash"}, optional
        Compare the bytes of every file with a digest before they are decoded; another one is an error of the row.
    hashes : str, optional
        Column of these digests (`hash_pictures` makes it); by default the name of `column` and ``_hash``.

    Raises
    ------
    ConfigError
        A wrong argument; and when the dataset is made: no such column, a column that is not text (or lists of it),
        rows without a path, paths that leave `root`, URLs that are not allowed, lists that are too long.
    MissingDependencyError
        When the dataset is made: the table has URLs, and ``pip install 'rowlock[remote]'`` is still to be done.

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
        remote: Remote | None = None,
        verify: str | None = None,
        hashes: str | None = None,
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
        self.remote = remote
        self.verify = verify
        self.hashes = hashes_column(column, verify, hashes)
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
        check_remote(self.remote)

    def __repr__(self) -> str:
        defaults = {"root": None, "channels": 3, "dtype": np.dtype("uint8"), "scale": 1.0, "resize": "stretch"}
        defaults |= {"max_pixels": MAX_PIXELS, "num_images": None, "longer": "raise", "augment": None}
        defaults |= {"cache": None, "cache_bytes": None, "remote": None, "verify": None}
        defaults["hashes"] = hashes_column(self.column, self.verify, None)
        given = {name: getattr(self, name) for name, default in defaults.items() if getattr(self, name) != default}
        if "dtype" in given:
            given["dtype"] = str(given["dtype"])
        more = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"Images({self.column!r}, size={self.size}{more})"

    @override
    def open(self, table: Table, name: str) -> Reader:
        from rowlock.inputs.images_reader import ImagesReader  # noqa: PLC0415 - loads pyarrow and Numba

        return ImagesReader(self, table, name)

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("size", "channels", "scale", "resize", "num_images")}
