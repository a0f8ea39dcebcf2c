"""Numbers that no loss can take, refused where the table is opened: infinite ones, and weights below zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.arrays import AnyArray, BoolArray

__all__ = ["finite", "refuse_where"]

_BLOCK_ROWS = 1 << 20


def finite(values: AnyArray, column: str, name: str) -> AnyArray:
    """Return the values of a column as they are, or refuse infinite ones.

    Raises
    ------
    ConfigError
        Says how many there are, and in which rows.
    """
    if values.dtype.kind == "f":
        advice = "Replace them, or leave these rows out of the frame."
        refuse_where(np.isinf, values, f"{name!r}: column {column!r}", "infinite", advice)
    return values


def refuse_where(is_wrong: Callable[[AnyArray], BoolArray], values: AnyArray, what: str, why: str, advice: str) -> None:
    """Raise a `ConfigError` where values are wrong, a block at a time; shape (n,)."""
    starts = range(0, len(values), _BLOCK_ROWS)
    found = [start + np.flatnonzero(is_wrong(values[start : start + _BLOCK_ROWS])) for start in starts]
    rows = np.concatenate([np.empty(0, np.int64), *found])
    if len(rows):
        raise ConfigError(
            f"{what} holds {values[rows[0]].item()} in row {rows[0]}, the first of {len(rows):,} value(s) that are"
            f" {why} (rows {', '.join(map(str, rows[:5]))}{', ...' if len(rows) > 5 else ''}). {advice}"
        )
