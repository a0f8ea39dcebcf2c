"""The top of the page: what was trained, how good it is, and what a reader must know."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any, Final

from rowlock.reporting.markup import Raw, markup, number, paragraph

if TYPE_CHECKING:
    from rowlock.reporting.findings import Findings

__all__ = ["PARTS_IN_WORDS", "opening"]

PARTS_IN_WORDS: Final = {"train": "training", "valid": "validation", "test": "test"}

_FEW: Final = 6
"""Classes, or columns of the target, that are told at the top."""

_NAMES: Final = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1_macro": "mean F1", "auc": "AUC",
    "auc_macro": "mean AUC", "exact_match": "all labels right", "log_loss": "log loss", "mae": "MAE", "rmse": "RMSE",
    "r2": "R\N{SUPERSCRIPT TWO}",
}  # fmt: skip


def metric_name(name: str) -> str:
    """Return a metric as people write it."""
    return _NAMES.get(name, name.replace("_", " "))


def metric_value(name: str, value: float | None) -> str:
    """Return a metric's value: errors have the target's units, all others are about 0 to 1."""
    return number(value, ".4g" if name in {"mae", "rmse"} else ".3f")


def opening(found: Findings) -> str:
    """Return title, numbers and notes."""
    kept = found.kept
    inputs = " and ".join(kept.config.input_names)
    merged = "a merged model of " if len(kept.config.input_names) > 1 else "a model of "
    return (
        f"<header><p class='over'>rowlock report</p><h1>Predicting {markup(kept.target)}</h1>"
        f"{paragraph(Raw(f'{_classes(found)}{merged}<b>{markup(inputs)}</b>{_rows(found)}'), 'under')}"
        f"{_tiles(found)}{_measured(found)}{_notes(found)}</header>"
    )


def _classes(found: Findings) -> str:
    """Return what the answers are, where they are few."""
    if found.task not in {"classes", "labels"} or not 0 < len(found.classes) <= _FEW:
        return ""
    joined = " or " if found.task == "classes" else ", "
    return f"{markup(joined.join(map(str, found.classes)))}, by "


def _rows(found: Findings) -> str:
    parts = found.kept.parts
    if not parts:
        return ""
    told = ", ".join(f"{rows:,} {PARTS_IN_WORDS[part]}" for part, rows in parts.items())
    return f"; {markup(told)} rows"


def _tiles(found: Findings) -> str:
    if not found.metrics or found.kept.metrics is None:
        return ""
    main, meanings = found.kept.metrics["main"], found.kept.metrics.get("meanings", {})
    names = [main, *(name for name in _NAMES if name in found.metrics and name != main)]
    columns = found.metrics.get("columns", {})
    if columns:
        names = [main]  # errors of several units have no common mean
    tiles = [
        f'<div class="tile{" main" if name == main else ""}" title="{escape(meanings.get(name, ""))}">'
        f"<span>{escape(metric_name(name))}</span><b>{metric_value(name, found.metrics[name])}</b>"
        f"<small>{escape(_beside(found, name))}</small></div>"
        for name in names
    ]
    tiles += [
        f'<div class="tile"><span>{metric_name(main)} of {markup(name)}</span><b>{metric_value(main, one[main])}</b>'
        f"<small>MAE {metric_value('mae', one['mae'])}</small></div>"
        for name, one in list(columns.items())[:_FEW]
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _beside(found: Findings, name: str) -> str:
    """Return what a number is to be compared with."""
    if name in found.intervals:
        low, high = found.intervals[name]
        return f"95 %: {metric_value(name, low)} to {metric_value(name, high)}"
    if name == "balanced_accuracy":
        return f"guessing: {1 / len(found.classes):.3f}"
    if name == "log_loss" and found.task == "classes":
        return f"guessing: {math.log(len(found.classes)):.3f}"
    if name == "r2" and "columns" in found.metrics:
        return "mean over the targets"
    return {"auc": "guessing: 0.500", "auc_macro": "guessing: 0.500", "r2": "the mean alone: 0"}.get(name, "")


def _measured(found: Findings) -> str:
    told = found.kept.metrics
    if told is None:
        return ""
    part = told["measured_on"]
    text = f"Measured on the {found.metrics['rows']:,} {PARTS_IN_WORDS[part]} rows"
    text += {"test": ", which training never saw", "valid": " (there is no test part), by which the epoch was chosen",
             "train": " themselves (there is no other part): this says nothing about new rows"}[part]  # fmt: skip
    if told.get("unreadable_rows"):
        text += f"; {told['unreadable_rows']:,} more could not be read"
    text += f". {_baseline(found)}{_group(found)}"
    if found.tested is not None and not found.tested.differences(found.metrics):
        text += " Predicted again for this page by the saved model: the same numbers."
    return paragraph(text, "under")


def _baseline(found: Findings) -> str:
    if found.task != "classes" or not found.class_scores:
        return ""
    most = max(found.class_scores, key=lambda one: one.rows)
    return f"Always saying {most.name!r}, the commonest class, would give {most.rows / found.metrics['rows']:.3f}."


def _group(found: Findings) -> str:
    group = found.kept.config.group
    if group is None or not found.intervals:
        return ""
    return f" Rows of one {group!r} are alike, so the true interval is wider than the one given."


def _notes(found: Findings) -> str:
    notes: list[Any] = [*found.notes]
    if not notes:
        return ""
    return f'<div class="notes">{"".join(paragraph(note) for note in notes)}</div>'
