"""Columns of feature stores that teach nothing, or would spoil a model: by the store's statistics, so at no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.checking.report import Example, Finding, Severity
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import BoolArray
    from rowlock.checking.stores import Stored
    from rowlock.checking.subject import Subject
    from rowlock.store import ColumnStatistics

__all__ = ["store_columns"]


def store_columns(subject: Subject) -> Iterator[Finding]:
    """Find columns with missing or infinite values, and columns of one value; over all rows of the store."""
    for stored in subject.stores:
        found = _statistics(stored)
        if found is not None and found.num_rows:
            yield from _missing(stored, found)
            yield from _others(stored, found)


def _others(stored: Stored, found: ColumnStatistics) -> Iterator[Finding]:
    yield from _of(
        stored,
        found,
        "infinite",
        "error",
        found.num_infinite > 0,
        ("has", "have", "infinite values"),
        "standardising and training give NaN with them: replace them and pack once more",
        lambda i: f"{found.num_infinite[i]:,.0f} of {found.num_rows:,} values",
    )
    yield from _of(
        stored,
        found,
        "constant",
        "warning",
        (found.min == found.max) & (found.num_missing == 0),
        ("has", "have", "the same value in every row"),
        "they teach nothing: leave them out with columns=",
        lambda i: f"always {found.min[i]:g}",
    )


def _missing(stored: Stored, found: ColumnStatistics) -> Iterator[Finding]:
    scaling = getattr(stored.opened.what, "scaling", None)
    fill = None if scaling is None else scaling.fill
    by_mean = isinstance(fill, str)
    has_none = (found.num_missing == found.num_rows) & by_mean
    how = "filled by the mean of the training rows" if by_mean else "filled by what fill_missing= says"
    yield from _of(
        stored,
        found,
        "missing-values",
        "error" if fill is None else "note",
        (found.num_missing > 0) & ~has_none,
        ("has", "have", "missing values (NaN)" + ("" if fill is None else f", {how}")),
        'one NaN makes every weight NaN: rl.Features(..., fill_missing="mean"), or fill them and pack once more'
        if fill is None
        else "",
        lambda i: f"{found.num_missing[i]:,.0f} of {found.num_rows:,} values",
    )
    yield from _of(
        stored,
        found,
        "missing-values",
        "warning" if scaling is not None and scaling.standardize else "error",  # standardised, it becomes 0
        has_none,
        ("has", "have", "no value at all, so there is no mean to fill by"),
        "they teach nothing: leave them out with columns=",
        lambda i: f"{found.num_missing[i]:,.0f} of {found.num_rows:,} values are missing",
    )


def _of(
    stored: Stored,
    found: ColumnStatistics,
    check: str,
    severity: Severity,
    which: BoolArray,
    text: tuple[str, str, str],
    advice: str,
    detail: Callable[[int], str],
) -> Iterator[Finding]:
    places = np.flatnonzero(which).tolist()
    if places:
        names = found.columns
        examples = tuple(
            Example(column=str(i) if names is None else names[i], detail=detail(i)) for i in places[:NUM_EXAMPLES]
        )
        message = (
            f"{len(places):,} of {found.num_columns:,} columns {text[0] if len(places) == 1 else text[1]} {text[2]}"
        )
        yield Finding(check, severity, message, len(places), stored.opened.label, advice, examples)


def _statistics(stored: Stored) -> ColumnStatistics | None:
    if stored.store is None:
        return None
    try:
        found = stored.store.statistics
    except StoreError:
        return None
    wanted = getattr(stored.opened.what, "columns", None)
    if found is None or wanted is None:
        return found
    names = list(found.columns or ())
    places = [names.index(one) if isinstance(one, str) and one in names else one for one in wanted]
    if not all(isinstance(place, int) and 0 <= place < found.num_columns for place in places):
        return found
    return found.take(np.array(places, np.int64))
