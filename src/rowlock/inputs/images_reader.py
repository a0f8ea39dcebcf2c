"""How rows of pictures are read: from their source, through the cache if there is one, into the batch."""

from __future__ import annotations

import functools
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rowlock.arrays import ArraySpec
from rowlock.errors import RowError
from rowlock.inputs.base import Draw, Reader, check_rows
from rowlock.meter import note_scratch, stage
from rowlock.pictures.content import digest_in, key_of, name_of
from rowlock.pictures.decode import decode
from rowlock.pictures.digests import DigestColumn, check_digest
from rowlock.pictures.draws import PictureDraw
from rowlock.pictures.limits import max_file_bytes
from rowlock.pictures.path_lists import PathLists
from rowlock.pictures.paths import PathColumn
from rowlock.pictures.resize import resize_into
from rowlock.remote.permission import is_url
from rowlock.remote.source import open_source
from rowlock.store.disk.system_calls import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.inputs.images import Images
    from rowlock.picture_cache.cache import PictureCache
    from rowlock.pictures.content import Version
    from rowlock.pictures.fit import Crop, Placement
    from rowlock.table import Table

__all__ = ["ImagesReader"]

_PIECE_IMAGES = 8


class _Picture(NamedTuple):
    """One picture of a row."""

    key: bytes
    row: int
    position: int
    """In the row's list."""
    num_pictures: int
    """Of the row."""

    @property
    def name(self) -> bytes:
        """Absolute path, or URL."""
        return name_of(self.key)


class ImagesReader(Reader):
    """Reads, decodes and resizes straight into the batch."""

    def __init__(self, images: Images, table: Table, name: str) -> None:
        self._images = images
        self._name = name
        series = table.column(images.column)
        shape: tuple[int, ...] = (*images.size, images.channels)
        if images.num_images is None:
            self._paths = PathColumn(series, images.column)
        else:
            self._paths = PathLists(series, images.column, images.num_images, images.longer)
            shape = (images.num_images, *shape)
        self._digests = _open_digests(images, table, self._paths)
        limit = max_file_bytes(images.max_pixels)
        self._source = open_source(self._paths, images.column, images.root, images.remote, limit)
        if images.augment is not None:
            from rowlock.pictures import alter  # noqa: PLC0415 - kernels that few need

            self._alter, self._crop_of = alter.alter, alter.crop_of
        self.spec = ArraySpec(shape, images.dtype)
        self._cache = _open_cache(images)
        self.piece_rows = max(1, _PIECE_IMAGES // (images.num_images or 1))

    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:  # noqa: D102 - as in Reader
        check_rows(rows, len(self._paths))
        images = self._images
        is_float = images.dtype == np.float32
        pixels = np.empty(out.shape, np.uint8) if is_float else out
        self._fill(rows, pixels.reshape(-1, *images.size, images.channels), draw)
        if is_float:
            np.multiply(pixels, np.float32(images.scale), out=out, dtype=np.float32)

    def will_need(self, rows: Int64Array) -> None:  # noqa: D102 - as in Reader
        self._source.will_need(self._keys(self._paths.take_lists(rows), rows), self._cache)

    def close(self) -> None:  # noqa: D102 - as in Reader
        self._source.close()
        if self._cache is not None:
            self._cache.close()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Which files, and what is made of them; decoder versions are left out, so that an upgrade ends no run."""
        images = self._images
        shape = "x".join(map(str, self.spec.shape))
        augment = "" if images.augment is None else f":{images.augment!r}"
        return f"{self._paths.digest()}:{shape}:{images.dtype}:{images.scale!r}:{images.resize}{augment}"

    def _keys(self, paths: list[list[bytes]], rows: Int64Array) -> Iterator[bytes]:
        """Yield the keys of the pictures at `paths`, of these rows; a source may need the first few only."""
        if self._digests is None:
            yield from (self._source.locate(path) for row_paths in paths for path in row_paths)
            return
        for row_paths, row_digests in zip(paths, self._digests.take_lists(rows), strict=True):
            for path, digest in zip(row_paths, row_digests, strict=True):
                yield key_of(self._source.locate(path), digest)

    def _fill(self, rows: Int64Array, pixels: AnyArray, draw: Draw | None) -> None:
        """Fill pixels of shape (pictures of all rows, height, width, channels): from the cache, or by decoding."""
        paths, num_images, places = self._paths.take_lists(rows), self._images.num_images or 1, list[int]()
        for number, row_paths in enumerate(paths):
            first = number * num_images
            places += range(first, first + len(row_paths))
            if len(row_paths) < num_images:
                pixels[first + len(row_paths) : first + num_images] = 0
        keys = list(self._keys(paths, rows))

        def load(number: int) -> Callable[[], Version | None]:
            at, position = divmod(places[number], num_images)
            picture = _Picture(keys[number], int(rows[at]), position, len(paths[at]))
            return self._load(picture, draw, pixels[places[number]])

        cache = None if draw is not None and self._images.augment is not None else self._cache
        with self._source.reading(keys, cache, keep_on_error=len(rows) > 1):  # bad rows are looked for one by one
            if cache is None:
                for number in range(len(keys)):
                    load(number)
                return
            versions = [self._version(key) for key in keys]
            flat = pixels.reshape(len(pixels), -1)
            for number in cache.fill(list(zip(keys, versions, strict=True)), flat, places):
                now = load(number)
                cache.add(keys[number], versions[number], now, flat[places[number]])

    def _version(self, key: bytes) -> Version | None:
        """Return the state of a picture's file; None also where asking fails, which reading it will tell."""
        try:
            return self._source.version(name_of(key))
        except (RowError, OSError):
            return None

    def _load(self, picture: _Picture, draw: Draw | None, out: AnyArray) -> Callable[[], Version | None]:
        """Read and decode a picture; return what tells the state of the bytes that it was made from."""
        try:
            version = self._decode(picture, draw, out)
        except RowError as error:
            error.row, error.path = picture.row, os.fsdecode(picture.name)
            if self._images.num_images is not None:
                error.reason = f"{_place(picture)}: {error.reason}"
            raise
        except OSError as error:
            error.row, error.filename = picture.row, os.fsdecode(picture.name)  # type: ignore[attr-defined]  # for the message above
            where = "path" if self._images.num_images is None else f"{_place(picture)}, path"
            error.add_note(f"while reading row {picture.row}, {where} {error.filename!r}")
            raise
        return functools.partial(self._source.version, picture.name) if version is None else lambda: version

    def _decode(self, picture: _Picture, draw: Draw | None, out: AnyArray) -> Version | None:
        augment = self._images.augment
        if draw is None or augment is None:
            return self._decode_into(picture, None, out)[1]
        own_draw = PictureDraw(*draw, self._name, picture.row, 0 if augment.together else picture.position)
        placed, version = self._decode_into(picture, self._crop_of(augment, own_draw), out)
        with stage("transform"):
            self._alter(out, placed, augment, own_draw)
        return version

    def _decode_into(self, picture: _Picture, crop: Crop | None, out: AnyArray) -> tuple[Placement, Version | None]:
        """Return where the picture is, and the state of the file that it came from."""
        images = self._images
        with stage("read"):
            data, version = self._source.read(picture.name)
            if self._digests is not None:
                check_digest(data, digest_in(picture.key))
        with stage("decode"):
            pixels = decode(data, images.channels, images.max_pixels, images.size, images.resize, crop)
            placed = resize_into(pixels, out, images.resize, crop)
        note_scratch(len(data) + pixels.nbytes)
        return placed, version


def _place(picture: _Picture) -> str:
    return f"picture {picture.position + 1} of {picture.num_pictures}"


def _open_digests(images: Images, table: Table, paths: PathColumn) -> DigestColumn | None:
    if images.hashes is None:
        return None
    return DigestColumn(table.column(images.hashes), images.hashes, paths, images.num_images)


def _open_cache(images: Images) -> PictureCache | None:
    if images.cache is None or not (hasattr(os, "preadv") and address_of("preadv")):
        return None
    from rowlock.picture_cache.cache import PictureCache  # noqa: PLC0415 - only where there is one
    from rowlock.picture_cache.identity import digest_of  # noqa: PLC0415 - as above
    from rowlock.pictures.versions import versions  # noqa: PLC0415 - as above

    shape = (*images.size, images.channels)
    settings = digest_of("pixels-1", shape, images.resize, images.max_pixels, _fence(images), versions())
    return PictureCache(images.cache, settings, math.prod(shape), images.cache_bytes)


def _fence(images: Images) -> str | None:
    """Return what no local path may leave: where links lead out of it, a picture is an error, and not an entry."""
    if images.root is None or is_url(os.fsencode(images.root)):
        return None
    return os.path.realpath(os.fspath(images.root))
