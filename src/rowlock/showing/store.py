"""A feature store: what `rowlock info` says of it, and its first columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.errors import RowlockError
from rowlock.showing.tables import facts_table, html_table, titled
from rowlock.store_report import store_lines

if TYPE_CHECKING:
    from rowlock.store import FeatureStore

__all__ = ["store_html"]

_SHOWN = 8


def store_html(store: FeatureStore) -> str:
    """Return facts, and the statistics of the first columns."""
    try:
        facts = store_lines(store)
    except RowlockError:  # closed, or gone
        return titled(repr(store))
    return titled("FeatureStore", facts_table(facts), _columns(store))


def _columns(store: FeatureStore) -> str:
    try:
        found = store.statistics
    except RowlockError:
        return ""
    if found is None or not found.num_rows:
        return ""
    rows = [
        (
            i if found.columns is None else found.columns[i],
            *(f"{numbers[i]:.4g}" for numbers in (found.mean, found.std, found.min, found.max)),
            f"{found.share_of_zeros[i]:.0%}",
            f"{int(found.num_missing[i]):,}",
        )
        for i in range(min(_SHOWN, found.num_columns))
    ]
    table = html_table(("column", "mean", "std", "min", "max", "zeros", "missing"), rows)
    more = found.num_columns - len(rows)
    return table + (f"<p>and {more:,} more columns: store.statistics</p>" if more > 0 else "")
