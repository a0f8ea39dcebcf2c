"""Inputs and targets that are in the table anyway: numbers and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from typing_extensions import override

from rowlock.arguments import nearest, number_dtype, texts
from rowlock.arrays import ArraySpec
from rowlock.blocks import for_blocks
from rowlock.errors import ConfigError
from rowlock.inputs.base import Draw, Input, Reader, check_rows
from rowlock.inputs.categories import Categories, as_text, is_text, refuse_missing
from rowlock.inputs.finite import finite
from rowlock.inputs.mixed import MixedReader
from rowlock.inputs.numbers import column_numbers
from rowlock.inputs.scaled import ScaledReader, scaling_of
from rowlock.inputs.scaling import ScalingWish
from rowlock.store import ColumnStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.table import Table

__all__ = ["ArrayReader", "Column", "Columns", "Labels"]

_BLOCK_ROWS = 1 << 20


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

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
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

    @override
    def open(self, table: Table, name: str) -> ArrayReader:
        return ArrayReader(finite(column_numbers(table, self.column, name, self.dtype), self.column, name))

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        return {"column": self.column}


class Columns(Input):
    """Several columns of numbers side by side, shape ``(number of columns,)`` a row.

    ::

        rl.Columns(["age", "weight", rl.Categories("breed")])

    Parameters
    ----------
    columns : sequence of str or Categories
        Names of the columns, in the order wanted; numbers or booleans, none of them missing or infinite. A `Categories`
        takes as many columns as it has categories, of zeros and a one, which are never standardised or filled.
    dtype : dtype
        What the batches hold.
    standardize : bool or ColumnStatistics
        Deliver ``(value - mean) / std`` for each column, as `Features` does: True by the training rows, which
        `Dataset.fit_statistics` measures; a `ColumnStatistics`: by these.
    fill_missing : float, one float a column of numbers, "mean" or None
        What replaces missing values and NaN, before standardising. None: they are refused.

    Attributes
    ----------
    columns : list of str
        Names of the table's columns.
    categories : dict of str to Categories
        Those of them that hold categories.

    Raises
    ------
    ConfigError
        As `Column`; and when no column or one of them twice is named.
    """

    def __init__(
        self,
        columns: Sequence[str | Categories],
        *,
        dtype: DTypeLike = "float32",
        standardize: bool | ColumnStatistics = False,
        fill_missing: float | Sequence[float] | str | None = None,
    ) -> None:
        self.categories = _categories(columns)
        self.columns = texts("columns", columns if isinstance(columns, str) else _names(columns))
        self.dtype = number_dtype(repr(self), dtype)
        if isinstance(standardize, str):
            raise ConfigError(
                f"columns have no store: standardize is True or an rl.ColumnStatistics, not {standardize!r}"
            )
        self.scaling = ScalingWish.of(standardize, fill_missing, self.dtype)

    def __repr__(self) -> str:
        return f"Columns([{', '.join(repr(self.categories.get(name, name)) for name in self.columns)}])"

    @override
    def open(self, table: Table, name: str) -> Reader:
        exact = self.dtype if self.scaling is None else np.dtype(np.float64)
        may_miss = self.scaling is not None and self.scaling.fill is not None
        numbers = [column for column in self.columns if column not in self.categories]
        values = np.empty((table.num_rows, len(numbers)), exact)
        for place, column in enumerate(numbers):
            values[:, place] = finite(column_numbers(table, column, name, exact, may_miss=may_miss), column, name)
        if self.categories:
            return self._beside_categories(values, table, name)
        if self.scaling is None:
            return ArrayReader(values)
        return self._scaled(_NamedColumns(values, self.columns, self.dtype), self.scaling, name)

    def opened_as(self, reader: Reader) -> None:
        """Keep the categories, so that a second frame is read alike."""
        raw = reader.raw if isinstance(reader, ScaledReader) else reader
        for column, found in raw.categories.items() if isinstance(raw, MixedReader) else ():
            self.categories[column].opened_as(found)

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        names = getattr(reader, "column_names", None)  # with the categories, where there are some
        return {"columns": names or tuple(self.columns)} | scaling_of(reader)

    def _beside_categories(self, values: AnyArray, table: Table, name: str) -> Reader:
        found = {column: what.open(table, name) for column, what in self.categories.items()}
        reader = MixedReader(values, [(column, found.get(column)) for column in self.columns], self.dtype)
        if self.scaling is None:
            return reader
        wish = self.scaling
        if isinstance(wish.fill, np.ndarray) and wish.fill.shape == values.shape[1:]:
            fill = np.zeros(len(reader.plain_columns))
            fill[~reader.plain_columns] = wish.fill
            wish = replace(wish, fill=fill)
        return self._scaled(reader, wish, name)

    @staticmethod
    def _scaled(raw: _NamedColumns | MixedReader, wish: ScalingWish, name: str) -> ScaledReader:
        statistics = wish.statistics if isinstance(wish.statistics, ColumnStatistics) else None
        return ScaledReader(raw, wish, statistics, name)


def _names(columns: Any) -> Any:
    try:
        return [one.column if isinstance(one, Categories) else one for one in columns]
    except TypeError:
        return columns


def _categories(columns: Any) -> dict[str, Categories]:
    found = [one for one in columns if isinstance(one, Categories)] if isinstance(columns, Iterable) else []
    for one in found:
        if not one.one_hot:
            raise ConfigError(
                f"beside numbers, categories are zeros and ones: {one!r} with one_hot=False is an input of its own"
            )
    return {one.column: one for one in found}


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

    @override
    def open(self, table: Table, name: str) -> ArrayReader:
        series = table.column(self.column)
        if not (series.dtype.is_integer() or is_text(series) or series.dtype == nw.Boolean):
            raise ConfigError(
                f"{name!r}: labels must be text, integers or booleans; column {self.column!r} is {series.dtype}."
                " For a quantity to predict use rl.Column."
            )
        if series.null_count():
            refuse_missing(np.flatnonzero(series.is_null().to_numpy()), self.column, name)
        present = as_text(table.distinct(self.column)).to_list()
        classes = tuple(sorted(present)) if self.classes is None else self.classes
        self._refuse_unknown(present, classes, name)
        numbers = table.kept(
            [self.column], ("class numbers",), (1, classes), lambda: _numbered(series, present, classes)
        )
        return LabelReader(numbers, classes)

    def _refuse_unknown(self, present: list[Any], classes: tuple[Any, ...], name: str) -> None:
        known = set(classes)
        unknown = [value for value in present if value not in known]
        if unknown:
            hint = nearest(str(unknown[0]), map(str, classes))
            raise ConfigError(
                f"{name!r}: column {self.column!r} holds {unknown[0]!r} ({len(unknown)} such value(s)), which is"
                f" not among its classes {list(classes)!r}.{hint}"
            )

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        return {"column": self.column, "classes": getattr(reader, "classes", self.classes)}

    def opened_as(self, reader: Reader) -> None:
        """Keep the classes, so that a second frame is numbered alike."""
        if isinstance(reader, LabelReader):
            reader.learnt = self.classes is None
            self.classes = reader.classes


class LabelReader(ArrayReader):
    """Class numbers, and what they mean.

    Attributes
    ----------
    classes : tuple
    learnt : bool
        Nobody named them: they are the values of this very column.
    """

    learnt = False

    def __init__(self, values: AnyArray, classes: tuple[Any, ...]) -> None:
        super().__init__(values)
        self.classes = classes
        self.num_things = len(classes)

    @property
    def fingerprint(self) -> str:
        """Digest of the numbers and of what they mean."""
        names = hashlib.blake2b(repr(self.classes).encode(), digest_size=4).hexdigest()
        return f"{super().fingerprint}:{names}"


def _numbered(series: nw.Series[Any], present: list[Any], classes: tuple[Any, ...]) -> AnyArray:
    numbers = {label: number for number, label in enumerate(classes)}
    codes = [numbers[value] for value in present]
    found = np.empty(len(series), np.int32)

    def number(start: int, stop: int) -> None:
        block = as_text(series[start:stop])
        found[start:stop] = block.replace_strict(present, codes, return_dtype=nw.Int32).to_numpy()

    for_blocks(number, len(series), _BLOCK_ROWS)
    return found
