"""A report as a table in a notebook; light and dark themes alike."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rowlock.checking.text import seconds_text

if TYPE_CHECKING:
    from rowlock.checking.report import Finding, Report

__all__ = ["report_html"]

_COLOURS = {"error": "#d13438", "warning": "#c77700", "note": "#2b7bb9"}


def report_html(report: Report) -> str:
    """Return the report as HTML; all text in it is escaped."""
    rows = "".join(_row(finding) for finding in report.findings)
    table = f'<table style="text-align:left">{rows}</table>' if rows else ""
    speed = ""
    if report.estimate is not None:
        found = report.estimate
        speed = (
            f"<p>about <b>{found.rows_per_second:,.0f} rows/s</b> here with {found.num_threads} threads:"
            f" {seconds_text(found.epoch_seconds)} an epoch<br><i>{escape(found.advice)}</i></p>"
        )
    return f"<div><p><b>{escape(report.summary)}</b></p>{table}{speed}</div>"


def _row(finding: Finding) -> str:
    colour = _COLOURS[finding.severity]
    left = 'style="text-align:left;vertical-align:top'
    examples = "".join(f"<li><code>{escape(str(example))}</code></li>" for example in finding.examples)
    listed = f"<details><summary>examples</summary><ul>{examples}</ul></details>" if examples else ""
    advice = f"<br><i>{escape(finding.advice)}</i>" if finding.advice else ""
    return (
        f'<tr><td {left};color:{colour}"><b>{finding.severity}</b></td>'
        f'<td {left}">{escape(finding.input or "")}</td>'
        f'<td {left}">{escape(finding.message)}{advice}{listed}</td></tr>'
    )
