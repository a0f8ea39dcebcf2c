"""How training went: loss and metric of every epoch, and how long it waited for data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rowlock.reporting.charts import Chart, nice_range
from rowlock.reporting.kept import best_epoch
from rowlock.reporting.markup import figure, paragraph, section
from rowlock.reporting.trained import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowlock.reporting.findings import Findings

    History = Sequence[Mapping[str, float]]

__all__ = ["SCORES", "compared", "courses"]

SCORES: Final = {"classes": ("accuracy", "accuracy"), "labels": ("accuracy", "share of labels right"),
                 "quantity": ("mae", "mean absolute error")}  # fmt: skip
"""The history's column of each task beside the loss, and what it is."""

_MUCH: Final = 0.2
"""Share of the time, waited for data, from which something should be done about it."""


def courses(found: Findings) -> str:
    """Return the section."""
    history, task = found.kept.history, found.task
    if not history:
        return ""
    charts = [_chart(history, "data_loss", "loss")]
    name, label = SCORES.get(task or "", ("accuracy", "accuracy"))
    if any(name in row for row in history):
        several = task == "quantity" and found.kept.spec is not None and len(found.kept.spec.target.columns) > 1
        charts.append(_chart(history, name, f"{label}{' (deviations)' if several else ''}"))
    return section("training", "Training", f'<div class="side">{"".join(charts)}</div>', _told(found), _waited(found))


def compared(found: Findings) -> str:
    """Return the validation of an ablation's models in one chart; nothing where there is none."""
    kept = found.kept
    name, label = SCORES.get(found.task or "", ("accuracy", "accuracy"))
    wanted = f"val_{name}"
    runs = {"merged": kept.history, **kept.others}
    runs = {title: rows for title, rows in runs.items() if any(wanted in row for row in rows)}
    if len(runs) < 2:
        return ""
    values = [row[wanted] for rows in runs.values() for row in rows if wanted in row]
    last = max(row["epoch"] for rows in runs.values() for row in rows)
    chart = Chart(_epochs(last), nice_range(values), x_label="epoch", y_label=label,
                  title=f"validation {label} of every model", x_ticks=_whole(last))  # fmt: skip
    legend = []
    for number, (title, rows) in enumerate(runs.items()):
        look = f"c{number % 7}"
        _draw(chart, rows, wanted, look + (" strong" if number == 0 else ""), marked=True)
        legend.append((look, title))
    return figure(chart.svg(), f"Validation {label} of every model; a ring marks the epoch that is kept.", legend)


def _chart(history: History, name: str, label: str) -> str:
    last = max(row["epoch"] for row in history)
    values = [row[one] for row in history for one in (name, f"val_{name}") if one in row]
    chart = Chart(_epochs(last), nice_range(values), x_label="epoch", y_label=label,
                  title=f"{label} of every epoch", x_ticks=_whole(last))  # fmt: skip
    legend = [("c0 dotted", "training")]
    if any(f"val_{name}" in row for row in history):
        _draw(chart, history, name, "c0 dotted", ring=False)
        _draw(chart, history, f"val_{name}", "c1 strong", marked=True)
        legend.append(("c1", "validation"))
    else:
        _draw(chart, history, name, "c0 dotted")
    return figure(chart.svg(), "", legend)


def _draw(chart: Chart, rows: History, name: str, look: str, *, marked: bool = False, ring: bool = True) -> None:
    known = [row for row in rows if name in row]
    chart.line([row["epoch"] for row in known], [row[name] for row in known], look, marked=marked)
    best = best_epoch(list(rows))  # type: ignore[arg-type]  # rows of a history
    for row in known:
        if ring and row["epoch"] == best:
            chart.ring(best, row[name], look)


def _epochs(last: float) -> tuple[float, float]:
    return (1.0, float(last)) if last > 1 else (0.5, 1.5)


def _whole(last: float) -> list[float]:
    """Return the epochs that the axis names."""
    step = next(
        step for power in (1, 10, 100, 1000, 10**4) for step in (power, 2 * power, 5 * power) if last / step <= 10
    )
    found = [float(number) for number in range(step, int(last) + 1, step)]
    return found if step == 1 else [1.0, *(number for number in found if number - 1 > step / 2)]


def _told(found: Findings) -> str:
    kept = found.kept
    best, last = kept.best_epoch, int(kept.history[-1]["epoch"])
    if not any("val_data_loss" in row for row in kept.history):
        return paragraph(f"Without a validation part the weights of the last epoch, {last}, are kept.")
    text = f"The ring marks epoch {best}, whose validation loss is lowest: its weights are kept."
    if kept.metrics is not None and best == last == kept.config.epochs:
        text += " It is the last one allowed, so more epochs might still be better (--epochs, in a new folder)."
    elif kept.metrics is not None and last < kept.config.epochs:
        text += f" Training ended after epoch {last}, since {kept.config.patience} epochs brought no better one."
    return paragraph(text)


def _waited(found: Findings) -> str:
    waiting = found.kept.waiting
    if waiting is None:
        return ""
    waited = f"{duration(waiting.waited_seconds)} ({waiting.share:.1%})"
    text = f"Of {duration(waiting.seconds)} of epochs, {waited} were waited for data: "
    text += (
        "reading is what limits this training. rowlock bench says what takes the time; --cache keeps decoded pictures."
        if waiting.share >= _MUCH
        else "computing is what takes the time, and reading keeps up."
    )
    return paragraph(text)
