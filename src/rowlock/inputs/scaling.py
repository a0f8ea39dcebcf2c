"""What is asked of the numbers of `Features`, and the numbers a column that do it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError
from rowlock.store import ColumnStatistics

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, BoolArray

__all__ = ["Scaling", "ScalingWish"]


@dataclass(frozen=True, eq=False)
class ScalingWish:
    """What a user asked for.

    Attributes
    ----------
    standardize : bool
    fill : None, "mean", or float64 of shape () or (k,)
        What replaces NaN, before anything else.
    statistics : "rows", "store" or ColumnStatistics
        Whose mean and deviation: of rows that are named later (the training rows), of the whole source, or these.
    """

    standardize: bool
    fill: AnyArray | str | None
    statistics: ColumnStatistics | str

    @staticmethod
    def of(standardize: Any, fill_missing: Any, dtype: np.dtype[Any]) -> ScalingWish | None:
        """Check the arguments of `Features`; None where nothing is asked for."""
        known = isinstance(standardize, bool | np.bool_ | ColumnStatistics)
        if not known and not (isinstance(standardize, str) and standardize == "store"):
            raise ConfigError(
                "standardize is True (by the training rows: dataset.fit_statistics), 'store' (by all rows of the"
                f" source) or an rl.ColumnStatistics, not {standardize!r}"
            )
        fill = _fill(fill_missing)
        asked = not isinstance(standardize, bool | np.bool_) or bool(standardize)
        if not asked and fill is None:
            return None
        if dtype.kind != "f":
            raise ConfigError(f"standardize= and fill_missing= give fractions, which dtype={dtype} cannot hold")
        statistics = "rows" if isinstance(standardize, bool | np.bool_) else standardize
        return ScalingWish(asked, fill, statistics)

    @property
    def needs_statistics(self) -> bool:
        """Whether numbers of other rows are needed at all."""
        return self.standardize or isinstance(self.fill, str)


@dataclass(frozen=True, eq=False)
class Scaling:
    """``(value - center) * scale`` for each column, NaN replaced by `fill` first; float64, shape (k,) each."""

    center: AnyArray
    scale: AnyArray
    fill: AnyArray

    @staticmethod
    def of(
        wish: ScalingWish,
        statistics: ColumnStatistics | None,
        num_columns: int,
        name: str,
        *,
        plain: BoolArray | None = None,
    ) -> Scaling:
        """Return the numbers for what was asked; columns that are `plain` stay as they are.

        Raises
        ------
        ConfigError
            The statistics are of other columns, or do not give what was asked.
        """
        center, scale, fill = np.zeros(num_columns), np.ones(num_columns), np.full(num_columns, np.nan)
        if statistics is not None:
            _require_columns(statistics, num_columns, name)
            if wish.standardize:
                center, scale = _standardizing(statistics, name)
            if isinstance(wish.fill, str):
                fill = _means(statistics, name, needed=not wish.standardize)
        if isinstance(wish.fill, np.ndarray):
            if wish.fill.shape not in {(), (num_columns,)}:
                raise ConfigError(f"{name!r}: fill_missing has {wish.fill.size} values for {num_columns} columns")
            fill[:] = wish.fill
        if plain is not None:
            center[plain], scale[plain], fill[plain] = 0.0, 1.0, np.nan
        return Scaling(center, scale, fill)

    @property
    def digest(self) -> str:
        """What tells these numbers from others, as a short text."""
        words = np.concatenate([self.center, self.scale, self.fill])
        return hashlib.blake2b(words.data, digest_size=6).hexdigest()

    @property
    def meaning(self) -> dict[str, tuple[float | None, ...]]:
        """The numbers as plain values; None where NaN stays."""
        fill = tuple(None if np.isnan(value) else float(value) for value in self.fill)
        return {"means": tuple(self.center.tolist()), "factors": tuple(self.scale.tolist()), "fill_missing": fill}

    def apply(self, rows: AnyArray) -> None:
        """Change float32 or float64 rows in place, shape (n, k)."""
        from rowlock.inputs.scaling_kernels import scale_rows  # noqa: PLC0415 - Numba is loaded on first use

        scale_rows(rows, self.center, self.scale, self.fill)


def _fill(fill: Any) -> AnyArray | str | None:
    if fill is None or (isinstance(fill, str) and fill == "mean"):
        return fill
    wrong = ConfigError(f"fill_missing is a number, one number a column, 'mean' or None, not {fill!r}")
    if isinstance(fill, str) or not isinstance(fill, int | float | np.number | Iterable):
        raise wrong
    try:
        values = np.array(fill, np.float64)
    except (TypeError, ValueError):
        raise wrong from None
    if isinstance(fill, bool) or values.ndim > 1 or not np.isfinite(values).all():
        raise wrong
    return values


def _require_columns(statistics: ColumnStatistics, num_columns: int, name: str) -> None:
    if statistics.num_columns != num_columns:
        raise ConfigError(
            f"{name!r} takes {num_columns} columns, but the statistics are of {statistics.num_columns}."
            " They are those of the columns that are taken, in the same order."
        )


def _standardizing(statistics: ColumnStatistics, name: str) -> tuple[AnyArray, AnyArray]:
    """Return center and scale; a column without a deviation, or without values, becomes 0."""
    mean, std = statistics.mean, statistics.std
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.where(std > 0, 1 / std, 0.0)
    wrong = np.flatnonzero(~np.isfinite(scale) | np.isinf(std))
    if len(wrong):
        raise ConfigError(
            f"{name!r}: column {_name(statistics, wrong[0])} cannot be standardised: its deviation is"
            f" {std[wrong[0]]} over {statistics.num_rows:,} rows ({len(wrong)} such columns). Clip its values first."
        )
    return np.where(std > 0, mean, np.nan_to_num(mean)), scale


def _means(statistics: ColumnStatistics, name: str, *, needed: bool) -> AnyArray:
    """Return what replaces NaN; in a column that becomes 0 anyway, anything does."""
    empty = np.flatnonzero(np.isnan(statistics.mean))
    if len(empty) and needed:
        raise ConfigError(
            f"{name!r}: column {_name(statistics, empty[0])} has no value in the {statistics.num_rows:,} rows that were"
            f" measured, and so no mean ({len(empty)} such columns). Leave it out with columns=, or give numbers:"
            " fill_missing=[...]."
        )
    return np.nan_to_num(statistics.mean)


def _name(statistics: ColumnStatistics, column: int) -> str:
    return str(column) if statistics.columns is None else repr(statistics.columns[column])
