"""How many rows of a part have each class, or each label of several."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowlock.arrays import one_arrow_array
from rowlock.inputs import Columns, Labels
from rowlock.training.target_inputs import LabelSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rowlock.checking.subject import OpenedInput, Part

__all__ = ["Counted", "counted_targets", "labels_of_rows"]


@dataclass(frozen=True)
class Counted:
    """A target of classes or labels in one part.

    Attributes
    ----------
    part : Part
    name : str
        Of the target.
    column : str or None
        That a split can be stratified by; None for labels, of which a row has any number.
    counts : Counter
        Rows of each class or label.
    num_rows : int
        With a class, or with a list of labels.
    num_bare : int
        Without any label.
    """

    part: Part
    name: str
    column: str | None
    counts: Counter[object]
    num_rows: int
    num_bare: int = 0

    @property
    def are_labels(self) -> bool:
        """Whether a row has any number of them."""
        return self.column is None

    @property
    def noun(self) -> tuple[str, str]:
        """What one of them, and several, are called."""
        return ("label", "labels") if self.are_labels else ("class", "classes")

    def share(self, label: object) -> float:
        """Return the share of rows that have it."""
        return self.counts[label] / self.num_rows if self.num_rows else 0.0


def counted_targets(parts: Iterable[Part]) -> Iterator[Counted]:
    """Yield every target of classes or labels, of every part."""
    for part in parts:
        for opened in part.inputs:
            what = opened.what
            if isinstance(what, Labels) and what.column in part.table.columns:
                counts = Counter(value for value in _values(part, what.column, part.rows) if value is not None)
                yield Counted(part, opened.label, what.column, counts, counts.total())
            elif _are_labels(part, opened):
                found = [labels for labels in labels_of_rows(part, opened, part.rows) if labels is not None]
                counts = Counter(label for labels in found for label in labels)
                yield Counted(part, opened.label, None, counts, len(found), sum(not labels for labels in found))


def labels_of_rows(part: Part, opened: OpenedInput, rows: Any) -> Sequence[Any]:
    """Return the class of each row, or its labels as a tuple; None where that is missing; nothing of a quantity."""
    what = opened.what
    if isinstance(what, Labels) and what.column in part.table.columns:
        return _values(part, what.column, rows)
    if not _are_labels(part, opened):
        return []
    if isinstance(what, LabelSet):
        lists = _values(part, what.column, rows)
        return [None if one is None else tuple(dict.fromkeys(label for label in one if label is not None))
                for one in lists]  # fmt: skip
    names = what.columns if isinstance(what, Columns) else []
    flags = [_values(part, name, rows) for name in names]
    return [None if None in row else tuple(name for name, flag in zip(names, row, strict=True) if flag)
            for row in zip(*flags, strict=True)]  # fmt: skip


def _are_labels(part: Part, opened: OpenedInput) -> bool:
    what = opened.what
    if opened.role != "target":
        return False
    if isinstance(what, LabelSet):
        return what.column in part.table.columns
    return isinstance(what, Columns) and all(
        name in part.table.columns and _is_zero_or_one(part, name) for name in what.columns
    )


def _is_zero_or_one(part: Part, column: str) -> bool:
    series = part.table.column(column)
    if not (series.dtype.is_numeric() or str(series.dtype) == "Boolean"):
        return False
    return set(pc.drop_null(one_arrow_array(series.unique())).to_pylist()) <= {0, 1}


def _values(part: Part, column: str, rows: Any) -> list[Any]:
    array = one_arrow_array(part.table.column(column))
    return list(array.take(pa.array(np.asarray(rows, np.int64))).to_pylist())
