"""The identity of rows: whole numbers or text, held in plain arrays, hashed and compared exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from rowlock.errors import KeyTypeError
from rowlock.key_values import keys_in
from rowlock.text_array import TextArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rowlock.arrays import AnyArray, BoolArray, Int64Array, UInt64Array

__all__ = ["KeyKind", "Keys", "key_name"]

KeyKind: TypeAlias = Literal["int", "text"]

_MOST_SHOWN = 120


class Keys:
    """Keys of one kind, without a Python object each. Make them with `Keys.of`.

    Parameters
    ----------
    held : int64 of shape (n,), or TextArray

    Notes
    -----
    `hash` is ``mix64-1``, which is stored on disk and never changes: for numbers the finaliser of splitmix64
    of key + 0x9E3779B97F4A7C15 (so distinct numbers have distinct hashes); for text the same finaliser
    chained over the length and the little-endian 8-byte words, the last one zero padded.

    All methods that read text raise `StoreCorruptError` or `SourceError` where its offsets are damaged.
    """

    def __init__(self, held: Int64Array | TextArray) -> None:
        self._held = held

    @staticmethod
    def of(values: Any, what: str) -> Keys:
        """Return the keys in `values`, or say what cannot be a key.

        Parameters
        ----------
        values : Keys, array, list of int or str, pandas/polars/narwhals Series, or Arrow array
            Length n. Categories of text are text; whole numbers that may be missing, but are not, are
            numbers.
        what : str
            What the values are, for messages: ``"the frame's column 'object_id'"``.

        Raises
        ------
        KeyTypeError
            Missing values, fractions, booleans, bytes, numbers beyond 64 bits with sign, or numbers mixed
            with text; the message shows the first of them.
        """
        return values if isinstance(values, Keys) else Keys(keys_in(values, what))

    @staticmethod
    def concat(parts: Sequence[Keys]) -> Keys:
        """Return the keys of all parts, one after the other; the parts are of one kind."""
        if not parts:
            raise KeyTypeError("no keys to put together")
        if len({part.kind for part in parts}) > 1:
            raise KeyTypeError("text keys and int keys cannot be put together")
        if parts[0].kind == "int":
            return Keys(np.concatenate([part.numbers for part in parts]))
        return Keys(TextArray.concat([part.text for part in parts]))

    @property
    def kind(self) -> KeyKind:
        """``"int"`` or ``"text"``."""
        return "text" if isinstance(self._held, TextArray) else "int"

    @property
    def numbers(self) -> Int64Array:
        """Keys that are whole numbers, int64, shape (n,)."""
        if isinstance(self._held, TextArray):
            raise KeyTypeError("these keys are text")
        return self._held

    @property
    def text(self) -> TextArray:
        """Keys that are text."""
        if not isinstance(self._held, TextArray):
            raise KeyTypeError("these keys are numbers")
        return self._held

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"Keys({len(self)} {self.kind}: {self.describe(np.arange(min(len(self), 6)))})"

    def take(self, rows: AnyArray | slice) -> Keys:
        """Return the keys of the chosen rows (int64, shape (k,), each in [0, n)), or a view of a slice of them."""
        if isinstance(rows, slice):
            return self._part(*rows.indices(len(self))[:2])
        held = self._held
        return Keys(held.take(rows) if isinstance(held, TextArray) else held[rows])

    def values(self, rows: AnyArray | None = None) -> AnyArray:
        """Return the keys (of `rows`) as int64, or as an object array of str."""
        held = self._held
        if isinstance(held, TextArray):
            return (held if rows is None else held.take(rows)).strings()
        return held.copy() if rows is None else held[rows]

    def hash(self, rows: Int64Array | None = None) -> UInt64Array:
        """Return the ``mix64-1`` hash of every key (of `rows`), uint64, shape (n,); see the class."""
        held = self._held
        if isinstance(held, TextArray):
            return held.hash() if rows is None else held.hash_of(rows)
        from rowlock.key_kernels import hash_numbers  # noqa: PLC0415 - Numba is loaded on first use

        out = np.empty(len(held) if rows is None else len(rows), np.uint64)
        hash_numbers(held if rows is None else held[rows], out)
        return out

    def blocks(self, num_rows: int = 1 << 20) -> Iterator[Keys]:
        """Yield views of these keys, one after the other, of at most `num_rows` each."""
        for start in range(0, len(self), num_rows):
            yield self._part(start, min(start + num_rows, len(self)))

    def equal(self, rows: Int64Array, other: Keys, other_rows: Int64Array) -> BoolArray:
        """Return whether key ``rows[i]`` is key ``other_rows[i]`` of `other`, bool, shape (k,).

        Raises
        ------
        KeyTypeError
            One side is text and the other numbers: they are never equal, and never silently unequal.
        """
        if self.kind != other.kind:
            raise KeyTypeError(f"{self.kind} keys cannot be compared with {other.kind} keys")
        if isinstance(self._held, TextArray):
            return self._held.equal(rows, other.text, other_rows)
        same: BoolArray = self.numbers[rows] == other.numbers[other_rows]
        return same

    def repeated(self) -> Int64Array:
        """Return the rows whose key an earlier row has already, int64, ascending."""
        hashes = self.hash()
        order = np.argsort(hashes, kind="stable").astype(np.int64, copy=False)
        near = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        earlier, later = order[near], order[near + 1]
        same = self.equal(earlier, self, later)
        if same.all():
            return np.sort(later)
        # Different text with one hash lies between: compare those few one by one.
        suspects = np.unique(np.concatenate([earlier, later]))
        _, first = np.unique(self.values(suspects).astype(str), return_index=True)
        return np.setdiff1d(suspects, suspects[first])

    def describe(self, rows: AnyArray | None = None, most: int = 5) -> str:
        """Return the first keys (of `rows`) for a message: ``'a17', 'b02' and 3 more``."""
        count = len(self) if rows is None else len(rows)
        shown = np.arange(min(count, most)) if rows is None else np.asarray(rows[:most])
        names = ", ".join(_short(repr(value)) for value in self.values(shown).tolist())
        return f"{names} and {count - most} more" if count > most else names

    def _part(self, start: int, stop: int) -> Keys:
        held, stop = self._held, max(start, stop)
        return Keys(held.part(start, stop) if isinstance(held, TextArray) else held[start:stop])


def key_name(values: Any) -> str | None:
    """Return the name of a pandas, polars or narwhals Series, or None where there is none."""
    name = getattr(values, "name", None)
    return name if isinstance(name, str) and name else None


def _short(text: str) -> str:
    """Return a text as it fits into a message: damaged offsets may make a key of a million others."""
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN // 2]}... ({len(text):,} characters)"
