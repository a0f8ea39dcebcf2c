"""The worst mistakes as cards, and the rows that could not be read as a list."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rowlock.reporting.markup import folded, markup, paragraph, section, table
from rowlock.reporting.opening import PARTS_IN_WORDS

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray
    from rowlock.reporting.findings import Findings
    from rowlock.reporting.mistakes import Mistake

__all__ = ["cards"]

_WIDTH, _HEIGHT = 200, 40
_MOST_POINTS: Final = 200
_MOST_ROWS: Final = 100
_FOLDED: Final = 12


def cards(found: Findings) -> str:
    """Return the sections of mistakes and of unreadable rows."""
    return _mistakes(found) + _unreadable(found)


def _mistakes(found: Findings) -> str:
    if found.tested is None or found.num_mistakes is None:
        return ""
    if not found.num_mistakes:
        return section("mistakes", "The worst mistakes", paragraph("There is none: every row is right."))
    if not found.mistakes:
        return ""
    part, rows = found.tested.part, int(found.tested.known.sum())
    if found.task == "quantity":
        told = f"The {len(found.mistakes):,} of {rows:,} {part} rows whose prediction is furthest off."
    else:
        told = (
            f"{found.num_mistakes:,} of {rows:,} {part} rows are wrong; here are {_shown(found)}, the surest mistakes"
            " first. Look for wrong labels too: they are often among these."
        )
    broad = " broad" if found.mistakes[0].columns else ""
    grid = "".join(_card(one) for one in found.mistakes)
    return section("mistakes", "The worst mistakes", paragraph(told), f'<div class="cards{broad}">{grid}</div>')


def _shown(found: Findings) -> str:
    return "all" if len(found.mistakes) == found.num_mistakes else f"{len(found.mistakes):,}"


def _card(one: Mistake) -> str:
    pictures = "".join(
        _linked(f'<img alt="{markup(path)}" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">', link)
        for data, path, link in zip(one.pictures, one.paths, one.links, strict=False)
    )
    unread = "" if one.pictures or not one.paths else f'<div class="gone">{markup("cannot be shown")}</div>'
    paths = "".join(f"<div class='path'>{_linked(markup(path), link)}</div>" for path, link in
                    zip(one.paths, one.links, strict=True))  # fmt: skip
    lines = "".join(
        f'<div class="series" title="{escape(name)}">{_series(values, limits)}</div>'
        for name, (values, limits) in one.series.items()
    )
    values = f"<div class='path'>{markup(' · '.join(one.values))}</div>" if one.values else ""
    return (
        f'<div class="card">{f"<div class=pictures>{pictures}</div>" if pictures else unread}'
        f"{_said(one)}"
        f"{lines}{values}<div class='key'>{markup(one.key)}</div>{paths}</div>"
    )


def _said(one: Mistake) -> str:
    if one.columns:
        rows = "".join(
            f"<tr><td>{markup(name)}</td><td class='num'><b>{markup(true)}</b></td>"
            f"<td class='num'><b class='bad'>{markup(said)}</b></td></tr>"
            for name, true, said in one.columns
        )
        return f"<table class='small'><tr><th></th><th class='num'>is</th><th class='num'>said</th></tr>{rows}</table>"
    told = "".join(
        f"<span>{word} <b{' class=bad' if is_wrong else ''}>{markup(text)}</b></span>"
        for word, text, is_wrong in one.said
    )
    return f'<div class="said">{told}</div><div class="note">{markup(one.note)}</div>'


def _linked(inside: str, link: str) -> str:
    return f'<a href="{escape(link)}">{inside}</a>' if link else inside


def _series(values: AnyArray, limits: tuple[float, float]) -> str:
    """Return a row of numbers as a small line, or of very many the lowest and highest of equal pieces."""
    if len(values) > _MOST_POINTS:
        pieces = np.array_split(values, _MOST_POINTS // 2)
        values = np.ravel([(np.nanmin(piece), np.nanmax(piece)) if np.isfinite(piece).any() else (np.nan, np.nan)
                           for piece in pieces])  # fmt: skip
    low, high = limits if limits[1] > limits[0] else (limits[0] - 1, limits[0] + 1)
    step = _WIDTH / max(1, len(values) - 1)
    down = _HEIGHT - 2 - (np.clip(values, low, high) - low) / (high - low) * (_HEIGHT - 4)
    points = " ".join(f"{place * step:.1f},{at:.1f}" for place, at in enumerate(down.tolist()) if np.isfinite(at))
    line = f'<polyline class="line c0" points="{points}"/>'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">{line}</svg>'


def _unreadable(found: Findings) -> str:
    rows: list[tuple[Any, ...]] = [
        (one.key, PARTS_IN_WORDS.get(one.part, one.part), one.reason, one.path) for one in found.unreadable
    ]
    again = {one.key for one in found.unreadable}
    rows += [
        (
            "" if one.key is None else one.key,
            f"training, epoch {one.epoch + 1}" if part == "train" else PARTS_IN_WORDS.get(part, ""),
            f"{one.stage}: {one.reason}",
            one.path or "",
        )
        for one, part in zip(found.kept.bad_rows, found.kept.bad_parts, strict=True)
        if str(one.key) not in again
    ]
    if not rows:
        return ""
    made = table(("key", "part", "why", "path"), rows[:_MOST_ROWS], words=4, look="many")
    more = (
        paragraph(f"and {len(rows) - _MOST_ROWS:,} more: bad-rows.jsonl", "caption") if len(rows) > _MOST_ROWS else ""
    )
    told = paragraph(
        f"{len(rows):,} row{'s' * (len(rows) != 1)} could not be read, and did not count. Mend or replace these files"
        " and train again, or leave the rows out."
    )
    inside = folded(f"All {len(rows[:_MOST_ROWS])}", made, more) if len(rows) > _FOLDED else made + more
    return section("bad-rows", "Rows that could not be read", told, inside)
