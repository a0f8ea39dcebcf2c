"""Rows whose pictures are missing, cannot be decoded, or are not those that were hashed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from rowlock.checking.report import Example, Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.pictures.digests import DIGEST_FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rowlock.checking.files import Naming
    from rowlock.checking.subject import Subject

__all__ = ["changed", "no_digest", "no_path", "unreadable"]

_CALLED = {
    "missing": ("missing", "picture is not there", "pictures are not there"),
    "read": ("unreadable", "picture may not be read, or is no file", "pictures may not be read, or are no files"),
    "decode": ("unreadable", "picture is damaged, or is none", "pictures are damaged, or are none"),
    "disk": ("unreadable", *["pictures could not be read: the disk or network mount failed"] * 2),
}
_OTHER = "picture is not the file that was hashed", "pictures are not the files that were hashed"
_ADVICE = {
    "missing": "is --root / root= the folder that these paths start from? Else leave these rows out of the table",
    "read": "see to their permissions, or leave these rows out of the table",
    "decode": 'copy them anew, leave these rows out, or train with on_error="mask", which lists them',
    "disk": "check the disk or mount, and run this once more",
}


def no_path(subject: Subject) -> Iterator[Finding]:
    """Find rows without a path."""
    for naming in subject.files.namings:
        rows = naming.without_path
        if len(rows):
            yield Finding(
                "no-path",
                "error",
                f"{amount(len(rows), 'row has', 'rows have')} no path",
                len(rows),
                naming.input,
                "give them one, or leave them out of the table",
                tuple(naming.part.example(row, named=subject.is_split) for row in rows[:NUM_EXAMPLES]),
            )


def no_digest(subject: Subject) -> Iterator[Finding]:
    """Find pictures without a digest that they can be compared with, where that is asked for."""
    for naming in subject.files.namings:
        places = [place for place, digest in enumerate(naming.digests or ()) if digest is None]
        if places:
            yield Finding(
                "no-digest",
                "error",
                f"{amount(len(places), 'picture has', 'pictures have')} no digest that is known",
                len(places),
                naming.input,
                f"a digest is {DIGEST_FORMS}, as rl.hash_pictures(paths) writes them",
                tuple(_example(subject, naming, place, "") for place in places[:NUM_EXAMPLES]),
            )


def unreadable(subject: Subject) -> Iterator[Finding]:
    """Find pictures that a training run would stop at."""
    faults = subject.scan.faults
    for stage, (check, *texts) in _CALLED.items():
        bad = np.array(sorted(file for file, fault in faults.items() if fault.stage == stage), np.int64)
        for naming in subject.files.namings if len(bad) else ():
            places = np.flatnonzero(np.isin(naming.files, bad))
            if len(places):
                yield _finding(subject, naming, places.tolist(), check, texts, _ADVICE[stage])


def changed(subject: Subject) -> Iterator[Finding]:
    """Find pictures whose bytes have another digest than the table says, where that is to be compared."""
    wrong = subject.scan.changed
    for naming in subject.files.namings if wrong else ():
        told = list(zip(naming.files.tolist(), naming.digests or (), strict=False))
        places = [place for place, (file, digest) in enumerate(told) if digest in wrong.get(file, ())]
        if places:
            part = f" ({naming.part.name})" if subject.is_split else ""
            yield Finding(
                "changed",
                "error",
                f"{amount(len(places), *_OTHER)}{part}",
                len(places),
                naming.input,
                "they were exchanged, edited or damaged since: bring them back, or hash them again"
                " (rl.hash_pictures) if the change was meant",
                tuple(
                    _example(subject, naming, place, _digests(wrong, *told[place])) for place in places[:NUM_EXAMPLES]
                ),
            )


def _digests(wrong: Mapping[int, Mapping[str, str]], file: int, digest: str | None) -> str:
    return f"its digest should be {digest}, and is {wrong[file][digest or '']}"


def _example(subject: Subject, naming: Naming, place: int, detail: str) -> Example:
    path = subject.files.shown(int(naming.files[place]))
    return naming.part.example(int(naming.rows[place]), detail, named=subject.is_split, path=path)


def _finding(subject: Subject, naming: Naming, places: list[int], check: str, texts: list[str], advice: str) -> Finding:
    faults = subject.scan.faults
    reasons = Counter(faults[int(naming.files[place])].reason.split(":")[0].split(" (")[0] for place in places)
    part = f" ({naming.part.name})" if subject.is_split else ""
    kinds = f", for {len(reasons)} reasons" if len(reasons) > 1 and check != "missing" else ""
    examples = tuple(
        _example(subject, naming, place, faults[int(naming.files[place])].reason) for place in places[:NUM_EXAMPLES]
    )
    return Finding(
        check, "error", f"{amount(len(places), *texts)}{part}{kinds}", len(places), naming.input, advice, examples
    )
