"""The matrices that features come from: a store, an array, a SciPy sparse matrix; each gathered by row."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rowlock.arguments import refuse_masked
from rowlock.errors import ConfigError
from rowlock.inputs.foreign import ForeignMatrix, MappedMatrix, open_foreign
from rowlock.meter import note_read
from rowlock.store import FeatureStore
from rowlock.store.given.cast import copy_cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.keys import Keys

__all__ = ["Matrix", "open_matrix"]


class StoredMatrix:
    """A feature store, seen as a matrix."""

    def __init__(self, store: FeatureStore, *, owned: bool) -> None:
        self.store = store
        self.address = str(store.path)
        self.keyed = store.key_kind is not None
        self.num_rows, self.num_columns = store.shape
        self.dtype = store.dtype
        self.columns = store.columns
        self.key_name = store.key_name
        self._owned = owned
        store.prepare()

    @property
    def fingerprint(self) -> str:
        """The store's own."""
        return self.store.fingerprint

    @property
    def keys_identity(self) -> str:
        """What no store has whose rows have other keys."""
        return self.store.keys_identity

    def extends(self, fingerprint: str) -> bool:
        """Return whether the store is that one, or has rows appended to it."""
        return self.store.extends(fingerprint)

    def find(self, keys: Keys, what: str) -> Int64Array:
        """Return the row of every key, -1 where there is none."""
        return self.store.find(keys, what)

    def gather(
        self, places: Int64Array, out: AnyArray, columns: Int64Array | None, key_hashes: UInt64Array | None
    ) -> None:
        """Write row ``places[i]`` into ``out[i]``, or the chosen columns of it; proved to be that key's row."""
        self.store.gather(places, out, columns, key_hashes=key_hashes)
        if self.store.io == "mmap":  # else the store knows better
            note_read(len(places) * self.store.matrix_bytes // max(1, self.num_rows))  # an average row's bytes on disk

    def will_need(self, places: Int64Array) -> None:
        """Tell the store what is read next."""
        self.store.will_need(places)

    def close(self) -> None:
        """Close the store, if it was opened here."""
        if self._owned:
            self.store.close()


class DenseMatrix:
    """An array in memory, or a memory map, seen as a matrix."""

    keyed = False
    columns = None

    def __init__(self, values: AnyArray) -> None:
        self.values = values
        self.address = f"an array of shape {values.shape}"
        self.num_rows, self.num_columns = values.shape
        self.dtype = values.dtype

    @property
    def fingerprint(self) -> str:
        """Shape, type and a digest of a thousand rows: an array in memory may be larger than is worth reading."""
        return _fingerprint(self)

    def extends(self, fingerprint: str) -> bool:
        """Return whether it is the same array."""
        return fingerprint == self.fingerprint

    def gather(
        self,
        places: Int64Array,
        out: AnyArray,
        columns: Int64Array | None,
        key_hashes: UInt64Array | None = None,  # noqa: ARG002 - arrays have no keys to prove
    ) -> None:
        """Write row ``places[i]`` into ``out[i]``, or the chosen columns of it."""
        if columns is None and self.values.dtype == out.dtype:
            np.take(self.values, places, axis=0, out=out, mode="clip")
        else:
            chosen = self.values[places] if columns is None else self.values[places[:, None], columns]
            copy_cast(chosen, out)

    def will_need(self, places: Int64Array) -> None:
        """Do nothing: it is in memory."""

    def close(self) -> None:
        """Do nothing: the array is the user's."""


class SparseMatrix(DenseMatrix):
    """A SciPy sparse matrix, made dense a batch at a time."""

    def __init__(self, values: Any) -> None:
        super().__init__(values.tocsr())
        self.address = f"a sparse matrix of shape {values.shape}"

    def gather(
        self,
        places: Int64Array,
        out: AnyArray,
        columns: Int64Array | None,
        key_hashes: UInt64Array | None = None,  # noqa: ARG002 - arrays have no keys to prove
    ) -> None:
        chosen: Any = self.values[places]
        copy_cast((chosen if columns is None else chosen[:, columns]).toarray(), out)


def _fingerprint(matrix: DenseMatrix) -> str:
    places = np.unique(np.linspace(0, matrix.num_rows - 1, 1000).astype(np.int64))
    sample = np.empty((len(places), matrix.num_columns), np.float64)
    matrix.gather(places, sample, None)
    digest = hashlib.blake2b(sample.data, digest_size=8).hexdigest()
    return f"{matrix.num_rows}x{matrix.num_columns}:{matrix.values.dtype}:{digest}"


Matrix: TypeAlias = StoredMatrix | DenseMatrix | ForeignMatrix | MappedMatrix


def open_matrix(
    source: Any,
    name: str,
    *,
    key: str | None = None,
    named_key: bool = False,
    columns: Sequence[str | int] | None = None,
    io: str | None = None,
) -> Matrix:
    """Return what `Features` was given as a matrix, or raise a `ConfigError`; see `open_foreign`."""
    if isinstance(source, str):
        foreign = open_foreign(source, name, key=key, named_key=named_key, columns=columns)
        if foreign is None:
            return StoredMatrix(FeatureStore.open(source, io or "mmap"), owned=True)
        if io is not None:
            foreign.close()
            raise ConfigError(f"{name!r}: io={io!r} says how a store is read, and {source} is none; leave it out")
        return foreign
    if isinstance(source, FeatureStore):
        return StoredMatrix(source, owned=False)
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(source) and source.ndim == 2:
        return SparseMatrix(source)
    refuse_masked(f"{name!r}: the array", source)
    if not isinstance(source, np.ndarray):
        raise ConfigError(
            f"{name!r}: features come from the address of a store or file, a FeatureStore, a NumPy array or a SciPy"
            f" sparse matrix, not from {type(source).__name__}"
        )
    if source.ndim != 2 or source.dtype.kind not in "fiub" or 0 in source.shape:
        raise ConfigError(f"{name!r}: features are a matrix of numbers, not {source.dtype} of shape {source.shape}")
    return DenseMatrix(source)
