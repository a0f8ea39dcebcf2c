"""Inputs that a dataset could not be made with, and rows that it would leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.checking.report import Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.inputs import Features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rowlock.checking.subject import Subject

__all__ = ["left_out", "not_opened"]


def not_opened(subject: Subject, found: Sequence[Finding]) -> Iterator[Finding]:
    """Find inputs that cannot be opened, for reasons that no other check has told in `found`."""
    told = {finding.input for finding in found if finding.severity == "error"}
    for part in subject.tables:
        for opened in part.inputs:
            if opened.error is not None and (opened.label not in told or isinstance(opened.what, Features)):
                kind = type(opened.error).__name__
                yield Finding("not-opened", "error", f"{kind}: {opened.error}", 1, opened.label)


def left_out(subject: Subject) -> Iterator[Finding]:
    """Find rows without a target, or whose key a store lacks, where they are left out (``missing="drop"``)."""
    for part in subject.tables:
        lacking = subject.without_target
        if len(lacking):
            target = next((one.label for one in part.inputs if one.role == "target"), None)
            yield Finding(
                "left-out",
                "warning",
                f"{amount(len(lacking), 'row is', 'rows are')} left out: the target has no value",
                len(lacking),
                target,
                "fill them in, or leave them out of the table",
                tuple(part.example(row) for row in lacking[:NUM_EXAMPLES]),
            )
        for opened in part.inputs:
            missing = None if opened.reader is None else opened.reader.missing_rows
            if missing is not None and len(missing):
                yield Finding(
                    "left-out",
                    "warning",
                    f"{amount(len(missing), 'row is', 'rows are')} left out: the store does not have the key",
                    len(missing),
                    opened.label,
                    "add them to the store, or leave them out of the table",
                    tuple(part.example(row) for row in missing[:NUM_EXAMPLES]),
                )
