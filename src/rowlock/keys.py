"""The identity of rows: whole numbers or text, held in plain arrays, hashed and compared exactly."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import narwhals as nw
import numpy as np

from rowlock.arrays import one_arrow_array
from rowlock.errors import KeyTypeError
from rowlock.text_offsets import are_sound, damaged_offsets, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from rowlock.arrays import AnyArray, BoolArray, Int64Array, UInt64Array
    from rowlock.errors import RowlockError

__all__ = ["KeyKind", "Keys", "key_name", "numbers_of"]

KeyKind: TypeAlias = Literal["int", "text"]

_MOST_SHOWN = 120
_NO_BYTES = np.empty(0, np.uint8)


@dataclass(frozen=True, eq=False, repr=False)
class Keys:
    """Keys of one kind, without a Python object each. Make them with `Keys.of`.

    Parameters
    ----------
    numbers : int64, shape (n,), or None
        The keys, where they are whole numbers.
    data : uint8, shape (m,)
        UTF-8 bytes of all keys, one after the other, where they are text.
    offsets : int64, shape (n + 1,), or None
        Key i is ``data[offsets[i]:offsets[i + 1]]``. They may come from a damaged file, and are checked wherever they
        are used.
    source : str
        The store that the keys lie in, for messages; nothing, where they are somebody else's.

    Notes
    -----
    `hash` is ``mix64-1``, which is stored on disk and never changes: for numbers the finaliser of splitmix64
    of key + 0x9E3779B97F4A7C15 (so distinct numbers have distinct hashes); for text the same finaliser
    chained over the length and the little-endian 8-byte words, the last one zero padded.
    """

    numbers: Int64Array | None
    data: NDArray[np.uint8] = field(default_factory=lambda: _NO_BYTES)
    offsets: Int64Array | None = None
    source: str = ""

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
        return _parse(values, what)

    @staticmethod
    def concat(parts: Sequence[Keys]) -> Keys:
        """Return the keys of all parts, one after the other; the parts are of one kind."""
        if not parts:
            raise KeyTypeError("no keys to put together")
        if len({part.kind for part in parts}) > 1:
            raise KeyTypeError("text keys and int keys cannot be put together")
        if parts[0].kind == "int":
            return Keys(np.concatenate([numbers_of(part) for part in parts]))
        edges = [_sound_offsets(part) for part in parts]
        sizes = np.concatenate([np.zeros(1, np.int64), *map(np.diff, edges)])
        data = [part.data[own[0] : own[-1]] for part, own in zip(parts, edges, strict=True)]
        return Keys(None, np.concatenate(data), np.cumsum(sizes))

    @property
    def kind(self) -> KeyKind:
        """``"int"`` or ``"text"``."""
        return "text" if self.numbers is None else "int"

    def __len__(self) -> int:
        return len(_offsets_of(self)) - 1 if self.numbers is None else len(self.numbers)

    def __repr__(self) -> str:
        return f"Keys({len(self)} {self.kind}: {self.describe(np.arange(min(len(self), 6)))})"

    def take(self, rows: AnyArray | slice) -> Keys:
        """Return the keys of the chosen rows (int64, shape (k,), each in [0, n)), or of a slice of them.

        Raises
        ------
        StoreCorruptError, SourceError
            The offsets of text are damaged; so do all methods that read text.
        """
        if isinstance(rows, slice):
            return self._part(*rows.indices(len(self))[:2])
        if self.numbers is not None:
            return Keys(self.numbers[rows])
        rows = np.ascontiguousarray(rows, np.int64)
        from rowlock.key_kernels import copy_text  # noqa: PLC0415 - Numba is loaded on first use

        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(sizes_of(_offsets_of(self), rows, len(self.data), self.source), out=offsets[1:])
        data = np.empty(offsets[-1], np.uint8)
        if copy_text(self.data, _offsets_of(self), rows, data, offsets):
            raise self._damaged()
        return Keys(None, data, offsets)

    def values(self, rows: AnyArray | None = None) -> AnyArray:
        """Return the keys (of `rows`) as int64, or as an object array of str."""
        if self.numbers is not None:
            return self.numbers.copy() if rows is None else self.numbers[rows]
        part = self if rows is None else self.take(rows)
        return _decoded(part.data, _sound_offsets(part))

    def hash(self, rows: Int64Array | None = None) -> UInt64Array:
        """Return the ``mix64-1`` hash of every key (of `rows`), uint64, shape (n,); see the class."""
        from rowlock import key_kernels  # noqa: PLC0415 - Numba is loaded on first use

        out = np.empty(len(self) if rows is None else len(rows), np.uint64)
        num_bad = 0
        if self.numbers is not None:
            key_kernels.hash_numbers(self.numbers if rows is None else self.numbers[rows], out)
        elif rows is None:
            num_bad = key_kernels.hash_all_text(self.data, _offsets_of(self), out)
        else:
            num_bad = key_kernels.hash_text(self.data, _offsets_of(self), rows, out)
        if num_bad:
            raise self._damaged()
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
        if self.numbers is not None and other.numbers is not None:
            same: BoolArray = self.numbers[rows] == other.numbers[other_rows]
            return same
        from rowlock.key_kernels import equal_text  # noqa: PLC0415 - Numba is loaded on first use

        out = np.empty(len(rows), np.bool_)
        left, right = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(other_rows, np.int64)
        equal_text(self.data, _offsets_of(self), left, other.data, _offsets_of(other), right, out)
        return out

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
        stop = max(start, stop)
        if self.numbers is not None:
            return Keys(self.numbers[start:stop])
        return Keys(None, self.data, _offsets_of(self)[start : stop + 1], self.source)

    def _damaged(self) -> RowlockError:
        return damaged_offsets(_offsets_of(self), len(self.data), self.source)


def numbers_of(keys: Keys) -> Int64Array:
    """Return keys that are whole numbers, int64, shape (n,)."""
    if keys.numbers is None:
        raise KeyTypeError("these keys are text")
    return keys.numbers


def _offsets_of(keys: Keys) -> Int64Array:
    if keys.offsets is None:
        raise KeyTypeError("these keys are numbers")
    return keys.offsets


def _sound_offsets(keys: Keys) -> Int64Array:
    """Return offsets that all make sense, or raise."""
    offsets = _offsets_of(keys)
    if not are_sound(offsets[:-1], offsets[1:], len(keys.data)).all():
        raise damaged_offsets(offsets, len(keys.data), keys.source)
    return offsets


def key_name(values: Any) -> str | None:
    """Return the name of a pandas, polars or narwhals Series, or None where there is none."""
    name = getattr(values, "name", None)
    return name if isinstance(name, str) and name else None


def _decoded(data: NDArray[np.uint8], offsets: Int64Array) -> AnyArray:
    """Return text as an object array of str; bytes that are not UTF-8 are shown as escapes."""
    memory = data[offsets[0] : offsets[-1]].tobytes()
    out = np.empty(len(offsets) - 1, object)
    edges = (offsets - offsets[0]).tolist()
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        out[i] = memory[start:stop].decode("utf-8", "backslashreplace")
    return out


def _short(text: str) -> str:
    """Return a text as it fits into a message: damaged offsets may make a key of a million others."""
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN // 2]}... ({len(text):,} characters)"


def _parse(values: Any, what: str) -> Keys:
    if isinstance(values, Keys):
        return values
    if isinstance(values, str | bytes | dict | set | frozenset) or values is None:
        raise KeyTypeError(f"{what} must be an array, a list or a Series of keys, not {type(values).__name__}")
    if hasattr(values, "to_series") and not hasattr(values, "to_arrow"):
        values = values.to_series()  # a pandas Index
    if type(values).__module__.split(".")[0] == "pyarrow":
        return _of_arrow(values, what)
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return _of_series(series, what)
    return _of_array(values if isinstance(values, np.ndarray) else _listed(values, what), what)


def _listed(values: Any, what: str) -> AnyArray:
    """Return any other sequence as an array of its objects."""
    if isinstance(values, range):
        return np.arange(values.start, values.stop, values.step)
    try:
        listed = list(values)
    except TypeError as error:
        raise KeyTypeError(f"{what} must be an array, a list or a Series of keys: {error}") from error
    out = np.empty(len(listed), object)
    for i, value in enumerate(listed):
        out[i] = value
    return out


def _of_series(series: nw.Series[Any], what: str) -> Keys:
    if series.dtype in (nw.Object, nw.Unknown):
        return _of_array(np.asarray(series.to_numpy(), object), what)
    is_arrow = nw.get_native_namespace(series).__name__ == "pyarrow"
    if series.dtype.is_integer() and not series.null_count() and not is_arrow:
        return _of_integers(series.to_numpy(), what)
    return _of_arrow(one_arrow_array(series), what)


def _of_array(values: AnyArray, what: str) -> Keys:
    if values.ndim != 1:
        raise KeyTypeError(f"{what} must have one axis, but has shape {values.shape}")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise _refused(what, "missing values", np.flatnonzero(np.ma.getmaskarray(values)), values)
    if values.dtype.kind in "iu":
        return _of_integers(np.asarray(values), what)
    if values.dtype.kind in "UTO":
        return _of_objects(values.astype(object), what)
    raise _refused(what, f"{values.dtype} values", np.arange(len(values)), values)


def _of_integers(values: AnyArray, what: str) -> Keys:
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        large = np.flatnonzero(values > np.uint64(np.iinfo(np.int64).max))
        if len(large):
            raise _refused(what, "numbers beyond 2**63 - 1", large, values)
    return Keys(np.array(values, np.int64))


def _of_objects(values: AnyArray, what: str) -> Keys:
    kinds = {_kind_of(kind): kind for kind in set(map(type, values.tolist()))}
    if not kinds or set(kinds) == {"int"}:
        return _of_python_integers(values, what)
    if set(kinds) == {"text"}:
        import pyarrow as pa  # noqa: PLC0415 - loaded on first use

        try:
            return _of_arrow(pa.array(values, pa.large_string(), from_pandas=False), what)
        except UnicodeEncodeError as error:
            raise KeyTypeError(f"{what} has text that is not valid Unicode: {error}") from error
    named = np.array([_kind_of(type(value)) for value in values.tolist()], object)
    wrong = named != "text" if "text" in kinds else named != "int"
    label = "numbers mixed with text" if set(kinds) == {"int", "text"} else "values that are no keys"
    raise _refused(what, label, np.flatnonzero(wrong), values)


def _kind_of(kind: type) -> str:
    if issubclass(kind, bool | np.bool_):
        return "bool"
    if issubclass(kind, int | np.integer):
        return "int"
    return "text" if issubclass(kind, str) else kind.__name__


def _of_python_integers(values: AnyArray, what: str) -> Keys:
    try:
        return Keys(values.astype(np.int64))
    except OverflowError as error:
        limits = np.iinfo(np.int64)
        wrong = [i for i, value in enumerate(values.tolist()) if not limits.min <= value <= limits.max]
        raise _refused(what, "numbers beyond 64 bits with sign", np.array(wrong), values) from error


def _of_arrow(values: Any, what: str) -> Keys:
    import pyarrow as pa  # noqa: PLC0415 - loaded on first use

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    if not isinstance(values, pa.Array):
        raise KeyTypeError(f"{what} must be an array or a Series of keys, not {type(values).__name__}")
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count:
        nulls = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
        raise _refused(what, "missing values", nulls, values)
    if pa.types.is_int64(values.type):
        return Keys(values.to_numpy())  # which nobody changes
    if pa.types.is_integer(values.type):
        return _of_integers(values.to_numpy(zero_copy_only=False), what)
    if _is_text(pa, values.type):
        return _of_large_string(values.cast(pa.large_string()))
    raise _refused(what, f"{values.type} values", np.arange(len(values)), values)


def _is_text(pa: Any, kind: Any) -> bool:
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in checks)


def _of_large_string(values: Any) -> Keys:
    """Take over the buffers of an Arrow array of text without nulls."""
    _, offsets, data = values.buffers()
    edges = np.zeros(1, np.int64)
    if len(values):
        edges = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return Keys(None, np.frombuffer(data, np.uint8) if data is not None and data.size else _NO_BYTES, edges)


def _refused(what: str, label: str, rows: AnyArray, values: Any) -> KeyTypeError:
    """Return the error that shows the first values that cannot be keys, and what to do about it."""
    shown = ", ".join(f"{_plain(values[int(row)])!r} (position {int(row)})" for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return KeyTypeError(
        f"{what} has {label}: {shown}{more}. Keys are whole numbers or text, none missing."
        " Convert the column first; pandas turns whole numbers with gaps into fractions (use dtype 'Int64')."
    )


def _plain(value: Any) -> Any:
    """Return a scalar of NumPy or Arrow as the Python value that people recognise."""
    for method in ("as_py", "item"):
        if hasattr(value, method):
            return getattr(value, method)()
    return value
