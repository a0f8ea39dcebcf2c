"""Tables in HTML, readable in light and dark themes; everything in them is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["facts_table", "html_table", "titled"]

_LEFT = ' style="text-align:left;vertical-align:top"'


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a header."""
    head = "".join(f"<th{_LEFT}>{escape(text)}</th>" for text in header)
    body = "".join(f"<tr>{''.join(f'<td{_LEFT}>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts_table(facts: Iterable[tuple[str, object]]) -> str:
    """Return a table of (label, text)."""
    body = "".join(
        f"<tr><th{_LEFT}>{escape(label)}</th><td{_LEFT}>{escape(str(text))}</td></tr>" for label, text in facts
    )
    return f"<table><tbody>{body}</tbody></table>"


def titled(title: str, *parts: str) -> str:
    """Return parts below a title."""
    return f"<div><p><b>{escape(title)}</b></p>{''.join(parts)}</div>"
