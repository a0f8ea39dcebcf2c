"""Pieces of HTML: sections, tables, figures; everything that comes from data is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Raw", "facts", "figure", "number", "paragraph", "section", "table"]


class Raw(NamedTuple):
    """HTML that is to stand as it is."""

    html: str


def markup(value: Any) -> str:
    """Return a cell's content: HTML as it is, everything else escaped; what cannot be encoded is written out."""
    if isinstance(value, Raw):
        return value.html
    return escape(whole_text(str(value)))


def whole_text(text: str) -> str:
    """Return a text that UTF-8 can hold; bytes of a file name that are none are written out."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def number(value: float | None, form: str = ".3f") -> str:
    """Return a number, or a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:{form}}"


def section(name: str, title: str, *parts: str) -> str:
    """Return a part of the page; nothing where it would be empty."""
    inside = "".join(parts)
    return f'<section id="{name}"><h2>{escape(title)}</h2>{inside}</section>' if inside else ""


def paragraph(text: Any, look: str = "") -> str:
    """Return a paragraph."""
    return f"<p{_class(look)}>{markup(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, words: int = 1, look: str = "") -> str:
    """Return a table whose first columns, `words` of them, are text; the others are numbers."""
    sides = ["" if place < words else ' class="num"' for place in range(len(header))]
    head = "".join(f"<th{side}>{escape(text)}</th>" for text, side in zip(header, sides, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{side}>{markup(cell)}</td>' for cell, side in zip(row, sides, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table{_class(look)}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return a table of label and text."""
    body = "".join(f"<tr><th>{escape(label)}</th><td>{markup(text)}</td></tr>" for label, text in pairs)
    return f'<div class="wide"><table class="facts"><tbody>{body}</tbody></table></div>'


def figure(drawing: str, caption: str, legend: Sequence[tuple[str, str]] = ()) -> str:
    """Return a drawing with what it shows, and what its colours mean: pairs (class of the style, text)."""
    keys = "".join(f'<span><i class="key {look}"></i>{markup(text)}</span>' for look, text in legend)
    legend_of = f'<div class="legend">{keys}</div>' if keys else ""
    return f"<figure>{drawing}{legend_of}<figcaption>{markup(caption)}</figcaption></figure>"


def folded(summary: str, *parts: str) -> str:
    """Return parts that a click unfolds."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def _class(look: str) -> str:
    return f' class="{look}"' if look else ""
