"""Pictures that can be read and are odd: tiny, huge, blank, or called what they are not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import numpy as np

from rowlock.checking.report import Example, Finding, Severity, amount
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.folders.walk import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import BoolArray
    from rowlock.checking.subject import Subject

__all__ = ["HUGE_PIXELS", "TINY_PIXELS", "odd_sizes", "wrong_names"]

TINY_PIXELS: Final = 32
"""A side shorter than this shows next to nothing: often a tracking pixel or a "no picture" sign."""

HUGE_PIXELS: Final = 50_000_000
"""Height times width: such a picture costs as much time as a hundred ordinary ones."""


def odd_sizes(subject: Subject) -> Iterator[Finding]:
    """Find pictures that are tiny, much smaller than what the model gets, huge, or of one colour."""
    scan = subject.scan
    tiny = scan.is_good & (np.minimum(scan.height, scan.width) < TINY_PIXELS)
    sizes = np.array([images.size for images in subject.files.images], np.int64).reshape(-1, 2)
    enlarged = scan.is_good & ~tiny & ((scan.height * 2 < sizes[:, 0]) | (scan.width * 2 < sizes[:, 1]))
    are_most_enlarged = 2 * enlarged.sum() > scan.is_good.sum()
    huge = scan.is_good & (scan.height.astype(np.int64) * scan.width > HUGE_PIXELS)

    def size(file: int) -> str:
        return f"{scan.width[file]} x {scan.height[file]} pixels"

    yield from _found(
        subject,
        "tiny",
        "warning",
        tiny,
        ("has", "have", f"a side of less than {TINY_PIXELS} pixels"),
        "are they placeholders or thumbnails? Leave them out if so",
        size,
    )
    yield from _found(
        subject,
        "enlarged",
        "note",
        enlarged,
        ("is", "are", "enlarged more than twice for the model"),
        "a smaller --size / size= shows as much, and trains faster"
        if are_most_enlarged
        else "they are coarser than the others: are there larger ones?",
        size,
    )
    yield from _found(
        subject,
        "huge",
        "warning",
        huge,
        ("has", "have", f"more than {HUGE_PIXELS // 10**6} million pixels"),
        "store them smaller: each holds a batch up",
        size,
    )
    yield from _found(
        subject,
        "blank",
        "warning",
        scan.is_good & scan.is_blank & ~tiny,
        ("is", "are", "of one colour throughout"),
        "are they placeholders, or a failed export?",
        size,
    )


def wrong_names(subject: Subject) -> Iterator[Finding]:
    """Find files whose extension says another format than they have; they are decoded by content."""
    scan, files = subject.scan, subject.files
    promised = [EXTENSIONS.get(os.path.splitext(path)[1].lower(), "") for path in files.paths]  # noqa: PTH122 - bytes
    wrong = scan.is_good & np.array(
        [name not in {"", kind} for name, kind in zip(promised, scan.kinds, strict=True)], np.bool_
    )
    yield from _found(
        subject,
        "wrong-names",
        "note",
        wrong,
        ("is", "are", "of another format than the name says"),
        "no harm here: content decides. Other programs may refuse them",
        lambda file: f"it is {scan.kinds[file].upper()}",
    )


def _found(
    subject: Subject,
    check: str,
    severity: Severity,
    found: BoolArray,
    text: tuple[str, str, str],
    advice: str,
    detail: Callable[[int], str],
) -> Iterator[Finding]:
    files = np.flatnonzero(found).tolist()
    one, many, rest = text
    if files:
        examples = tuple(Example(path=subject.files.shown(file), detail=detail(file)) for file in files[:NUM_EXAMPLES])
        yield Finding(
            check,
            severity,
            f"{amount(len(files), f'picture {one}', f'pictures {many}')} {rest}",
            len(files),
            None,
            advice,
            examples,
        )
