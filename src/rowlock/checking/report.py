"""What a check says: findings, worst first, and an estimate of how fast the data can be read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCHEMA", "SEVERITIES", "Estimate", "Example", "Finding", "Report", "Severity", "amount"]

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: Final = ("error", "warning", "note")
SCHEMA: Final = "rowlock-check-1"


def amount(count: int, one: str, many: str) -> str:
    """Return ``"1 picture is"`` or ``"1,200 pictures are"``."""
    return f"{count:,} {one if count == 1 else many}"


@dataclass(frozen=True)
class Example:
    """One of the rows, files or columns that a finding is about; what does not apply is None.

    Attributes
    ----------
    part : str or None
        Name of the part of a split.
    row : int or None
        Row of the table.
    key : int, str or None
    path : str or None
        File or store.
    column : str or None
    detail : str
        What is the matter with it.
    """

    part: str | None = None
    row: int | None = None
    key: int | str | None = None
    path: str | None = None
    column: str | None = None
    detail: str = ""

    def __str__(self) -> str:
        row = f"row {self.row}" if self.row is not None else ""
        key = f"key {self.key!r}" if self.key is not None else ""
        column = f"column {self.column!r}" if self.column is not None else ""
        where = ", ".join(text for text in (self.part, row, key, column, self.path) if text)
        return f"{where}: {self.detail}" if where and self.detail else where or self.detail


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    Attributes
    ----------
    check : str
        Which check: ``"unreadable"``, ``"duplicates"``, ...
    severity : {"error", "warning", "note"}
        Training fails or learns what is wrong; it may be worse for it; worth knowing.
    message : str
        One line.
    count : int
        How many rows, pictures or columns it is about.
    input : str or None
        The input that it is about.
    advice : str
        What to do.
    examples : tuple of Example
        The first few.
    """

    check: str
    severity: Severity
    message: str
    count: int = 1
    input: str | None = None
    advice: str = ""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """How fast batches can be made here, measured on a sample whose files were mostly in memory.

    Attributes
    ----------
    rows_per_second : float
    epoch_seconds : float
        For all rows of the (first) dataset.
    memory_bytes : int
        Most that batches on their way took.
    num_rows : int
        Rows that were read to find out.
    num_threads : int
    advice : str
        What limits the rate, and what would help.
    """

    rows_per_second: float
    epoch_seconds: float
    memory_bytes: int
    num_rows: int
    num_threads: int
    advice: str


@dataclass(frozen=True)
class Report:
    """Everything that was found; worth printing, and shown as a table in a notebook.

    Attributes
    ----------
    parts : dict of str to int
        Rows of each dataset that was looked at.
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    num_pictures, num_pictures_read : int
        Different files that the tables name, and how many of them were decoded.
    estimate : Estimate or None
        None where no batch could be made, or none was asked for.
    is_complete : bool
        Whether every check ran to its end; not so after Ctrl-C.
    seconds : float
        What it took.
    """

    parts: Mapping[str, int]
    findings: tuple[Finding, ...]
    num_pictures: int = 0
    num_pictures_read: int = 0
    estimate: Estimate | None = None
    is_complete: bool = True
    seconds: float = 0.0
    checks: tuple[str, ...] = field(default=())
    """Names of the checks that ran."""

    @property
    def is_right(self) -> bool:
        """Whether no error was found."""
        return not self.of("error")

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        return {severity: len(self.of(severity)) for severity in SEVERITIES}

    @property
    def summary(self) -> str:
        """One line."""
        counted = [amount(count, name, f"{name}s") for name, count in self.counts.items() if count]
        total = amount(sum(self.parts.values()), "row", "rows")
        if self.num_pictures:
            total += f", {self.num_pictures_read:,} of {amount(self.num_pictures, 'picture', 'pictures')} read"
        ending = "" if self.is_complete else "; stopped before the end"
        return f"{', '.join(counted) or 'nothing is wrong'} ({total}, {self.seconds:.1f} s{ending})"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers, texts, lists and dicts, as ``rowlock check --json`` prints it."""
        return {
            "schema": SCHEMA,
            "right": self.is_right,
            "complete": self.is_complete,
            "seconds": round(self.seconds, 3),
            "parts": dict(self.parts),
            "pictures": {"named": self.num_pictures, "read": self.num_pictures_read},
            "checks": list(self.checks),
            "counts": self.counts,
            "findings": [asdict(finding) for finding in self.findings],
            "estimate": None if self.estimate is None else asdict(self.estimate),
        }

    def __repr__(self) -> str:
        from rowlock.checking.text import report_text  # noqa: PLC0415 - only where it is shown

        return report_text(self)

    def _repr_html_(self) -> str:
        from rowlock.checking.html import report_html  # noqa: PLC0415 - only where it is shown

        return report_html(self)
