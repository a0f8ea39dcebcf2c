"""Balance of the classes, over all rows and between the parts of a split."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from rowlock.checking.report import Example, Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.inputs import Labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from rowlock.checking.subject import Part, Subject

    Counted: TypeAlias = tuple[Part, Counter[object]]

__all__ = ["FEW_ROWS", "IMBALANCE", "label_balance", "labels_of_parts"]

IMBALANCE: Final = 10.0
"""Largest class to smallest, from which on accuracy says little."""

FEW_ROWS: Final = 10
"""A class of fewer rows can hardly be learnt, nor be in every part of a split."""

_SHIFT: Final = 0.1
_STRATIFY: Final = "stratify the split: stratify={column!r} / --stratify {column}"


def label_balance(subject: Subject) -> Iterator[Finding]:
    """Say how many rows each class has, and warn where that is lopsided."""
    for part, name, column in _targets(subject.tables):
        counts = _counts(part, column)
        if len(counts) < 2:
            continue
        (most, largest), (least, smallest) = counts.most_common(1)[0], counts.most_common()[-1]
        lopsided = largest / smallest >= IMBALANCE
        examples = tuple(
            Example(detail=f"{label!r}: {count:,} rows, {count / counts.total():.1%}")
            for label, count in (counts.most_common(NUM_EXAMPLES) if len(counts) > 2 else [])
        )
        message = (
            f"{len(counts):,} classes: {most!r} has {largest:,} rows, {least!r} {smallest:,}"
            f" ({largest / smallest:,.1f} to 1)"
        )
        yield Finding(
            "label-balance",
            "warning" if lopsided else "note",
            message,
            len(counts),
            name,
            'batches(..., sampling="balanced") or class weights help; accuracy misleads' if lopsided else "",
            examples,
        )
        rare = [(label, count) for label, count in counts.most_common()[::-1] if count < FEW_ROWS]
        if rare:
            yield Finding(
                "rare-classes",
                "warning",
                f"{amount(len(rare), 'class has', 'classes have')} fewer than {FEW_ROWS} rows",
                len(rare),
                name,
                "find more, or join them to others",
                tuple(Example(detail=f"{label!r}: {count}") for label, count in rare[:NUM_EXAMPLES]),
            )


def labels_of_parts(subject: Subject) -> Iterator[Finding]:
    """Find classes that a part of a split lacks, or has a very different share of."""
    by_target: dict[tuple[str, str], list[Counted]] = {}
    for part, name, column in _targets(subject.parts):
        by_target.setdefault((name, column), []).append((part, _counts(part, column)))
    for (name, column), counted in by_target.items() if subject.is_split else ():
        for other in counted[1:]:
            found = _unseen(name, column, counted[0], other) or _shifted(name, column, counted[0], other)
            yield from [] if found is None else [found]


def _unseen(name: str, column: str, one: Counted, other: Counted) -> Finding | None:
    (first, known), (part, counts) = one, other
    unseen = [label for label in counts if label not in known]
    if not unseen:
        return None
    classes = amount(len(unseen), f"class of {part.name} is", f"classes of {part.name} are")
    return Finding(
        "unseen-classes",
        "error",
        f"{classes} not in {first.name}",
        len(unseen),
        name,
        _STRATIFY.format(column=column),
        tuple(
            Example(part=part.name, column=column, detail=f"{label!r}: {counts[label]:,} rows")
            for label in unseen[:NUM_EXAMPLES]
        ),
    )


def _shifted(name: str, column: str, one: Counted, other: Counted) -> Finding | None:
    (first, known), (part, counts) = one, other
    if not known or not counts:
        return None
    shares = {label: (known[label] / known.total(), counts[label] / counts.total()) for label in {*known, *counts}}
    label, (there, here) = max(shares.items(), key=lambda item: (abs(item[1][0] - item[1][1]), str(item[0])))
    if abs(there - here) <= _SHIFT:
        return None
    text = f"class {label!r} is {there:.0%} of {first.name}, but {here:.0%} of {part.name}"
    return Finding("shifted-classes", "warning", text, 1, name, _STRATIFY.format(column=column))


def _targets(parts: Iterable[Part]) -> Iterator[tuple[Part, str, str]]:
    for part in parts:
        for opened in part.inputs:
            if isinstance(opened.what, Labels) and opened.what.column in part.table.columns:
                yield part, opened.label, opened.what.column


def _counts(part: Part, column: str) -> Counter[object]:
    series = part.table.column(column)
    chosen = series if len(part.rows) == len(series) else series[part.rows.tolist()]
    return Counter(value for value in chosen.to_list() if value is not None)
