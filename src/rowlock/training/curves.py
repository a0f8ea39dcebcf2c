"""``curves.png``: loss and metric of every epoch, where Matplotlib is installed."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from rowlock.training import folder as names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.training.folder import RunFolder

__all__ = ["draw_curves", "read_history"]

_COLOURS: Final = ("#1b6ca8", "#d1701f", "#3f8f4f", "#8a4fae", "#a8323e", "#6b6b6b", "#b59a00")
_SCORE: Final = {"classes": ("accuracy", "accuracy"), "labels": ("accuracy", "share of labels right"),
                 "quantity": ("mae", "mean absolute error")}  # fmt: skip


def draw_curves(folder: RunFolder, metrics: Mapping[str, Any], others: Mapping[str, RunFolder] | None = None) -> None:
    """Draw the history of a run, and the validation of others beside it; nothing without Matplotlib."""
    if find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional, and slow to load

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    loss, score = figure.subplots(1, 2)
    key, label = _SCORE[metrics["task"]]
    own = "merged, validation" if others else "validation"
    rows = read_history(folder)
    for axes, name in ((loss, "data_loss"), (score, key)):
        axes.plot(
            *_line(rows, name), color=_COLOURS[0], linestyle=":", label="merged, training" if others else "training"
        )
        _draw_validation(axes, rows, name, own, _COLOURS[0], width=2.4)
        for colour, (title, other) in zip(_COLOURS[1:], (others or {}).items(), strict=False):
            _draw_validation(axes, read_history(other), name, title, colour)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    loss.set_ylabel("loss")
    score.set_ylabel(label)
    figure.legend(*loss.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.suptitle(_title(metrics), fontsize=11)
    beside = folder.file(f".partial-{names.CURVES}")
    figure.savefig(beside, dpi=130)
    beside.replace(folder.file(names.CURVES))


def read_history(folder: RunFolder) -> list[dict[str, float]]:
    """Return ``history.csv``, an epoch a row."""
    with folder.file(names.HISTORY).open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def _line(rows: list[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    known = [row for row in rows if name in row]
    return [row["epoch"] for row in known], [row[name] for row in known]


def _draw_validation(
    axes: Any, rows: list[dict[str, float]], name: str, title: str, colour: str, width: float = 1.5
) -> None:
    epochs, values = _line(rows, f"val_{name}")
    if not epochs:
        return
    axes.plot(epochs, values, color=colour, marker="o", markersize=3.5, linewidth=width, label=title)
    best = min(range(len(rows)), key=lambda place: rows[place].get("val_data_loss", 0.0))
    axes.plot(epochs[best], values[best], "o", color=colour, markersize=9, fillstyle="none")


def _title(metrics: Mapping[str, Any]) -> str:
    main = metrics["main"]
    value = metrics["metrics"][main]
    shown = "unknown" if value is None else f"{value:.3f}"
    target, rows, part = ", ".join(metrics["target"]), metrics["metrics"]["rows"], metrics["measured_on"]
    return f"{target}: {main.replace('_', ' ')} {shown} on {rows:,} {part} rows (circles: the epoch kept)"
