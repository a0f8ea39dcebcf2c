"""A report as text: on a terminal of any width, with colour or without."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rowlock.checking.report import Estimate, Finding, Report

__all__ = ["renderable", "report_text", "seconds_text"]

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_NARROW = 70


def report_text(report: Report, width: int = 100) -> str:
    """Return the report as plain text of that width."""
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(renderable(report, width))
    written: io.StringIO = console.file  # type: ignore[assignment]  # as was given above
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def renderable(report: Report, width: int) -> Group:
    """Return what rich prints."""
    lines: list[Any] = []
    if report.findings:
        lines += [_stacked(report), Text()] if width < _NARROW else [_table(report), Text()]
    if report.estimate is not None:
        lines += [*_estimate(report.estimate), Text()]
    style = "bold red" if not report.is_right else "yellow" if report.of("warning") else "green"
    return Group(*lines, Text(report.summary, style))


def _table(report: Report) -> Table:
    table = Table.grid(padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=16)
    table.add_column(overflow="fold")
    for finding in report.findings:
        table.add_row(_severity(finding), Text(finding.input or "", "bold"), _body(finding))
    return table


def _stacked(report: Report) -> Group:
    parts: list[Any] = []
    for finding in report.findings:
        head = _severity(finding)
        head.append(f" {finding.input}" if finding.input else "", "bold")
        parts += [head, Padding(_body(finding), (0, 0, 1, 2))]
    return Group(*parts)


def _severity(finding: Finding) -> Text:
    return Text(finding.severity, _STYLES[finding.severity])


def _body(finding: Finding) -> Group:
    lines: list[Any] = [Text(finding.message, overflow="fold")]
    lines += [Padding(Text(str(example), "dim", overflow="fold"), (0, 0, 0, 2)) for example in finding.examples]
    if finding.count > len(finding.examples) > 0 and finding.check != "label-balance":
        lines.append(Text("  ...", "dim"))
    if finding.advice:
        lines.append(Text(f"-> {finding.advice}", "italic", overflow="fold"))
    return Group(*lines)


def _estimate(found: Estimate) -> list[Text]:
    epoch = seconds_text(found.epoch_seconds)
    return [
        Text.assemble(
            ("about ", ""),
            (f"{found.rows_per_second:,.0f} rows/s", "bold"),
            f" here with {found.num_threads} threads: {epoch} an epoch; batches take"
            f" {decimal(found.memory_bytes)} of memory",
        ),
        Text(found.advice, "italic"),
    ]


def seconds_text(seconds: float) -> str:
    """Return a duration for people: ``"0.8 s"``, ``"4.2 min"``, ``"3.1 h"``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
