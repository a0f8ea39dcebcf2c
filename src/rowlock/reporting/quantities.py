"""Quantities: what was predicted against what is true, and how the errors lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rowlock.reporting.charts import Chart, nice_range, short
from rowlock.reporting.markup import figure, markup, number, paragraph, section, table

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray
    from rowlock.reporting.findings import Findings

__all__ = ["quantities"]

_MOST_DOTS: Final = 1500
"""More are a sample: a page of a million dots cannot be opened."""
_MOST_COLUMNS: Final = 8
_MOST_BARS: Final = 40


def quantities(found: Findings) -> str:
    """Return the section; nothing for classes and labels."""
    if found.task != "quantity" or not found.metrics:
        return ""
    return section("scores", "How far off", _columns(found), *_drawn(found))


def _columns(found: Findings) -> str:
    """Return the metrics of every column of the target, where there are several."""
    told = found.metrics.get("columns")
    if told is None:
        return ""
    rows = [
        (name, number(one["mae"], ".4g"), number(one["rmse"], ".4g"), number(one["r2"])) for name, one in told.items()
    ]
    return table(("target", "MAE", "RMSE", "R\N{SUPERSCRIPT TWO}"), rows)


def _drawn(found: Findings) -> list[str]:
    if found.tested is None:
        return []
    tested = found.tested
    known, names = tested.known, tested.spec.target.columns
    parts = []
    for place, name in enumerate(names[:_MOST_COLUMNS]):
        truth, predicted = tested.truth[known, place], tested.predicted[known, place]
        title = f"<h3>{markup(name)}</h3>" if len(names) > 1 else ""
        parts.append(
            f'{title}<div class="side">{_scatter(name, truth, predicted)}{_errors(name, truth, predicted)}</div>'
        )
    if len(names) > _MOST_COLUMNS:
        parts.append(paragraph(f"Of {len(names):,} targets the first {_MOST_COLUMNS} are drawn."))
    return parts


def _scatter(name: str, truth: AnyArray, predicted: AnyArray) -> str:
    chosen = np.arange(len(truth))
    if len(chosen) > _MOST_DOTS:
        chosen = np.sort(np.random.default_rng(0).permutation(len(truth))[:_MOST_DOTS])
    both = nice_range([*truth.tolist(), *predicted.tolist()])
    chart = Chart(
        both, both, x_label=f"true {name}", y_label="predicted", title=f"{name}: predicted against true", square=True
    )
    chart.guide(both, both)
    chart.dots(truth[chosen].tolist(), predicted[chosen].tolist(), "c0 many", 2.4)
    few = f" {len(chosen):,} of {len(truth):,} rows, by chance." if len(chosen) < len(truth) else ""
    return figure(chart.svg(), f"On the dashed line, a prediction is exactly right.{few}")


def _errors(name: str, truth: AnyArray, predicted: AnyArray) -> str:
    wrong = predicted - truth
    bars = int(np.clip(len(wrong) ** 0.5, 8, _MOST_BARS))
    low, high = _middle_range(wrong)
    counts, edges = np.histogram(np.clip(wrong, low, high), bins=bars, range=(low, high))
    top = max(1.0, counts.max() * 1.06)
    chart = Chart((low, high), (0.0, top), x_label=f"predicted less true {name}", y_label="rows",
                  title=f"{name}: how the errors lie", square=True)  # fmt: skip
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        chart.bar(left, right, count, "c0", f"{short(left)} to {short(right)}: {count:,} rows")
    chart.guide((0.0, 0.0), (0.0, top))
    mean, half = float(wrong.mean()), float(np.median(np.abs(wrong)))
    cut = int((wrong < low).sum() + (wrong > high).sum())
    more = f" {cut:,} row{'s' * (cut != 1)} further off: at the edges." if cut else ""
    return figure(chart.svg(), f"Half of the rows are off by less than {half:.4g}; on average predictions are"
                               f" {abs(mean):.3g} too {'high' if mean > 0 else 'low'}.{more}")  # fmt: skip


def _middle_range(values: AnyArray) -> tuple[Any, Any]:
    """Return limits that hold all values, unless a few lie very far out: an axis for those shows nothing else."""
    low, high = np.percentile(values, [1, 99])
    room = (high - low) or max(abs(high), 1.0) * 0.1
    low, high = max(values.min(), low - room), min(values.max(), high + room)
    return (float(low), float(high)) if high > low else (float(low) - room, float(high) + room)
