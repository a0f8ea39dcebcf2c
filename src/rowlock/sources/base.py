"""What a source of rows is: facts that are known before it is read, and blocks of bounded memory."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError, MissingDependencyError, RowlockError, SourceError
from rowlock.memory import memory_limit_bytes

try:
    from lzma import LZMAError
except ImportError:  # pragma: no cover - Python may be built without it, and reads no such archive then
    LZMAError = zlib.error  # type: ignore[misc, assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.keys import Keys
    from rowlock.sources.choice import Choice
    from rowlock.sources.pieces import Pieces

__all__ = ["BLOCK_BYTES", "PieceSource", "RowSource", "block_rows", "needed", "reading", "require_matrix"]

BLOCK_BYTES = 8 << 20
_MOST_BYTES = 1 << 62
_LIBRARY_ERRORS = (
    MemoryError, OSError, ValueError, RuntimeError, KeyError, IndexError, TypeError, EOFError,
    NotImplementedError, RecursionError, zipfile.BadZipFile, zlib.error, LZMAError, struct.error,
    SyntaxError, tokenize.TokenError, ArithmeticError, AttributeError,
)  # fmt: skip


class RowSource(ABC):
    """A matrix that lies somewhere in somebody else's format.

    Attributes
    ----------
    address : str
        What it is called in messages.
    num_rows : int or None
        None where only the end will tell.
    num_columns : int
    dtype : numpy.dtype
        Of the numbers. Of whole numbers that only a stream turns out to have gaps in, single blocks are float64.
    columns : tuple of str or None
        Names of the columns.
    key_name : str or None
        What the keys are called.
    others : tuple of str
        Columns of a table that are neither features nor the key.
    unnamed_index : tuple of str
        Those of `others` that hold pandas' index without a name, and were left out for that.
    """

    address: str
    num_rows: int | None
    num_columns: int
    dtype: np.dtype[Any]
    columns: tuple[str, ...] | None = None
    key_name: str | None = None
    others: tuple[str, ...] = ()
    unnamed_index: tuple[str, ...] = ()
    _choice: Choice | None = None  # of the columns of a table

    @abstractmethod
    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        """Yield (keys or None, block of shape (n, num_columns)), in order, holding little memory.

        Raises
        ------
        SourceError
            The source is damaged or cut off.
        KeyTypeError
            A key is missing, or is neither a whole number nor text.
        """

    @property
    def is_table(self) -> bool:
        """Whether the columns were chosen when it was opened."""
        return self._choice is not None

    def read_whole_numbers(self, dtype: np.dtype[Any]) -> None:
        """Give blocks of whole numbers, which `dtype` stores, where columns of several types would become floats."""
        if self._choice is not None and self.dtype.kind == "f":
            self._choice = self._choice.of_dtype(dtype.kind)
            self.dtype = self._choice.dtype

    def close(self) -> None:  # noqa: B027 - most hold nothing open
        """Let go of files."""

    @property
    def row_bytes(self) -> int:
        """Size of a row in memory."""
        return self.num_columns * self.dtype.itemsize


class PieceSource(RowSource):
    """A source that can be read anywhere, a piece at a time.

    Attributes
    ----------
    num_rows : int
    pieces : Pieces
    keyed : bool
        Whether `read_keys` gives keys.
    reads_rows : bool
        Whether `read_rows` is the better way to a few rows, because pieces are tiny.
    """

    num_rows: int
    pieces: Pieces
    keyed: bool = False
    reads_rows: bool = False

    @abstractmethod
    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        """Return the rows of the pieces first..last-1, dense; of these columns, if any are named.

        Safe from many threads at once.
        """

    def read_rows(self, rows: Int64Array, columns: Int64Array | None = None) -> AnyArray:
        """Return chosen rows, ascending and each once; only where `reads_rows` says so."""
        raise NotImplementedError

    def read_keys(self) -> Keys | None:
        """Return the keys of all rows, or None."""
        return None

    @property
    def piece_row_bytes(self) -> int:
        """What a row costs when its piece is read, in bytes: more than `row_bytes` where chunks are padded."""
        return self.row_bytes

    def fingerprint_parts(self) -> Iterator[bytes]:
        """Yield bytes that tell these data from others: the first, the middle and the last piece."""
        last = len(self.pieces) - 1
        for piece in sorted({0, last // 2, last}):
            yield self.read(piece, piece + 1).tobytes()

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        self.require_small_pieces()
        keys = self.read_keys()
        for first, last in self.pieces.runs(block_rows(self.row_bytes)):
            start, stop = self.pieces.start(first), self.pieces.start(last)
            if start < stop:
                yield None if keys is None else keys.take(slice(start, stop)), self.read(first, last)

    def require_small_pieces(self) -> None:
        """Refuse pieces that do not fit into memory, before one is read."""
        largest, limit = self.pieces.most_rows * self.piece_row_bytes, memory_limit_bytes() // 4
        if largest > limit:
            raise ConfigError(
                f"{self.address} can only be read in pieces of {self.pieces.most_rows:,} rows, {largest:,} bytes each,"
                f" which is more than a quarter of this machine's memory ({limit:,} bytes). Write it with smaller"
                " chunks or row groups."
            )


def block_rows(row_bytes: int) -> int:
    """Return how many rows make a block of about 8 MiB."""
    return max(1, BLOCK_BYTES // max(1, row_bytes))


def require_matrix(address: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what is no matrix of numbers.

    Raises
    ------
    ConfigError
        Other than two axes, no rows or columns, or not numbers.
    SourceError
        A shape that no file has.
    """
    if dtype.hasobject:
        raise ConfigError(f"{address} holds Python objects, which are never read: unpickling them may run anything")
    if dtype.kind not in "biuf":
        raise ConfigError(f"{address} holds {dtype}, but a feature matrix holds real numbers")
    if len(shape) != 2:
        raise ConfigError(
            f"{address} has shape {shape}, but a feature matrix has two axes (rows, columns). Reshape it:"
            " (n, T, k) becomes (n, T * k), and rl.Features(..., shape=(T, k)) gives it back."
        )
    if min(shape) < 1:
        raise ConfigError(f"{address} is empty: its shape is {shape}")
    if shape[0] * shape[1] * dtype.itemsize > _MOST_BYTES:
        raise SourceError(f"{address} says that its shape is {shape}, which nothing can hold; it is damaged")
    if shape[1] * dtype.itemsize > memory_limit_bytes() // 4:
        raise ConfigError(f"{address}: a row of {shape[1]:,} columns does not fit into this machine's memory")


@contextmanager
def reading(address: str) -> Iterator[None]:
    """Turn what a format's library raises into a `SourceError` that names the file."""
    try:
        yield
    except RowlockError:
        raise
    except _LIBRARY_ERRORS as error:
        reason = str(error).split(" [tensorstore_spec=")[0] or type(error).__name__
        raise SourceError(
            f"cannot read {address}: {reason}. The file is damaged, cut off, or uses something of its format that is"
            " not read here; check it with the program that wrote it, or restore it from a copy."
        ) from error


def needed(package: str, extra: str, what: str) -> Any:
    """Import an optional package, or say how to get it."""
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs {package}, which is not installed: pip install 'rowlock[{extra}]'"
        ) from error
