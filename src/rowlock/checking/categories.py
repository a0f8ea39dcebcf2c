"""Categories among the inputs: rare ones, and those that the first part of a split lacks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from rowlock.arrays import one_arrow_array
from rowlock.checking.report import Example, Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.inputs import Categories, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rowlock.checking.subject import Part, Subject

__all__ = ["rare_categories", "unseen_categories"]


def rare_categories(subject: Subject) -> Iterator[Finding]:
    """Say where categories are in one row alone: nothing can be learnt of them that holds for other rows."""
    for part, name, column in _columns(subject.tables):
        counts = _counts(part, column)
        rare = [value for value, count in counts.items() if count == 1]
        if rare and len(counts) > 1:
            yield Finding(
                "rare-categories",
                "warning" if len(rare) > len(counts) / 2 else "note",
                f"{amount(len(rare), 'category', 'categories')} of {len(counts):,} in column {column!r}"
                f" {'is' if len(rare) == 1 else 'are'} in one row alone",
                len(rare),
                name,
                "an id or free text tells a model nothing: leave it out; join rare categories to one",
                tuple(Example(column=column, detail=repr(value)) for value in rare[:NUM_EXAMPLES]),
            )


def unseen_categories(subject: Subject) -> Iterator[Finding]:
    """Find categories of a part of a split that the first part, which is trained on, does not have."""
    by_column: dict[tuple[str, str], list[Part]] = {}
    for part, name, column in _columns(subject.parts) if subject.is_split else ():
        by_column.setdefault((name, column), []).append(part)
    for (name, column), (first, *others) in by_column.items():
        known = _counts(first, column)
        for part in others:
            counts = _counts(part, column)
            unseen = [value for value in counts if value not in known]
            if unseen:
                num_rows = sum(counts[value] for value in unseen)
                yield Finding(
                    "unseen-categories",
                    "warning",
                    f"{amount(len(unseen), 'category', 'categories')} of column {column!r} in {part.name}"
                    f" {'is' if len(unseen) == 1 else 'are'} not in {first.name}"
                    f" ({amount(num_rows, 'row', 'rows')})",
                    len(unseen),
                    name,
                    "a model can have learnt nothing of it: join rare categories to one, or stratify by the column",
                    tuple(
                        Example(part=part.name, column=column, detail=f"{value!r}: {counts[value]:,} rows")
                        for value in unseen[:NUM_EXAMPLES]
                    ),
                )


def _columns(parts: Iterable[Part]) -> Iterator[tuple[Part, str, str]]:
    for part in parts:
        for opened in part.inputs:
            what = opened.what
            named = list(what.categories) if isinstance(what, Columns) else []
            named += [what.column] if isinstance(what, Categories) else []
            if opened.role == "input":
                yield from ((part, opened.label, column) for column in named if column in part.table.columns)


def _counts(part: Part, column: str) -> Counter[object]:
    """Return how many rows have each category, most first; missing values are none."""
    array = one_arrow_array(part.table.column(column))
    if len(part.rows) < len(array):
        array = array.take(part.rows)
    pairs = pc.value_counts(pc.drop_null(array)).to_pylist()
    return Counter({pair["values"]: pair["counts"] for pair in pairs})
