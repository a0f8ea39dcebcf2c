"""Which columns of a table are features, and which one holds the keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import nearest
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rowlock.arrays import Int64Array

__all__ = ["Choice", "chosen_numbers"]


@dataclass(frozen=True)
class Choice:
    """The columns taken from a table.

    Attributes
    ----------
    features : tuple of str
    key : str or None
    dtype : numpy.dtype
        That holds the values of all features.
    others : tuple of str
        Columns that are not taken.
    unnamed_index : tuple of str
        Those of `others` that were left out because they hold pandas' index.
    """

    features: tuple[str, ...]
    key: str | None
    dtype: np.dtype[Any]
    others: tuple[str, ...] = ()
    unnamed_index: tuple[str, ...] = ()

    def with_gaps(self) -> Choice:
        """Return the choice with a dtype that has room for NaN, where values are missing."""
        return self if self.dtype.kind == "f" else replace(self, dtype=np.result_type(self.dtype, np.float64))

    def of_dtype(self, kind: str) -> Choice:
        """Return the choice with the widest dtype of a kind of whole numbers, "i" or "u"."""
        return replace(self, dtype=np.dtype(f"{kind}8"))

    @staticmethod
    def of(
        address: str,
        dtypes: Mapping[str, np.dtype[Any] | None],
        key: str | None,
        columns: Sequence[str | int] | None,
        unnamed_index: Collection[str] = (),
    ) -> Choice:
        """Choose from the columns of a table, or say what cannot be chosen.

        Parameters
        ----------
        address : str
        dtypes : mapping
            Of every column, in order; None where it does not hold numbers.
        key, columns
            As the user gave them; columns None: all but the key and `unnamed_index`.
        unnamed_index : collection of str
            Columns that hold pandas' index without a name: numbers of rows, which are no features.

        Raises
        ------
        ConfigError
            No such column, one twice, no feature left, or one that does not hold numbers.
        """
        if key is not None:
            _require(address, "key", [key], dtypes)
        left_out = () if columns is not None else tuple(n for n in dtypes if n in unnamed_index and n != key)
        features = [n for n in dtypes if n != key and n not in left_out] if columns is None else list(columns)
        features = _by_number(address, features, [name for name in dtypes if name != key])
        _require(address, "columns", features, dtypes)
        if key in features:
            raise ConfigError(f"{address}: column {key!r} is the key, and cannot be a feature as well")
        wrong = [name for name in features if dtypes[str(name)] is None]
        if wrong:
            raise ConfigError(
                f"{address}: features are numbers, but {len(wrong)} column(s) are not: {wrong[:5]!r}."
                " Name the one that identifies the rows with key= (--key), choose others with columns= (--columns), or"
                " encode them first."
            )
        if not features:
            raise ConfigError(f"{address} has no column that could be a feature (its columns: {list(dtypes)[:8]!r})")
        kinds = [kind for kind in (dtypes[str(name)] for name in features) if kind is not None]
        others = tuple(name for name in dtypes if name != key and name not in features)
        return Choice(tuple(map(str, features)), key, np.result_type(*kinds), others, left_out)


def chosen_numbers(
    address: str, columns: Iterable[str | int], num_columns: int, names: Sequence[str] | None
) -> Int64Array:
    """Return the numbers of the columns that a user named by name or number, int64, shape (k,).

    Where columns have no names, a number may be written as text, as on a command line.
    """
    columns = list(columns)
    if names is None:
        columns = [int(column) if str(column).isdecimal() else column for column in columns]
    places = {name: place for place, name in enumerate(names or ())}
    found = [places.get(column, -1) if isinstance(column, str) else int(column) for column in columns]
    for column, place in zip(columns, found, strict=True):
        if not 0 <= place < num_columns:
            has = f"{num_columns} columns" + ("" if places else " without names: choose them by number, from 0")
            raise ConfigError(f"{address} has no column {column!r}; it has {has}.{nearest(str(column), places)}")
    if len(set(found)) < len(found) or not found:
        raise ConfigError(f"{address}: columns= (--columns) names one or more different columns, not {list(columns)!r}")
    return np.array(found, np.int64)


def _by_number(address: str, columns: Sequence[str | int], names: Sequence[str]) -> list[str]:
    """Return columns by name: numbers count all columns but the key, from 0."""
    wrong = [column for column in columns if not isinstance(column, str) and not 0 <= column < len(names)]
    if wrong:
        raise ConfigError(f"{address} has no column {wrong[0]}: beside the key, its columns are 0 to {len(names) - 1}")
    return [column if isinstance(column, str) else names[column] for column in columns]


def _require(address: str, argument: str, wanted: Sequence[str | int], names: Iterable[str]) -> None:
    known = list(names)
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"{address} has no column {name!r} ({argument}=, --{argument}).{nearest(str(name), known)}"
                f" Its columns: {known[:8]!r}{'...' if len(known) > 8 else ''}"
            )
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        raise ConfigError(f"{address}: {argument}= (--{argument}) names {twice[:5]!r} more than once")
