"""Columns of the table that are inputs or targets: missing, infinite, or all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.checking.report import Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES, columns_of
from rowlock.inputs import Categories, Columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import narwhals as nw

    from rowlock.arrays import Int64Array
    from rowlock.checking.subject import OpenedInput, Part, Subject

__all__ = ["table_columns"]


def table_columns(subject: Subject) -> Iterator[Finding]:
    """Find columns with missing or infinite values, and columns of one value."""
    for part in subject.tables:
        for opened in part.inputs:
            for name in columns_of(opened.what):
                if name in part.table.columns:
                    yield from _column(part, opened, name)


def _column(part: Part, opened: OpenedInput, name: str) -> Iterator[Finding]:
    series = part.table.column(name)
    missing = series.is_null().to_numpy()
    infinite = np.zeros(len(missing), np.bool_)
    if series.dtype.is_float():
        values = np.asarray(series.to_numpy(), np.float64)
        missing, infinite = missing | np.isnan(values), np.isinf(values)
    for check, where, text in (("missing-values", missing, "missing"), ("infinite", infinite, "infinite")):
        rows = part.rows[where[part.rows]]
        if len(rows):
            yield _bad_values(part, opened, name, rows, check, text)
    only = _only_value(series, part.rows)
    if only is not None and len(part.rows) > 1:
        is_target = opened.role == "target"
        what = "the target" if is_target else "an input"
        is_one_label = isinstance(opened.what, Columns)  # of several, which the others can be learnt without
        yield Finding(
            "constant",
            "error" if is_target and not is_one_label else "warning",
            f"column {name!r}, {what}, has one value in all rows: {only[0]!r}",
            1,
            opened.label,
            "there is nothing to learn from it",
        )


def _bad_values(part: Part, opened: OpenedInput, name: str, rows: Int64Array, check: str, text: str) -> Finding:
    filled = _filled(opened.what, name) if check == "missing-values" else ""
    return Finding(
        check,
        "note" if filled else "error",
        f"column {name!r} has {amount(len(rows), f'{text} value', f'{text} values')}{filled}",
        len(rows),
        opened.label,
        "" if filled else "fill them in, or leave these rows out of the table",
        tuple(part.example(row, column=name) for row in rows[:NUM_EXAMPLES]),
    )


def _filled(what: object, name: str) -> str:
    """Return what a missing value becomes, or nothing where it is refused."""
    known = what.categories.get(name) if isinstance(what, Columns) else what if isinstance(what, Categories) else None
    if known is not None:
        return ", which are none of its categories" if known.missing == "zeros" else ""
    if isinstance(what, Columns) and what.scaling is not None and what.scaling.fill is not None:
        return f", filled with {'the mean' if isinstance(what.scaling.fill, str) else 'a number'}"
    return ""


def _only_value(series: nw.Series[Any], rows: Int64Array) -> tuple[Any] | None:
    """Return the one value of a column, as a tuple of it, or None."""
    try:
        values = series.drop_nulls() if len(rows) == len(series) else series[rows.tolist()].drop_nulls()
        return (values[0],) if len(values) and values.n_unique() == 1 else None
    except Exception:  # noqa: BLE001 - values that cannot be compared are not all the same
        return None
