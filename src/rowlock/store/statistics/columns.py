"""What the columns of a matrix are like: mean, spread, limits, zeros and gaps, summed up in one pass over the rows."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError
from rowlock.store.disk.files import write_json

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["ColumnStatistics", "ColumnTotals"]

FORMAT = "rowlock-statistics-1"
_PIECE_BYTES = 1 << 20  # of rows on their way through a cast
_NO_TOTALS = ((0.0,), (0.0,), (np.inf,), (-np.inf,), (0.0,), (0.0,), (0.0,))  # in the order of statistics_kernels


@dataclass(frozen=True, eq=False)
class ColumnStatistics:
    """Facts about every column over a number of rows; arrays are float64, shape (num_columns,), read-only.

    Parameters
    ----------
    num_rows : int
        Rows that were looked at.
    mean, std, min, max : arrays
        Over the finite values of the column; NaN where it has none. `std` divides by their number, not by one less.
    share_of_zeros : array
        Zeros (0 and -0) among all values, 0 to 1; NaN without rows.
    num_missing : array
        How many values are NaN.
    num_infinite : array
        How many are infinite.
    columns : tuple of str, or None
        Names of the columns.

    Notes
    -----
    Made by `FeatureStore.statistics` and `Dataset.fit_statistics`. Counts are exact. Means and deviations are summed up
    in float64 by updates that do not cancel (Chan, Golub and LeVeque, 1979): whatever pieces the rows came in, they
    agree with NumPy's in float64 within a few units of 1e-13 of the column's largest deviation.
    """

    num_rows: int
    mean: AnyArray
    std: AnyArray
    min: AnyArray
    max: AnyArray
    share_of_zeros: AnyArray
    num_missing: AnyArray
    num_infinite: AnyArray
    columns: tuple[str, ...] | None = None

    @property
    def num_columns(self) -> int:
        """Number of columns."""
        return len(self.mean)

    def __repr__(self) -> str:
        return f"ColumnStatistics({self.num_columns:,} columns over {self.num_rows:,} rows)"

    def take(self, columns: Int64Array) -> ColumnStatistics:
        """Return the statistics of chosen columns, int64, shape (k,), in that order."""
        names = None if self.columns is None else tuple(self.columns[column] for column in columns)
        arrays = {name: _frozen(getattr(self, name)[columns]) for name in _ARRAY_NAMES}
        return ColumnStatistics(num_rows=self.num_rows, columns=names, **arrays)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a small JSON file, so that another run or a prediction uses the same numbers, exactly."""
        write_json(Path(path), self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return what `save` writes, for JSON."""
        columns = None if self.columns is None else list(self.columns)
        return {"format": FORMAT, "columns": columns, "num_rows": self.num_rows} | self._lists()

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> ColumnStatistics:
        """Return what `to_dict` told.

        Raises
        ------
        ConfigError
            It is not that, or its parts do not fit together.
        """
        try:
            parts = dict(content)
            if parts.pop("format") != FORMAT:
                raise ConfigError(f"the statistics are not of format {FORMAT!r}")
            return _parsed(parts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"these are not the statistics of columns: {error}") from error

    @staticmethod
    def load(path: str | os.PathLike[str]) -> ColumnStatistics:
        """Read what `save` wrote.

        Raises
        ------
        ConfigError
            Not such a file, or one whose parts do not fit together.
        FileNotFoundError
            There is no such file.
        """
        text = Path(path).read_bytes()
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise ConfigError(f"{path} is not of format {FORMAT!r}")
            return _parsed(content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(f"{path} does not hold the statistics of columns: {error}") from error

    def _lists(self) -> dict[str, list[float | str | None]]:
        """Return the arrays for JSON."""
        return {name: [_as_json(value) for value in getattr(self, name).tolist()] for name in _ARRAY_NAMES}


_ARRAY_NAMES = tuple(part.name for part in fields(ColumnStatistics) if part.name not in {"num_rows", "columns"})


def _as_json(value: float) -> float | str | None:
    """Return what NumPy reads back as `value`; JSON has neither NaN nor infinity."""
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else value


def _parsed(content: dict[str, Any]) -> ColumnStatistics:
    columns = content.pop("columns")
    num_rows = int(content.pop("num_rows"))
    arrays = {name: _frozen(np.array(values, np.float64)) for name, values in content.items()}
    found = ColumnStatistics(num_rows=num_rows, columns=None if columns is None else tuple(columns), **arrays)
    shape = (found.num_columns,)
    if any(array.shape != shape for array in arrays.values()) or len(columns or found.mean) != shape[0]:
        raise ConfigError("its arrays have different lengths")
    if num_rows < 0 or (found.std < 0).any() or np.isinf(found.mean).any():
        raise ConfigError("it holds numbers that no rows have")
    return found


def _frozen(values: AnyArray) -> AnyArray:
    values.flags.writeable = False
    return values


class ColumnTotals:
    """Sums that grow with every row, from which the statistics follow; memory does not depend on the rows.

    Parameters
    ----------
    num_columns : int
    values : float64, shape (7, num_columns), or None
        Totals of earlier rows; see `rowlock.store.statistics.kernels`.
    num_rows : int
        Those rows.
    """

    def __init__(self, num_columns: int, values: AnyArray | None = None, num_rows: int = 0) -> None:
        self.values = np.repeat(np.array(_NO_TOTALS), num_columns, axis=1) if values is None else values.copy()
        self.num_rows = num_rows

    def add(self, rows: AnyArray) -> int | None:
        """Add rows.

        Parameters
        ----------
        rows : numbers or booleans, shape (n, num_columns)

        Returns
        -------
        int or None
            The first of `rows` that has a value that is not finite.
        """
        from rowlock.store.statistics.kernels import add_rows  # noqa: PLC0415 - Numba is loaded on first use

        exact = _summable(rows.dtype)
        fits = max(1, _PIECE_BYTES // (rows.shape[1] * exact.itemsize))
        size = max(1, len(rows)) if rows.dtype == exact else fits
        suspect = -1
        for start in range(0, len(rows), size):
            piece = _as_floats(rows[start : start + size], exact)
            found = add_rows(piece, self.values, self.num_rows)
            suspect = start + found if suspect < 0 <= found else suspect
            self.num_rows += len(piece)
        return None if suspect < 0 else _first_not_finite(rows, suspect)

    def statistics(self, columns: tuple[str, ...] | None = None) -> ColumnStatistics:
        """Return the statistics of all rows so far."""
        mean, squares, least, most, zeros, missing, infinite = self.values
        finite = self.num_rows - missing - infinite
        with np.errstate(invalid="ignore", divide="ignore"):
            std = np.sqrt(squares / finite)  # NaN without finite values
            share = zeros / np.float64(self.num_rows)
        return ColumnStatistics(
            num_rows=self.num_rows,
            mean=_frozen(np.where(finite > 0, mean, np.nan)),
            std=_frozen(std),
            min=_frozen(np.where(finite > 0, least, np.nan)),
            max=_frozen(np.where(finite > 0, most, np.nan)),
            share_of_zeros=_frozen(share),
            num_missing=_frozen(missing.copy()),
            num_infinite=_frozen(infinite.copy()),
            columns=columns,
        )


def _summable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the float that the kernels take, and that holds every value of `dtype` (but int64 beyond 2**53)."""
    return np.dtype(np.float32 if np.can_cast(dtype, np.float32, "safe") else np.float64)


def _as_floats(rows: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    if rows.dtype != np.float16:
        return np.ascontiguousarray(rows, dtype)
    from rowlock.store.statistics.kernels import widen_halves  # noqa: PLC0415 - Numba is loaded on first use

    floats = np.empty(rows.shape, np.float32)
    flat = floats.reshape(-1)
    widen_halves(np.ascontiguousarray(rows).view(np.uint16).reshape(-1), flat.view(np.uint32), flat)
    return floats


def _first_not_finite(rows: AnyArray, start: int) -> int | None:
    for first in range(start, len(rows), 256):
        wrong = np.flatnonzero(~np.isfinite(rows[first : first + 256]).all(axis=1))
        if len(wrong):
            return first + int(wrong[0])
    return None  # finite values whose squares are not
