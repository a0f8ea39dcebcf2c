"""``.npz`` archives: plain arrays by name, and SciPy's compressed sparse rows; streamed, never unpickled."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import nearest
from rowlock.errors import ConfigError, SourceError
from rowlock.keys import Keys
from rowlock.memory import memory_limit_bytes
from rowlock.sources.base import RowSource, block_rows, reading, require_matrix
from rowlock.sources.csr import checked_indptr, csr_runs, densify
from rowlock.sources.npy import NpyHeader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rowlock.arrays import AnyArray

__all__ = ["open_npz"]

_STEP_BYTES = 1 << 24
_SPARSE = {"format", "shape", "data", "indices", "indptr"}


def open_npz(path: Path, *, dataset: str | None, key: str | None) -> RowSource:
    """Open an array of an archive, or the sparse matrix that it is.

    Parameters
    ----------
    path : Path
    dataset : str or None
        Name of the array; None: the only one with two axes.
    key : str or None
        Name of an array of one axis, which holds the keys.
    """
    archive = _Archive(path)
    if dataset is None and set(archive.names) >= {"data", "shape", "format"}:
        return _SparseRows(archive, key)
    return _DenseRows(archive, _the_matrix(archive, key) if dataset is None else archive.require(dataset), key)


class _Archive:
    """The members of an archive as streams of numbers."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self.path = path
        with reading(self.address), zipfile.ZipFile(path) as file:
            self._sizes = {
                info.filename[:-4]: info.file_size for info in file.infolist() if info.filename.endswith(".npy")
            }

    @property
    def names(self) -> list[str]:
        return list(self._sizes)

    def require(self, name: str) -> str:
        if name not in self._sizes:
            raise ConfigError(
                f"{self.address} has no array {name!r}.{nearest(name, self._sizes)} Its arrays: {self.names[:8]!r}"
            )
        return name

    @contextmanager
    def stream(self, name: str) -> Iterator[_Member]:
        """Yield an array, positioned at its first number."""
        address = f"{self.address}::{self.require(name)}"
        with ExitStack() as stack:
            with reading(address):
                file = stack.enter_context(zipfile.ZipFile(self.path)).open(f"{name}.npy")
                stack.enter_context(file)
                header = NpyHeader.read(file, address, self._sizes[name])
            yield _Member(file, header, address)

    def header(self, name: str) -> NpyHeader:
        with self.stream(name) as member:
            return member.header

    def vector(self, name: str, what: str) -> AnyArray:
        """Return a whole array of one axis or none."""
        with self.stream(name) as member:
            header = member.header
            if header.dtype.hasobject or header.dtype.kind not in "biufSU" or len(header.shape) > 1:
                raise ConfigError(
                    f"{member.address} cannot be {what}: it is {header.dtype} of shape {header.shape}"
                    + (". Python objects are never unpickled." if header.dtype.hasobject else "")
                )
            return member.take(header.shape[0] if header.shape else 1)

    def keys(self, name: str | None, num_rows: int) -> Keys | None:
        if name is None:
            return None
        keys = Keys.of(self.vector(self.require(name), "keys"), f"{self.address}::{name}")
        if len(keys) != num_rows:
            raise ConfigError(f"{self.address}::{name} has {len(keys):,} keys for {num_rows:,} rows")
        return keys


class _Member:
    """One array of an archive, read from its start to its end."""

    def __init__(self, file: IO[bytes], header: NpyHeader, address: str) -> None:
        self._file = file
        self.header = header
        self.address = address

    def take(self, count: int, row_shape: tuple[int, ...] = ()) -> AnyArray:
        """Return the next `count` items; memory grows only with what is really there."""
        wanted = count * self.header.dtype.itemsize * int(np.prod(row_shape, dtype=np.int64))
        parts: list[bytes] = []
        got = 0
        while got < wanted:
            with reading(self.address):
                part = self._file.read(min(_STEP_BYTES, wanted - got))
            if not part:
                raise SourceError(f"{self.address} ends after {got:,} of {wanted:,} bytes; it was cut off")
            parts.append(part)
            got += len(part)
        return np.frombuffer(b"".join(parts), self.header.dtype).reshape(count, *row_shape)


class _DenseRows(RowSource):
    """An array of two axes."""

    num_rows: int

    def __init__(self, archive: _Archive, name: str, key: str | None) -> None:
        self._archive, self._name = archive, name
        self.address = f"{archive.address}::{name}"
        header = archive.header(name)
        require_matrix(self.address, header.shape, header.dtype)
        self.num_rows, self.num_columns = header.shape
        self.dtype, self.key_name = header.dtype, key
        if header.fortran and header.num_bytes > memory_limit_bytes() // 4:
            raise ConfigError(
                f"{self.address} lies in Fortran order (column after column) in an archive, so its rows cannot be"
                " streamed, and it is too large to be read whole. Save it as .npy, or in C order."
            )

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        keys = self._archive.keys(self.key_name, self.num_rows)
        with self._archive.stream(self._name) as member:
            step = self.num_rows if member.header.fortran else block_rows(self.row_bytes)
            for start in range(0, self.num_rows, step):
                count = min(step, self.num_rows - start)
                if member.header.fortran:
                    block = member.take(self.num_columns, (self.num_rows,)).T
                else:
                    block = member.take(count, (self.num_columns,))
                yield None if keys is None else keys.take(slice(start, start + count)), block


class _SparseRows(RowSource):
    """What ``scipy.sparse.save_npz`` wrote, if it is CSR."""

    num_rows: int

    def __init__(self, archive: _Archive, key: str | None) -> None:
        self._archive = archive
        self.address = archive.address
        kind = archive.vector("format", "a format").tolist()[0]
        kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
        if kind != "csr" or not _SPARSE.issubset(archive.names):
            raise ConfigError(
                f"{self.address} holds a sparse matrix in {kind!r} format, whose rows cannot be streamed. Save it as"
                " rows: scipy.sparse.save_npz(path, matrix.tocsr())."
            )
        shape = archive.vector("shape", "a shape")
        data, indices = archive.header("data"), archive.header("indices")
        if indices.shape != data.shape:
            raise SourceError(
                f"{self.address}: {indices.shape} column indices for {data.shape} cells; it is damaged, or not as"
                " scipy.sparse.save_npz writes it"
            )
        if shape.shape != (2,) or shape.dtype.kind not in "iu" or len(data.shape) != 1:
            raise SourceError(f"{self.address} is not as scipy.sparse.save_npz writes it: shape {shape!r}")
        self.num_rows, self.num_columns = (int(side) for side in shape)
        require_matrix(self.address, (self.num_rows, self.num_columns), data.dtype)
        self.dtype, self.key_name = data.dtype, key
        self._indptr = checked_indptr(self.address, archive.vector("indptr", "indptr"), self.num_rows, data.shape[0])

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        keys = self._archive.keys(self.key_name, self.num_rows)
        with self._archive.stream("data") as data, self._archive.stream("indices") as indices:
            for start, stop in csr_runs(self._indptr, self.num_columns, self.dtype.itemsize):
                edges = self._indptr[start : stop + 1]
                count = int(edges[-1] - edges[0])
                cells, places = data.take(count), indices.take(count)
                block = densify(self.address, edges, places, cells, self.num_columns)
                yield None if keys is None else keys.take(slice(start, stop)), block


def _the_matrix(archive: _Archive, key: str | None) -> str:
    found = [name for name in archive.names if name != key and len(archive.header(name).shape) == 2]
    if len(found) != 1:
        raise ConfigError(
            f"{archive.address} has {len(found)} arrays with two axes; name one, as in"
            f" {archive.address}::{(found or ['name'])[0]}. Its arrays: {archive.names[:8]!r}"
        )
    return found[0]
