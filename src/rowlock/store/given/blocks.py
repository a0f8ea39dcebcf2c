"""Whatever the user calls a matrix, as blocks of a few rows: arrays, sparse matrices, frames, iterators."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import narwhals as nw
import numpy as np

from rowlock.arguments import refuse_masked
from rowlock.arrays import AnyArray
from rowlock.errors import ConfigError
from rowlock.keys import KeyKind, Keys
from rowlock.store.given.cast import cast_columns

__all__ = ["Block", "Matrix", "Source", "columns_as"]

BLOCK_BYTES = 8 << 20
_FORGET_BYTES = 64 << 20

Matrix: TypeAlias = Any
"""A 2-D array, a SciPy sparse matrix, a frame of numeric columns, or an iterable of any of these."""

Block: TypeAlias = tuple[Keys | None, AnyArray]


@dataclass(frozen=True)
class Source:
    """A matrix about to be written.

    Attributes
    ----------
    num_rows : int or None
        None where only the end of the iterator will tell.
    num_columns : int
    dtype : numpy.dtype
        Of the input (of its first block).
    columns : tuple of str or None
        Names that the input has itself.
    blocks : iterator of (Keys or None, array of shape (n, num_columns))
        Small ones. Keys only where the input's blocks brought them.
    key_kind : "int", "text" or None
        Of the keys that the blocks bring.
    """

    num_rows: int | None
    num_columns: int
    dtype: np.dtype[Any]
    columns: tuple[str, ...] | None
    blocks: Iterator[Block]
    key_kind: KeyKind | None = None

    @staticmethod
    def of(matrix: Matrix, dtype: np.dtype[Any] | None = None) -> Source:
        """Look at a matrix without reading it, but for the first block of an iterator.

        Parameters
        ----------
        matrix : Matrix
        dtype : numpy.dtype, optional
            What the blocks are to be stored as: frames of several types then give whole numbers exactly.

        Raises
        ------
        ConfigError
            Not two axes, not numbers, no columns, or an iterator without a block.
        """
        if _is_stream(matrix):
            return _of_stream(iter(matrix), dtype)
        part = _Part.of(matrix)
        return Source(part.num_rows, part.num_columns, part.dtype, part.columns, part.blocks(None, dtype))


@dataclass(frozen=True)
class _Part:
    """One matrix in memory or in a file."""

    rows: Any
    num_rows: int
    num_columns: int
    dtype: np.dtype[Any]
    columns: tuple[str, ...] | None

    @staticmethod
    def of(matrix: Any, what: str = "the matrix") -> _Part:
        if hasattr(matrix, "tocsr"):
            rows = matrix.tocsr()
            return _Part._checked(rows, rows.shape, rows.dtype, None)
        frame = nw.from_native(matrix, eager_only=True, pass_through=True)
        if isinstance(frame, nw.DataFrame):
            return _Part._of_frame(frame)
        refuse_masked(what, matrix)
        array = matrix if isinstance(matrix, np.memmap) else np.asarray(matrix)  # whose pages are let go of
        return _Part._checked(array, array.shape, array.dtype, None)

    @staticmethod
    def _of_frame(frame: nw.DataFrame[Any]) -> _Part:
        wrong = [name for name, kind in frame.schema.items() if not (kind.is_numeric() or kind == nw.Boolean)]
        if wrong:
            raise ConfigError(
                f"a feature matrix holds numbers, but these columns do not: {wrong[:5]!r}. Leave them out"
                " (give the one that names the rows as keys=), or encode them as numbers first."
            )
        first = _numbers(frame[:1])
        return _Part._checked(frame, frame.shape, first.dtype, tuple(map(str, frame.columns)))

    @staticmethod
    def _checked(rows: Any, shape: tuple[int, ...], dtype: np.dtype[Any], columns: tuple[str, ...] | None) -> _Part:
        if len(shape) != 2:
            raise ConfigError(
                f"a feature matrix has two axes (rows, columns), but this has shape {shape}. Reshape it:"
                " (n, T, k) becomes (n, T * k), and rl.Features(..., shape=(T, k)) gives it back."
            )
        if shape[1] < 1:
            raise ConfigError("a feature matrix needs at least one column")
        if dtype.kind not in "biuf":
            raise ConfigError(f"a feature matrix holds numbers, not {dtype}")
        return _Part(rows, shape[0], shape[1], dtype, columns)

    def blocks(self, keys: Keys | None, dtype: np.dtype[Any] | None) -> Iterator[Block]:
        """Yield the rows in small blocks; `dtype` as in `Source.of`."""
        num_rows = max(1, BLOCK_BYTES // (self.num_columns * max(self.dtype.itemsize, 4)))
        unread = 0
        for start in range(0, self.num_rows, num_rows):
            stop = min(start + num_rows, self.num_rows)
            part = self.rows[start:stop]
            exact = columns_as(part, dtype)
            block = _as_array(part) if exact is None else exact
            yield None if keys is None else keys.take(slice(start, stop)), block
            unread += (stop - start) * self.num_columns * self.dtype.itemsize
            if unread >= _FORGET_BYTES:
                _forget(self.rows)
                unread = 0


def columns_as(part: Any, dtype: np.dtype[Any] | None) -> AnyArray | None:
    """Return a frame of several types as whole numbers, each column cast on its own; None where that is not it."""
    if dtype is None or dtype.kind not in "iu" or not isinstance(part, nw.DataFrame):
        return None
    if len(set(part.schema.values())) < 2:  # one array already
        return None
    columns = [column.to_numpy() for column in part.iter_columns()]
    return cast_columns(columns, dtype) if all(column.dtype.kind in "biuf" for column in columns) else None


def _as_array(part: Any) -> AnyArray:
    if hasattr(part, "toarray"):
        dense: AnyArray = part.toarray()
        return dense
    return _numbers(part) if isinstance(part, nw.DataFrame) else np.asarray(part)


def _numbers(frame: nw.DataFrame[Any]) -> AnyArray:
    """Return columns of numbers and booleans as one array: booleans are 0 and 1, gaps are NaN."""
    values: AnyArray = frame.to_numpy()
    if values.dtype.kind in "biuf" or frame.is_empty():
        return values
    # pandas calls a mixture of booleans and numbers, or either with gaps, objects.
    columns = [column.cast(nw.Float64) if column.null_count() else column for column in frame.iter_columns()]
    return np.stack([column.to_numpy() for column in columns], axis=1)


def _forget(rows: Any) -> None:
    """Give back the pages of a mapped file that was read, which otherwise count as this process's memory."""
    mapped = getattr(rows, "_mmap", None)
    if isinstance(rows, np.memmap) and rows.mode in {"r", "r+"} and isinstance(mapped, mmap.mmap):
        mapped.madvise(getattr(mmap, "MADV_DONTNEED", 4))


def _is_stream(matrix: Any) -> bool:
    """Whether `matrix` is an iterable of blocks, rather than one matrix."""
    if isinstance(matrix, Iterator):
        return True
    known = isinstance(matrix, np.ndarray) or hasattr(matrix, "tocsr") or hasattr(matrix, "__array__")
    if known or not isinstance(matrix, Iterable) or hasattr(matrix, "columns"):
        return False
    if isinstance(matrix, list | tuple):
        return (
            bool(matrix)
            and (isinstance(matrix[0], tuple) or hasattr(matrix[0], "shape"))
            and (not hasattr(matrix[0], "shape") or len(matrix[0].shape) == 2)
        )
    return True


def _of_stream(stream: Iterator[Any], dtype: np.dtype[Any] | None) -> Source:
    try:
        first = next(stream)
    except StopIteration:
        raise ConfigError(
            "the iterator has no blocks, so the number of columns is not known. Use FeatureStore.create for a"
            " store that is filled later."
        ) from None
    part, keys = _keyed_part(first, 0)
    blocks = itertools.chain(part.blocks(keys, dtype), _later_blocks(stream, part, dtype))
    return Source(None, part.num_columns, part.dtype, part.columns, blocks, None if keys is None else keys.kind)


def _later_blocks(stream: Iterator[Any], first: _Part, dtype: np.dtype[Any] | None) -> Iterator[Block]:
    for number, block in enumerate(stream, 1):
        part, keys = _keyed_part(block, number)
        if part.num_columns != first.num_columns:
            raise ConfigError(f"block {number} has {part.num_columns} columns, the first block has {first.num_columns}")
        if part.columns != first.columns:
            raise ConfigError(f"block {number} has other column names than the first block")
        yield from part.blocks(keys, dtype)


def _keyed_part(block: Any, number: int) -> tuple[_Part, Keys | None]:
    """Take a block, or a pair (keys, block), apart."""
    if not isinstance(block, tuple):
        return _Part.of(block, f"block {number}"), None
    if len(block) != 2:
        raise ConfigError(f"block {number} is a tuple of {len(block)}: give blocks, or pairs (keys, block)")
    part = _Part.of(block[1], f"block {number}")
    keys = Keys.of(block[0], f"block {number}")
    if len(keys) != part.num_rows:
        raise ConfigError(f"block {number} has {part.num_rows} rows, but {len(keys)} keys")
    return part, keys
