"""What is on both sides of a split: the same row, or the same picture. A model is then tested on what it has seen."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from rowlock.checking.duplicates import groups_of_copies
from rowlock.checking.report import Example, Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import Int64Array
    from rowlock.checking.subject import Part, Subject

__all__ = ["shared_pictures", "shared_rows"]


def shared_rows(subject: Subject) -> Iterator[Finding]:
    """Find rows, or keys, that two parts have."""
    for one, other in itertools.combinations(subject.parts, 2):
        rows, by_key = _shared(one, other)
        if len(rows):
            what = (
                ("row of {0} has a key", "rows of {0} have a key") if by_key else ("row of {0} is", "rows of {0} are")
            )
            text = amount(len(rows), *(words.format(one.name) for words in what))
            yield Finding(
                "shared-rows",
                "error",
                f"{text} {'that is ' * by_key}in {other.name} too",
                len(rows),
                None,
                "split by group= / --group, so that what belongs together stays together",
                tuple(one.example(row, f"also in {other.name}", named=True) for row in rows[:NUM_EXAMPLES]),
            )


def shared_pictures(subject: Subject) -> Iterator[Finding]:
    """Find pictures, by their bytes, that rows of two parts name."""
    leader = np.arange(len(subject.files))
    for group in groups_of_copies(subject.scan):
        leader[group] = group[0]
    where = [
        (part, np.concatenate([np.empty(0, np.int64), *(n.files for n in subject.files.namings if n.part is part)]))
        for part in subject.parts
    ]
    for (one, files), (other, other_files) in itertools.combinations(where, 2):
        both = np.intersect1d(leader[files], leader[other_files])
        if len(both):
            examples = tuple(
                _example(subject, leader, int(file), one, files, other_files) for file in both[:NUM_EXAMPLES]
            )
            yield Finding(
                "shared-pictures",
                "error",
                f"{amount(len(both), f'picture of {one.name} is', f'pictures of {one.name} are')} in {other.name} too",
                len(both),
                None,
                "leave the copies out, or split by group= / --group with a column that is equal for copies",
                examples,
            )


def _shared(one: Part, other: Part) -> tuple[Int64Array, bool]:
    """Return rows of `one` that are in `other` too, and whether their keys say so."""
    if one.table is other.table and (one.table.key is None or one.keys is None):
        return np.intersect1d(one.rows, other.rows), False
    if one.keys is None or other.keys is None or None in {one.table.key, other.table.key}:
        return np.empty(0, np.int64), False
    if one.keys.kind != other.keys.kind:
        return np.empty(0, np.int64), True
    found = np.isin(one.keys.hash()[one.rows], other.keys.hash()[other.rows])
    return one.rows[found], True


def _example(
    subject: Subject, leader: Int64Array, file: int, one: Part, files: Int64Array, other_files: Int64Array
) -> Example:
    here = int(files[leader[files] == file][0])
    there = int(other_files[leader[other_files] == file][0])
    shown = subject.files.shown
    detail = "the same file" if here == there else f"the same bytes as {shown(there)}"
    return Example(part=one.name, path=shown(here), detail=detail)
