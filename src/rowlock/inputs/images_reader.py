"""How rows of pictures are read: from their source, through the cache if there is one, into the batch."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from typing_extensions import override

from rowlock.arrays import ArraySpec
from rowlock.errors import RowError
from rowlock.inputs.base import Draw, Reader, check_rows
from rowlock.meter import note_scratch, stage
from rowlock.pictures.content import digest_in, key_of, name_of
from rowlock.pictures.decode import decode
from rowlock.pictures.digests import DigestColumn, check_digest
from rowlock.pictures.draws import PictureDraw
from rowlock.pictures.limits import max_file_bytes
from rowlock.pictures.many_files import can_read_many
from rowlock.pictures.path_lists import PathLists
from rowlock.pictures.paths import PathColumn
from rowlock.pictures.resize import resize_into
from rowlock.pictures.roots import Root
from rowlock.remote.permission import is_url
from rowlock.remote.source import open_source
from rowlock.store.disk.system_calls import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.inputs.images import Images
    from rowlock.picture_cache.cache import PictureCache
    from rowlock.pictures.content import Content, PictureSource, Version
    from rowlock.pictures.fit import Crop, Placement
    from rowlock.table import Table

__all__ = ["ImagesReader"]

_HASH: Final = ":hash="
"""Behind it, a fingerprint says which digests are asked for."""

_PIECE_IMAGES, _CACHED_PIECE_IMAGES = 8, 32
"""Some milliseconds of decoding; half a millisecond of reading pixels that are there."""


class _Picture(NamedTuple):
    """One picture of a batch."""

    key: bytes
    row: int
    position: int
    """In the row's list."""
    place: int
    """Among all pictures of the batch, those that are missing included."""

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
        self._cache = _open_cache(images, self._source, self._paths)
        self.piece_rows = self._rows_of(_PIECE_IMAGES)

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        check_rows(rows, len(self._paths))
        images = self._images
        is_float = images.dtype == np.float32
        pixels = np.empty(out.shape, np.uint8) if is_float else out
        self._fill(rows, pixels.reshape(-1, *images.size, images.channels), draw)
        if is_float:
            np.multiply(pixels, np.float32(images.scale), out=out, dtype=np.float32)

    @override
    def will_need(self, rows: Int64Array) -> None:
        pictures, _ = self._paths.pictures_of(rows)
        self._source.will_need(self._keys(pictures), self._cache)

    @override
    def close(self) -> None:
        self._source.close()
        if self._cache is not None:
            self._cache.close()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Which files, and what is made of them; decoder versions are left out, so that an upgrade ends no run."""
        images = self._images
        shape = "x".join(map(str, self.spec.shape))
        augment = "" if images.augment is None else f":{images.augment!r}"
        digests = "" if self._digests is None else f"{_HASH}{self._digests.digest()}"
        return f"{self._paths.digest()}:{shape}:{images.dtype}:{images.scale!r}:{images.resize}{augment}{digests}"

    @override
    def extends(self, fingerprint: str) -> bool:
        before, _, were = fingerprint.partition(_HASH)
        now, _, are = self.fingerprint.partition(_HASH)
        return before == now and (not were or not are or were == are)  # to begin, or to end, comparing changes no data

    def _keys(self, pictures: Int64Array) -> Iterator[bytes]:
        """Yield the keys of pictures, by their place among all paths; a source may need the first few only."""
        names = map(self._source.locate, self._paths.take(pictures))
        yield from names if self._digests is None else map(key_of, names, self._digests.take(pictures))

    def _fill(self, rows: Int64Array, pixels: AnyArray, draw: Draw | None) -> None:
        """Fill pixels of shape (pictures of all rows, height, width, channels): from the cache, or by decoding."""
        pictures, places = self._paths.pictures_of(rows)
        if len(pictures) < len(pixels):
            pixels[np.setdiff1d(np.arange(len(pixels)), places)] = 0
        cache = None if draw is not None and self._images.augment is not None else self._cache
        with self._source.reading(self._keys(pictures), cache, keep_on_error=len(rows) > 1):  # bad rows: one by one
            if cache is None:
                for _ in self._load_each(self._described(list(self._keys(pictures)), rows, places), draw, pixels):
                    pass
            else:
                self._fill_cached(cache, pictures, rows, places, draw, pixels)

    def _fill_cached(
        self,
        cache: PictureCache,
        pictures: Int64Array,
        rows: Int64Array,
        places: Int64Array,
        draw: Draw | None,
        pixels: AnyArray,
    ) -> None:
        def told(numbers: list[int]) -> list[tuple[bytes, Version | None]]:
            keys = list(self._keys(pictures[numbers]))
            return list(zip(keys, self._source.versions([*map(name_of, keys)]), strict=True))

        flat = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))  # there may be none
        missing = cache.fill(pictures, places, flat, told)
        self.piece_rows = self._rows_of(_PIECE_IMAGES if missing else _CACHED_PIECE_IMAGES)  # of the next batch
        at = places[[one.number for one in missing]]
        loaded = self._load_each(self._described([one.key for one in missing], rows, at), draw, pixels)
        cache.add([(one, now, flat[place]) for one, place, now in zip(missing, at.tolist(), loaded, strict=True)])

    def _rows_of(self, num_images: int) -> int:
        """Return how many rows have about so many pictures."""
        return max(1, num_images // (self._images.num_images or 1))

    def _described(self, keys: list[bytes], rows: Int64Array, places: Int64Array) -> list[_Picture]:
        num_images = self._images.num_images or 1
        at = zip(
            keys, rows[places // num_images].tolist(), (places % num_images).tolist(), places.tolist(), strict=True
        )
        return [_Picture(*one) for one in at]

    def _load_each(
        self, pictures: list[_Picture], draw: Draw | None, pixels: AnyArray
    ) -> Iterator[Callable[[], Version | None]]:
        """Read and decode pictures; yield for each what tells the state of the bytes that it was made from."""
        with contextlib.closing(self._source.read_each([picture.name for picture in pictures])) as contents:
            for picture in pictures:
                yield self._load(picture, contents, draw, pixels[picture.place])

    def _load(
        self, picture: _Picture, contents: Iterator[Content], draw: Draw | None, out: AnyArray
    ) -> Callable[[], Version | None]:
        """Decode a picture, which is the next of the contents."""
        try:
            version = self._decode(picture, contents, draw, out)
        except RowError as error:
            error.row, error.path = picture.row, os.fsdecode(picture.name)
            if self._images.num_images is not None:
                error.reason = f"{self._place(picture)}: {error.reason}"
            raise
        except OSError as error:
            error.row, error.filename = picture.row, os.fsdecode(picture.name)  # type: ignore[attr-defined]  # for the message above
            where = "path" if self._images.num_images is None else f"{self._place(picture)}, path"
            error.add_note(f"while reading row {picture.row}, {where} {error.filename!r}")
            raise
        return functools.partial(self._source.version, picture.name) if version is None else lambda: version

    def _place(self, picture: _Picture) -> str:
        num_pictures = len(self._paths.pictures_of(np.array([picture.row]))[0])
        return f"picture {picture.position + 1} of {num_pictures}"

    def _decode(
        self, picture: _Picture, contents: Iterator[Content], draw: Draw | None, out: AnyArray
    ) -> Version | None:
        augment = self._images.augment
        if draw is None or augment is None:
            return self._decode_into(picture, contents, None, out)[1]
        own_draw = PictureDraw(*draw, self._name, picture.row, 0 if augment.together else picture.position)
        placed, version = self._decode_into(picture, contents, self._crop_of(augment, own_draw), out)
        with stage("transform"):
            self._alter(out, placed, augment, own_draw)
        return version

    def _decode_into(
        self, picture: _Picture, contents: Iterator[Content], crop: Crop | None, out: AnyArray
    ) -> tuple[Placement, Version | None]:
        """Return where the picture is, and the state of the file that it came from."""
        images = self._images
        with stage("read"):
            data, version = next(contents)
            if self._digests is not None:
                check_digest(data, digest_in(picture.key))
        with stage("decode"):
            pixels = decode(data, images.channels, images.max_pixels, images.size, images.resize, crop)
            placed = resize_into(pixels, out, images.resize, crop)
        note_scratch(len(data) + pixels.nbytes)
        return placed, version


def _open_digests(images: Images, table: Table, paths: PathColumn) -> DigestColumn | None:
    if images.hashes is None:
        return None
    return DigestColumn(table.column(images.hashes), images.hashes, paths, images.num_images)


def _open_cache(images: Images, source: PictureSource, paths: PathColumn) -> PictureCache | None:
    if images.cache is None or not (hasattr(os, "preadv") and address_of("preadv")):
        return None
    from rowlock.picture_cache.cache import PictureCache  # noqa: PLC0415 - only where there is one
    from rowlock.picture_cache.identity import digest_of  # noqa: PLC0415 - only where there is one
    from rowlock.picture_cache.recall import Recall  # noqa: PLC0415 - only where there is one
    from rowlock.pictures.versions import versions  # noqa: PLC0415 - only where there is one

    shape = (*images.size, images.channels)
    settings = digest_of("pixels-1", shape, images.resize, images.max_pixels, _fence(images), versions())
    recall = Recall(paths, source.base) if isinstance(source, Root) and can_read_many() else None
    return PictureCache(images.cache, settings, math.prod(shape), recall, images.cache_bytes)


def _fence(images: Images) -> str | None:
    """Return what no local path may leave: where links lead out of it, a picture is an error, and not an entry."""
    if images.root is None or is_url(os.fsencode(images.root)):
        return None
    return os.path.realpath(os.fspath(images.root))
