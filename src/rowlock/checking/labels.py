"""Balance of classes and labels, over all rows and between the parts of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rowlock.checking.counting import Counted, counted_targets
from rowlock.checking.report import Example, Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.checking.report import Severity
    from rowlock.checking.subject import Subject

__all__ = ["FEW_ROWS", "IMBALANCE", "label_balance", "labels_of_parts"]

IMBALANCE: Final = 10.0
"""Largest class to smallest, from which on accuracy says little."""

FEW_ROWS: Final = 10
"""A class of fewer rows can hardly be learnt, nor be in every part of a split."""

_SHIFT: Final = 0.1


def label_balance(subject: Subject) -> Iterator[Finding]:
    """Say how many rows each class or label has, and warn where that is lopsided."""
    for counted in counted_targets(subject.tables):
        if len(counted.counts) < (1 if counted.are_labels else 2):
            continue
        yield _balance(counted)
        rare = [(label, count) for label, count in counted.counts.most_common()[::-1] if count < FEW_ROWS]
        if rare:
            one, many = counted.noun
            yield Finding(
                "rare-classes",
                "warning",
                f"{amount(len(rare), f'{one} has', f'{many} have')} fewer than {FEW_ROWS} rows",
                len(rare),
                counted.name,
                "find more, or join them to others",
                tuple(Example(detail=f"{label!r}: {count}") for label, count in rare[:NUM_EXAMPLES]),
            )


def labels_of_parts(subject: Subject) -> Iterator[Finding]:
    """Find classes and labels that a part of a split lacks, or has a very different share of."""
    by_target: dict[tuple[str, str | None], list[Counted]] = {}
    for counted in counted_targets(subject.parts) if subject.is_split else ():
        by_target.setdefault((counted.name, counted.column), []).append(counted)
    for first, *others in by_target.values():
        for other in others:
            found = _unseen(first, other) or _shifted(first, other)
            yield from [] if found is None else [found]


def _balance(counted: Counted) -> Finding:
    counts = counted.counts
    (most, largest), (least, smallest) = counts.most_common(1)[0], counts.most_common()[-1]
    lopsided = not counted.are_labels and largest / smallest >= IMBALANCE  # labels are answered each for itself
    examples = tuple(
        Example(detail=f"{label!r}: {count:,} rows, {counted.share(label):.1%}")
        for label, count in (counts.most_common(NUM_EXAMPLES) if len(counts) > 2 else [])
    )
    bare = f"; {amount(counted.num_bare, 'row has', 'rows have')} no label" if counted.num_bare else ""
    ratio = "" if counted.are_labels else f" ({largest / smallest:,.1f} to 1)"
    message = (
        f"{amount(len(counts), *counted.noun)}: {most!r} has {largest:,} rows, {least!r} {smallest:,}{ratio}{bare}"
    )
    advice = 'batches(..., sampling="balanced") or class weights help; accuracy misleads' if lopsided else ""
    severity: Severity = "warning" if lopsided else "note"
    return Finding("label-balance", severity, message, len(counts), counted.name, advice, examples)


def _unseen(first: Counted, other: Counted) -> Finding | None:
    unseen = [label for label in other.counts if label not in first.counts]
    if not unseen:
        return None
    one, many = other.noun
    there, here = first.part.name, other.part.name
    return Finding(
        "unseen-classes",
        "error",
        f"{amount(len(unseen), f'{one} of {here} is', f'{many} of {here} are')} not in {there}",
        len(unseen),
        other.name,
        _stratify(other),
        tuple(
            Example(part=here, column=other.column, detail=f"{label!r}: {other.counts[label]:,} rows")
            for label in unseen[:NUM_EXAMPLES]
        ),
    )


def _shifted(first: Counted, other: Counted) -> Finding | None:
    if not first.num_rows or not other.num_rows:
        return None
    shares = {label: (first.share(label), other.share(label)) for label in {*first.counts, *other.counts}}
    if not shares:
        return None
    label, (there, here) = max(shares.items(), key=lambda item: (abs(item[1][0] - item[1][1]), str(item[0])))
    if abs(there - here) <= _SHIFT:
        return None
    kind = other.noun[0]
    text = f"{kind} {label!r} is {there:.0%} of {first.part.name}, but {here:.0%} of {other.part.name}"
    if other.are_labels:
        text = f"{kind} {label!r} is on {there:.0%} of {first.part.name}, but {here:.0%} of {other.part.name}"
    return Finding("shifted-classes", "warning", text, 1, other.name, _stratify(other))


def _stratify(counted: Counted) -> str:
    if counted.column is None:
        return "split with another seed / --seed, or find more rows"
    return f"stratify the split: stratify={counted.column!r} / --stratify {counted.column}"
