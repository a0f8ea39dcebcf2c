"""Classes and labels: confusion, each one by itself, and how far probabilities can be trusted."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from rowlock.reporting.charts import Chart
from rowlock.reporting.markup import Raw, figure, folded, markup, number, paragraph, section, table

if TYPE_CHECKING:
    from rowlock.reporting.findings import Findings

__all__ = ["scores"]

_MOST_CELLS: Final = 12
"""Classes of which every pair is written; of more, the pairs that are confused most."""
_MOST_PAIRS: Final = 20
_MOST_SHOWN: Final = 30
_FEW: Final = 30
_FEW_CLASSES, _SHORT_NAME = 5, 14
"""Up to these, tables have room beside a drawing."""


def scores(found: Findings) -> str:
    """Return the section; nothing for quantities."""
    if found.task not in {"classes", "labels"} or not found.metrics:
        return ""
    title = "Class by class" if found.task == "classes" else "Label by label"
    told, trust = _confusion(found) + _one_by_one(found), _trust(found)
    is_narrow = len(found.classes) <= _FEW_CLASSES and max(len(str(name)) for name in found.classes) <= _SHORT_NAME
    inside = f'<div class="side"><div>{told}</div><div>{trust}</div></div>' if trust and is_narrow else told + trust
    return section("scores", title, inside)


def _confusion(found: Findings) -> str:
    counts = found.metrics.get("confusion")
    if counts is None:
        return ""
    if len(counts) > _MOST_CELLS:
        return _pairs(found, counts)
    names = [markup(name) for name in found.classes]
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = []
    for place, (name, line) in enumerate(zip(names, counts, strict=True)):
        total = sum(line)
        cells = "".join(_cell(count, total, "right" if place == other else "wrong") for other, count in enumerate(line))
        lines.append(f"<tr><th>{name}</th>{cells}</tr>")
    matrix = (
        '<div class="wide"><table class="confusion"><thead><tr><th class="corner">true \N{RIGHTWARDS ARROW} said</th>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
    return matrix + paragraph(
        "A line is what rows are, a column what the model said; the share is of the line.", "caption"
    )


def _cell(count: int, total: int, kind: str) -> str:
    share = count / total if total else 0.0
    if not count:
        return f'<td class="{kind}" style="--share:0"><small>0</small></td>'
    return f'<td class="{kind}" style="--share:{share:.3f}"><b>{count:,}</b><small>{share:.0%}</small></td>'


def _pairs(found: Findings, counts: list[list[int]]) -> str:
    """Return which classes are taken for which, most often first."""
    pairs = [
        (found.classes[true], found.classes[said], count, f"{count / sum(line):.1%}")
        for true, line in enumerate(counts) for said, count in enumerate(line) if true != said and count
    ]  # fmt: skip
    pairs.sort(key=lambda pair: -pair[2])
    if not pairs:
        return paragraph("No class was taken for another.")
    more = len(pairs) - _MOST_PAIRS
    rest = paragraph(f"and {more:,} more pairs: metrics.json has the whole matrix", "caption") if more > 0 else ""
    return table(("true", "taken for", "rows", "of its rows"), pairs[:_MOST_PAIRS], words=2) + rest


def _one_by_one(found: Findings) -> str:
    if not found.class_scores:
        areas = found.metrics.get("auc_by_label")
        return "" if areas is None else table(("label", "AUC"), ((name, number(area)) for name, area in
                                                                zip(found.classes, areas, strict=True)))  # fmt: skip
    with_area = any(one.auc is not None for one in found.class_scores)
    what = "class" if found.task == "classes" else "label"
    header = (what, "rows", "said", "precision", "recall", "F1", *(["AUC"] if with_area else []))
    rows = [
        (one.name, f"{one.rows:,}", f"{one.said:,}", _bar(one.precision), _bar(one.recall), _bar(one.f1),
         *([number(one.auc)] if with_area else []))
        for one in found.class_scores
    ]  # fmt: skip
    made = table(header, rows)
    meaning = paragraph(
        f"Precision: of the rows that were said to be the {what}, those that are. Recall: of the rows that are, those"
        " that were said to be.", "caption",
    )  # fmt: skip
    rare = [one.name for one in found.class_scores if one.rows < _FEW]
    if rare:
        shown = ", ".join(rare[:5]) + (f" and {len(rare) - 5} more" if len(rare) > 5 else "")
        meaning += paragraph(f"Of {shown} there are fewer than {_FEW} rows, so these numbers are rough.", "caption")
    return (folded(f"All {len(rows)}", made) if len(rows) > _MOST_SHOWN else made) + meaning


def _bar(share: float | None) -> Any:
    """Return a share with a bar behind it."""
    if share is None:
        return number(None)
    return Raw(f'<span class="share" style="--share:{share:.3f}">{share:.3f}</span>')


def _trust(found: Findings) -> str:
    told = found.reliability
    if told is None:
        return ""
    is_classes = found.task == "classes"
    low = 0.5 if is_classes and len(found.classes) == 2 else 0.0
    chart = Chart(
        (low, 1.0), (0.0, 1.0), x_label="how sure the model was", title="how often it is right, by how sure it was",
        y_label="share that is right" if is_classes else "share that has the label",
        x_form=_percent, y_form=_percent, x_ticks=[low + (1 - low) * step / 5 for step in range(6)], square=True,
    )  # fmt: skip
    chart.guide((low, 1.0), (low, 1.0))
    most = max(one.rows for one in told.bins)
    for one in told.bins:
        chart.whisker(one.sure, one.low, one.high, "c0")
    chart.line([one.sure for one in told.bins], [one.right for one in told.bins], "c0")
    chart.dots(
        [one.sure for one in told.bins], [one.right for one in told.bins], "c0",
        [3 + 5 * (one.rows / most) ** 0.5 for one in told.bins],
        [f"{one.rows:,} rows: {one.sure:.1%} sure, {one.right:.1%} right" for one in told.bins],
    )  # fmt: skip
    return "<h3 class='first'>Can its probabilities be trusted?</h3>" + figure(chart.svg(), _trust_told(found))


def _trust_told(found: Findings) -> str:
    told = found.reliability
    if told is None:
        return ""
    rows = sum(one.rows for one in told.bins)
    lean = sum(one.rows * (one.sure - one.right) for one in told.bins) / rows
    how = "surer than it should be" if lean > 0.02 else "less sure than it could be" if lean < -0.02 else "about right"
    return (
        "On the dashed line, a model is right as often as it says. Larger dots are more rows; upright lines are 95 %"
        f" intervals. The mean distance is {told.error:.3f}: on the whole the model is {how}."
    )


def _percent(value: float) -> str:
    return escape(f"{value:.0%}")
