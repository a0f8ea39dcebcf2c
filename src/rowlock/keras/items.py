"""Several items a row, such as four pictures: a model for each, and one row of columns from all of them.

The items of all rows are one batch for the model, so that its batch normalisation sees them all. Each part is a small
nested model whose name says what it does, for `summary` and `draw`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["columns_of_items", "each_item"]

_LEAST = -3e38
"""Below all that float32 columns hold."""


def each_item(rows: Any) -> Any:
    """Return items of shape ``(batch * T, ...)`` from rows of ``(batch, T, ...)``."""
    inner = keras.Input(rows.shape[1:], dtype=rows.dtype)
    items = ops.reshape(inner, (-1, *rows.shape[2:]))
    return keras.Model(inner, items, name=f"each_of_{rows.shape[1]}")(rows)


def columns_of_items(items: Any, mask: Any, num_items: int, how: str) -> Any:
    """Return columns of shape ``(batch, ...)`` from those of items, ``(batch * T, columns)``.

    Parameters
    ----------
    items : tensor
    mask : tensor of shape (batch, T), or None
        0 where an item does not count.
    num_items : int
        T.
    how : {"mean", "max", "concat"}
    """
    inner = keras.Input(items.shape[1:], dtype=items.dtype)
    rows = ops.reshape(inner, (-1, num_items, items.shape[1]))
    if mask is None:
        outcome = {"mean": _mean, "max": _max, "concat": _side_by_side}[how](rows)
        return keras.Model(inner, outcome, name=f"{how}_of_{num_items}")(items)
    taken = keras.Input((num_items,), dtype=mask.dtype)
    is_there = ops.expand_dims(ops.not_equal(taken, 0), -1)
    outcome = {"mean": _mean_where, "max": _max_where, "concat": _side_by_side_where}[how](rows, is_there)
    return keras.Model([inner, taken], outcome, name=f"{how}_of_those_present")([items, mask])


def _mean(rows: Any) -> Any:
    return ops.mean(rows, axis=1)


def _max(rows: Any) -> Any:
    return ops.max(rows, axis=1)


def _side_by_side(rows: Any) -> Any:
    return ops.reshape(rows, (-1, rows.shape[1] * rows.shape[2]))


def _mean_where(rows: Any, is_there: Any) -> Any:
    counts = ops.maximum(ops.sum(ops.cast(is_there, rows.dtype), axis=1), 1)
    return ops.divide(ops.sum(_zero_elsewhere(rows, is_there), axis=1), counts)


def _max_where(rows: Any, is_there: Any) -> Any:
    greatest = ops.max(ops.where(is_there, rows, ops.full_like(rows, _LEAST)), axis=1)
    return _zero_elsewhere(greatest, ops.any(is_there, axis=1))


def _side_by_side_where(rows: Any, is_there: Any) -> Any:
    return _side_by_side(_zero_elsewhere(rows, is_there))


def _zero_elsewhere(rows: Any, is_there: Any) -> Any:
    """Zeros, and not products with 0, which would keep NaN and infinity."""
    return ops.where(is_there, rows, ops.zeros_like(rows))
