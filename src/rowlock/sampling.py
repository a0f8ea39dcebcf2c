"""What ``sampling="balanced"`` and ``weights="column"`` mean for the rows of a dataset, and what they cannot mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import numpy as np

from rowlock.errors import ConfigError
from rowlock.orders import Balanced, Weighted

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.gathering import Slot
    from rowlock.keys import Keys
    from rowlock.table import Table

__all__ = ["Sampling", "balanced_order", "check_sampling", "weighted_order"]

Sampling = Literal["balanced"]


def check_sampling(sampling: Any, weights: Any) -> None:
    """Refuse what is not asked for as it should be.

    Raises
    ------
    ConfigError
        Another word than ``"balanced"``, weights that name no column, or both at once.
    """
    if sampling is not None and (not isinstance(sampling, str) or sampling != "balanced"):
        raise ConfigError(
            f"sampling must be 'balanced' or None, not {sampling!r}. For anything else give weights=, a column of the"
            " frame that says how often each row is drawn."
        )
    if weights is not None and not isinstance(weights, str):
        raise ConfigError(
            f"weights names one column of the frame by text, not by {type(weights).__name__}. Put an array into the"
            " frame before the dataset is made: df.assign(weight=...)."
        )
    if sampling is not None and weights is not None:
        raise ConfigError(
            f"sampling={sampling!r} and weights={weights!r} are two answers to how often a row is drawn. Give one of"
            " them; for weights within balanced classes, divide the column by its sum over the row's class."
        )


def balanced_order(targets: Sequence[Slot], labels: Container[str], table_rows: Int64Array) -> Balanced:
    """Return the order that draws every class of the target equally often.

    Parameters
    ----------
    targets : sequence of Slot
        All targets of the dataset.
    labels : names of those that are `Labels`
    table_rows : int64, shape (num_rows,)
        The dataset's rows, as rows of the table.

    Raises
    ------
    ConfigError
        Not one target, or one that gives a row no class or several.
    """
    if len(targets) != 1 or targets[0].name not in labels or targets[0].reader.spec.shape != ():
        given = ", ".join(f"{slot.label} {slot.reader.spec.dtype}{list(slot.reader.spec.shape)}" for slot in targets)
        raise ConfigError(
            "sampling='balanced' draws the classes of the target equally often, so there must be one target, with one"
            f" class a row, such as target=rl.Labels('label'); this dataset has {given or 'no target'}. For anything"
            " else give weights=, a column of the frame that says how often each row is drawn."
        )
    reader = targets[0].reader
    codes = reader.spec.empty(len(table_rows))
    reader.gather(table_rows, codes, None)
    return Balanced.of(codes)


def weighted_order(table: Table, column: str, table_rows: Int64Array, keys: Keys) -> Weighted:
    """Return the order that draws rows in proportion to a column.

    Parameters
    ----------
    table : Table
    column : str
    table_rows : int64, shape (num_rows,)
        The dataset's rows, as rows of the table; the column's other rows do not matter.
    keys : Keys
        Identity of each row of the table, for messages.

    Raises
    ------
    ConfigError
        No such column, not numbers, a weight that is missing, negative or not finite, or none above zero.
    """
    weights = _numbers(table, column)[table_rows]
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        first = int(wrong[0])
        key = keys.values(table_rows[first : first + 1]).tolist()[0]
        raise ConfigError(
            f"weights: column {column!r} holds {float(weights[first])} in row {first} (key {key!r}), the first of"
            f" {len(wrong)} row(s) whose weight is missing, negative or not finite. A row that shall not be drawn has"
            " weight 0."
        )
    if not weights.any():
        raise ConfigError(
            f"weights: column {column!r} is 0 in all {len(weights)} rows, so none can be drawn. Give the rows that"
            " shall be drawn a weight above 0."
        )
    return Weighted.of(weights)


def _numbers(table: Table, column: str) -> AnyArray:
    """Return a column as float64; what is missing is NaN."""
    series = table.column(column)
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise ConfigError(
            f"weights: column {column!r} must hold numbers, not {series.dtype} (first value {series[0]!r})"
        )
    values = series.cast(nw.Float64).to_numpy().astype(np.float64)
    values[series.is_null().to_numpy()] = np.nan
    return values
