"""Inputs and targets that are in the table anyway: numbers and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.arguments import nearest, number_dtype, texts
from rowlock.arrays import ArraySpec
from rowlock.blocks import for_blocks
from rowlock.errors import ConfigError
from rowlock.inputs.base import Draw, Input, Reader, check_rows
from rowlock.inputs.finite import finite
from rowlock.inputs.scaled import ScaledReader
from rowlock.inputs.scaling import ScalingWish
from rowlock.store import ColumnStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from rowlock.arrays import AnyArray, BoolArray, Int64Array
    from rowlock.table import Table

__all__ = ["ArrayReader", "Column", "Columns", "Labels"]

_BLOCK_ROWS = 1 << 20
_NO_ROWS = np.empty(0, np.int64)


class ArrayReader(Reader):
    """Rows of an array in memory.

    Parameters
    ----------
    values : array, shape (num_rows, ...)
        One row a row of the table.
    """

    def __init__(self, values: AnyArray) -> None:
        self._values = values
        self.spec = ArraySpec(values.shape[1:], values.dtype)

    @property
    def fingerprint(self) -> str:
        """Digest of the values."""
        return hashlib.blake2b(np.ascontiguousarray(self._values).data, digest_size=8).hexdigest()

    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:  # noqa: ARG002, D102 - as in Reader
        check_rows(rows, len(self._values))
        np.take(self._values, rows, axis=0, out=out, mode="clip")


class Column(Input):
    """One column of numbers, shape ``()`` a row.

    Parameters
    ----------
    column : str
        Name of the column; numbers or booleans, none of them missing or infinite.
    dtype : dtype
        What the batches hold.

    Raises
    ------
    ConfigError
        When the dataset is made: no such column, not numbers, missing or infinite values, values that do not fit.
    """

    def __init__(self, column: str, *, dtype: DTypeLike = "float32") -> None:
        self.column = column
        self.dtype = number_dtype(repr(self), dtype)

    def __repr__(self) -> str:
        return f"Column({self.column!r})"

    def open(self, table: Table, name: str) -> ArrayReader:  # noqa: D102 - as in Input
        return ArrayReader(finite(_numbers(table, self.column, name, self.dtype), self.column, name))


class Columns(Input):
    """Several columns of numbers side by side, shape ``(number of columns,)`` a row.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns, in the order wanted; numbers or booleans, none of them missing or infinite.
    dtype : dtype
        What the batches hold.
    standardize : bool or ColumnStatistics
        Deliver ``(value - mean) / std`` for each column, as `Features` does: True by the training rows, which
        `Dataset.fit_statistics` measures; a `ColumnStatistics`: by these.
    fill_missing : float, one float a column, "mean" or None
        What replaces missing values and NaN, before standardising. None: they are refused.

    Raises
    ------
    ConfigError
        As `Column`; and when no column or one of them twice is named.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        dtype: DTypeLike = "float32",
        standardize: bool | ColumnStatistics = False,
        fill_missing: float | Sequence[float] | str | None = None,
    ) -> None:
        self.columns = texts("columns", columns)
        self.dtype = number_dtype(repr(self), dtype)
        if isinstance(standardize, str):
            raise ConfigError(
                f"columns have no store: standardize is True or an rl.ColumnStatistics, not {standardize!r}"
            )
        self.scaling = ScalingWish.of(standardize, fill_missing, self.dtype)

    def __repr__(self) -> str:
        return f"Columns({self.columns!r})"

    def open(self, table: Table, name: str) -> Reader:  # noqa: D102 - as in Input
        exact = self.dtype if self.scaling is None else np.dtype(np.float64)
        may_miss = self.scaling is not None and self.scaling.fill is not None
        values = np.empty((table.num_rows, len(self.columns)), exact)
        for place, column in enumerate(self.columns):
            values[:, place] = finite(_numbers(table, column, name, exact, may_miss=may_miss), column, name)
        if self.scaling is None:
            return ArrayReader(values)
        statistics = self.scaling.statistics if isinstance(self.scaling.statistics, ColumnStatistics) else None
        return ScaledReader(_NamedColumns(values, self.columns, self.dtype), self.scaling, statistics, name)


class _NamedColumns(ArrayReader):
    """Exact numbers of columns, for a `ScaledReader`."""

    def __init__(self, values: AnyArray, names: list[str], dtype: np.dtype[Any]) -> None:
        super().__init__(values)
        self.spec = ArraySpec(values.shape[1:], dtype)
        self.source_dtype = values.dtype
        self.column_names: tuple[str, ...] | None = tuple(names)

    def in_stored_order(self, rows: Int64Array) -> Int64Array:
        """Return rows in the order of the table."""
        return np.sort(rows)


class Labels(Input):
    """A column of class names or class numbers, delivered as int32 from 0 to ``len(classes) - 1``.

    Parameters
    ----------
    column : str
        Name of the column: text, integers or booleans, none of them missing.
    classes : sequence, optional
        The classes in the order of their numbers. By default the different values of the first frame that
        this object is used with, sorted; so the same object numbers a second frame alike.

    Attributes
    ----------
    classes : tuple or None
        What number i means; None until a dataset was made with it.

    Raises
    ------
    ConfigError
        When the dataset is made: missing values, or values that are not among the classes.
    """

    def __init__(self, column: str, *, classes: Sequence[Any] | None = None) -> None:
        self.column = column
        if classes is not None and (isinstance(classes, str) or not isinstance(classes, Iterable)):
            raise ConfigError(f"classes is a list, such as ['cat', 'dog'], not {classes!r}")
        self.classes: tuple[Any, ...] | None = None if classes is None else tuple(classes)
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"a class is named twice in {list(self.classes)!r}")

    def __repr__(self) -> str:
        return f"Labels({self.column!r}, classes={self.classes!r})"

    def open(self, table: Table, name: str) -> ArrayReader:  # noqa: D102 - as in Input
        series = table.column(self.column)
        if not (series.dtype.is_integer() or _is_text(series) or series.dtype == nw.Boolean):
            raise ConfigError(
                f"{name!r}: labels must be text, integers or booleans; column {self.column!r} is {series.dtype}."
                " For a quantity to predict use rl.Column."
            )
        if series.null_count():
            _refuse_missing(np.flatnonzero(series.is_null().to_numpy()), self.column, name)
        present = _as_text(series.unique()).to_list()
        classes = tuple(sorted(present)) if self.classes is None else self.classes
        return LabelReader(_numbered(series, present, classes, name, self.column), classes)

    def opened_as(self, reader: Reader) -> None:
        """Keep the classes, so that a second frame is numbered alike."""
        if isinstance(reader, LabelReader):
            self.classes = reader.classes


class LabelReader(ArrayReader):
    """Class numbers, and what they mean."""

    def __init__(self, values: AnyArray, classes: tuple[Any, ...]) -> None:
        super().__init__(values)
        self.classes = classes

    @property
    def fingerprint(self) -> str:
        """Digest of the numbers and of what they mean."""
        names = hashlib.blake2b(repr(self.classes).encode(), digest_size=4).hexdigest()
        return f"{super().fingerprint}:{names}"


def _numbered(series: nw.Series[Any], present: list[Any], classes: tuple[Any, ...], name: str, column: str) -> AnyArray:
    numbers = {label: number for number, label in enumerate(classes)}
    unknown = [value for value in present if value not in numbers]
    if unknown:
        hint = nearest(str(unknown[0]), map(str, numbers))
        raise ConfigError(
            f"{name!r}: column {column!r} holds {unknown[0]!r} ({len(unknown)} such value(s)), which is"
            f" not among its classes {list(numbers)!r}.{hint}"
        )
    codes = [numbers[value] for value in present]
    found = np.empty(len(series), np.int32)

    def number(start: int, stop: int) -> None:
        block = _as_text(series[start:stop])
        found[start:stop] = block.replace_strict(present, codes, return_dtype=nw.Int32).to_numpy()

    for_blocks(number, len(series), _BLOCK_ROWS)
    return found


def _as_text(series: nw.Series[Any]) -> nw.Series[Any]:
    """Return categories as their names."""
    return series.cast(nw.String) if series.dtype in (nw.Categorical, nw.Enum) else series


def _is_text(series: nw.Series[Any]) -> bool:
    if series.dtype in (nw.String, nw.Categorical, nw.Enum):
        return True
    return series.dtype == nw.Object and all(isinstance(value, str) for value in series if value is not None)


def _numbers(table: Table, column: str, name: str, dtype: np.dtype[Any], *, may_miss: bool = False) -> AnyArray:
    series = table.column(column)
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise ConfigError(
            f"{name!r}: column {column!r} must hold numbers, not {series.dtype} (first value"
            f" {series[0]!r}). For classes use rl.Labels({column!r}), for paths of pictures rl.Images."
        )
    if may_miss:
        return _with_gaps(series)
    held = _held(series, dtype)
    if held is not None:
        return held
    values = np.empty(len(series), dtype)
    missing, wrong = [_NO_ROWS], [_NO_ROWS]
    for start in range(0, len(series), _BLOCK_ROWS):
        block = series[start : start + _BLOCK_ROWS]
        gaps = _gaps(block)
        if gaps.any():
            missing.append(start + np.flatnonzero(gaps))
        else:
            cast, misfits = _cast(_plain(block), dtype)
            values[start : start + len(block)] = cast
            wrong.append(start + np.flatnonzero(misfits))
    _refuse_missing(np.concatenate(missing), column, name)
    _refuse_misfits(np.concatenate(wrong), series, dtype, column, name)
    return values


def _with_gaps(series: nw.Series[Any]) -> AnyArray:
    """Return the values as float64, NaN where one is missing."""
    values = np.empty(len(series), np.float64)
    for start in range(0, len(series), _BLOCK_ROWS):
        block = series[start : start + _BLOCK_ROWS]
        numbers = block.cast(nw.Float64).fill_null(0.0).to_numpy()
        values[start : start + len(block)] = np.where(_gaps(block), np.nan, numbers)
    return values


def _held(series: nw.Series[Any], dtype: np.dtype[Any]) -> AnyArray | None:
    """Return the values where they lie, in memory or mapped, if they need not be cast; None if that cannot be."""
    native: Any = series.to_native()
    if getattr(native, "num_chunks", 0) != 1 or native.null_count or series.dtype == nw.Boolean:
        return None
    if (
        series.dtype.is_decimal()
        or native.type.to_pandas_dtype() != dtype
        or (dtype.kind == "f" and _gaps(series).any())
    ):
        return None
    values: AnyArray = native.chunk(0).to_numpy()
    return values


def _gaps(series: nw.Series[Any]) -> BoolArray:
    """Return where values are missing."""
    missing: BoolArray = series.is_null().to_numpy()
    return missing | series.is_nan().fill_null(value=True).to_numpy() if series.dtype.is_float() else missing


def _plain(series: nw.Series[Any]) -> AnyArray:
    return (series.cast(nw.Float64) if series.dtype.is_decimal() else series).to_numpy()


def _cast(values: AnyArray, dtype: np.dtype[Any]) -> tuple[AnyArray, BoolArray]:
    """Cast, and return beside it what would wrap, be cut or become infinite."""
    with np.errstate(all="ignore"):
        cast = values.astype(dtype)
    return cast, ~np.isfinite(cast) & np.isfinite(values) if dtype.kind == "f" else cast != values


def _refuse_misfits(rows: Int64Array, series: nw.Series[Any], dtype: np.dtype[Any], column: str, name: str) -> None:
    if len(rows):
        row = int(rows[0])
        raise ConfigError(
            f"{name!r}: column {column!r} holds {_plain(series[row : row + 1])[0]!r} in row {row}, which {dtype} cannot"
            f" hold ({len(rows)} such value(s)). Choose another dtype=."
        )


def _refuse_missing(rows: Int64Array, column: str, name: str) -> None:
    if len(rows):
        raise ConfigError(
            f"{name!r}: column {column!r} has {len(rows)} missing value(s), the first in row(s)"
            f" {', '.join(map(str, rows[:5]))}. Fill them in, or leave these rows out of the frame."
        )
