"""AnnData, in HDF5 (``.h5ad``) or Zarr: the matrix with its names of rows (obs) and columns (var)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import nearest
from rowlock.errors import ConfigError, SourceError
from rowlock.keys import Keys
from rowlock.sources.base import PieceSource, require_matrix
from rowlock.sources.csr import checked_indptr, densify
from rowlock.sources.pieces import Pieces

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.sources.tree import Tree

__all__ = ["AnnDataRows", "is_anndata"]

_PIECE_BYTES = 256 << 10


def is_anndata(tree: Tree) -> bool:
    """Whether a tree is an AnnData object."""
    return tree.attributes("").get("encoding-type") == "anndata" or all(map(tree.is_group, ("obs", "var", "uns")))


class AnnDataRows(PieceSource):
    """A matrix of an AnnData object.

    Parameters
    ----------
    tree : Tree
    dataset : str or None
        ``"X"`` (default), ``"layers/counts"``, ``"obsm/X_pca"``, ...
    key : str or None
        A column of obs; None: its index, the names of the rows.
    """

    keyed = True

    def __init__(self, tree: Tree, *, dataset: str | None, key: str | None) -> None:
        path = dataset or "X"
        self._tree = tree
        self.address = f"{tree.address}::{path}"
        self._rows: PieceSource = _SparseRows(tree, path) if tree.is_group(path) else tree.matrix(path)
        self.pieces, self.dtype = self._rows.pieces, self._rows.dtype
        self.num_rows, self.num_columns = self._rows.num_rows, self._rows.num_columns
        index = str(tree.attributes("obs").get("_index", "_index"))
        self._key = index if key is None else key
        self.key_name = None if self._key in {"_index", "index"} else self._key
        self.columns = self._column_names(path)

    @property
    def piece_row_bytes(self) -> int:
        return self._rows.piece_row_bytes

    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        return self._rows.read(first, last, columns)

    def read_keys(self) -> Keys:
        path, tree = f"obs/{self._key}", self._tree
        if tree.is_group(path) and tree.attributes(path).get("encoding-type") == "categorical":
            codes = tree.vector(f"{path}/codes")
            values = np.asarray(codes.read(0, codes.length), np.int64)
            names = Keys.of(tree.labels(f"{path}/categories"), f"{tree.address}::{path}")
            if len(values) and not 0 <= values.min() <= values.max() < len(names):
                raise ConfigError(f"{tree.address}::{path} has missing values; every row needs a key")
            keys = names.take(values)
            if len(keys) != self.num_rows:
                raise SourceError(f"{tree.address}::{path} has {len(keys):,} values for {self.num_rows:,} rows")
            return keys
        if not tree.is_array(path):
            order = tree.attributes("obs").get("column-order")
            known = [str(name) for name in order] if isinstance(order, list) else []
            raise ConfigError(f"{tree.address} has no column {self._key!r} in obs.{nearest(self._key, known)}")
        return tree.keys(path, self.num_rows)

    def close(self) -> None:
        self._tree.close()

    def _column_names(self, path: str) -> tuple[str, ...] | None:
        """Return the names of var, where the matrix has its columns."""
        if path != "X" and not path.startswith("layers/"):
            return None
        index = f"var/{self._tree.attributes('var').get('_index', '_index')}"
        if not self._tree.is_array(index):
            return None
        names = tuple(map(str, self._tree.labels(index)))
        if len(names) != self.num_columns:
            raise SourceError(f"{self.address} has {self.num_columns} columns, but var names {len(names)}")
        return names if len(set(names)) == len(names) else None


class _SparseRows(PieceSource):
    """A group with data, indices and indptr; a piece is as many rows as are about 256 KiB when dense."""

    def __init__(self, tree: Tree, path: str) -> None:
        self.address = f"{tree.address}::{path}"
        facts = tree.attributes(path)
        kind = facts.get("encoding-type")
        if kind != "csr_matrix":
            raise ConfigError(
                f"{self.address} is {kind or 'a group'}, whose rows cannot be read one by one. Write it as rows:"
                " adata.X = adata.X.tocsr()."
            )
        self._data, self._indices = tree.vector(f"{path}/data"), tree.vector(f"{path}/indices")
        self.num_rows, self.num_columns = _shape(self.address, facts.get("shape"))
        self.dtype = self._data.dtype
        require_matrix(self.address, (self.num_rows, self.num_columns), self.dtype)
        indptr = tree.vector(f"{path}/indptr")
        if indptr.length != self.num_rows + 1 or self._indices.length != self._data.length:
            raise SourceError(f"{self.address}: its three arrays do not fit its shape; it is damaged")
        self._indptr = checked_indptr(self.address, indptr.read(0, indptr.length), self.num_rows, self._data.length)
        self.pieces = Pieces(self.num_rows, piece_rows=_PIECE_BYTES // self.row_bytes)

    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        edges = self._indptr[self.pieces.start(first) : self.pieces.start(last) + 1]
        start, stop = int(edges[0]), int(edges[-1])
        data, indices = self._data.read(start, stop), self._indices.read(start, stop)
        values = densify(self.address, edges, indices, data, self.num_columns)
        return values if columns is None else values[:, columns]


def _shape(address: str, shape: Any) -> tuple[int, int]:
    if not isinstance(shape, list) or len(shape) != 2 or not all(isinstance(side, int) for side in shape):
        raise SourceError(f"{address} has no shape in its attributes; it is damaged")
    return shape[0], shape[1]
