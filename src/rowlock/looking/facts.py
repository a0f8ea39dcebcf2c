"""What is shown of a row: its pictures, numbers, target and key, read as a batch of one; or why it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import RowError
from rowlock.inputs import Categories, Columns, Images, Labels
from rowlock.training.target_inputs import LabelSet, Quantities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray
    from rowlock.batch import Batch
    from rowlock.dataset import Dataset

__all__ = ["RowFacts", "definitions_of", "facts_of", "ranges_of"]

_FEW_VALUES = 4


@dataclass
class RowFacts:
    """One row, ready to be drawn."""

    key: str
    target: str = ""
    pictures: list[AnyArray] = field(default_factory=list)
    """uint8, shape (h, w, 1 or 3) each."""
    series: dict[str, AnyArray] = field(default_factory=dict)
    """float64, shape (n,), by the input's name: drawn as lines."""
    values: list[str] = field(default_factory=list)
    """A few numbers, in words."""
    fault: str = ""


def definitions_of(dataset: Dataset) -> list[tuple[str, str, Any]]:
    """Return (role, name, input) of everything the dataset consists of."""
    return list(dataset._opened.roles)  # noqa: SLF001 - how it was written down is no business of users


def facts_of(dataset: Dataset, row: int, draw: tuple[int, int] | None) -> RowFacts:
    """Read one row; a row that cannot be read says why."""
    key = str(dataset.select([row]).keys[0])
    try:
        batch = dataset.gather(np.array([row]), draw)
    except (RowError, OSError) as error:
        return RowFacts(key, fault=error.reason if isinstance(error, RowError) else str(error))
    facts = RowFacts(key, _target(dataset, batch))
    for role, name, what in definitions_of(dataset):
        if role == "input":
            _add(facts, name, what, batch.inputs[name][0])
    return facts


def ranges_of(facts: Sequence[RowFacts]) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest value to draw of each series: one scale for all rows, so that they compare.

    A few far values do not flatten all others: beyond the middle 98 % by more than a quarter of it, they are cut.
    """
    found = {}
    for name in dict.fromkeys(name for fact in facts for name in fact.series):
        values = np.concatenate([fact.series[name] for fact in facts if name in fact.series])
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.percentile(values, [1, 99])
            width = high - low or 1.0
            found[name] = (float(max(values.min(), low - width / 4)), float(min(values.max(), high + width / 4)))
    return found


def _add(facts: RowFacts, name: str, what: Any, value: AnyArray) -> None:
    if isinstance(what, Images):
        pixels = value if value.dtype == np.uint8 else np.clip(value / what.scale, 0, 255).round().astype(np.uint8)
        facts.pictures += list(pixels) if pixels.ndim == 4 else [pixels]
    elif isinstance(what, Categories):
        facts.values.append(f"{name} {_category(what, value)}")
    elif isinstance(what, Columns) and (what.categories or len(what.columns) <= _FEW_VALUES):
        facts.values += _of_columns(what, value)
    elif value.dtype.kind in "fiu" and value.size > 1:
        facts.series[name] = np.asarray(value, np.float64).ravel()
    elif value.size == 1:
        facts.values.append(f"{name} {value.item():.4g}")


def _of_columns(what: Columns, value: AnyArray) -> list[str]:
    words, at = [], 0
    for column in what.columns:
        known = what.categories.get(column)
        width = 1 if known is None else len(known.categories or ())
        shown = f"{value[at]:.4g}" if known is None else _category(known, value[at : at + width])
        words.append(f"{column} {shown}")
        at += width
    return words


def _category(what: Categories, value: AnyArray) -> str:
    place = int(value) if value.ndim == 0 else int(value.argmax()) + 1 if value.any() else 0
    return str(what.categories[place - 1]) if place and what.categories else "(none)"


def _target(dataset: Dataset, batch: Batch) -> str:
    if batch.target is None:
        return ""
    if not isinstance(batch.target, dict):
        return _one_target(dataset, "", batch.target)
    return ", ".join(f"{name} {_one_target(dataset, name, values)}" for name, values in batch.target.items())


def _one_target(dataset: Dataset, name: str, values: AnyArray) -> str:
    what = next(what for role, label, what in definitions_of(dataset) if role == "target" and label == name)
    if isinstance(what, Labels) and what.classes is not None:
        return str(what.classes[int(values[0])])
    if np.ndim(values[0]) == 0:
        return f"{values[0]:.4g}"
    return _in_words(what, np.asarray(values[0]))


def _in_words(what: Any, numbers: AnyArray) -> str:
    """Return several numbers of a target with what they are called: the labels that a row has, or its quantities."""
    if isinstance(what, LabelSet) or (isinstance(what, Columns) and not np.setdiff1d(numbers, [0, 1]).size):
        names = what.labels if isinstance(what, LabelSet) else what.columns
        return ", ".join(str(name) for name, flag in zip(names, numbers, strict=True) if flag) or "(none)"
    if isinstance(what, Columns | Quantities):
        if len(numbers) == 1:
            return f"{numbers[0]:.4g}"
        return ", ".join(f"{name} {number:.4g}" for name, number in zip(what.columns, numbers, strict=True))
    return str(numbers.tolist())
