"""Draws the demo's two pictures: how the three models did, and what the rows look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

import rowlock as rl
from rowlock.demo.animals import CLEAR_VIEW, HIDING_VIEWS
from rowlock.demo.growth import MONTHS, WEIGHT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rowlock.demo.data import DemoData
    from rowlock.demo.train import TrainedModel

__all__ = ["draw_curves", "draw_rows"]

# Okabe and Ito (2008): told apart with every kind of colour vision, and each line has its own marker too.
_MODEL_LOOKS: Final = {
    "images only": ("#0072B2", "s", (0, (4, 2))),
    "features only": ("#D55E00", "^", (0, (1, 1.2))),
    "merged": ("#009E73", "o", "-"),
}
_ANIMAL_COLOURS: Final = {"cat": "#9B8FD0", "fox": "#E8B85C"}
_SHEET_INCHES: Final = (14.0, 7.2)
_STYLE: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": "#333333",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "text.color": "#222222",
}


def draw_curves(models: Sequence[TrainedModel], path: Path) -> Path:
    """Draw validation accuracy by epoch, and test accuracy by what the sources show; return `path`."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 5), dpi=150, layout=ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.1, wspace=0.04))
        left, right = figure.subplots(1, 2, width_ratios=(1.3, 1), sharey=True)
        _draw_epochs(left, models)
        _draw_parts(right, models)
        left.set_ylim(_lowest(models) - 0.03, 1.01)
        for axes in (left, right):
            axes.axhline(0.5, color="#666666", linewidth=1)
            axes.grid(axis="y", color="#e8e8e8")
            axes.set_axisbelow(True)
            axes.spines[["left", "bottom"]].set_visible(False)
            axes.tick_params(length=0)
        title = "Test accuracy: " + ", ".join(f"{model.name} {model.test.accuracy:.0%}" for model in models)
        figure.suptitle(title, x=0.02, ha="left", fontsize=14, fontweight="bold")
        figure.savefig(path)
    return path


def _parts(model: TrainedModel) -> list[float]:
    """Return the test accuracy on all rows, on hidden pictures, on ambiguous curves."""
    test = model.test
    return [test.accuracy, test.accuracy_where("view", *HIDING_VIEWS), test.accuracy_where("growth", "between")]


def _lowest(models: Sequence[TrainedModel]) -> float:
    """Return the lowest accuracy that is drawn, or that of guessing."""
    return float(np.nanmin([0.48, *(value for model in models for value in (*model.valid_accuracy, *_parts(model)))]))


def _draw_epochs(axes: Any, models: Sequence[TrainedModel]) -> None:
    last = max(len(model.valid_accuracy) for model in models)
    for model in models:
        colour, marker, line = _MODEL_LOOKS[model.name]
        epochs = np.arange(1, last + 1)
        axes.plot(epochs, model.valid_accuracy, color=colour, marker=marker, linestyle=line, linewidth=2, markersize=6)
    ends = [model.valid_accuracy[-1] for model in models]
    for model, height in zip(models, _spread(ends, 0.045), strict=True):
        axes.text(last * 1.03, height, model.name, color=_MODEL_LOOKS[model.name][0], fontweight="bold", va="center")
    axes.text(1, 0.495, "guessing", color="#666666", fontsize=9, va="top")
    axes.set(xlabel="epoch", xlim=(1 - 0.03 * last, last * 1.26))
    axes.set_title("Accuracy on the validation rows, by epoch", loc="left", fontsize=11)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xticks([tick for tick in MaxNLocator(integer=True).tick_values(1, last) if 1 <= tick <= last])


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return the heights of labels, moved up where two would lie on each other."""
    placed: list[float] = [0.0] * len(heights)
    floor = -np.inf
    for index in np.argsort(heights):
        placed[index] = max(heights[index], floor)
        floor = placed[index] + gap
    return placed


def _draw_parts(axes: Any, models: Sequence[TrainedModel]) -> None:
    """Draw what each model gains over guessing: on all test rows, on hidden pictures, on ambiguous curves."""
    width = 0.26
    for number, model in enumerate(models):
        colour = _MODEL_LOOKS[model.name][0]
        heights = np.array(_parts(model))
        places = np.arange(3) + (number - 1) * (width + 0.02)
        axes.bar(places, heights - 0.5, width, bottom=0.5, color=colour)
        for place, height in zip(places, heights, strict=True):
            axes.text(place, max(height, 0.5) + 0.006, f"{height:.0%}", color=colour, ha="center", fontweight="bold")
    axes.set_xticks(range(3), ["all test rows", "picture hides\nwhich it is", "growth curve\nlike either"])
    axes.set_title("Accuracy on the test rows", loc="left", fontsize=11)


def draw_rows(models: Sequence[TrainedModel], data: DemoData, path: Path) -> Path:
    """Draw eight test rows: picture, growth curve, and what the models said; return `path`."""
    frame = models[0].test.frame
    chosen = _chosen(frame)
    keys = [frame["object_id"][row].as_py() for row in chosen]
    with rl.FeatureStore.open(data.store) as store:
        curves = store.by_key(keys)[:, WEIGHT_COLUMNS]
        bands = _bands(data, store)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SHEET_INCHES, dpi=130)
        for place, (row, curve) in enumerate(zip(chosen, curves, strict=True)):
            left, right = _card(figure, place)
            facts = {name: frame[name][row].as_py() for name in frame.column_names}
            _draw_picture(left, facts, data.folder)
            _draw_curve(right, facts, curve, bands)
            _write_answers(left, facts["label"], {model.name: model.test.probability[row] for model in models})
        _write_heading(figure)
        figure.savefig(path)
    return path


def _chosen(frame: Any) -> list[int]:
    """Return the first rows that are clear in both sources, in one, in the other, in none."""
    wanted = [
        ("cat", (CLEAR_VIEW,), "typical"),
        ("fox", (CLEAR_VIEW,), "typical"),
        ("cat", ("behind",), "typical"),
        ("fox", ("asleep",), "typical"),
        ("fox", ("hidden",), "typical"),
        ("cat", (CLEAR_VIEW,), "between"),
        ("fox", (CLEAR_VIEW,), "between"),
        ("fox", HIDING_VIEWS, "between"),
    ]
    rows = list(zip(*(frame[name].to_pylist() for name in ("label", "view", "growth")), strict=True))
    found = (
        next((row for row, (a, b, c) in enumerate(rows) if a == label and b in views and c == growth), None)
        for label, views, growth in wanted
    )
    return [row for row in found if row is not None]  # a very small data set may lack a kind


def _bands(data: DemoData, store: rl.FeatureStore) -> dict[str, Any]:
    """Return for each animal the weights between which four of five typical ones lie, shape (2, 12)."""
    table = pq.read_table(data.table)
    labels, growth = np.asarray(table["label"].to_pylist()), np.asarray(table["growth"].to_pylist())
    weights = store.by_key(table["object_id"].to_pylist())[:, WEIGHT_COLUMNS]
    return {
        animal: np.quantile(weights[(labels == animal) & (growth == "typical")], (0.1, 0.9), axis=0)
        for animal in _ANIMAL_COLOURS
    }


def _card(figure: Figure, place: int) -> tuple[Any, Any]:
    """Return the axes of picture and curve of one of the eight places, laid out in inches."""
    width, height = _SHEET_INCHES
    left, bottom = 0.35 + 3.45 * (place % 4), 4.1 - 3.1 * (place // 4)
    picture = figure.add_axes((left / width, bottom / height, 1.5 / width, 1.5 / height))
    curve = figure.add_axes(((left + 1.9) / width, bottom / height, 1.25 / width, 1.5 / height))
    return picture, curve


def _draw_picture(axes: Any, facts: dict[str, str], folder: Path) -> None:
    with Image.open(folder / facts["imgpath"]) as picture:
        axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.text(0, 1.2, facts["label"], transform=axes.transAxes, fontsize=14, fontweight="bold")
    axes.text(0.3, 1.2, facts["object_id"], transform=axes.transAxes, fontsize=9, color="#777777")
    _caption(axes, f"picture: {facts['view']}", tells=facts["view"] == CLEAR_VIEW)


def _draw_curve(axes: Any, facts: dict[str, str], curve: Any, bands: dict[str, Any]) -> None:
    months = np.arange(1, MONTHS + 1)
    for animal, (low, high) in bands.items():
        axes.fill_between(months, low, high, color=_ANIMAL_COLOURS[animal], alpha=0.55, linewidth=0)
    axes.plot(months, curve, color="#222222", marker="o", markersize=3, linewidth=1.2)
    axes.set(xticks=(1, 6, 12), yticks=(0, 2, 4, 6), ylim=(0, 7), xlim=(0.5, 12.5))
    axes.set_xticklabels(("month 1", "6", "12"))
    axes.set_yticklabels(("0", "2", "4", "6 kg"))
    axes.tick_params(labelsize=8, length=2, pad=2)
    _caption(axes, f"growth: {facts['growth']}", tells=facts["growth"] == "typical")


def _caption(axes: Any, text: str, *, tells: bool) -> None:
    """Write above a source what it shows; in bold where it cannot tell the animal."""
    colour, weight = ("#777777", "normal") if tells else ("#111111", "bold")
    axes.text(0, 1.05, text, transform=axes.transAxes, fontsize=9, color=colour, fontweight=weight)


def _write_answers(axes: Any, label: str, answers: dict[str, Any]) -> None:
    """Write below the picture what each model said, and whether it was right."""
    for line, (name, probability) in enumerate(answers.items()):
        said, share = ("fox", probability) if probability > 0.5 else ("cat", 1 - probability)
        mark = "\N{CHECK MARK}" if said == label else "\N{BALLOT X}"
        axes.text(
            0,
            -0.16 - 0.14 * line,
            f"{mark} {name}: {said} {share:.0%}",
            transform=axes.transAxes,
            va="top",
            fontsize=9,
            color=_MODEL_LOOKS[name][0],
        )


def _write_heading(figure: Figure) -> None:
    width, height = _SHEET_INCHES
    title = "Eight test rows, and what the three models say about them"
    figure.text(0.35 / width, 1 - 0.42 / height, title, fontsize=16, fontweight="bold")
    meaning = (
        "Dots: this animal's weight, month by month. Bands: four of five typical cats (violet) and foxes (sand)."
        " Bold caption: a source that cannot tell which it is."
    )
    figure.text(0.35 / width, 1 - 0.7 / height, meaning, color="#555555")
