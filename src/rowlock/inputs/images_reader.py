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
from rowlock.pictures.content import key_of, name_of
from rowlock.pictures.decode import decode
from rowlock.pictures.digests import DigestColumn, check_digest
from rowlock.pictures.draws import PictureDraw
from rowlock.pictures.limits import max_file_bytes
from rowlock.pictures.path_lists import PathLists
from rowlock.pictures.paths import PathColumn
from rowlock.pictures.resize import resize_into
from rowlock.remote.permission import is_url
from rowlock.remote.source import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.inputs.images import Images
    from rowlock.picture_cache.cache import PictureCache
    from rowlock.pictures.content import Version
    from rowlock.pictures.fit import Crop, Placement
    from rowlock.table import Table

__all__ = ["ImagesReader"]

_PIECE_IMAGES = 8


class _Picture(NamedTuple):
    """One picture of a row, and the random numbers that it has in this epoch."""

    row: int
    key: bytes
    """Its name, and its digest if it must have one."""
    digest: str
    of_list: str
    """``"picture 3 of 5"``, or nothing where a row has one."""
    draw: PictureDraw | None

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
        byte_picture = np.empty((*images.size, images.channels), np.uint8) if images.dtype == np.float32 else None
        places = out.reshape(len(rows), images.num_images or 1, *images.size, images.channels)
        pictures = self._pictures(rows, draw)
        is_cached = self._cache is not None and (draw is None or images.augment is None)
        keys = [picture.key for row_pictures in pictures for picture in row_pictures]
        kept = self._cache if is_cached else None
        with self._source.reading(keys, kept, keep_on_error=len(rows) > 1):  # bad rows are looked for one by one
            for row_pictures, row_out in zip(pictures, places, strict=True):
                for position, picture in enumerate(row_pictures):
                    if byte_picture is None:
                        self._load(picture, row_out[position])
                    else:
                        self._load(picture, byte_picture)
                        np.multiply(byte_picture, np.float32(images.scale), out=row_out[position], dtype=np.float32)
                row_out[len(row_pictures) :] = 0

    def will_need(self, rows: Int64Array) -> None:  # noqa: D102 - as in Reader
        self._source.will_need(self._keys(rows), self._cache)

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

    def _keys(self, rows: Int64Array) -> Iterator[bytes]:
        """Yield the keys of all pictures of the rows; a source may need the first few only."""
        paths = self._paths.take_lists(rows)
        if self._digests is None:
            yield from (self._source.locate(path) for row_paths in paths for path in row_paths)
            return
        for row_paths, row_digests in zip(paths, self._digests.take_lists(rows), strict=True):
            for path, digest in zip(row_paths, row_digests, strict=True):
                yield key_of(self._source.locate(path), digest)

    def _pictures(self, rows: Int64Array, draw: Draw | None) -> list[list[_Picture]]:
        """Return the pictures of each row."""
        paths = self._paths.take_lists(rows)
        digests = [[""] * len(one) for one in paths] if self._digests is None else self._digests.take_lists(rows)
        several = self._images.num_images is not None
        return [
            [
                _Picture(
                    row,
                    key_of(self._source.locate(path), digest),
                    digest,
                    f"picture {position + 1} of {len(row_paths)}" if several else "",
                    self._picture_draw(draw, row, position),
                )
                for position, (path, digest) in enumerate(zip(row_paths, row_digests, strict=True))
            ]
            for row, row_paths, row_digests in zip(rows.tolist(), paths, digests, strict=True)
        ]

    def _picture_draw(self, draw: Draw | None, row: int, position: int) -> PictureDraw | None:
        augment = self._images.augment
        if draw is None or augment is None:
            return None
        return PictureDraw(*draw, self._name, row, 0 if augment.together else position)

    def _load(self, picture: _Picture, out: AnyArray) -> None:
        try:
            self._fill(picture, out)
        except RowError as error:
            error.row, error.path = picture.row, os.fsdecode(picture.name)
            if picture.of_list:
                error.reason = f"{picture.of_list}: {error.reason}"
            raise
        except OSError as error:
            error.row, error.filename = picture.row, os.fsdecode(picture.name)  # type: ignore[attr-defined]  # for the message above
            where = f"{picture.of_list}, path" if picture.of_list else "path"
            error.add_note(f"while reading row {picture.row}, {where} {error.filename!r}")
            raise

    def _fill(self, picture: _Picture, out: AnyArray) -> None:
        augment = self._images.augment
        if picture.draw is not None and augment is not None:
            placed, _ = self._decode_into(picture, self._crop_of(augment, picture.draw), out)
            with stage("transform"):
                self._alter(out, placed, augment, picture.draw)
        elif self._cache is not None:
            version = functools.partial(self._source.version, picture.name)
            self._cache.load(picture.key, version, out, lambda: self._decode_into(picture, None, out)[1])
        else:
            self._decode_into(picture, None, out)

    def _decode_into(self, picture: _Picture, crop: Crop | None, out: AnyArray) -> tuple[Placement, Version | None]:
        """Return where the picture is, and the state of the file that it came from."""
        images = self._images
        with stage("read"):
            data, version = self._source.read(picture.name)
            if picture.digest:
                check_digest(data, picture.digest)
        with stage("decode"):
            pixels = decode(data, images.channels, images.max_pixels, images.size, images.resize, crop)
            placed = resize_into(pixels, out, images.resize, crop)
        note_scratch(len(data) + pixels.nbytes)
        return placed, version


def _open_digests(images: Images, table: Table, paths: PathColumn) -> DigestColumn | None:
    if images.hashes is None:
        return None
    return DigestColumn(table.column(images.hashes), images.hashes, paths, images.num_images)


def _open_cache(images: Images) -> PictureCache | None:
    if images.cache is None or not hasattr(os, "preadv"):
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
