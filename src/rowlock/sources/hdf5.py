"""HDF5 through h5py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError
from rowlock.sources.base import PieceSource, needed, reading, require_matrix
from rowlock.sources.missing_chunks import MOST_COUNTED, num_chunks, tell_missing
from rowlock.sources.pieces import Pieces
from rowlock.sources.tree import Tree, Vector

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.keys import Keys

__all__ = ["Hdf5Rows", "Hdf5Tree"]

_PIECE_BYTES = 64 << 10


class Hdf5Tree(Tree):
    """A file; nothing outside of it is read, whatever its links say."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._h5py = needed("h5py", "hdf5", f"reading {path}")
        with reading(self.address):
            self.file = self._h5py.File(path, "r")

    def attributes(self, path: str) -> dict[str, Any]:
        with reading(self.address):
            node = self._node(path)
            return {} if node is None else {name: _plain(value) for name, value in node.attrs.items()}

    def is_group(self, path: str) -> bool:
        with reading(self.address):
            return isinstance(self._node(path), self._h5py.Group)

    def is_array(self, path: str) -> bool:
        with reading(self.address):
            return isinstance(self._node(path), self._h5py.Dataset)

    def arrays(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}

        def visit(name: str, node: Any) -> None:
            if isinstance(node, self._h5py.Dataset) and node.dtype.kind in "biuf" and node.shape is not None:
                found[name] = node.shape

        with reading(self.address):
            self.file.visititems(visit)
        return found

    def matrix(self, path: str, key: str | None = None) -> Hdf5Rows:
        return Hdf5Rows(self, path, self._dataset(path), key)

    def vector(self, path: str) -> Vector:
        dataset = self._dataset(path)
        if len(dataset.shape or ()) != 1 or dataset.dtype.kind not in "biuf":
            raise ConfigError(f"{self.address}::{path} is not an array of numbers with one axis")

        def read(start: int, stop: int) -> AnyArray:
            with reading(self.address):
                values: AnyArray = dataset[start:stop]
                return values

        return Vector(dataset.shape[0], dataset.dtype, read)

    def labels(self, path: str) -> Any:
        dataset = self._dataset(path)
        with reading(self.address):
            if self._h5py.check_string_dtype(dataset.dtype) is not None:
                return dataset.asstr()[:]
            if dataset.dtype.kind not in "iu":
                raise ConfigError(
                    f"{self.address}::{path} cannot be keys: it holds {dataset.dtype}, not whole numbers or text"
                )
            return dataset[:]

    def close(self) -> None:
        self.file.close()

    def _dataset(self, path: str) -> Any:
        """Return a dataset whose numbers are in this file."""
        with reading(self.address):
            dataset = self._node(self.require_array(path))
            elsewhere = dataset.is_virtual or dataset.external
        if elsewhere:
            raise ConfigError(f"{self.address}::{path} points to other files, which are not followed; give those")
        with reading(self.address):
            counted = _present_chunks(dataset)
        if counted is not None:
            tell_missing(f"{self.address}::{path}", *counted, dataset.fillvalue)
        return dataset

    def _node(self, path: str) -> Any:
        """Return what is at `path`, or None; links to other files are not followed."""
        node = self.file
        for name in filter(None, path.split("/")):
            if not isinstance(node, self._h5py.Group):
                return None
            link = node.get(name, getlink=True)
            if isinstance(link, self._h5py.ExternalLink):
                raise ConfigError(f"{self.address}::{path} is a link to {link.filename!r}; give that file itself")
            node = node.get(name)
            if node is not None and node.file.filename != self.file.filename:  # a link of this file, by another link
                raise ConfigError(f"{self.address}::{path} leads to {node.file.filename!r}; give that file itself")
        return node


class Hdf5Rows(PieceSource):
    """A dataset of two axes; a piece is the rows of a chunk, or about 64 KiB where there are no chunks."""

    def __init__(self, tree: Hdf5Tree, path: str, dataset: Any, key: str | None = None) -> None:
        self.address = f"{tree.address}::{path}"
        self._tree, self._dataset = tree, dataset
        self.key_name, self.keyed = key, key is not None
        require_matrix(self.address, dataset.shape or (), dataset.dtype)
        self.num_rows, self.num_columns = dataset.shape
        self.dtype = dataset.dtype
        rows = dataset.chunks[0] if dataset.chunks else _PIECE_BYTES // self.row_bytes
        self.pieces = Pieces(self.num_rows, piece_rows=rows)

    @property
    def piece_row_bytes(self) -> int:
        width = self._dataset.chunks[1] if self._dataset.chunks else 1
        return -(-self.num_columns // width) * width * self.dtype.itemsize

    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        start, stop = self.pieces.start(first), self.pieces.start(last)
        with reading(self.address):
            values: AnyArray = self._dataset[start:stop]
        return values if columns is None else values[:, columns]

    def read_keys(self) -> Keys | None:
        return None if self.key_name is None else self._tree.keys(self.key_name, self.num_rows)

    def close(self) -> None:
        self._tree.close()


def _present_chunks(dataset: Any) -> tuple[int, int] | None:
    """Return how many chunks were ever written and how many there would be; None: not counted."""
    if not dataset.shape:
        return None
    if dataset.chunks is None:  # one run of bytes, or nothing yet
        return int(dataset.id.get_storage_size() > 0), int(dataset.size > 0)
    chunks = num_chunks(dataset.shape, dataset.chunks)
    return None if chunks > MOST_COUNTED else (dataset.id.get_num_chunks(), chunks)


def _plain(value: Any) -> Any:
    """Return an attribute as Python's own types where it is one text or number."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
