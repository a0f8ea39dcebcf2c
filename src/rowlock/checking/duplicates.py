"""The same picture more than once: by name, by its bytes, and with labels that contradict each other."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.checking.counting import labels_of_rows
from rowlock.checking.report import Example, Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rowlock.checking.scan import Scan
    from rowlock.checking.subject import Part, Subject

__all__ = ["contradictions", "copies", "groups_of_copies", "repeats"]


def groups_of_copies(scan: Scan) -> list[list[int]]:
    """Return the files that have the same bytes as others, as groups of two or more."""
    files = np.flatnonzero(scan.is_good)
    _, group, count = np.unique(scan.digest[files], return_inverse=True, return_counts=True)
    groups: dict[int, list[int]] = defaultdict(list)
    for place in np.flatnonzero(count[group] > 1):
        groups[int(group[place])].append(int(files[place]))
    return sorted(groups.values())


def copies(subject: Subject) -> Iterator[Finding]:
    """Find files that are copies of each other."""
    groups = groups_of_copies(subject.scan)
    if groups:
        num_copies = sum(len(group) - 1 for group in groups)
        shown = subject.files.shown
        yield Finding(
            "duplicates",
            "warning",
            f"{amount(num_copies, 'picture is a copy of another', 'pictures are copies of others')}, byte for byte",
            num_copies,
            None,
            "keep one of each; or keep copies on one side of a split (group= / --group)",
            tuple(
                Example(
                    path=shown(group[0]),
                    detail=f"the same as {', '.join(map(shown, group[1:3]))}"
                    + (f" and {len(group) - 3} more" if len(group) > 3 else ""),
                )
                for group in groups[:NUM_EXAMPLES]
            ),
        )


def repeats(subject: Subject) -> Iterator[Finding]:
    """Find files that several rows of one input name."""
    for naming in subject.files.namings:
        files, first, count = np.unique(naming.files, return_index=True, return_counts=True)
        again = np.flatnonzero(count > 1)
        if len(again):
            total = int((count[again] - 1).sum())
            part = f" ({naming.part.name})" if subject.is_split else ""
            yield Finding(
                "repeated-paths",
                "note",
                f"{amount(total, 'row names', 'rows name')} a picture that another row names too{part}",
                total,
                naming.input,
                "meant, if several rows share a picture; else a join went wrong",
                tuple(
                    naming.part.example(
                        int(naming.rows[first[i]]),
                        f"named by {count[i]:,} rows",
                        path=subject.files.shown(int(files[i])),
                    )
                    for i in again[:NUM_EXAMPLES]
                ),
            )


def contradictions(subject: Subject) -> Iterator[Finding]:
    """Find pictures that have one class in one row and another class in another."""
    leader = np.arange(len(subject.files))
    for group in groups_of_copies(subject.scan):
        leader[group] = group[0]
    named = np.bincount(leader[np.concatenate([[], *(naming.files for naming in subject.files.namings)]).astype(int)])
    for name in sorted({opened.name for part in subject.parts for opened in part.inputs if opened.role == "target"}):
        seen: dict[int, dict[object, tuple[Part, int, int]]] = defaultdict(dict)
        for naming in subject.files.namings:
            several = named[leader[naming.files]] > 1
            rows, files = naming.rows[several].tolist(), naming.files[several].tolist()
            for row, file, label in zip(rows, files, _labels(naming.part, name, rows), strict=False):
                seen[int(leader[file])].setdefault(label, (naming.part, row, file))
        wrong = [by_label for by_label in seen.values() if len(by_label) > 1]
        if wrong:
            yield Finding(
                "contradictions",
                "warning",
                f"{amount(len(wrong), 'picture has', 'pictures have')} several labels",
                len(wrong),
                name or "target",
                "one of the labels is wrong, or the rows are joined wrongly; no model can learn both",
                tuple(_contradiction(subject, by_label) for by_label in wrong[:NUM_EXAMPLES]),
            )


def _contradiction(subject: Subject, by_label: dict[object, tuple[Part, int, int]]) -> Example:
    (label, (part, row, file)), (other, (_, other_row, other_file)) = list(by_label.items())[:2]
    detail = f"{label!r} here, {other!r} in row {other_row} ({subject.files.shown(other_file)})"
    return part.example(row, detail, path=subject.files.shown(file))


def _labels(part: Part, name: str, rows: Sequence[int]) -> Sequence[Any]:
    """Return the class of each row, or its labels in one order; nothing where the target is neither."""
    opened = next((one for one in part.inputs if one.name == name and one.role == "target"), None)
    found = [] if opened is None else labels_of_rows(part, opened, rows)
    return [tuple(sorted(one, key=str)) if isinstance(one, tuple) else one for one in found]
