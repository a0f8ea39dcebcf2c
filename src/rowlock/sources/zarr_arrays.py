"""Zarr folders of others, versions 2 and 3, through tensorstore."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, SourceError
from rowlock.memory import memory_limit_bytes
from rowlock.sources.base import PieceSource, reading, require_matrix
from rowlock.sources.missing_chunks import present_zarr_chunks, tell_missing
from rowlock.sources.pieces import Pieces
from rowlock.sources.tree import Tree, Vector
from rowlock.sources.zarr_text import is_text, read_texts

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.keys import Keys

__all__ = ["ZarrRows", "ZarrTree", "array_metadata", "group_attributes"]

_MAX_METADATA_BYTES = 64 << 20
_TINY_BYTES = 16 << 10  # below, one call for many chunks is faster than a call and a place in the cache for each


def array_metadata(folder: Path) -> dict[str, Any] | None:
    """Return the metadata of the array in a folder, of either version, or None where there is no array."""
    for name in ("zarr.json", ".zarray"):
        found = _json(folder / name)
        if found is not None and found.get("node_type", "array") == "array":
            return found
    return None


def group_attributes(folder: Path) -> dict[str, Any] | None:
    """Return the attributes of the group in a folder, or None where there is no group."""
    found = _json(folder / "zarr.json")
    if found is not None:
        with reading(str(folder)):
            return dict(found.get("attributes") or {}) if found.get("node_type") == "group" else None
    return (_json(folder / ".zattrs") or {}) if (folder / ".zgroup").is_file() else None


class ZarrTree(Tree):
    """A group in a folder."""

    def __init__(self, root: Path) -> None:
        self.address = str(root)
        self._root = root

    def attributes(self, path: str) -> dict[str, Any]:
        folder = self._folder(path)
        attributes = group_attributes(folder)
        if attributes is None:
            inline = array_metadata(folder) or {}
            attributes = inline.get("attributes") or _json(folder / ".zattrs") or {}
        with reading(str(folder)):
            return dict(attributes)

    def is_group(self, path: str) -> bool:
        return group_attributes(self._folder(path)) is not None

    def is_array(self, path: str) -> bool:
        return array_metadata(self._folder(path)) is not None

    def arrays(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        folders = [self._root]
        while folders:
            folder = folders.pop()
            metadata = array_metadata(folder)
            if metadata is None:
                folders += sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
            elif not is_text(metadata):
                with reading(str(folder)):
                    found[folder.relative_to(self._root).as_posix()] = tuple(metadata.get("shape", ()))
        return dict(sorted(found.items()))

    def matrix(self, path: str, key: str | None = None) -> ZarrRows:
        return ZarrRows(self._folder(self.require_array(path)), f"{self.address}::{path}", self, key)

    def vector(self, path: str) -> Vector:
        address = f"{self.address}::{path}"
        array = open_array(self._folder(self.require_array(path)), address)
        dtype = np.dtype(array.dtype.numpy_dtype)
        if len(array.shape) != 1 or dtype.kind not in "biuf":
            raise ConfigError(f"{address} is not an array of numbers with one axis")
        _require_small(address, int(array.chunk_layout.read_chunk.shape[0]) * dtype.itemsize)

        def read(start: int, stop: int) -> AnyArray:
            with reading(address):
                return np.asarray(array[start:stop].read().result())

        return Vector(int(array.shape[0]), dtype, read)

    def labels(self, path: str) -> Any:
        folder = self._folder(self.require_array(path))
        metadata = array_metadata(folder) or {}
        if is_text(metadata):
            with reading(f"{self.address}::{path}"):
                return read_texts(folder, metadata, f"{self.address}::{path}")
        vector = self.vector(path)
        return vector.read(0, vector.length)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _folder(self, path: str) -> Path:
        parts = [part for part in path.split("/") if part]
        if any(part in {".", ".."} or os.sep in part or "\0" in part for part in parts):
            raise ConfigError(f"{path!r} is no path inside of {self.address}")
        folder = self._root.joinpath(*parts)
        with reading(self.address):
            inside = folder.resolve().is_relative_to(self._root.resolve())
        if not inside:
            raise ConfigError(f"{path!r} is a link that leads out of {self.address}; give that folder itself")
        return folder


class ZarrRows(PieceSource):
    """An array of two axes; a piece is the rows of a chunk (inside of a shard, if it is sharded)."""

    def __init__(self, folder: Path, address: str, tree: Tree | None = None, key: str | None = None) -> None:
        self.address = address
        self._tree, self.key_name, self.keyed = tree, key, key is not None
        self._array = open_array(folder, address)
        shape, self.dtype = tuple(map(int, self._array.shape)), np.dtype(self._array.dtype.numpy_dtype)
        require_matrix(address, shape, self.dtype)
        self.num_rows, self.num_columns = shape
        rows, self._chunk_columns = (int(side) for side in self._array.chunk_layout.read_chunk.shape)
        _require_small(address, rows * self._chunk_columns * self.dtype.itemsize)
        self.pieces = Pieces(self.num_rows, piece_rows=rows)
        self.reads_rows = rows * self.piece_row_bytes <= _TINY_BYTES

    @property
    def piece_row_bytes(self) -> int:
        width = self._chunk_columns
        return -(-self.num_columns // width) * width * self.dtype.itemsize

    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        part = self._array[self.pieces.start(first) : self.pieces.start(last)]
        with reading(self.address):
            return np.asarray((part if columns is None else part[:, columns]).read().result())

    def read_rows(self, rows: Int64Array, columns: Int64Array | None = None) -> AnyArray:
        part = self._array[rows]
        with reading(self.address):
            return np.asarray((part if columns is None else part[:, columns]).read().result())

    def read_keys(self) -> Keys | None:
        if self._tree is None or self.key_name is None:
            return None
        return self._tree.keys(self.key_name, self.num_rows)


def open_array(folder: Path, address: str) -> Any:
    """Return the tensorstore of the array in a folder, read-only and without a cache of its own.

    Chunks that are missing are told in the log.
    """
    import tensorstore

    version3 = (folder / "zarr.json").is_file()
    spec = {
        "driver": "zarr3" if version3 else "zarr",
        "kvstore": {"driver": "file", "path": f"{folder.absolute()}/"},
        "recheck_cached_data": False,
    }
    with reading(address):
        array = tensorstore.open(spec, read=True, context=_context()).result()
        metadata = array_metadata(folder) or {}
        counted = present_zarr_chunks(folder, metadata, array.shape)
    if counted is not None:
        tell_missing(address, *counted, metadata.get("fill_value"))
    return array


@cache
def _context() -> Any:
    import tensorstore

    return tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}})


def _require_small(address: str, chunk_bytes: int) -> None:
    if chunk_bytes > memory_limit_bytes() // 4:
        raise ConfigError(
            f"{address} has chunks of {chunk_bytes:,} bytes, more than a quarter of this machine's memory"
        )


def _json(path: Path) -> dict[str, Any] | None:
    """Return a small JSON object, or None where there is no such file."""
    if not path.is_file():
        return None
    if path.stat().st_size > _MAX_METADATA_BYTES:
        raise SourceError(f"{path} is {path.stat().st_size:,} bytes long, which no metadata is")
    with reading(str(path)):
        found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise SourceError(f"{path} is not Zarr metadata: it holds no JSON object")
    return found
